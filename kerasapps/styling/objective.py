"""The loss of style transfer and its gradient, for the whole image or one tile after the other.

The loss depends on an image only through sums over its pixels. Sums over tiles add up to these; the derivatives of the
loss with respect to the sums then give the gradient of each tile. Tiles overlap by the receptive field of the deepest
layer, so that the result is that of the whole image, for a third more time and a fraction of the memory.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, refusal
from kerasapps.blocks.style import gram_sum, squared_error, total_variation
from kerasapps.styling.tiling import AnySize, Tile, Tiling, stride_of

# Keeps divisions by the squares of activations finite if these are all 0.
NOTHING = 1e-8

Layers = Mapping[str, float]


def _gatys() -> dict[str, float]:
    return {f"block{i}_conv1": 1.0 for i in range(1, 6)}


@dataclass(frozen=True)
class Objective:
    """The losses of an image and their weights.

    Args:
        content_layers: Weight of each layer whose activations should match those of the content.
        style_layers: Weight of each layer whose Gram matrix should match that of the style.
        content_weight: Weight of the content loss.
        style_weight: Weight of the style loss.
        tv_weight: Weight of the total variation.
        normalize: Whether the squared error of each layer is divided by the square of its target, and layer weights by
            their sum, so that weights mean the same for any network and size. If not, errors are means as in the course
            notes: of activations, and of Gram matrices divided by the number of values.

    Raises:
        ValueError: If a weight is below 0, or a loss that counts has no layer.
    """

    content_layers: Layers = field(default_factory=lambda: {"block4_conv2": 1.0})
    style_layers: Layers = field(default_factory=_gatys)
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 10.0
    normalize: bool = True

    def __post_init__(self):
        weights = {
            "content_weight": self.content_weight,
            "style_weight": self.style_weight,
            "tv_weight": self.tv_weight,
        }
        check_at_least(0, **weights)
        for name, weight in (("content_layers", self.content_weight), ("style_layers", self.style_weight)):
            layers = getattr(self, name)
            check_at_least(0, **{name: [*layers.values()]})
            if weight and not any(layers.values()):
                raise refusal("have a layer with a weight above 0", **{name: dict(layers)})

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the losses need, none twice."""
        content = self.content_layers if self.content_weight else {}
        style = self.style_layers if self.style_weight else {}
        return tuple(dict.fromkeys([*style, *content]))


# The default, and the settings of the course notes.
PRESETS = {
    "default": Objective(),
    "vgg16": Objective(
        content_layers={"block5_conv1": 1.0},
        style_layers=dict(zip(_gatys(), (0.05, 0.2, 0.2, 0.25, 0.3), strict=True)),
        content_weight=0.1,
        style_weight=1.0,
        tv_weight=0.0,
        normalize=False,
    ),
    "vgg19": Objective(content_weight=1.0, style_weight=1e6, tv_weight=0.0, normalize=False),
    "vgg19_blank": Objective(
        content_layers={"block3_conv2": 1.0},
        style_layers=dict(zip(_gatys(), (0.9, 0.6, 0.6, 0.3, 0.3), strict=True)),
        content_weight=5.0,
        style_weight=1.0,
        tv_weight=0.0,
        normalize=False,
    ),
}


