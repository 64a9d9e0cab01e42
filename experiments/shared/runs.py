"""Trained networks as later commands get at them: `load_run` checks all that a run folder holds before it is used."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self

import keras
import numpy as np

from kerasapps.data.splits import Splits
from kerasapps.errors import UserError
from kerasapps.records import experiment_of
from kerasapps.runs import Run, load_model, read_config, read_json, write_json
from kerasapps.saving import in_float32
from kerasapps.settings import convert

EXPERIMENTS = Path(__file__).parent.parent
CODEC = "codec.json"
FEW = 32  # rows for which Keras' loop over batches costs more than the network
# As runs were written before all of them had a codec.json.
OLDER_CODECS = ("vocabulary.json", "classes.json")


class Codec(Protocol):
    """What a model file does not hold: from what a person has to inputs, from outputs to what a person reads."""

    def encode(self, *args, **kwargs) -> Mapping[str, Any]:
        """Returns the inputs of the model by name."""

    def decode(self, *args, **kwargs) -> Any:
        """Returns what outputs of the model mean."""

    def outputs(self) -> Mapping[str, int | None]:
        """Returns the width of each output that a network for this codec may have.

        A codec that decides the shapes of inputs has `inputs()` as well, name to shape without the batch.
        """

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Returns the codec that `to_json` described."""


class Settings(dict):
    """Every option of a run by name; one that is missing is reported as damage of its config.json."""

    def __init__(self, path: Path, values: Mapping[str, Any]):
        super().__init__(values)
        self.path = path

    def __missing__(self, name: str):
        raise UserError(f"{self.path} is damaged: it has no setting {name}.")

    def of(self, name: str, hint: Any) -> Any:
        """Returns an option as the type that it has, such as "arch" and `Arch`.

        Raises:
            UserError: If it is missing or of another type.
        """
        try:
            return convert(name, hint, self[name])
        except UserError as error:
            raise UserError(f"{self.path} is damaged: {error}") from None


