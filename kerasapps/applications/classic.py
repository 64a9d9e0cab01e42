"""The early image classifiers: a perceptron, a small network for MNIST, LeNet-5 and AlexNet.

References: Rosenblatt, "The Perceptron", Psychological Review 1958;
LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 1998;
Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NeurIPS 2012;
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, 2014.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_image_arguments, check_length, checked, refusal
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.perceptron import Activation, dense_block, perceptron_block

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_perceptron(
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    features: int | None = None,
    num_classes: int = 10,
    dense_units: Sequence[int] = (128, 64),
    activation: Activation = "relu",
    output: Literal["softmax", "sigmoid", "step"] = "softmax",
    dropout: float = 0.0,
    name: str = "perceptron",
) -> keras.Model:
    """Builds a perceptron on the flattened pixels, by default 784-128-64-10 for MNIST, or on rows of numbers.

    One neuron for two classes is `features=2, num_classes=2, dense_units=(), output="sigmoid"`; that of Rosenblatt 1958
    has the output "step".

    Args:
        image_shape: Height, width and channels of the images.
        features: Numbers in a row, for a network of rows in place of images.
        num_classes: Number of classes, at least 2.
        dense_units: Widths of the hidden layers; without any it is logistic regression.
        activation: Activation of the hidden layers; "step" is 1 for a score of at least 0, else 0, and does not train.
        output: "softmax" has a probability for each class; "sigmoid" and "step", for two classes, that of the second.
        dropout: Share of each hidden layer's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255; or "features" float32 (B, features).
        Out, a dict: "label" float32 probabilities (B, num_classes), or (B, 1) of the second class.

    Train with: sparse_categorical_crossentropy on class ids, binary_crossentropy for "sigmoid"; accuracy.

    Raises:
        ValueError: If `image_shape` does not hold three sizes, `features` is under 1, `num_classes` under 2, or above 2
            where `output` is not "softmax", or `dropout` outside [0, 1).

    Example:
        >>> model = build_perceptron(image_shape=(28, 28, 1), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": digits}, labels, epochs=2)  # digits float32 (n, 28, 28, 1), labels int32 (n,)
        >>> model.predict({"image": digits})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=1)
    check_at_least(1, dense_units=dense_units, **({} if features is None else {"features": features}))
    if output != "softmax" and num_classes != 2:
        raise refusal('be "softmax" and any, or another and 2', output=output, num_classes=num_classes)

    # --- inputs
    if features is None:
        inputs = keras.Input(image_shape, dtype="float32", name="image")  # (B, H, W, C)
        x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(inputs)
        x = layers.Flatten(name="flat")(x)  # (B, H * W * C)
    else:
        x = inputs = keras.Input((features,), dtype="float32", name="features")  # (B, features)

    # --- trunk
    # (B, dense_units[-1])
    x = perceptron_block(x, units=dense_units, dropout=dropout, name="dense", activation=activation)

    # --- heads
    width = num_classes if output == "softmax" else 1
    label = dense_block(x, units=width, activation=output, dtype="float32", name="label")  # (B, width)
    return keras.Model([inputs], {"label": label}, name=name)


