"""Price: what a thing is worth, from its metadata, a description and an image, any of which may be missing.

Reference: the network with three branches of Chollet, "Deep Learning with Python", Manning 2017, section 7.1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, check_numbers, check_positive, check_share, checked, refusal
from kerasapps.blocks.conv import conv_block
from kerasapps.blocks.heads import head_block
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.plain import weight_form
from kerasapps.blocks.text import MaskedAverage, NotPadding
from kerasapps.heads import Head

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@keras.saving.register_keras_serializable(package="kerasapps")
class ReplaceMissing(layers.Layer):
    """Replaces the features that a row does not have by a learned vector: (B, F), (B, 1) -> (B, F).

    The second input is 1 where the row has them and 0 where it does not.
    """

    def build(self, features_shape, present_shape):
        self.vector = self.add_weight(shape=(features_shape[-1],), initializer="zeros", name="vector")

    def plain(self):
        """Returns the same with the vector of a dense layer."""
        vector = weight_form(self, self.vector)
        return lambda features, present: _replace(features, present, vector(features))

    def call(self, features, present):
        return _replace(features, present, self.vector)

    def compute_output_shape(self, features_shape, present_shape):
        return features_shape


@keras.saving.register_keras_serializable(package="kerasapps", name="HasPicture")  # its name in saved models
class HasImage(layers.Layer):
    """Returns 1 for rows that have an image and 0 for the others, whose pixels are all -1: (B, H, W, C) -> (B, 1)."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, images):
        return ops.cast(ops.max(images, axis=(1, 2, 3), keepdims=True)[:, :, 0, 0] >= 0, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1)


def _replace(features, present, vector):
    """Replaces rows by a vector: (B, F), (B, 1), (F,) or (B, F) -> (B, F)."""
    present = ops.cast(present, features.dtype)
    return features * present + ops.cast(vector, features.dtype) * (1 - present)


@checked
def build_multimodal_price(
    *,
    numbers: Sequence[tuple[float, float]] = (),
    category_sizes: Sequence[int] = (),
    vocab_size: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
    price_mean: float = 0.0,
    price_scale: float = 1.0,
    embedding_dim: int = 16,
    filters: Sequence[int] = (16, 32, 64),
    units: int = 64,
    depth: int = 2,
    dropout: float = 0.0,
    name: str = "multimodal_price",
) -> keras.Model:
    """Builds a network that joins those of metadata, a description and an image that the arguments ask for.

    Args:
        numbers: Mean and standard deviation, above 0, of each number in the metadata.
        category_sizes: Number of values of each category in the metadata, counting value 0, which stands for any other.
        vocab_size: Number of token ids of the description; 0 is padding. None leaves the description out. Ids in the
            input must be below it: TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        image_shape: Height, width and channels of the image. None leaves it out.
        price_mean: Mean logarithm of the price: the network learns the standardized one.
        price_scale: Standard deviation of the logarithm of the price, above 0.
        embedding_dim: Length of the vector of a word or a category.
        filters: Filters of the convolutions, each of which halves the sides.
        units: Width of each branch and of the layers that join them.
        depth: Number of these layers.
        dropout: Share of the joined features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In, as a dict or as a list in this order, as far as the arguments ask for it: "numbers"
        float32 (B, number of numbers); "categories" int32 (B, number of categories); "text" int32 (B, T), padded at
        the end, all 0 where there is no description; "image" float32 (B, H, W, C), values 0 to 255, all -1 where there
        is no image.
        Out, a dict: "log_price" float32 (B, 1), the natural logarithm of the price.

    Train with: `kerasapps.compile_heads`, a regression on the logarithm; mean absolute error.

    Raises:
        ValueError: If there is no input, a size is under 1, a standard deviation is not above 0, or `dropout` is
            outside [0, 1).

    Example:
        >>> model = build_multimodal_price(numbers=[(0.0, 1.0), (0.0, 1.0)], vocab_size=1000, image_shape=(32, 32, 3))
        >>> model.compile("adam", "mae")
        >>> inputs = {"numbers": numbers, "text": texts, "image": images}  # (n, 2), (n, t), (n, 32, 32, 3)
        >>> model.fit(inputs, prices, epochs=2)  # prices float32 (n, 1), natural logarithms
        >>> model.predict(inputs)["log_price"]
    """
    if not numbers and not category_sizes and vocab_size is None and image_shape is None:
        raise ValueError("`numbers`, `category_sizes`, `vocab_size` or `image_shape` must be given. Received: none")
    if any(not scale > 0 for _, scale in numbers):
        raise refusal("have standard deviations above 0", numbers=numbers)
    check_at_least(1, category_sizes=category_sizes, embedding_dim=embedding_dim, units=units, depth=depth)
    check_numbers(1, filters=filters)
    check_positive(price_scale=price_scale)
    if vocab_size is not None:
        check_at_least(2, vocab_size=vocab_size)
    if image_shape is not None:
        check_at_least(1, image_shape=image_shape)
    check_share(dropout=dropout)

    # --- inputs and trunk, branch by branch
    inputs, branches = {}, []
    if numbers:
        inputs["numbers"] = keras.Input((len(numbers),), name="numbers")  # (B, N)
        # In float32: bfloat16 cannot tell the years 2015 and 2016 apart. Keras' Normalization would do both steps at
        # once, but its mean is missing from ONNX files.
        centered = layers.Rescaling(1, offset=[-mean for mean, _ in numbers], dtype="float32", name="numbers_centered")
        scales = [1 / scale for _, scale in numbers]
        standardize = layers.Rescaling(scales, dtype="float32", name="numbers_standardised")
        branches.append(standardize(centered(inputs["numbers"])))
    if category_sizes:
        inputs["categories"] = keras.Input((len(category_sizes),), dtype="int32", name="categories")  # (B, K)
        branches.append(
            category_block(inputs["categories"], category_sizes, embedding_dim=embedding_dim, name="categories")
        )
    if branches:
        metadata = layers.Concatenate(name="metadata")(branches) if len(branches) > 1 else branches[0]
        branches = [layers.Dense(units, activation="relu", name="metadata_dense")(metadata)]  # (B, units)
    if vocab_size is not None:
        inputs["text"] = keras.Input((None,), dtype="int32", name="text")  # (B, T)
        branches.append(
            description_block(inputs["text"], vocab_size, embedding_dim=embedding_dim, units=units, name="text")
        )
    if image_shape is not None:
        inputs["image"] = keras.Input(image_shape, name="image")  # (B, H, W, C)
        branches.append(image_block(inputs["image"], filters=filters, units=units, name="image"))
    x = layers.Concatenate(name="joined")(branches) if len(branches) > 1 else branches[0]  # (B, F)
    for i in range(1, depth + 1):
        x = Dropout(dropout, name=f"dropout{i}")(x)
        x = layers.Dense(units, activation="relu", name=f"dense{i}")(x)  # (B, units)

    # --- heads
    x = Dropout(dropout, name="head_dropout")(x)
    log_price = head_block(x, Head("regression", mean=price_mean, scale=price_scale), name="log_price")  # (B, 1)
    return keras.Model([*inputs.values()], {"log_price": log_price}, name=name)


