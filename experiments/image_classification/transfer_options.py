"""The options of `finetune`: which images, which trained network, and how it learns."""

import json
import re
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from kerasapps.bases import SIZES
from kerasapps.blocks.pixels import Pixels
from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.runs import Options
from kerasapps.settings import Count, Positive, Share, Side, Text, optional, or_none, ranged, settle

from ..shared import image_classifier

# Mirrored, a sign is that of the other hand, and of shapes one lies on its side only one way.
UPRIGHT = image_classifier.UPRIGHT | {"signs", "shapes"}
# The drawn shapes: how many of each class, and their side, with which all of it takes a minute.
FEW, DRAWN, FEW_SIZE = "shapes", (5, 20), 32


@dataclass(frozen=True)
class Source:
    """Which images, and how many of them.

    Args:
        data: "shapes" (drawn, 8 classes, no file), "flowers", "signs" or another data set, a folder with one sub-folder
            of images a class, or an archive of one.
        shots: Images of each class to train on, one number or several to compare; by default all that there are, of
            the shapes 5 and 20.
        draws: How often they are drawn anew, each time with other test images. The first draw of the last number of
            shots is the network that is kept.
    """

    data: Text = FEW
    shots: tuple[Count, ...] = ()
    draws: ranged(int, least=1, most=100) = 1


@dataclass(frozen=True)
class Foundation:
    """The trained network to build on.

    Args:
        base: "compact" (in this package), "mobilenet", a network of `keras.applications` such as vgg16 or densenet121,
            a run folder of this project, or a .keras file.
        weights: File of its weights, for mobilenet and networks of `keras.applications`; else they are downloaded.
        layer: Layer whose output the features are; by default as suits the base.
        pixels: What the base expects: "bytes" (0 to 255), or "tf", "torch" or "caffe" as `preprocess_input` of
            `keras.applications` calls them; by default as suits it, of a .keras file "bytes".
        freeze: How many layers of the base, from the image on, stay frozen in the second stage: a number, or all.
    """

    base: Text = "compact"
    weights: or_none(Path) = None
    layer: or_none(Text) = None
    pixels: or_none(Pixels) = None
    freeze: Text = "0"


@dataclass(frozen=True)
class TransferRecipe:
    """How it is trained.

    Args:
        size: Side of the images in pixels; by default as suits the base.
        head_epochs: Epochs of the head on cached features.
        head_rate: Peak learning rate of the head there.
        versions: Augmented versions of each training image whose features are cached; 0 for the images as they are.
        epochs: Epochs of the whole network after that; 0 leaves them out.
        learning_rate: Peak learning rate then, of the head and the last layer of the base.
        falling: Rate of the base's first layer as a share of that of its last; it falls geometrically between them.
        baseline_epochs: Epochs of the same network from scratch, to compare; 0 leaves it out.
        baseline_rate: Peak learning rate from scratch.
        batch_size: Images in a step, over all devices.
        weight_decay: Share of each kernel taken off in a step, times the learning rate.
        label_smoothing: Share of the target probability that is spread over all classes.
        shift: How far training images are shifted at most, as a share of their side.
        erase: Share of the area of training images that is grayed out, at most.
        flip: Whether half of the training images are mirrored; by default not signs, shapes and digits.
    """

    size: Side = 64
    head_epochs: Count = 30
    head_rate: Positive = 3e-3
    versions: ranged(int, least=0, most=64) = 4
    epochs: ranged(int, least=0) = 20
    learning_rate: Positive = 3e-4
    falling: ranged(float, above=0, most=1) = 0.1
    baseline_epochs: ranged(int, least=0) = 40
    baseline_rate: Positive = 1e-3
    batch_size: Count = 32
    weight_decay: ranged(float, least=0, most=1) = 1e-2
    label_smoothing: Share = 0.1
    shift: Share = 0.1
    erase: Share = 0.0
    flip: bool = True


GivenTransferRecipe = optional(TransferRecipe)


def settled(source: Source, foundation: Foundation, given: GivenTransferRecipe, *, options: Options):
    """Returns source and recipe with what depends on other options decided."""
    parse_freeze(foundation.freeze)
    if source.data == FEW and not source.shots:
        source = replace(source, shots=DRAWN[-1:] if options.smoke else DRAWN)
    few = (source.data, foundation.base) == (FEW, "compact")
    size = FEW_SIZE if few else size_of(foundation.base)
    defaults = TransferRecipe(size=size, flip=source.data not in UPRIGHT)
    recipe = settle(defaults, given)
    least = {"head_epochs": 3, "epochs": 1, "baseline_epochs": 1, "versions": 1}
    return source, replace(recipe, **{name: options.shrink(getattr(recipe, name), least[name]) for name in least})


def size_of(base: str) -> int:
    """Returns the side of images that suits a base, read without loading it."""
    if base in SIZES:
        return SIZES[base]
    path = user_path(base)
    try:
        with zipfile.ZipFile(path / "model.keras" if path.is_dir() else path) as archive:
            text = json.dumps(json.loads(archive.read("config.json")))
        shape = re.search(r'"batch_shape": \[null, (\d+), \d+, \d+\]', text)
        return int(shape[1]) if shape else TransferRecipe.size
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return TransferRecipe.size  # loading it gives the reason


def parse_freeze(freeze: str) -> int | None:
    """Returns the number of frozen layers, None for all.

    Raises:
        UserError: If it is neither a number nor "all".
    """
    if freeze == "all":
        return None
    if not freeze.isascii() or not freeze.isdigit():
        raise UserError(f"--freeze must be a number of layers, or all. Received: {freeze!r}")
    return int(freeze)


def load(source: Source, recipe: TransferRecipe, *, options: Options, shots: int | None, draw: int, channels: int = 3):
    """Loads the images of one draw, gray ones in three channels if the network has them."""
    options = replace(options, seed=options.seed + draw)
    return image_classifier.load(
        source.data, recipe, options=options, channels=channels, shots=shots, colored=channels == 3
    )