def search_space_perceptron(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_perceptron`; each default equals the builder's."""
    return {
        "dense_units": (
            hp.Int("dense1_units", 32, 512, step=32, default=128),
            hp.Int("dense2_units", 32, 256, step=32, default=64),
        ),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }


@checked
def build_mnist_network(
    *,
    image_shape: tuple[int, int, int] = (28, 28, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (10, 20),
    dense_units: int = 50,
    dropout: float = 0.5,
    name: str = "mnist_network",
) -> keras.Model:
    """Builds the course notes' small network for MNIST, which drops whole channels in training.

    Args:
        image_shape: Height, width and channels of the images; sides at least 16.
        num_classes: Number of classes, at least 2.
        filters: Widths of the two convolutions.
        dense_units: Width of the hidden dense layer.
        dropout: Share of the second convolution's channels and of the dense layer's features dropped in training, in
            [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a side is under 16, `num_classes` under 2, `dropout` outside [0, 1), or `filters` not two.

    Example:
        >>> model = build_mnist_network(image_shape=(28, 28, 1), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": digits}, labels, epochs=2)  # digits float32 (n, 28, 28, 1), labels int32 (n,)
        >>> model.predict({"image": digits})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=16)
    check_length(2, filters=filters)
    check_at_least(1, filters=filters, dense_units=dense_units)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 28, 28, 1) by default
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # The course notes pool before the ReLU; in this order the function is the same.
    x = layers.Conv2D(filters[0], 5, activation="relu", name="conv1")(x)  # (B, 24, 24, 10)
    x = layers.MaxPooling2D(2, name="pool1")(x)  # (B, 12, 12, 10)
    x = layers.Conv2D(filters[1], 5, activation="relu", name="conv2")(x)  # (B, 8, 8, 20)
    x = Dropout(dropout, noise_shape=(None, 1, 1, None), name="conv2_dropout")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (B, 4, 4, 20)
    x = layers.Flatten(name="flat")(x)  # (B, 320)
    x = perceptron_block(x, units=(dense_units,), dropout=dropout, name="dense")  # (B, 50)

    # --- heads
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def search_space_mnist_network(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_mnist_network`; each default equals the builder's."""
    return {
        "filters": (
            hp.Int("conv1_filters", 10, 40, step=10, default=10),
            hp.Int("conv2_filters", 20, 80, step=20, default=20),
        ),
        "dense_units": hp.Int("dense_units", 50, 200, step=50, default=50),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.5),
    }


@checked
def build_lenet5(
    *,
    image_shape: tuple[int, int, int] = (32, 32, 1),
    num_classes: int = 10,
    filters: Sequence[int] = (6, 16),
    dense_units: Sequence[int] = (120, 84),
    dropout: float = 0.0,
    name: str = "lenet5",
) -> keras.Model:
    """Builds LeNet-5 for handwritten digits in the form that is usual today; layers are named as in the paper.

    Args:
        image_shape: Height, width and channels of the images; sides at least 16.
        num_classes: Number of classes, at least 2.
        filters: Widths of the convolutions C1 and C3.
        dense_units: Widths of C5 and F6.
        dropout: Share of F6's features dropped in training, in [0, 1); the paper has none.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a side is under 16, `num_classes` under 2, `dropout` outside [0, 1), or `filters` or
            `dense_units` not two.

    Example:
        >>> model = build_lenet5(image_shape=(28, 28, 1), num_classes=10)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": digits}, labels, epochs=2)  # digits float32 (n, 28, 28, 1), labels int32 (n,)
        >>> model.predict({"image": digits})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=16)
    check_length(2, filters=filters)
    check_at_least(1, filters=filters, dense_units=dense_units)
    check_length(2, dense_units=dense_units)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 32, 32, 1) by default
    # Deviation: the paper scales the background to -0.1 and ink to 1.175.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # Deviation: tanh(x) instead of 1.7159 tanh(2x / 3).
    x = layers.Conv2D(filters[0], 5, activation="tanh", name="c1")(x)  # (B, 28, 28, 6)
    # Deviation: a plain mean; the paper's pooling has a trained factor and bias for each map, and a sigmoid.
    x = layers.AveragePooling2D(2, name="s2")(x)  # (B, 14, 14, 6)
    # Deviation: each map reads all six; by the paper's table it reads three to six (1,516 parameters, not 2,416).
    x = layers.Conv2D(filters[1], 5, activation="tanh", name="c3")(x)  # (B, 10, 10, 16)
    x = layers.AveragePooling2D(2, name="s4")(x)  # (B, 5, 5, 16)
    x = layers.Flatten(name="flat")(x)  # (B, 400)
    # Deviation: dense, not 5x5 convolution: the same at 32x32, and images of 28x28 work too.
    x = layers.Dense(dense_units[0], activation="tanh", name="c5")(x)  # (B, 120)
    x = layers.Dense(dense_units[1], activation="tanh", name="f6")(x)  # (B, 84)
    x = Dropout(dropout, name="f6_dropout")(x)

    # --- heads
    # Deviation: softmax instead of distances to drawn characters (radial basis functions).
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def search_space_lenet5(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_lenet5`; each default equals the builder's."""
    return {
        "filters": (hp.Int("c1_filters", 6, 24, step=6, default=6), hp.Int("c3_filters", 16, 64, step=16, default=16)),
        "dense_units": (
            hp.Int("c5_units", 60, 240, step=60, default=120),
            hp.Int("f6_units", 42, 168, step=42, default=84),
        ),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.0),
    }