def category_block(ids, sizes: Sequence[int], *, embedding_dim: int, name: str):
    """Looks up a vector for each category: (B, K) -> (B, K embedding_dim).

    One table holds the values of all categories, one category after the other.
    """
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    ids = layers.Rescaling(1, offset=offsets, dtype="int32", name=f"{name}_rows")(ids)
    vectors = layers.Embedding(sum(sizes), embedding_dim, name=f"{name}_embedding")(ids)  # (B, K, D)
    return layers.Flatten(name=f"{name}_vectors")(vectors)


def description_block(ids, vocab_size: int, *, embedding_dim: int, units: int, name: str):
    """Averages the features of each pair of adjacent words: (B, T) -> (B, units)."""
    mask = NotPadding(name=f"{name}_mask")(ids)  # (B, T, 1)
    words = layers.Embedding(vocab_size, embedding_dim, name=f"{name}_embedding")(ids)  # (B, T, D)
    words = layers.Multiply(name=f"{name}_words")([words, mask])
    pairs = layers.Conv1D(units, 2, padding="same", activation="relu", name=f"{name}_conv")(words)  # (B, T, units)
    pairs = layers.Multiply(name=f"{name}_pairs")([pairs, mask])
    features = MaskedAverage(name=f"{name}_average")(pairs, mask)  # (B, units)
    present = layers.GlobalMaxPooling1D(name=f"{name}_present")(mask)  # (B, 1)
    return ReplaceMissing(name=f"{name}_missing")(features, present)


def image_block(images, *, filters: Sequence[int], units: int, name: str):
    """Convolves and halves: (B, H, W, C) -> (B, units)."""
    present = HasImage(name=f"{name}_present")(images)  # (B, 1)
    x = layers.Rescaling(1 / 127.5, offset=-1, name=f"{name}_rescaling")(images)
    for i, width in enumerate(filters, start=1):
        x = conv_block(x, filters=width, pool=2, name=f"{name}_stage{i}")  # (B, H / 2**i, W / 2**i, width)
    # The average measures how much there is of something, such as stains; the maximum, whether there is any.
    x = layers.Concatenate(name=f"{name}_pooled")(
        [
            layers.GlobalAveragePooling2D(name=f"{name}_average")(x),
            layers.GlobalMaxPooling2D(name=f"{name}_maximum")(x),
        ]
    )  # (B, 2 width)
    x = layers.Dense(units, activation="relu", name=f"{name}_dense")(x)
    return ReplaceMissing(name=f"{name}_missing")(x, present)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_multimodal_price`; each default equals the builder's."""
    return {
        "embedding_dim": hp.Int("embedding_dim", 8, 64, step=8, default=16),
        "units": hp.Int("units", 32, 256, step=32, default=64),
        "depth": hp.Int("depth", 1, 3, default=2),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }
