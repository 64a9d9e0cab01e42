"""Search spaces of all builders, by the builder's name."""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Space = Callable[["HyperParameters"], dict[str, Any]]


class SearchSpaces(Mapping[str, Space]):
    """Finds the search space of a builder by its name, such as "build_lenet5".

    A search space takes the `hp` of keras-tuner and returns arguments for the builder; its defaults are the builder's.
    Hyperparameters are named after the builder, as "lenet5/dropout", so that two builders in one `hp` share none. Two
    networks of one builder need a scope each: `with hp.name_scope("teacher"): ...`.

    Example:
        >>> import keras_tuner
        >>> build_lenet5(image_shape=(28, 28, 1), **search_spaces["build_lenet5"](keras_tuner.HyperParameters()))
    """

    def __getitem__(self, builder: str) -> Space:
        space = _space(builder) if builder in _builders() else None
        if space is None:
            raise KeyError(f"builders with a search space are {', '.join(self)}; received: {builder!r}")
        return partial(_scoped, space, builder.removeprefix("build_"))

    def __iter__(self) -> Iterator[str]:
        return (builder for builder in _builders() if _space(builder))

    def __len__(self) -> int:
        return sum(1 for _ in self)


search_spaces = SearchSpaces()


def _builders() -> list[str]:
    return [name for name in importlib.import_module("kerasapps").__all__ if name.startswith("build_")]


def _space(builder: str) -> Space | None:
    """Returns the space beside a builder: its own, or that of all builders in the file."""
    module = sys.modules[getattr(importlib.import_module("kerasapps"), builder).__module__]
    own = f"search_space_{builder.removeprefix('build_')}"
    return getattr(module, own, getattr(module, "search_space", None))


def _scoped(space: Space, scope: str, hp: "HyperParameters") -> dict[str, Any]:
    with hp.name_scope(scope):
        return space(hp)
