"""The loss of style transfer and its gradient, of the whole picture or of one tile after the other.

All that the loss needs of a picture are sums over its pixels. Sums over tiles add up to them; the derivatives of the
loss by the sums then give the gradient of each tile. Tiles overlap by what the deepest layer sees, so that the result
is that of the whole picture, for a third more time and a fraction of the memory.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from kerasapps.blocks.style import gram_sum, squared_error, total_variation

# Keeps a division by the square of activations that are all 0 in bounds.
NOTHING = 1e-8
# Values alive at once in a step, for each value that the layers give out: theirs, gradients, and working space.
ALIVE = 2.5
SMALLEST_CORE = 64

Layers = Mapping[str, float]


def _gatys() -> dict[str, float]:
    return {f"block{i}_conv1": 1.0 for i in range(1, 6)}


@dataclass(frozen=True)
class Objective:
    """What a picture should be like.

    Args:
        content_layers: Weight of each layer whose activations are to be those of the content.
        style_layers: Weight of each layer whose Gram matrix is to be that of the style.
        content_weight: Weight of the content loss.
        style_weight: Weight of the style loss.
        tv_weight: Weight of the total variation.
        normalise: Whether the error of each layer is divided by the square of what it should be, and layer weights by
            their sum, so that weights mean the same for any network and size. If not, errors are the means of the
            lectures: of activations, and of Gram matrices divided by the number of values.
    """

    content_layers: Layers = field(default_factory=lambda: {"block4_conv2": 1.0})
    style_layers: Layers = field(default_factory=_gatys)
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 10.0
    normalise: bool = True

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that counts, none twice."""
        content = self.content_layers if self.content_weight else {}
        style = self.style_layers if self.style_weight else {}
        return tuple(dict.fromkeys([*style, *content]))


# Settings of the lectures beside our own.
PRESETS = {
    "default": Objective(),
    "vgg16": Objective(
        content_layers={"block5_conv1": 1.0},
        style_layers=dict(zip(_gatys(), (0.05, 0.2, 0.2, 0.25, 0.3), strict=True)),
        content_weight=0.1,
        style_weight=1.0,
        tv_weight=0.0,
        normalise=False,
    ),
    "vgg19": Objective(content_weight=1.0, style_weight=1e6, tv_weight=0.0, normalise=False),
    "vgg19_blank": Objective(
        content_layers={"block3_conv2": 1.0},
        style_layers=dict(zip(_gatys(), (0.9, 0.6, 0.6, 0.3, 0.3), strict=True)),
        content_weight=5.0,
        style_weight=1.0,
        tv_weight=0.0,
        normalise=False,
    ),
}


@dataclass(frozen=True)
class Tile:
    """A rectangle of a picture, and the larger one that its activations depend on: top, left, bottom, right."""

    core: tuple[int, int, int, int]
    padded: tuple[int, int, int, int]

    def cut(self, image: tf.Tensor) -> tf.Tensor:
        """Returns the padded rectangle of a picture (1, H, W, C)."""
        top, left, bottom, right = self.padded
        return image[:, top:bottom, left:right]

    @property
    def inside(self) -> tf.Tensor | None:
        """The core's place in the padded rectangle, int32 (4,), where they differ."""
        if self.core == self.padded:
            return None
        top, left, *_ = self.padded
        return tf.constant([self.core[0] - top, self.core[1] - left, self.core[2] - top, self.core[3] - left])


def tiles(height: int, width: int, *, core: int, halo: int) -> list[Tile]:
    """Divides a picture into tiles of at most `core` x `core` pixels, `core` and `halo` multiples of the stride."""
    result = []
    for top in range(0, height, core):
        for left in range(0, width, core):
            bottom, right = min(top + core, height), min(left + core, width)
            padded = max(top - halo, 0), max(left - halo, 0), min(bottom + halo, height), min(right + halo, width)
            result.append(Tile((top, left, bottom, right), padded))
    return result


def stride_of(layer: str) -> int:
    """Returns how many pixels apart the activations of a layer are."""
    return 2 ** (int(layer[len("block")]) - 1)


