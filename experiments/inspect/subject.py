"""What is looked into: a saved run, a model file, the compact VGG of this package or a network of Keras."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_sample_image

from kerasapps.applications.classic import build_mnist_network
from kerasapps.data.image_codec import ImageCodec
from kerasapps.data.image_reading import files_in
from kerasapps.errors import UserError
from kerasapps.inside.networks import image_input, inputs_of, outputs_of
from kerasapps.inside.probe import Probe
from kerasapps.records import read_runs
from kerasapps.runs import Options, Run
from kerasapps.saving import in_float32
from kerasapps.settings import Text, convert, from_settings, or_none

from ..shared import image_classifier
from ..shared.image_classifier import ADAM
from ..shared.runs import SavedRun, load_run, network_of
from .opening import compact, of_keras, opened_file, read_scaled, read_with

SHOWN = 4  # images where none are given
ROWS = 1500  # images of a data set that are scanned at most
SIDE = 224  # pixels, where a network takes any size
OWN = replace(ADAM, size=32, epochs=10, batch_size=64, flip=False, shift=0.1)


@dataclass(frozen=True)
class Subject:
    """Which network is looked into, and at what.

    Args:
        run: A run folder, a .keras file, "compact" (the VGG that comes with this package), or a network of
            keras.applications such as MobileNetV2 with --weights; by default the newest run of images below runs/, or
            without any a network for the digits that is trained in seconds.
        weights: The file with the weights of a network of keras.applications.
        data: Where images come from that are not given, as for image classification; by default the data of the run.
        output: Which output, and which unit of it, such as label=3, label=cat or 3; by default the most probable class
            of each image.
        layer: Name of a layer; by default one that shows something. A name that is none of them lists those near it.
    """

    run: Path | None = None
    weights: Path | None = None
    data: or_none(Text) = None
    output: or_none(Text) = None
    layer: or_none(Text) = None


@dataclass(frozen=True)
class Opened:
    """A network and the images to look at.

    Args:
        title: What it is called.
        model: The network.
        shape: Height, width and channels of its images.
        class_names: Class by number; empty where nothing names them.
        read: From image files to images, 0 to 255, float32 (n, H, W, C).
        rows: Images of a data set, 0 to 255, float32 (n, H, W, C); of length 0 without one.
        labels: Their classes, int (n,); empty without.
    """

    title: str
    model: keras.Model
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    read: Callable[[Sequence[Path]], np.ndarray]
    rows: np.ndarray
    labels: np.ndarray

    def inputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the inputs of the network for images; inputs that are no images are 0."""
        named = image_input(self.model)
        others = {name: tensor for name, tensor in inputs_of(self.model).items() if name != named}
        zeros = {
            name: np.zeros((len(images), *(side or 1 for side in tensor.shape[1:])), tensor.dtype)
            for name, tensor in others.items()
        }
        return zeros | {named: images}

    def name_of(self, unit: int) -> str:
        """Returns what a unit is called."""
        return self.class_names[unit] if unit < len(self.class_names) else str(unit)


@dataclass(frozen=True)
class View:
    """A question: some images and a unit for each.

    Args:
        opened: The network.
        probe: The network and its output.
        images: As they are, 0 to 255, float32 (n, H, W, C).
        inputs: As the network takes them.
        units: A unit for each.
        values: Its probability or activation, (n,).
    """

    opened: Opened
    probe: Probe
    images: np.ndarray
    inputs: dict[str, np.ndarray]
    units: list[int]
    values: np.ndarray

    def below(self) -> list[str]:
        """Returns what each image is taken for."""
        shares = (self.values >= 0).all() and (self.values <= 1).all()
        texts = [f"{100 * value:.0f} %" if shares else f"{value:.3g}" for value in self.values]
        return [f"{self.opened.name_of(unit)}  {text}" for unit, text in zip(self.units, texts, strict=True)]