@dataclass(frozen=True)
class SavedRun:
    """A trained network and all that is needed to use it.

    Args:
        folder: The run folder.
        experiment: Name of the experiment, such as "qa".
        model: The best model, uncompiled.
        codec: See `Codec`; None for an experiment that has none.
        settings: Every option by name, as it was resolved; see `kerasapps.settings.from_settings`.
    """

    folder: Path
    experiment: str
    model: keras.Model
    codec: Any
    settings: Settings

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs of the network by name: of a few rows by a traced call.

        `predict` would take a quarter of a second for its loop over batches.

        Args:
            inputs: Inputs by name, (n, ...).
        """
        if len(next(iter(inputs.values()))) > FEW:
            return self.model.predict(dict(inputs), verbose=0)
        return outputs_of(self.model, inputs, self._traced)

    def in_float32(self) -> "SavedRun":
        """Returns the run with a network that computes in float32, as it does in every deployed folder.

        What is predicted for a person is then the same there, whatever the network was trained in. A GAN stays as it
        is.
        """
        narrow = any(layer.compute_dtype in ("bfloat16", "float16") for layer in self.model._flatten_layers())
        if not narrow or not getattr(self.model, "inputs", None):
            return self
        return replace(self, model=in_float32(self.model))

    @cached_property
    def _traced(self) -> Callable:
        return traced(self.model)

    def metric(self, name: str) -> float:
        """Returns a number of its metrics.json.

        Raises:
            UserError: If the file is damaged or has no such number.
        """
        path = self.folder / "metrics.json"
        metrics = read_json(path)
        if not isinstance(metrics, dict) or not isinstance(metrics.get(name), int | float):
            raise UserError(f"{path} is damaged: it has no number {name}.")
        return metrics[name]


def traced(model: keras.Model) -> Callable:
    """Returns a network as one function of its inputs by name."""
    import tensorflow as tf

    def step_on_rows(inputs):  # named as the functions of Keras in which our kernels run
        return model(inputs, training=False)

    return tf.function(step_on_rows, reduce_retracing=True, autograph=False)


def outputs_of(
    model: keras.Model, inputs: Mapping[str, np.ndarray], run: Callable | None = None
) -> dict[str, np.ndarray]:
    """Returns the outputs of a network by name, by a traced call.

    Args:
        model: The network.
        inputs: Inputs by name, (n, ...).
        run: What `traced` returned for it, where it is called more often.
    """
    given = {tensor.name: keras.ops.convert_to_tensor(inputs[tensor.name]) for tensor in model.inputs}
    return {name: keras.ops.convert_to_numpy(value) for name, value in (run or traced(model))(given).items()}


def load_run(folder: Path, experiment: str | None = None) -> SavedRun:
    """Loads a run folder.

    Args:
        folder: The run folder, also one written before it had a codec.json.
        experiment: Name of the experiment that it must be of; any by default.

    Raises:
        UserError: If it is none, is damaged, is not finished or is of another experiment.
    """
    config, path = read_config(folder), folder / "config.json"
    name = experiment_of(config) or experiment
    if name is None:
        raise UserError(f"{path} does not name its experiment.")
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(f"{path} is damaged: it is not what a run writes.")
    if experiment not in (None, name):
        raise UserError(f"{folder} is a run of {name}, not of {experiment}.")
    if not (EXPERIMENTS / name / "network.py").is_file():
        raise UserError(f"{folder} is a run of {name}, and there is no such experiment.")
    codec_class = getattr(importlib.import_module(f"..{name}.network", __package__), "CODEC", None)
    codec = None if codec_class is None else read_codec(folder, codec_class)
    model = load_model(folder)
    if codec is not None:
        check_fit(folder, model, codec)
    return SavedRun(folder, name, model, codec, Settings(path, config["settings"]))


def load_splits(saved: SavedRun) -> Splits:
    """Loads the data that a run was trained on, split as they were and encoded as its network takes them.

    Raises:
        UserError: If its experiment does not offer them, or the data cannot be read.
    """
    network = network_of(saved)
    splits_of = getattr(network, "splits_of", None)
    if splits_of is None:
        raise UserError(f"{saved.folder}: combine does not read runs of {saved.experiment}.")
    return splits_of(saved)


def readable_splits(saved: Sequence[SavedRun], splits: Splits) -> Splits:
    """Returns data of runs of one experiment as all their networks can read them: texts padded for each of them."""
    readable_by = getattr(network_of(saved[0]), "readable_by", None)
    return splits if readable_by is None else readable_by(splits, [one.model for one in saved])


def network_of(saved: SavedRun) -> ModuleType:
    """Returns the module of an experiment that loads its data and builds its networks."""
    return importlib.import_module(f"..{saved.experiment}.network", __package__)


def write_codec(run: Run, codec: Codec) -> None:
    """Writes what a model does not hold.

    Raises:
        UserError: If a run is resumed that has another one, which its network would not fit any more.
    """
    if run.resumed is not None and codec_path(run.folder).exists():
        before = read_codec(run.folder, type(codec))
        if codec_json(before) != codec_json(codec):
            raise UserError(
                f"{run.folder} was started with other words, classes or scales than the data give now, and its network "
                "does not fit them: leave out --resume and start again in another folder."
            )
    write_json(run.path(CODEC), codec.to_json())


def codec_json(codec: Codec | None) -> str:
    """Returns what a codec holds, as text; two that say the same are the same."""
    return json.dumps(None if codec is None else codec.to_json(), sort_keys=True, default=str)


def codec_path(folder: Path) -> Path:
    """Returns the file of a run folder that holds its codec, or would."""
    paths = [folder / name for name in (CODEC, *OLDER_CODECS)]
    return next((path for path in paths if path.exists()), paths[0])


def read_codec(folder: Path, codec_class: type[Codec]) -> Any:
    """Reads what `write_codec` wrote.

    Raises:
        UserError: If it is not there or damaged.
    """
    path = codec_path(folder)
    content = read_json(path)
    try:
        return codec_class.from_json(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: it is not what a run of this experiment writes.") from error


def check_fit(folder: Path, model: keras.Model, codec: Codec) -> None:
    """Refuses a model that is not the codec's.

    Raises:
        UserError: If it has an output that the codec does not know, or an input or output of another shape.
    """
    known = codec.outputs()
    # A model that was never built has neither.
    inputs = {tensor.name: tuple(tensor.shape[1:]) for tensor in getattr(model, "inputs", None) or []}
    given = getattr(model, "output", None)
    outputs = {name: tuple(tensor.shape[1:]) for name, tensor in given.items()} if isinstance(given, dict) else {}
    fit = [name in known and known[name] in (None, *shape[-1:]) for name, shape in outputs.items()]
    taken = getattr(codec, "inputs", dict)()
    fit += [inputs.get(name, shape) == shape for name, shape in taken.items()]
    if not outputs or not all(fit):
        raise UserError(f"{folder / 'model.keras'} and {codec_path(folder).name} are not of the same network.")