class StyleLoss:
    """The loss of an image and its gradient, for the content and styles that `aim` sets.

    Args:
        taps: A model from `build_style_taps`.
        objective: The losses and their weights.
        style_weights: Weight of each style, in any unit.
        memory: Bytes that the activations may take; by default as many as they need.

    Raises:
        ValueError: If `taps` lack a layer of `objective`, or `memory` is too small for the smallest tile.
    """

    def __init__(
        self, taps: keras.Model, objective: Objective, style_weights: Sequence[float], *, memory: int | None = None
    ):
        missing = set(objective.layers) - set(taps.output_names)
        if missing:
            raise ValueError(
                f"`taps` must have every layer of `objective` as output. Received: {', '.join(taps.output_names)}, "
                f"without {', '.join(sorted(missing))}"
            )
        self.taps = taps
        self.objective = objective
        self.style_weights = [weight / sum(style_weights) for weight in style_weights]
        self.content_layers = _shares(objective.content_layers, objective) if objective.content_weight else {}
        self.style_layers = _shares(objective.style_layers, objective) if objective.style_weight else {}
        self.tiling = Tiling(taps, memory)
        self._contents = AnySize(self._contents_of)
        self._style = AnySize(self._style_of)
        self._sums = AnySize(self._sums_of)
        self._tile_gradient = AnySize(self._tile_gradient_of)
        self._whole = AnySize(self._whole_of)
        self._from_sums = AnySize(self._from_sums_of)

    def aim(self, content: tf.Tensor, styles: Sequence[tf.Tensor], masks: tf.Tensor | None) -> None:
        """Sets the targets of the losses.

        Args:
            content: The preprocessed content, float32 (1, H, W, 3), as large as the image.
            styles: The preprocessed styles, each float32 (1, h, w, 3).
            masks: Where each style applies, in [0, 1], float32 (1, H, W, number of styles); everywhere by default.
        """
        self.tiles = self.tiling.divide(content)
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
        """Returns the loss times the number of values in the image, its gradient, and the losses by name.

        The factor makes the gradient of a pixel independent of the image's size; in float16 it would vanish otherwise.
        """
        if len(self.tiles) == 1:
            return self._whole(image, self.inside[0], self.contents[0], self.masks[0], self.aims)
        tiles = [*zip(self.tiles, self.inside, self.contents, self.masks, strict=True)]
        sums = [self._sums(tile.cut(image), inside, content, masks) for tile, inside, content, masks in tiles]
        sums = tf.nest.map_structure(lambda *terms: tf.add_n(terms), *sums)
        value, losses, derivatives, smooth = self._from_sums(sums, image, self.aims)
        gradient = tf.Variable(smooth)
        for tile, inside, content, masks in tiles:
            top, left, bottom, right = tile.padded
            term = self._tile_gradient(tile.cut(image), inside, content, masks, derivatives)
            gradient[:, top:bottom, left:right].assign(gradient[:, top:bottom, left:right] + term)
        return value, gradient.value(), losses

    def _features(self, image, inside):
        """Returns the activations of a tile's core."""
        features = self.taps({"image": image})
        if inside is None:
            return features
        cores = {name: tf.unstack(inside // stride_of(name)) for name in features}
        return {name: features[name][:, top:bottom, left:right] for name, (top, left, bottom, right) in cores.items()}

    def _sums_of(self, image, inside, content, masks):
        """Returns the sums over a tile that the loss depends on."""
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
            scale = tf.reduce_sum(tf.square(wanted), (1, 2)) if self.objective.normalize else float(channels) ** 4
            errors = tf.reduce_sum(tf.square(gram - wanted), (1, 2)) / (scale + NOTHING)  # (styles,)
            style += weight * tf.reduce_sum(errors * tf.constant(self.style_weights, image.dtype))
        smoothness = total_variation(image)
        weights = self.objective
        total = weights.content_weight * content + weights.style_weight * style + weights.tv_weight * smoothness
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
        """Returns the divisor of the squared error of a content layer."""
        tiles = [tf.cast(content[name], dtype) for content in self.contents]
        count = tf.cast(sum(math.prod(tile.shape) for tile in tiles), dtype)
        if not self.objective.normalize:
            return count
        return tf.add_n([tf.reduce_sum(tf.square(tile)) for tile in tiles]) + NOTHING * count

    def _grams(self, style: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the Gram matrices of a style by layer, (C, C)."""
        sums = [self._style(tile.cut(style), tile.inside) for tile in self.tiling.divide(style)]
        return {
            name: tf.add_n([grams[name][0] for grams in sums]) / self._area(style, name) for name in self.style_layers
        }

    def _masks_of(self, tile: Tile, content: tf.Tensor, masks: tf.Tensor | None) -> dict[str, tf.Tensor] | None:
        """Returns the square roots of a tile's masks at the size of each layer, as the Gram matrix squares them."""
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
        """Returns the number of a layer's activations that belong to each style, (1 or styles, 1, 1)."""
        if masks is None:
            return tf.reshape(self._area(content, name), (1, 1, 1))
        return tf.reshape(tf.reduce_sum(_shrunk(masks, content, stride_of(name)), (0, 1, 2)) + NOTHING, (-1, 1, 1))

    def _area(self, image: tf.Tensor, name: str) -> int:
        return (image.shape[1] // stride_of(name)) * (image.shape[2] // stride_of(name))


def _shares(weights: Layers, objective: Objective) -> dict[str, float]:
    """Returns layer weights, divided by their sum if losses are normalized."""
    total = sum(weights.values()) if objective.normalize else 1.0
    return {name: weight / total for name, weight in weights.items() if weight}


def _shrunk(masks: tf.Tensor, content: tf.Tensor, stride: int) -> tf.Tensor:
    """Returns masks averaged to the size of a layer's activations."""
    return tf.image.resize(masks, [content.shape[1] // stride, content.shape[2] // stride], "area")