@checked
def build_alexnet(
    *,
    image_shape: tuple[int, int, int] = (224, 224, 3),
    num_classes: int = 1000,
    filters: Sequence[int] = (64, 192, 384, 256, 256),
    dense_units: Sequence[int] = (4096, 4096),
    dropout: float = 0.5,
    name: str = "alexnet",
) -> keras.Model:
    """Builds AlexNet with one tower, as Krizhevsky 2014 and torchvision do; that of 2012 has two.

    Args:
        image_shape: Height, width and channels of the images; sides at least 63.
        num_classes: Number of classes, at least 2.
        filters: Widths of the five convolutions.
        dense_units: Widths of the dense layers.
        dropout: Share of each dense layer's features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy and top-5 accuracy.

    Raises:
        ValueError: If a side is under 63, `num_classes` under 2, `dropout` outside [0, 1), or `filters` not five.

    Example:
        >>> model = build_alexnet(image_shape=(64, 64, 3), num_classes=10, dense_units=(256, 256))
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": photos}, labels, epochs=2)  # photos float32 (n, 64, 64, 3), labels int32 (n,)
        >>> model.predict({"image": photos})["label"].argmax(-1)
    """
    check_image_arguments(image_shape=image_shape, num_classes=num_classes, dropout=dropout, smallest=63)
    check_length(5, filters=filters)
    check_at_least(1, filters=filters, dense_units=dense_units)
    # Deviation: the paper draws weights from N(0, 0.01) and starts some biases at 1; He et al.'s initialization needs
    # no such choices.
    relu = {"activation": "relu", "kernel_initializer": "he_normal"}

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="image")  # (B, 224, 224, 3) by default
    # Deviation: the paper subtracts the mean image.
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaled_pixels")(image)

    # --- trunk
    # Deviation: no local response normalization; it does not improve accuracy (Simonyan and Zisserman, ICLR 2015).
    x = layers.ZeroPadding2D(2, name="conv1_padding")(x)  # (B, 228, 228, 3)
    x = layers.Conv2D(filters[0], 11, strides=4, name="conv1", **relu)(x)  # (B, 55, 55, 64)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)  # (B, 27, 27, 64)
    x = layers.Conv2D(filters[1], 5, padding="same", name="conv2", **relu)(x)  # (B, 27, 27, 192)
    x = layers.MaxPooling2D(3, strides=2, name="pool2")(x)  # (B, 13, 13, 192)
    x = layers.Conv2D(filters[2], 3, padding="same", name="conv3", **relu)(x)  # (B, 13, 13, 384)
    x = layers.Conv2D(filters[3], 3, padding="same", name="conv4", **relu)(x)  # (B, 13, 13, 256)
    x = layers.Conv2D(filters[4], 3, padding="same", name="conv5", **relu)(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool5")(x)  # (B, 6, 6, 256)
    x = layers.Flatten(name="flat")(x)  # (B, 9216)
    x = perceptron_block(x, units=dense_units, dropout=dropout, name="fc", first=6)  # (B, 4096)

    # --- heads
    # Deviation: softmax, as in 2012; the paper of 2014 has a logistic unit for each class.
    label = layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)  # (B, num_classes)
    return keras.Model([image], {"label": label}, name=name)


def search_space_alexnet(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_alexnet`; each default equals the builder's."""
    width = hp.Choice("dense_units", [256, 512, 1024, 2048, 4096], default=4096)
    return {"dense_units": (width, width), "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5)}
