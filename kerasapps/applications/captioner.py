"""Captioning: a convolutional network looks at an image, and a recurrent network or a transformer describes it.

References: Vinyals et al., "Show and Tell: A Neural Image Caption Generator", CVPR 2015 (without attention); Xu et al.,
"Show, Attend and Tell: Neural Image Caption Generation with Visual Attention", ICML 2015 (with attention); Liu et al.,
"CPTR: Full Transformer Network for Image Captioning", 2021 (a transformer that attends to a grid).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import layers

from kerasapps.applications import seq2seq, transformer
from kerasapps.applications.transfer_classifier import body_of, check_image_shape, copied
from kerasapps.blocks.arguments import check_at_least, check_numbers, check_share, checked, refusal
from kerasapps.blocks.attention import FoldSentences, UnfoldSentences
from kerasapps.blocks.attention_decoder import AttentionDecoder
from kerasapps.blocks.conv import add, concatenate, conv_block
from kerasapps.blocks.grid import AllPresent, Coordinates, ForEach
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.noise import ByteDropout
from kerasapps.blocks.pixels import Pixels, scaled_pixels
from kerasapps.blocks.reuse import Layers
from kerasapps.blocks.transformer import Sizes, encoder_layer_block, keys_values_block, normalized

if TYPE_CHECKING:
    from keras_tuner import HyperParameters

Decoder = Literal["gru", "lstm", "transformer"]
STATES = {"gru": 1, "lstm": 2}  # vectors that a cell keeps


@checked
def build_captioner(
    *,
    vocab_size: int,
    image_shape: tuple[int, int, int],
    decoder: Decoder = "gru",
    attention: bool = True,
    base: keras.Model | None = None,
    layer: str | None = None,
    pixels: Pixels = "bytes",
    frozen: bool = True,
    precomputed: bool = False,
    filters: Sequence[int] = (32, 64, 128),
    around: int = 1,
    context: int = 1,
    embedding_dim: int = 128,
    units: int = 256,
    attention_units: int = 64,
    heads: int = 4,
    depth: int = 2,
    tied: bool = True,
    dropout: float = 0.3,
    name: str = "captioner",
) -> keras.Model:
    """Builds a network that describes an image in a sentence, word by word.

    This is the graph for training: it is given captions and predicts each of their words from those before it. An image
    is looked at once for all its captions. On the same weights `encoder_of` and `step_of` give the two graphs that
    write; `kerasapps.decoding` runs them.

    Args:
        vocab_size: Number of token ids; 0 is padding. Ids in the input must be below it: TensorFlow refuses others on a
            CPU, and reads them as zeros on a GPU.
        image_shape: Height, width and channels of the images.
        decoder: What writes: a recurrent network with one of two cells, or a transformer.
        attention: Whether each word attends to all places of the image; otherwise to their mean alone.
        base: Trained network to look with, of this package or of `keras.applications`; it is not changed. By default a
            small one that learns together with the decoder.
        layer: Layer of the base whose output is attended to, (B, H', W', C); by default its last one. Several are
            joined by a plus, as in "block3_conv3+block4_conv1", at the places of the smallest.
        pixels: What the base expects; see `build_transfer_classifier`.
        frozen: Whether the base keeps its weights.
        precomputed: Whether the input is what a base computed before, a grid of features of `image_shape`, for a
            decoder that is trained by itself; `put_decoder` gives its weights to the whole network.
        filters: Without a base, filters of its convolutions, each of which halves the sides.
        around: Further convolutions, each added to its input, by which every place learns of those around it.
        context: Layers of self-attention in which the places of the image learn of each other, 0 for none.
        embedding_dim: Length of a word vector; a transformer's are as wide as it is.
        units: Width of the decoder.
        attention_units: Width of what a recurrent network compares its state with, at each place and each word.
        heads: Heads of each attention of a transformer and of the places to each other, a divisor of `units`.
        depth: Layers of a transformer.
        tied: Whether the output multiplies by the word vectors, instead of weights of its own.
        dropout: Share dropped in training of what is attended to, of word vectors and of the features that predict, in
            [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In: "image" float32 (B, H, W, C), values 0 to 255, or "grid" float32 (B, H', W', F), and
        "target" int32 (B, N, T), N captions of each image, which begin with a start token and are padded at the end; a
        caption of padding alone is none.
        Out, a dict: "next" float32 (B, N, T, vocab_size), logits of the word after each word; under a mixed policy in
        its format. With attention also "attention" float32 (B, N, T, H' W'), the weights of the places of the image at
        each word, of a transformer averaged over heads and layers.

    Train with: `kerasapps.losses.TokenCrossentropy` on the captions without their first token as "next"; on
    "attention", `kerasapps.losses.CoverageLoss` of the same captions if the network is to look everywhere once.

    Raises:
        ValueError: If a size is under 1, the vocabulary under 2, `units` no even multiple of `heads`, `dropout` outside
            [0, 1), or `base`, `layer` and `image_shape` do not fit each other.

    Example:
        >>> model = build_captioner(vocab_size=1000, image_shape=(32, 32, 3), filters=(8, 8), units=16)
        >>> model.compile("adam", {"next": TokenCrossentropy()})
        >>> model.fit({"image": images, "target": stories}, {"next": stories}, epochs=1)  # stories int32 (n, N, T)
    """
    check_at_least(2, vocab_size=vocab_size)
    check_at_least(1, image_shape=image_shape, around=around, embedding_dim=embedding_dim, units=units, depth=depth)
    check_at_least(1, attention_units=attention_units, heads=heads)
    check_numbers(1, filters=filters)
    check_at_least(0, context=context)
    check_share(dropout=dropout)
    if (decoder == "transformer" or context) and (units % heads or units % 2):
        raise refusal("be an even multiple of `heads`", units=units)

    # --- inputs
    image = keras.Input(image_shape, dtype="float32", name="grid" if precomputed else "image")  # (B, H, W, C)
    target = keras.Input((None, None), dtype="int32", name="target")  # (B, N, T)

    # --- trunk
    if precomputed:
        grid = image  # (B, H', W', F)
    elif base is None:
        grid = small_block(image, filters=filters, around=around, name="look")  # (B, H', W', F)
    else:
        grid = base_block(image, base=base, layer=layer, pixels=pixels, frozen=frozen)  # (B, H', W', F)
    sizes = Sizes(units=units, heads=heads, feedforward=2 * units, dropout=dropout, norm="pre")
    memory = memory_block(grid, context=context, attention=attention, sizes=sizes)  # (B, S, U)
    present = AllPresent(name="present")(memory)  # (B, S)

    # --- heads
    captions = FoldSentences(name="captions")(target)  # (B N, T)
    if decoder == "transformer":
        logits, weights = transformer_block(
            captions, memory, present, target, vocab_size=vocab_size, depth=depth, tied=tied, sizes=sizes
        )
    else:
        kind = "additive" if attention else "none"
        writer = AttentionDecoder(units, attention=kind, cell=decoder, name="decoder")
        inside = seq2seq.decoder_layers(writer, vocab_size, embedding_dim=embedding_dim, tied=tied, dropout=dropout)
        width = attention_units if attention else None
        logits, weights = recurrent_block(captions, memory, present, target, width=width, inside=inside)
    outputs = {"next": UnfoldSentences(name="next")(logits, target)}  # (B, N, T, V)
    if attention:
        outputs["attention"] = UnfoldSentences(dtype="float32", name="attended")(weights, target)  # (B, N, T, S)
    return NamedHeads([image, target], outputs, name=name)


def small_block(image, *, filters: Sequence[int], around: int, name: str):
    """Looks at an image with convolutions that halve the sides, and some that add to the last: -> (B, H', W', F)."""
    x = layers.Rescaling(1 / 127.5, offset=-1, name=f"{name}_scaled")(image)
    for i, width in enumerate(filters, start=1):
        x = conv_block(x, filters=width, pool=2, name=f"{name}{i}")  # (B, H / 2, W / 2, width)
    for i in range(1, around + 1):
        y = conv_block(x, filters=filters[-1], name=f"{name}_around{i}")
        x = add([x, y], name="grid" if i == around else f"{name}_sum{i}")
    return x


def base_block(image, *, base: keras.Model, layer: str | None, pixels: Pixels, frozen: bool):
    """Looks at an image with a copy of a trained network: (B, H, W, C) -> (B, H', W', F)."""
    body = body_of(base, layer or last_grid(base))
    check_image_shape(body, tuple(image.shape[1:]))
    taps = copied(body, image, seen=scaled_pixels(image, expected=pixels, name="pixels"))
    for one in keras.Model(image, taps).layers:
        # Normalization with the statistics of these images would change what the base was trained to see.
        one.trainable = not frozen and not isinstance(one, layers.BatchNormalization)
    if any(len(tap.shape) != 4 for tap in taps):
        raise refusal("give a grid of features, (B, H', W', C)", layer=layer)
    sides = [min(tap.shape[axis] for tap in taps) for axis in (1, 2)]
    for i, tap in enumerate(taps):
        window = tuple(size // side for size, side in zip(tap.shape[1:3], sides, strict=True))
        if window != (1, 1):
            taps[i] = layers.AveragePooling2D(window, name=f"look_pool{i + 1}")(tap)
    x = concatenate(taps, name="look_joined") if len(taps) > 1 else taps[0]
    return layers.Activation("linear", dtype="float32", name="grid")(x)


def last_grid(base: keras.Model) -> str | None:
    """Returns the name of a network's last layer that still has places, if there is one."""
    shapes = {one.name: getattr(getattr(one, "output", None), "shape", ()) for one in base.layers}
    return next((name for name, shape in reversed(shapes.items()) if len(shape) == 4), None)


def memory_block(grid, *, context: int, attention: bool, sizes: Sizes):
    """Makes places of an image what the decoder reads: (B, H', W', F) -> (B, H' W', units), without attention 1 place.

    A convolution sees the same everywhere; that something is left of something else shows in the coordinates, and what
    is far away in what the places learn of each other.
    """
    units, make = sizes.units, Layers()
    x = layers.LayerNormalization(name="grid_norm")(grid)
    x = Coordinates(name="coordinates")(x)  # (B, H', W', F + 2)
    x = layers.Dense(units, activation="relu", name="places")(x)  # (B, H', W', U)
    x = layers.Reshape((-1, units), name="row_of_places")(x)  # (B, S, U)
    for i in range(1, context + 1):
        x = encoder_layer_block(x, sizes=sizes, make=make, name=f"context{i}")
    if context:
        x = normalized(x, make=make, name="context_norm")
    if not attention:
        x = layers.GlobalAveragePooling1D(keepdims=True, name="mean_place")(x)  # (B, 1, U)
    return ByteDropout(sizes.dropout, name="memory")(x)  # (B, S, U)


def recurrent_block(captions, memory, present, target, *, width: int | None, inside: dict[str, layers.Layer]):
    """Writes with a GRU or an LSTM: captions (B N, T), memory (B, S, U) -> logits (B N, T, V), weights (B N, T, S)."""
    decoder = inside["decoder"]
    mean = layers.GlobalAveragePooling1D(name="mean_of_places")(memory)  # (B, U)
    vectors = STATES[decoder.cell]
    state = layers.Dense(vectors * decoder.units, activation="tanh", dtype="float32", name="first_state")(mean)
    keys = layers.Dense(width, use_bias=False, name="keys")(memory) if width else memory  # (B, S, A)
    names = ("memory", "keys", "present", "state")
    repeated = [
        ForEach(name=f"each_{name}")(x, target) for name, x in zip(names, (memory, keys, present, state), strict=True)
    ]
    logits, weights, _ = seq2seq.decoder_block(captions, *repeated, layers=inside)
    return logits, weights


def transformer_block(captions, memory, present, target, *, vocab_size: int, depth: int, tied: bool, sizes: Sizes):
    """Writes with a transformer: captions (B N, T), memory (B, S, U) -> logits (B N, T, V), weights (B N, T, S)."""
    make = Layers()
    transformer.make_words(vocab_size, units=sizes.units, tied=tied, make=make)
    each = []
    for i in range(1, depth + 1):
        keys_values = keys_values_block(memory, sizes=sizes, make=make, name=f"decoder{i}_cross")  # (B, S, 2 U)
        each.append(ForEach(name=f"each_memory{i}")(keys_values, target))
    present = ForEach(name="each_present")(present, target)
    logits, _, weights = transformer.decoder_block(captions, each, present, sizes=sizes, make=make)
    return logits, transformer.mean_weights(weights)


# --- the graphs that write


def encoder_of(model: keras.Model) -> keras.Model:
    """Returns the graph that looks, on the weights of a network of `build_captioner`.

    Returns:
        In: "image" float32 (B, H, W, C). Out: what `seq2seq.encoder_of` or `transformer.encoder_of` gives, of S places.
    """
    return _module_of(model).encoder_of(model)


def step_of(model: keras.Model) -> keras.Model:
    """Returns the graph of one step of writing, on the weights of a network of `build_captioner`.

    Returns:
        As `seq2seq.step_of` or `transformer.step_of`.
    """
    return _module_of(model).step_of(model)


def put_decoder(model: keras.Model, decoder: keras.Model) -> None:
    """Gives a network the weights of a decoder that was trained by itself, on features that were computed before."""
    for layer in decoder.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _module_of(model: keras.Model):
    return seq2seq if "decoder" in {layer.name for layer in model.layers} else transformer


def search_space(hp: "HyperParameters", *, decoder: Decoder = "gru") -> dict[str, Any]:
    """Returns arguments for `build_captioner` with a decoder that use them; each default equals the builder's."""
    if decoder == "transformer":
        own = {"depth": hp.Int("depth", 1, 4, default=2)}
    else:
        own = {"embedding_dim": hp.Int("embedding_dim", 64, 512, step=64, default=128)}
    return own | {
        "units": hp.Int("units", 64, 512, step=64, default=256),
        "dropout": hp.Float("dropout", 0.0, 0.6, step=0.1, default=0.3),
    }
