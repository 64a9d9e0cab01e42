"""Blocks that generators and discriminators share: inputs, heads, and blocks that double or halve the sides."""

import keras
from keras import layers, ops

from kerasapps.blocks.conv import normalize
from kerasapps.blocks.fast_conv import Conv2D
from kerasapps.blocks.normalization import SpectralNormalization

SMALLEST = 4  # pixels of the side from which a deep generator starts


@keras.saving.register_keras_serializable(package="kerasapps")
class LogSumExp(layers.Layer):
    """Returns the logarithm of the sum of exponentials: (B, K) -> (B, 1)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, scores):
        return ops.logsumexp(scores, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)


def noise_input(*, noise_dim: int, num_classes: int | None):
    """Returns a generator's inputs and the vector that it starts from: noise (B, Z) or noise and class (B, 2 Z)."""
    noise = keras.Input((noise_dim,), name="noise")  # (B, Z)
    if num_classes is None:
        return {"noise": noise}, noise
    label = keras.Input((), dtype="int32", name="label")  # (B,)
    vector = layers.Embedding(num_classes, noise_dim, embeddings_initializer="random_normal", name="label_vectors")(
        label
    )
    return {"noise": noise, "label": label}, layers.Concatenate(name="noise_and_label")([noise, vector])


def verdict_block(features, *, num_classes: int | None, classifies: bool, spectral: bool = False):
    """Returns the inputs of a discriminator besides the image, and its outputs from features (B, F).

    Without classes the output is "verdict" (B, 1), the logit of being real. With classes there is an input "label",
    which counts by projection. With `classifies` there is no such input; the logits of the classes are the output
    "label" (B, K), "verdict" is the logarithm of the sum of their exponentials, against a logit of 0 for "generated",
    and "features" are an output as well.

    References: Miyato and Koyama, "cGANs with Projection Discriminator", ICLR 2018; Salimans et al., "Improved
    Techniques for Training GANs", NeurIPS 2016, section 5.
    """
    features = layers.Activation("linear", dtype="float32", name="features")(features)
    if classifies:
        label = linear(layers.Dense, num_classes, spectral=spectral, dtype="float32", name="label")(features)  # (B, K)
        return {}, {"verdict": LogSumExp(dtype="float32", name="verdict")(label), "label": label, "features": features}
    if num_classes is None:
        return {}, {"verdict": linear(layers.Dense, 1, spectral=spectral, dtype="float32", name="verdict")(features)}
    label = keras.Input((), dtype="int32", name="label")  # (B,)
    if spectral:
        vectors = layers.Embedding(num_classes, features.shape[-1], dtype="float32", name="label_vectors_linear")
        vectors = SpectralNormalization(vectors, use_bias=False, dtype="float32", name="label_vectors")
    else:
        vectors = layers.Embedding(num_classes, features.shape[-1], dtype="float32", name="label_vectors")
    vector = vectors(label)  # (B, F)
    fits = layers.Dot(1, dtype="float32", name="projection")([vector, features])  # (B, 1)
    real = linear(layers.Dense, 1, spectral=spectral, dtype="float32", name="unconditional")(features)  # (B, 1)
    return {"label": label}, {"verdict": layers.Add(dtype="float32", name="verdict")([real, fits])}


def linear(layer, *arguments, spectral: bool = False, use_bias: bool = True, name: str, **keywords):
    """Returns a convolution or dense layer, divided by its spectral norm if `spectral`."""
    if not spectral:
        return layer(*arguments, use_bias=use_bias, name=name, **keywords)
    inner = layer(*arguments, use_bias=False, name=f"{name}_linear", **keywords)
    return SpectralNormalization(inner, use_bias=use_bias, dtype=keywords.get("dtype"), name=name)


def start_size(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Returns the height and width that a deep generator starts from, and how often it doubles them.

    That is at least twice, and as long as both sides can be halved to at least 4: 28 is 7 doubled twice, 64 is 4
    doubled 4 times.
    """
    height, width, _ = image_shape
    times = 2
    while not (height % 2 ** (times + 1) or width % 2 ** (times + 1)):
        if min(height, width) // 2 ** (times + 1) < SMALLEST:
            break
        times += 1
    return height // 2**times, width // 2**times, times


def up_residual_block(x, *, filters: int, name: str):
    """Doubles the sides: (B, H, W, C) -> (B, 2 H, 2 W, filters).

    Reference: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, figure 8.
    """
    y = layers.ReLU(name=f"{name}_1_relu")(normalize(x, name=f"{name}_1_bn"))
    y = layers.UpSampling2D(name=f"{name}_up")(y)  # (B, 2 H, 2 W, C)
    y = Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_1_conv")(y)  # (B, 2 H, 2 W, filters)
    y = layers.ReLU(name=f"{name}_2_relu")(normalize(y, name=f"{name}_2_bn"))
    y = Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(y)
    # The 1x1 convolution comes first: the result is the same on a quarter of the pixels.
    shortcut = Conv2D(filters, 1, name=f"{name}_shortcut_conv")(x)
    shortcut = layers.UpSampling2D(name=f"{name}_shortcut_up")(shortcut)
    return layers.Add(name=f"{name}_add")([shortcut, y])


def down_residual_block(x, *, filters: int, spectral: bool, first: bool = False, name: str):
    """Halves the sides, rounding up: (B, H, W, C) -> (B, H / 2, W / 2, filters); the `first` block reads pixels.

    Reference: as for `up_residual_block`.
    """
    y = x if first else layers.ReLU(name=f"{name}_1_relu")(x)
    y = linear(Conv2D, filters, 3, padding="same", spectral=spectral, name=f"{name}_1_conv")(y)
    y = layers.ReLU(name=f"{name}_2_relu")(y)
    y = linear(Conv2D, filters, 3, padding="same", spectral=spectral, name=f"{name}_2_conv")(y)
    y = layers.AveragePooling2D(2, padding="same", name=f"{name}_down")(y)  # (B, H / 2, W / 2, filters)
    # The 1x1 convolution comes last: the result is the same on a quarter of the pixels.
    shortcut = layers.AveragePooling2D(2, padding="same", name=f"{name}_shortcut_down")(x)
    shortcut = linear(Conv2D, filters, 1, spectral=spectral, name=f"{name}_shortcut_conv")(shortcut)
    return layers.Add(name=f"{name}_add")([shortcut, y])