def saved_run(subject: Subject) -> SavedRun | None:
    """Returns the run that is looked into, None if it is something else."""
    if subject.run is not None:
        return load_run(subject.run) if subject.run.is_dir() else None
    found = (
        [
            one
            for one in read_runs(Path("runs"))
            if one.experiment == "image_classification"
            and one.state == "finished"
            and (one.folder / "model.keras").exists()
        ]
        if Path("runs").is_dir()
        else []
    )
    return load_run(max(found, key=lambda one: one.started).folder) if found else None


def open_subject(subject: Subject, run: Run, saved: SavedRun | None, *, has_images: bool) -> Opened:
    """Opens what is looked into, with the images of its data.

    Raises:
        UserError: If it is missing, damaged, or not a network of images.
    """
    if saved is None and subject.run is None:
        return trained_on_digits(run)
    if saved is not None:
        return of_run(saved, subject, options=run.options, has_images=has_images)
    if subject.run.suffix == ".keras":
        model = in_float32(opened_file(subject.run))
    elif str(subject.run) == "compact":
        model = compact()
    else:
        model = of_keras(str(subject.run), subject.weights)
    return of_model(str(subject.run), model, subject, run.options)


def trained_on_digits(run: Run) -> Opened:
    """Trains a network for the digits in the run folder."""
    print("There is no run of images below runs/: a network for the embedded digits is trained first.", flush=True)
    recipe = run.options.shrunk(OWN, epochs=1)
    splits = image_classifier.load("digits", recipe, options=run.options)
    trained = image_classifier.train(run, splits, partial(build_mnist_network, **splits.sizes), recipe)
    codec = ImageCodec.of(splits)
    rows, labels = rows_of(splits)
    return Opened(
        "A network for the digits",
        trained.model,
        codec.image_shape,
        codec.class_names,
        partial(read_with, codec),
        rows,
        labels,
    )


def of_run(saved: SavedRun, subject: Subject, *, options: Options, has_images: bool) -> Opened:
    """Opens a run folder; where there are images to look at, its own data may be gone."""
    if type(saved.codec) is not ImageCodec:  # its subclasses scale images in other ways
        return of_part(saved, has_images=has_images)
    image_input(saved.model)
    model = in_float32(saved.model)  # gradients in 16 bits do not add up
    codec, data = saved.codec, subject.data or saved.settings.get("data")
    rows, labels = np.zeros((0, *codec.image_shape), np.float32), np.zeros(0, int)
    if data is not None:
        given = replace(from_settings(Options, saved.settings), smoke=options.smoke, limit=options.limit)
        data = convert("data", str, data)
        try:
            splits = image_classifier.load_as_trained(saved, data, options=given, same=subject.data is None)
        except UserError as error:
            if subject.data is not None or not has_images:
                raise
            print(f"Without the data of the run: {error}", flush=True)
        else:
            rows, labels = rows_of(splits)
    title = f"{saved.settings.get('arch', saved.experiment)} on {data}"
    return Opened(title, model, codec.image_shape, codec.class_names, partial(read_with, codec), rows, labels)


def of_part(saved: SavedRun, *, has_images: bool) -> Opened:
    """Opens the part of a network that looks at images, where its experiment says which that is: of a captioner.

    Images of its data are loaded where there are no others to look at.

    Raises:
        UserError: If it says nothing.
    """
    network = network_of(saved)
    if not hasattr(network, "looking_part"):
        raise UserError(
            f"{saved.folder} is a run of {saved.experiment}: inspect takes runs of image classifiers, of GANs and of "
            "captioners."
        )
    model, shape = in_float32(network.looking_part(saved)), saved.codec.image_shape
    rows = np.zeros((0, *shape), np.float32)
    if not has_images:
        rows = network.load_as_trained(saved, limit=ROWS).test.inputs["image"].astype(np.float32)
    read, title = partial(read_with, saved.codec), f"what looks in a run of {saved.experiment}"
    return Opened(title, model, shape, (), read, rows, np.zeros(0, int))


def rows_of(splits: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns the test set, or as much as is scanned, with its labels."""
    test = splits.test.take(np.arange(min(ROWS, len(splits.test))))
    images = np.concatenate([inputs["image"].numpy().astype(np.float32) for inputs, _ in test.batches(256)])
    return images, np.asarray(test.targets["label"]).astype(int)


def of_model(title: str, model: keras.Model, subject: Subject, options: Options) -> Opened:
    """Opens a model of which nothing is known."""
    height, width, channels = inputs_of(model)[image_input(model)].shape[1:]
    shape = (height or SIDE, width or SIDE, channels)
    rows, labels, names = np.zeros((0, *shape), np.float32), np.zeros(0, int), ()
    if subject.data is not None:
        recipe = replace(OWN, size=shape[0])
        splits = image_classifier.load(subject.data, recipe, options=options, channels=channels)
        rows, labels = rows_of(splits)
        outputs = outputs_of(model).values()
        names = splits.class_names if {one.shape[-1] for one in outputs} == {len(splits.class_names)} else ()
    return Opened(title, model, shape, tuple(names), partial(read_scaled, shape), rows, labels)


def view(opened: Opened, subject: Subject, files: Sequence[Path]) -> View:
    """Returns what to look at: the images that are given, or some of the data, and a unit for each.

    Raises:
        UserError: If an image cannot be read, or --output or --layer names nothing.
    """
    name, unit = read_output(opened, subject.output)
    probe = Probe(opened.model, output=name)
    if files:
        images = opened.read(files_in(files))
    elif len(opened.rows):
        images = examples(opened, probe)
    else:
        photo = load_sample_image("china.jpg").astype(np.float32)[:, 107:534]
        images = tf.image.resize(photo, opened.shape[:2], antialias=True).numpy()[None]
        images = images if opened.shape[-1] == 3 else images.mean(-1, keepdims=True)
    inputs = opened.inputs(images)
    outputs = probe.predict(inputs)
    outputs = outputs.reshape(len(images), -1, outputs.shape[-1]).mean(1)  # (n, units)
    units = outputs.argmax(-1).tolist() if unit is None else [unit] * len(images)
    if max(units) >= outputs.shape[-1]:
        raise UserError(f"--output {subject.output}: {probe.output} has units 0 to {outputs.shape[-1] - 1}.")
    return View(opened, probe, images, inputs, units, outputs[np.arange(len(images)), units])


def read_output(opened: Opened, text: str | None) -> tuple[str | None, int | None]:
    """Reads NAME=UNIT, NAME or UNIT, where a unit is a number or the name of a class."""
    names = list(outputs_of(opened.model))
    if text is None:
        return (None if len(names) == 1 else names[-1]), None
    name, given, unit = text.partition("=")
    if not given and text not in names:
        name, unit = (names[0] if len(names) == 1 else ""), text
    if name not in names:
        raise UserError(f"--output takes NAME=UNIT with one of the outputs {', '.join(names)}. Received: {text}")
    if not unit:
        return name, None
    if unit in opened.class_names:
        return name, opened.class_names.index(unit)
    if not unit.isdecimal():
        raise UserError(f"--output {text}: {unit} is neither a number nor a class.")
    return name, int(unit)


def examples(opened: Opened, probe: Probe) -> np.ndarray:
    """Returns images of the data that are classified correctly, of different classes, (n, H, W, C)."""
    some = slice(0, 200)
    predicted = probe.predict(opened.inputs(opened.rows[some]))
    right = np.arange(len(predicted))
    if predicted.ndim == 2 and len(opened.labels):
        right = np.flatnonzero(predicted.argmax(-1) == opened.labels[some])
        right = right if len(right) else np.arange(len(predicted))
        right = right[np.sort(np.unique(opened.labels[right], return_index=True)[1])]
    return opened.rows[right[:SHOWN]]
