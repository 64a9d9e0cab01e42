"""A perceptron of any depth with the remedies against over-fitting and vanishing gradients as arguments.

References: Glorot and Bengio, "Understanding the Difficulty of Training Deep Feedforward Neural Networks", AISTATS
2010; Srivastava et al., "Dropout", JMLR 2014; Ioffe and Szegedy, "Batch Normalization", ICML 2015; He et al., "Delving
Deep into Rectifiers", ICCV 2015, and "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.normalization import BatchNormalization
from kerasapps.blocks.shrinkage import SoftThreshold

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Activation = Literal["relu", "tanh", "sigmoid"]
Initializer = Literal["he_normal", "glorot_uniform", "random_normal"]


@checked
def build_deep_perceptron(
    *,
    features: int,
    num_classes: int,
    depth: int = 2,
    units: int = 64,
    activation: Activation = "relu",
    initializer: Initializer = "he_normal",
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
    residual: bool = False,
    name: str = "deep_perceptron",
) -> keras.Model:
    """Builds a perceptron whose hidden layers are all of one width.

    Args:
        features: Numbers in a row.
        num_classes: Number of classes, at least 2.
        depth: Number of hidden layers.
        units: Width of each.
        activation: Nonlinearity of the hidden layers.
        initializer: Initial kernels: "he_normal" keeps the variance of signals under ReLU, "glorot_uniform" under tanh;
            "random_normal" has a standard deviation of 0.05 whatever the width.
        dropout: Share of each hidden layer's features dropped in training, in [0, 1).
        l1: How far each update also moves every weight of a kernel towards 0, where it stays: under gradient descent
            an L1 penalty of the factor l1 * (1 - momentum) / learning rate, see `SoftThreshold`.
        l2: Factor of the sum of squared kernel weights in the loss.
        batch_norm: Whether to normalize each hidden layer before its activation.
        residual: Whether each hidden layer, after the first, adds to its input instead of replacing it.
        name: Name of the model.

    Returns:
        Uncompiled model. In: "features" float32 (B, features), each about standardized.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy.

    Raises:
        ValueError: If a size is under 1, `num_classes` under 2, `dropout` outside [0, 1), or `l1` or `l2` negative.

    Example:
        >>> model = build_deep_perceptron(features=2, num_classes=4, depth=12, batch_norm=True)
        >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"features": points}, labels, epochs=2)  # points float32 (n, 2), labels int32 (n,)
        >>> model.predict({"features": points})["label"].argmax(-1)
    """
    check_at_least(1, features=features, depth=depth, units=units)
    check_at_least(2, num_classes=num_classes)
    check_share(dropout=dropout)
    check_at_least(0, l1=l1, l2=l2)

    def penalties() -> dict[str, Any]:
        return {
            "kernel_regularizer": keras.regularizers.L2(l2) if l2 else None,
            "kernel_constraint": SoftThreshold(l1) if l1 else None,
        }

    # --- inputs
    rows = keras.Input((features,), dtype="float32", name="features")  # (B, F)

    # --- trunk
    x = rows
    for i in range(1, depth + 1):
        # The shift of the normalization takes the place of the bias.
        begin = {"use_bias": not batch_norm, "kernel_initializer": initializer}
        y = layers.Dense(units, **begin, **penalties(), name=f"hidden{i}")(x)  # (B, units)
        y = BatchNormalization(name=f"hidden{i}_norm")(y) if batch_norm else y
        y = layers.Activation(activation, name=f"hidden{i}_{activation}")(y)
        y = Dropout(dropout, name=f"hidden{i}_dropout")(y)
        x = layers.Add(name=f"hidden{i}_sum")([x, y]) if residual and i > 1 else y  # the first changes the width

    # --- heads
    last = {"activation": "softmax", "dtype": "float32", **penalties()}
    label = layers.Dense(num_classes, **last, name="label")(x)  # (B, num_classes)
    return keras.Model([rows], {"label": label}, name=name)


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_deep_perceptron`; each default equals the builder's."""
    return {
        "depth": hp.Int("depth", 1, 8, default=2),
        "units": hp.Int("units", 16, 256, step=16, default=64),
        "activation": hp.Choice("activation", ["relu", "tanh", "sigmoid"], default="relu"),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.0),
        "l2": hp.Choice("l2", [0.0, 1e-4, 1e-3, 1e-2], default=0.0),
        "batch_norm": hp.Boolean("batch_norm", default=False),
        "residual": hp.Boolean("residual", default=False),
    }
