"""Transfer learning: the first layers of a trained network, frozen or not, with a new head for other classes.

Reference: Yosinski et al., "How Transferable Are Features in Deep Neural Networks?", NIPS 2014.
"""

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.noise import Dropout
from kerasapps.blocks.pixels import Pixels, scaled_pixels
from kerasapps.blocks.pooling import SpatialDeviation

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Pooling = Literal["average", "max", "moments", "grid", "flat"]
GRID = 2  # cells a side
EPSILON = 1e-3
FEATURES, STANDARDIZED = "head_features", "head_standardized"
# How names begin that are not the base's.
OWN = ("pixels_", "head_", "label")
# What changes images or features at random while a network trains.
NOISE = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    layers.ActivityRegularization,
)


@checked
def build_transfer_classifier(
    *,
    base: keras.Model,
    num_classes: int,
    layer: str | None = None,
    freeze: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
    pixels: Pixels = "bytes",
    pooling: Pooling = "average",
    dense_units: Sequence[int] = (),
    dropout: float = 0.5,
    name: str = "transfer_classifier",
) -> keras.Model:
    """Builds a classifier on the features of a trained network, of whose weights it gets a copy.

    Layers keep their names. Those of the base do in training what they do in inference: normalization keeps the
    statistics that it has, frozen or not, and dropout is left out, both because few images would only disturb them. In
    Keras 3 neither follows from calling the base with `training=False`, which the training of a model around it
    overrides; only `trainable = False` on a layer holds. `freeze_base` changes what is frozen later, after which the
    model has to be compiled again.

    Args:
        base: A functional model with one image as input, such as one of this package or of `keras.applications`, the
            latter with `include_top=False` for images of another size. It is not changed.
        num_classes: Number of classes, at least 2.
        layer: Name of the layer of the base whose output the features are, (B, H, W, C) or (B, F); by default its last
            one, of a network of this package the one before "label". Deep layers know most about the classes that the
            base was trained on, those in the middle often help other classes more. Several are joined by a plus, as in
            "block3_conv3+block4_conv1".
        freeze: How many layers of the base are frozen, counting those with weights from the image on, as in "VGG-16";
            all of them by default. Layers of normalization are not counted: they always are.
        image_shape: Height, width and channels of the images; those of the base by default.
        pixels: What the base expects: "bytes", values from 0 to 255, as the networks of this package and those of
            `keras.applications` that scale by themselves; "tf", "torch" or "caffe", as `preprocess_input` of
            `keras.applications` calls them.
        pooling: How features (H, W, C) become a vector: "average" or "max" over all pixels, C numbers; "moments", the
            average and the standard deviation, 2 * C numbers; "grid", the average over each quarter, 4 * C numbers, for
            what has a place; "flat", all H * W * C of them.
        dense_units: Widths of dense layers before the head.
        dropout: Share of the features, and of the outputs of each dense layer, dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255.
        Out, a dict: "label" float32 probabilities (B, num_classes).

    Train with: sparse_categorical_crossentropy on class ids; accuracy. First the head alone, then with a small learning
    rate more of it. The head learns fast if "head_standardized", a frozen normalization, holds mean and variance of the
    features of the training images: `model.get_layer("head_standardized").set_weights([mean, variance])`.

    Raises:
        ValueError: If `num_classes` is under 2, `dropout` outside [0, 1), a width under 1, `base` has several inputs or
            none of images, `layer` is none of it or neither images nor a vector, `freeze` is more than it has, or
            `image_shape` does not fit.

    Example:
        >>> base = build_vgg(image_shape=(32, 32, 3), num_classes=10, depth=11, dense_units=(16,))  # trained before
        >>> model = build_transfer_classifier(base=base, layer="block4_pool", num_classes=4)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit({"image": images}, labels, epochs=2)  # images float32 (n, 32, 32, 3), labels int32 (n,)
        >>> freeze_base(model, 4)  # from here on the first four layers with weights alone
        >>> model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
        >>> model.predict({"image": images})["label"].argmax(-1)
    """
    check_at_least(2, num_classes=num_classes)
    check_at_least(1, dense_units=dense_units)
    check_share(dropout=dropout)
    body = body_of(base, layer)
    check_image_shape(body, image_shape)
    shape = image_shape or body.input.shape[1:]

    # --- inputs
    image = keras.Input(shape, dtype="float32", name="image")  # (B, H, W, C)

    # --- trunk
    x = scaled_pixels(image, expected=pixels, name="pixels")
    taps = copied(body, image, seen=x)  # each (B, H', W', C') or (B, F)
    vectors = [pooled(tap, pooling=pooling, name=f"head_pool{i}") for i, tap in enumerate(taps, 1)]  # each (B, F)
    x = layers.Concatenate(name="head_joined")(vectors) if len(vectors) > 1 else vectors[0]  # (B, sum of F)
    x = layers.Activation("linear", dtype="float32", name=FEATURES)(x)

    # --- heads
    label = head_block(x, num_classes=num_classes, dense_units=dense_units, dropout=dropout)  # (B, num_classes)
    model = keras.Model([image], {"label": label}, name=name)
    return freeze_base(model, freeze)


def body_of(base: keras.Model, layer: str | None) -> keras.Model:
    """Returns the part of a network from its image to a layer, or several joined by a plus, on its own tensors.

    Raises:
        ValueError: If the network has several inputs or none of images, or the layer is none of its or gives neither
            images nor vectors.
    """
    inputs = getattr(base, "inputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [tuple(tensor.shape) for tensor in inputs]
        raise ValueError(f"`base` must be functional, with one input (B, H, W, C). Received: {base.name} with {shapes}")
    outputs = [_last(base)] if layer is None else [_output(base, name) for name in layer.split("+")]
    for output in outputs:
        if not isinstance(output, keras.KerasTensor) or len(output.shape) not in (2, 4) or output is inputs[0]:
            shape = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), output)
            rule = "`layer` must give images or vectors, (B, H, W, C) or (B, F)"
            raise ValueError(f"{rule}. Received: layer={layer!r}, which gives {shape}")
    return keras.Model(inputs[0], outputs, name=base.name)


def _output(base: keras.Model, name: str):
    """Returns what a layer gives, or raises ValueError for one that there is not."""
    known = {one.name: one for one in base.layers if len(getattr(one, "_inbound_nodes", [])) == 1}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise ValueError(f"`layer` must be one of {base.name}, such as {', '.join(near)}. Received: layer={name!r}")
    return known[name].output


def _last(base: keras.Model):
    """Returns the features of a whole network: what its output "label" is computed from, or else its output."""
    output = base.outputs if isinstance(base, keras.Sequential) else base.output
    if isinstance(output, dict) and "label" in output:
        label = layer = base.get_layer("label")
        # Scores may be scaled before they become probabilities.
        while not isinstance(layer, layers.Dense) and getattr(layer.input, "shape", None) == label.output.shape:
            layer = layer.input._keras_history.operation
        return (layer if isinstance(layer, layers.Dense) else label).input
    flat = keras.tree.flatten(output)
    return flat[0] if len(flat) == 1 else output


def check_image_shape(body: keras.Model, image_shape: Sequence[int] | None) -> None:
    """Raises ValueError for images that a network does not take, or of no size at all."""
    own = body.input.shape[1:]
    if image_shape is None and None in own:
        raise ValueError(
            f"`image_shape` must be given for a base that takes any size. Received: image_shape=None, {own}"
        )
    if image_shape is None:
        return
    if min(image_shape) < 1 or own[2] not in (None, image_shape[2]):
        channels = "at least one channel" if own[2] is None else f"the {own[2]} channels of the base"
        raise refusal(f"be (height, width, channels), each at least 1, with {channels}", image_shape=image_shape)


def copied(body: keras.Model, image, *, seen):
    """Repeats a network on other images, with copies of its layers and weights.

    Args:
        body: The network.
        image: Input of the new graph, (B, H, W, C).
        seen: What the network is to get in its place, (B, H, W, C).

    Returns:
        Its outputs, a list.

    Raises:
        ValueError: If its weights depend on the size of the images, and these have another.
    """
    copies: list[tuple[layers.Layer, layers.Layer]] = []

    def copy(layer):
        config = layer.get_config()
        config["name"] = f"base_{layer.name}" if layer.name.startswith((*OWN, "base_")) else layer.name
        if not isinstance(layer, layers.Layer):
            return type(layer).from_config(config)
        if isinstance(layer, NOISE):
            return layers.Identity(name=config["name"])
        # Weights that are kept in half precision could not learn by small steps.
        config["dtype"] = keras.config.dtype_policy()
        made = type(layer).from_config(config)
        copies.append((layer, made))
        return made

    def call(layer, *arguments, **options):
        return layer(*keras.tree.map_structure(lambda one: seen if one is image else one, arguments), **options)

    try:
        made = keras.models.clone_model(body, image, clone_function=copy, call_function=call)
        for layer, other in copies:
            other.set_weights(layer.get_weights())
    except ValueError as error:
        reason = " ".join(str(error).split())
        rule = f"be one that {body.name} takes, {tuple(body.input.shape[1:])} for instance"
        raise ValueError(f"`image_shape` must {rule}. Received: {tuple(image.shape[1:])} ({reason[:160]})") from error
    return made.outputs


