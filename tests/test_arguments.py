"""What builders and public classes refuse, for every argument from its annotation: one sentence each."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import keras
import numpy as np
import pytest

from kerasapps import Head, SmoothedCrossentropy
from kerasapps.applications import gan, vgg
from kerasapps.blocks.arguments import checked
from tests import contract_ensemble
from tests.contract import CONTRACTS

# The first row of each builder; of `build_gan` the builder itself, as that of the row takes other arguments.
ROWS = {row.builder.__name__: row for row in reversed(CONTRACTS)}
# Where 0, or a number under 0, is as good as any.
ZERO = {"freeze", "blocks of inception_classifier", "buckets", "middle_blocks", "seed", "walkers", "noise"}
ZERO |= {"embedding_dim of recurrent_language_model", "context of captioner"}  # one-hot, none
ZERO |= {"depth of vae", "depth of autoencoder", "last_blocks", "dilated_stages", "reader_units"}
NEGATIVE = {"age_mean", "year_mean", "price_mean"}
EMPTY = {"dense_units", "decoder_units", "numbers", "category_sizes", "pool_filters", "long_filters"}
MAY_BE_EMPTY = {"build_multi_head_text", "build_profile", "build_novel"}  # bags of words

NUMBER = ["64", None, math.nan, math.inf, True, [1], {}]


def wrong(name: str, builder: str, annotation: Any) -> list:
    """Returns values that an argument of this name and annotation must not have."""
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind is UnionType:
        return [value for value in wrong(name, builder, inner[0]) if value is not None]
    if kind is Literal:
        return ["nothing", "", 5, None, ["same"]]
    if kind is int:
        zero = name in ZERO or f"{name} of {builder.removeprefix('build_')}" in ZERO
        return [*NUMBER, 2.5, -1, np.float32(3)] + ([] if zero else [0, np.int64(0)])
    if kind is float:
        below = [] if name in NEGATIVE else [-1.0, -1]
        return [*NUMBER, *below] + ([1.0, 1.5] if name.endswith("dropout") else [])
    if kind is bool:
        return ["yes", None, 2, 0.0, []]
    if kind is str:
        return [5, None, ["a"]] + (["", "a/b"] if name == "name" else [])
    if kind is tuple and inner == (int, int, int):
        shapes = [(64, 64), (64, 64, 0), (0, 64, 3), (64, -4, 3), (64, 64, 2.5), (64, 64, "3"), (64, 64, None)]
        return [28, "28", None, *shapes]
    if kind is Sequence:
        empty = [] if name in EMPTY or builder in MAY_BE_EMPTY else [()]
        return [64, "64", None, *empty, *[(value,) for value in wrong(name, builder, inner[0])]]
    if kind is tuple:  # a mean and a standard deviation
        return [3.0, (1.0,), (1.0, "1"), (math.nan, 1.0), (0.0, 0.0), (0.0, -1.0), None]
    if kind is Mapping and inner[1] is keras.Model:
        return [{}, None, ["wide"], "wide", {"wide": None}, {"wide": 5}, {5: vgg.build_vgg}, {"": vgg.build_vgg}]
    if kind is Mapping and inner[1] is float:
        return [{}, None, [1.0], {"small": 1.0}, {"small": "1", "deep": 1.0}, {"small": math.nan, "deep": 1.0}]
    if kind is Mapping:
        head = Head("binary")
        return [{}, None, ["age"], "age", {"age": "regression"}, {5: head}, {"": head}, {"a/b": head}, {"text": head}]
    assert kind is keras.Model, f"write down what a {annotation} must not be"
    return [None, 5, "model"]


def refused(made: Callable, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"`{name}`") as error:
        made(**{name: value})
    message = str(error.value)
    assert "\n" not in message
    assert "must" in message, message
    assert "Received: " in message, message
    assert len(message) < 400, message


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_every_wrong_argument_is_one_sentence(row):
    builder, arguments = row.builder, row.arguments
    if builder.__name__ == "build_gan":
        builder = gan.build_gan
        arguments = {"generator": gan.build_generator(**arguments["generator"])}
        arguments["discriminator"] = gan.build_discriminator(**row.arguments["discriminator"])
    if builder.__name__ == "build_transfer_classifier":
        builder, arguments = row.builder.__wrapped__, arguments | {"base": vgg.build_vgg(**arguments["base"])}
    if builder.__name__ == "build_ensemble":
        made = {name: contract_ensemble.members_of(one) for name, one in arguments["members"].items()}
        builder, arguments = row.builder.__wrapped__, arguments | {"members": made}
    for name, parameter in inspect.signature(builder).parameters.items():
        for value in wrong(name, builder.__name__, parameter.annotation):
            others = {other: given for other, given in arguments.items() if other != name}
            refused(partial(builder, **others), name, value)


def test_head_names_that_the_network_uses_are_refused():
    row = ROWS["build_multi_head_text"]
    taken = [layer.name for layer in row.builder(**row.arguments | {"heads": {"age": Head("binary")}}).layers]
    for name in taken:
        if name != "age":
            with pytest.raises(ValueError, match="`heads` must have names"):
                row.builder(**row.arguments | {"heads": {name: Head("binary")}})
    with pytest.raises(ValueError, match="`heads` must have names"):
        row.builder(**row.arguments | {"heads": {"age": Head("regression"), "age_standardised": Head("binary")}})


@pytest.mark.parametrize(
    ("made", "name", "values"),
    [
        (SmoothedCrossentropy, "smoothing", [1.5, 1.0, -0.1, math.nan, "0.1", None]),
        (Head, "kind", ["number", None, 5, ["binary"]]),
        (partial(Head, "classes"), "num_classes", [1, 0, -1, 2.5, "3", None, True]),
        (partial(Head, "regression"), "mean", ["1", None, math.nan, math.inf, True]),
        (partial(Head, "regression"), "scale", ["1", None, math.nan, 0, -1.0, True]),
    ],
)
def test_public_classes_refuse_in_one_sentence(made, name, values):
    for value in values:
        refused(made, name, value)


def test_plain_values_arrive():
    @checked
    def build(*, size: int, share: float, on: bool, sizes: Sequence[int], shape: tuple[int, int, int] | None = None):
        return size, share, on, sizes, shape

    made = build(size=np.int64(3), share=np.float32(0.5), on=np.True_, sizes=np.array([1, 2]), shape=[1, 2, 3])
    assert made == (3, 0.5, True, (1, 2), (1, 2, 3))
    assert [type(value) for value in made] == [int, float, bool, tuple, tuple]
    assert {type(value) for value in made[3]} == {int}
    assert build(size=3, share=1, on=False, sizes=[])[-1] is None