class StyleLoss:
    """The loss of a picture and its gradient, for a content and some styles that `aim` sets.

    Args:
        taps: A model from `build_style_taps`.
        objective: What counts.
        style_weights: How much each style counts, any unit.
        memory: Bytes that the activations may take; by default as many as they need.

    Raises:
        ValueError: If `taps` lack a layer of `objective`, or `memory` does not do for the smallest tile.
    """

    def __init__(
        self, taps: keras.Model, objective: Objective, style_weights: Sequence[float], *, memory: int | None = None
    ):
        missing = set(objective.layers) - set(taps.output_names)
        if missing:
            raise ValueError(
                f"`taps` must give every layer of `objective`. Received: {', '.join(taps.output_names)} without "
                f"{', '.join(sorted(missing))}"
            )
        self.taps = taps
        self.objective = objective
        self.style_weights = [weight / sum(style_weights) for weight in style_weights]
        self.content_layers = _shares(objective.content_layers, objective) if objective.content_weight else {}
        self.style_layers = _shares(objective.style_layers, objective) if objective.style_weight else {}
        self.stride = max(stride_of(layer.name) for layer in taps.layers if "_conv" in layer.name)
        # Pixels that may be looked at together, and the side of a tile of so many without its surroundings.
        self.pixels = math.inf if memory is None else memory / bytes_per_pixel(taps)
        self.core = self._largest_core() if memory is not None else None
        self._contents = AnySize(self._contents_of)
        self._style = AnySize(self._style_of)
        self._sums = AnySize(self._sums_of)
        self._tile_gradient = AnySize(self._tile_gradient_of)
        self._whole = AnySize(self._whole_of)
        self._from_sums = AnySize(self._from_sums_of)

    def aim(self, content: tf.Tensor, styles: Sequence[tf.Tensor], masks: tf.Tensor | None) -> None:
        """Sets what the picture should be like.

        Args:
            content: Preprocessed, float32 (1, H, W, 3); its size is that of the picture.
            styles: Preprocessed, each float32 (1, h, w, 3).
            masks: Where each style applies, in [0, 1], float32 (1, H, W, number of styles); everywhere by default.
        """
        self.tiles = self._divide(content)
        self.inside = [tile.inside for tile in self.tiles]
        self.masks = [self._masks_of(tile, content, masks) for tile in self.tiles]
        self.contents = [self._contents(tile.cut(content), tile.inside) for tile in self.tiles]
        dtype = content.dtype
        aims = {"content": {name: self._content_scale(name, dtype) for name in self.content_layers}}
        grams = [self._grams(style) for style in styles]
        aims["grams"] = {name: tf.stack([gram[name] for gram in grams]) for name in self.style_layers}
        aims["areas"] = {name: self._areas(content, masks, name) for name in self.style_layers}
        self.aims = tf.nest.map_structure(lambda value: tf.cast(value, dtype), aims)

    def __call__(self, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the loss times the number of values in the picture, its gradient, and the losses by name.

        The factor keeps the gradient of a pixel at one size whatever that of the picture; in float16 it would vanish.
        """
        if len(self.tiles) == 1:
            return self._whole(image, self.inside[0], self.contents[0], self.masks[0], self.aims)
        parts = [*zip(self.tiles, self.inside, self.contents, self.masks, strict=True)]
        sums = [self._sums(tile.cut(image), inside, content, masks) for tile, inside, content, masks in parts]
        sums = tf.nest.map_structure(lambda *tiles: tf.add_n(tiles), *sums)
        value, losses, derivatives, smooth = self._from_sums(sums, image, self.aims)
        gradient = tf.Variable(smooth)
        for tile, inside, content, masks in parts:
            top, left, bottom, right = tile.padded
            part = self._tile_gradient(tile.cut(image), inside, content, masks, derivatives)
            gradient[:, top:bottom, left:right].assign(gradient[:, top:bottom, left:right] + part)
        return value, gradient.value(), losses

    def _features(self, image, inside):
        """Returns the activations of a tile's core."""
        features = self.taps({"image": image})
        if inside is None:
            return features
        cores = {name: tf.unstack(inside // stride_of(name)) for name in features}
        return {name: features[name][:, top:bottom, left:right] for name, (top, left, bottom, right) in cores.items()}

    def _sums_of(self, image, inside, content, masks):
        """Returns the sums over a tile that the loss needs."""
        features = self._features(image, inside)
        errors = {name: squared_error(features[name], content[name]) for name in self.content_layers}
        return {"errors": errors, "grams": self._gram_sums(features, masks)}

    def _gram_sums(self, features, masks):
        """Returns the Gram sums of each style layer, (1 or styles, C, C)."""
        if masks is None:
            return {name: gram_sum(features[name]) for name in self.style_layers}
        return {
            name: tf.concat(
                [gram_sum(features[name] * mask) for mask in tf.split(masks[name], len(self.style_weights), -1)], 0
            )
            for name in self.style_layers
        }

    def _losses(self, sums, image, aims):
        """Returns the losses by name."""
        content, style = tf.zeros((), image.dtype), tf.zeros((), image.dtype)
        for name, weight in self.content_layers.items():
            content += weight * tf.cast(sums["errors"][name], image.dtype) / aims["content"][name]
        for name, weight in self.style_layers.items():
            wanted = aims["grams"][name]  # (styles, C, C)
            gram = tf.cast(sums["grams"][name], image.dtype) / aims["areas"][name]  # (1 or styles, C, C)
            channels = wanted.shape[-1]
            scale = tf.reduce_sum(tf.square(wanted), (1, 2)) if self.objective.normalise else float(channels) ** 4
            errors = tf.reduce_sum(tf.square(gram - wanted), (1, 2)) / (scale + NOTHING)  # (styles,)
            style += weight * tf.reduce_sum(errors * tf.constant(self.style_weights, image.dtype))
        smoothness = total_variation(image)
        given = self.objective
        total = given.content_weight * content + given.style_weight * style + given.tv_weight * smoothness
        return {"total": total, "content": content, "style": style, "tv": smoothness}

    def _whole_of(self, image, inside, content, masks, aims):
        with tf.GradientTape() as tape:
            tape.watch(image)
            losses = self._losses(self._sums_of(image, inside, content, masks), image, aims)
            value = losses["total"] * tf.cast(tf.size(image), image.dtype)
        return value, tape.gradient(value, image), losses

    def _from_sums_of(self, sums, image, aims):
        with tf.GradientTape() as tape:
            tape.watch([sums, image])
            losses = self._losses(sums, image, aims)
            value = losses["total"] * tf.cast(tf.size(image), image.dtype)
        derivatives, smooth = tape.gradient(value, [sums, image])
        return value, losses, derivatives, smooth

    def _tile_gradient_of(self, image, inside, content, masks, derivatives):
        with tf.GradientTape() as tape:
            tape.watch(image)
            sums = self._sums_of(image, inside, content, masks)
        return tape.gradient(tf.nest.flatten(sums), image, output_gradients=tf.nest.flatten(derivatives))

    def _contents_of(self, image, inside):
        features = self._features(image, inside)
        return {name: features[name] for name in self.content_layers}

    def _style_of(self, image, inside):
        return self._gram_sums(self._features(image, inside), None)

    def _content_scale(self, name: str, dtype: tf.DType) -> tf.Tensor:
        """Returns what the squared error of a content layer is divided by."""
        parts = [tf.cast(content[name], dtype) for content in self.contents]
        count = tf.cast(sum(math.prod(part.shape) for part in parts), dtype)
        if not self.objective.normalise:
            return count
        return tf.add_n([tf.reduce_sum(tf.square(part)) for part in parts]) + NOTHING * count

    def _grams(self, style: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the Gram matrices of a style by layer, (C, C)."""
        parts = [self._style(tile.cut(style), tile.inside) for tile in self._divide(style)]
        return {
            name: tf.add_n([part[name][0] for part in parts]) / self._area(style, name) for name in self.style_layers
        }

    def _masks_of(self, tile: Tile, content: tf.Tensor, masks: tf.Tensor | None) -> dict[str, tf.Tensor] | None:
        """Returns the square roots of the masks in a tile at the size of each layer: squared in the Gram matrix."""
        if masks is None:
            return None
        result = {}
        for name in self.style_layers:
            stride = stride_of(name)
            top, left, bottom, right = (edge // stride for edge in tile.core)
            dtype = self.taps.get_layer(name).compute_dtype
            result[name] = tf.cast(tf.sqrt(_shrunk(masks, content, stride))[:, top:bottom, left:right], dtype)
        return result

    def _areas(self, content: tf.Tensor, masks: tf.Tensor | None, name: str) -> tf.Tensor:
        """Returns how many activations of a layer each style has, (1 or styles, 1, 1)."""
        if masks is None:
            return tf.reshape(self._area(content, name), (1, 1, 1))
        return tf.reshape(tf.reduce_sum(_shrunk(masks, content, stride_of(name)), (0, 1, 2)) + NOTHING, (-1, 1, 1))

    def _area(self, image: tf.Tensor, name: str) -> int:
        return (image.shape[1] // stride_of(name)) * (image.shape[2] // stride_of(name))

    def _divide(self, image: tf.Tensor) -> list[Tile]:
        """Divides a picture into tiles, or leaves it whole where it may be."""
        height, width = image.shape[1:3]
        core = self.core if height * width > self.pixels else max(height, width)
        return tiles(height, width, core=core, halo=self._halo())

    def _halo(self) -> int:
        """Returns how far the deepest layer sees, rounded up to its stride."""
        # A convolution looks one activation further, a pool as well, as far as those before it are apart.
        reach = sum(stride_of(layer.name) for layer in self.taps.layers[1:])
        return math.ceil(reach / self.stride) * self.stride

    def _largest_core(self) -> int:
        """Returns the side of the largest tile whose activations fit, its surroundings counted in."""
        around = 2 * self._halo()
        core = (math.isqrt(max(0, int(self.pixels))) - around) // self.stride * self.stride
        if core < SMALLEST_CORE:
            pixel = bytes_per_pixel(self.taps) / 2**20
            least, given = pixel * (SMALLEST_CORE + around) ** 2, pixel * self.pixels
            raise ValueError(f"`memory` must be {least:.0f} MiB for a tile at least. Received: {given:.0f} MiB")
        return core


class AnySize:
    """A compiled function whose one trace serves pictures of all sizes.

    A trace for one size may add up in another order: a resumed painting, which starts at another size, would differ.
    """

    def __init__(self, function: Callable):
        self.compiled = tf.function(function)
        self.traced = set()

    def __call__(self, *arguments):
        """Calls the function, traced for any height and width if it has not been."""
        given = tuple(argument is not None for argument in arguments)
        if given not in self.traced:
            self.compiled.get_concrete_function(*tf.nest.map_structure(self._of_any_size, arguments))
            self.traced.add(given)
        return self.compiled(*arguments)

    @staticmethod
    def _of_any_size(argument):
        if argument is None or argument.shape.rank != 4:
            return argument if argument is None else tf.TensorSpec(argument.shape, argument.dtype)
        return tf.TensorSpec((argument.shape[0], None, None, argument.shape[3]), argument.dtype)


def bytes_per_pixel(taps: keras.Model) -> float:
    """Estimates the bytes that a step takes for each pixel of a picture."""
    values = 0.0
    for layer in taps.layers[1:]:
        stride = stride_of(layer.name) * (1 if "_conv" in layer.name else 2)
        values += layer.output.shape[-1] * tf.as_dtype(layer.compute_dtype).size / stride**2
    return ALIVE * values


def _shares(weights: Layers, objective: Objective) -> dict[str, float]:
    """Returns layer weights, divided by their sum where losses are normalised."""
    total = sum(weights.values()) if objective.normalise else 1.0
    return {name: weight / total for name, weight in weights.items() if weight}


def _shrunk(masks: tf.Tensor, content: tf.Tensor, stride: int) -> tf.Tensor:
    """Returns masks averaged to the size of a layer's activations."""
    return tf.image.resize(masks, [content.shape[1] // stride, content.shape[2] // stride], "area")