def pooled(x, *, pooling: Pooling, name: str):
    """Turns features into a vector: (B, H, W, C) -> (B, F); a vector stays as it is."""
    if len(x.shape) == 2:
        return x
    if pooling == "average":
        return layers.GlobalAveragePooling2D(name=name)(x)  # (B, C)
    if pooling == "max":
        return layers.GlobalMaxPooling2D(name=name)(x)  # (B, C)
    if pooling == "moments":
        average, deviation = layers.GlobalAveragePooling2D(name=name), SpatialDeviation(name=f"{name}_deviation")
        return layers.Concatenate(name=f"{name}_moments")([average(x), deviation(x)])  # (B, 2 * C)
    if pooling == "grid":
        # Two windows a side, which share the middle line of an odd number of pixels.
        sides = x.shape[1:3]
        steps = tuple(max(1, side // GRID) for side in sides)
        windows = tuple(side - step if side > 1 else 1 for side, step in zip(sides, steps, strict=True))
        x = layers.AveragePooling2D(windows, steps, name=name)(x)  # (B, 2, 2, C)
    return layers.Flatten(name=f"{name}_flat")(x)


def head_block(features, *, num_classes: int, dense_units: Sequence[int], dropout: float):
    """Predicts classes from features: (B, F) -> (B, num_classes)."""
    x = layers.BatchNormalization(
        epsilon=EPSILON, center=False, scale=False, trainable=False, dtype="float32", name=STANDARDIZED
    )(features)
    for i, units in enumerate(dense_units, 1):
        x = Dropout(dropout, name=f"head_dropout{i}")(x)
        x = layers.Dense(units, activation="relu", name=f"head_fc{i}")(x)  # (B, units)
    x = Dropout(dropout, name="head_dropout")(x)
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="label")(x)


# --- freezing, and the head by itself


def freeze_base(model: keras.Model, freeze: int | None) -> keras.Model:
    """Freezes the first layers of a classifier's base and unfreezes the others; it has to be compiled again then.

    Args:
        model: From `build_transfer_classifier`.
        freeze: How many layers with weights, from the image on; None for all.

    Returns:
        The same model.

    Raises:
        ValueError: If the base has fewer.

    Example:
        >>> base = build_vgg(image_shape=(32, 32, 3), num_classes=10, depth=11, dense_units=(16,))  # trained before
        >>> model = freeze_base(build_transfer_classifier(base=base, layer="block4_pool", num_classes=4), 4)
        >>> model.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy")
    """
    inside = base_layers(model)
    if freeze is not None and not 0 <= freeze <= len(inside):
        raise refusal(f"be in [0, {len(inside)}], the layers of the base with weights", freeze=freeze)
    for i, layer in enumerate(inside):
        layer.trainable = freeze is not None and i >= freeze
    for layer in model._flatten_layers(include_self=False):
        # With `trainable` off, and by nothing else, it uses the statistics that it has, whatever `training` is.
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    # A training step keeps what was trainable when it was traced: without this, `fit` would go on with that.
    model.compiled = False
    return model


def base_layers(model: keras.Model) -> list[layers.Layer]:
    """Returns the layers of a classifier's base that can be trained, from the image on."""
    return [
        layer
        for layer in model.layers
        if layer.weights and not layer.name.startswith(OWN) and not isinstance(layer, layers.BatchNormalization)
    ]


def head_of(model: keras.Model) -> keras.Model:
    """Returns a copy of a classifier's head, to be trained on features that are computed once.

    Returns:
        Uncompiled model. In: "features" float32 (B, F), the output of the layer "head_features". Out, a dict: "label"
        float32 probabilities (B, num_classes).
    """
    whole = model.get_layer(FEATURES).output
    x = features = keras.Input(whole.shape[1:], dtype="float32", name="features")  # (B, F)
    for layer in _head_layers(model):
        made = type(layer).from_config(layer.get_config())
        x = made(x)
        made.set_weights(layer.get_weights())
    return keras.Model([features], {"label": x}, name=f"{model.name}_head")


def put_head(model: keras.Model, head: keras.Model) -> None:
    """Gives a classifier the weights of a head that was trained by itself."""
    for layer in _head_layers(model):
        layer.set_weights(head.get_layer(layer.name).get_weights())


def _head_layers(model: keras.Model) -> list[layers.Layer]:
    names = [layer.name for layer in model.layers]
    return model.layers[names.index(FEATURES) + 1 :]


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_transfer_classifier`; each default equals the builder's."""
    units = hp.Choice("dense_units", [0, 64, 128, 256], default=0)
    return {
        "pooling": hp.Choice("pooling", ["average", "max", "moments", "grid"], default="average"),
        "dense_units": (units,) if units else (),
        "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
    }
