"""What the language model experiment reports: the loss and its floor, surprise, units, attention heads, samples."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from kerasapps.applications import transformer_language_model
from kerasapps.data.language import LanguageCodec, LanguageSplits
from kerasapps.data.running_text import RunningText
from kerasapps.data.vocabularies import UNKNOWN, Lines
from kerasapps.reports import Block, Figure, Highlighted, Highlights, Table, add_axes, new_figure, plain

from .network import NEXT, SAMPLES, Arch

# Nats a character of tiny-shakespeare's last tenth, in windows that begin with nothing.
PUBLISHED = {
    "shakespeare": {
        "nanoGPT, 4 layers, 128 wide, 3 minutes on a CPU": 1.88,
        "nanoGPT, 6 layers, 384 wide, 3 minutes on an A100": 1.47,
    }
}
READ, SKIPPED = 1024, 128  # of a recurrent network: tokens it reads at a time, and how many of them to begin with
AT_ONCE, LOGITS = 32, 8_000_000  # windows at most, and numbers that a network gives for them
PASSAGE, ATTENDED = 400, 48  # tokens that are shown, and that attention is drawn for
FOLLOWED, BEST = 4_000, 5  # tokens that units are compared with, and units that are shown
AS_WINDOWS = tf.TensorSpec((None, None), tf.int32)
VOWELS = "aeiouAEIOU"


def token_surprise(model: keras.Model, ids: np.ndarray, *, window: int, skip: int) -> np.ndarray:
    """Returns minus the log-probability of each token but the first, in nats, float32 (n - 1,).

    Args:
        model: The network.
        ids: Token ids int32 (n,).
        window: Tokens that it reads at a time.
        skip: Tokens at the beginning of a window, that of the text aside, that only prepare for the others.
    """
    window = min(window, len(ids) - 1)
    skip = min(skip, window - 1)
    starts = [*range(0, len(ids) - 1 - window, window - skip), len(ids) - 1 - window]
    surprise = np.zeros(len(ids) - 1, np.float32)
    # Not `predict_on_batch`, which gives each of several devices a share of a batch, however small.
    predict = tf.function(lambda rows: model([rows], training=False)["next"], [AS_WINDOWS], autograph=False)
    count = max(1, min(AT_ONCE, LOGITS // (window * model.output["next"].shape[-1])))
    for some in (starts[i : i + count] for i in range(0, len(starts), count)):
        rows = ids[np.array(some)[:, None] + np.arange(window + 1)]
        logits = predict(tf.constant(rows[:, :-1])).numpy().astype(np.float32)
        logits -= logits.max(-1, keepdims=True)
        whole = np.log(np.exp(logits).sum(-1))
        losses = whole - np.take_along_axis(logits, rows[:, 1:, None], -1)[..., 0]
        for start, row in zip(some, losses, strict=True):
            first = skip if start else 0
            surprise[start + first : start + window] = row[first:]
    return surprise


def read_surprise(model: keras.Model, arch: Arch, codec: LanguageCodec, ids: np.ndarray) -> np.ndarray:
    """Returns the surprise of each token where the text before it is read as far back as the network can."""
    if arch == "transformer":
        return token_surprise(model, ids, window=codec.context, skip=codec.context // 2)
    return token_surprise(model, ids, window=READ, skip=SKIPPED)


def test_metrics(
    model: keras.Model, arch: Arch, codec: LanguageCodec, ids: np.ndarray, characters: int, text: RunningText
) -> dict[str, float]:
    """Returns the loss in nats a character and its relatives; where it is known, what no network goes below.

    Args:
        model: The network.
        arch: What it is.
        codec: That of its training.
        ids: Token ids of the test text.
        characters: How many characters it has.
        text: The text.
    """
    surprise = float(read_surprise(model, arch, codec, ids).mean())  # a token
    windows = float(token_surprise(model, ids, window=codec.context, skip=0).mean())
    tokens = len(ids) / characters
    metrics = {
        "loss": surprise * tokens,
        "loss_windows": windows * tokens,
        "bits_per_character": surprise * tokens / math.log(2),
        "perplexity": math.exp(min(surprise, 700.0)),  # beyond is no number
    }
    unknown = float(np.mean(np.asarray(ids) == UNKNOWN))
    if unknown:
        metrics["share_unknown"] = unknown
    if text.entropy is not None:
        metrics["loss_reference"] = text.entropy
        metrics["loss_source"] = text.surprise
        metrics["above_entropy"] = metrics["loss"] / text.entropy - 1
    return metrics


def loss_table(metrics: Mapping[str, float], *, data: str, arch: Arch) -> Table:
    """Lists the losses next to the entropy, or to published ones."""
    rows = [
        [f"{arch}, at least {SKIPPED} tokens before known", metrics["loss"]],
        [f"{arch}, windows that begin with nothing", metrics["loss_windows"]],
    ]
    if arch == "transformer":
        rows[0][0] = f"{arch}, at least half a window before known"
    if "loss_reference" in metrics:
        rows.append(["entropy of the source: no network is better, up to chance", metrics["loss_reference"]])
        rows.append(["the source itself on this text", metrics["loss_source"]])
    caption = f"{metrics['bits_per_character']:.3f} bits a character; perplexity {metrics['perplexity']:.2f} a token."
    if "share_unknown" in metrics:
        caption += (
            f" {metrics['share_unknown']:.1%} of the tokens have no id: how they are spelled does not count, so that "
            "the loss is no loss of characters."
        )
    else:
        rows += [[f"published, windows: {name}", figure] for name, figure in PUBLISHED.get(data, {}).items()]
    return Table("Test text", ["", "nats a character"], rows, caption, digits=4)


def result_blocks(
    model: keras.Model,
    arch: Arch,
    splits: LanguageSplits,
    samples: Sequence[str],
    folder: Path,
    rows: Sequence[Mapping[str, float]],
) -> list[Block | None]:
    """Returns the loss over the epochs, samples, surprise, and what units or heads follow."""
    codec, ids = splits.codec, splits.tested
    looks = [heads_figure(model, codec, ids)] if arch == "transformer" else unit_blocks(model, codec, ids)
    return [
        floor_figure(rows, splits),
        Table("Samples", ["", "text"], [[str(i), text.strip()] for i, text in enumerate(samples, start=1)]),
        samples_table(folder),
        surprise_block(model, arch, codec, ids),
        *looks,
    ]


def floor_figure(rows: Sequence[Mapping[str, float]], splits: LanguageSplits) -> Figure | None:
    """Draws the validation loss over the epochs above the entropy, where a token is a character."""
    if splits.text.entropy is None or len(rows) < 2 or isinstance(splits.codec.vocabulary, Lines):
        return None
    figure = new_figure()
    axes = add_axes(figure, xlabel="epoch", ylabel="nats a character")
    axes.plot(range(1, len(rows) + 1), [row["val_loss"] for row in rows], marker="o", label="validation")
    axes.axhline(splits.text.entropy, color="#9aa1ab", linestyle=":", label="entropy")
    axes.legend(frameon=False)
    caption = "Validation loss in windows that begin with nothing, and the entropy of the source."
    return Figure("loss_and_entropy", caption, figure)


def samples_table(folder: Path) -> Table | None:
    """Lists what the network wrote after each epoch."""
    path = folder / SAMPLES
    if not path.exists():
        return None
    texts = path.read_text("utf-8").split(NEXT)
    kept = sorted({round(i) for i in np.linspace(0, len(texts) - 1, min(8, len(texts)))})
    return Table("Samples over time", ["epoch", "text"], [[str(i + 1), texts[i].strip()] for i in kept])


def surprise_block(model: keras.Model, arch: Arch, codec: LanguageCodec, ids: np.ndarray) -> Highlights:
    """Colors the tokens of a passage by how little the network expected them."""
    start = min(SKIPPED, max(0, len(ids) - 2 - PASSAGE))
    some = ids[: start + PASSAGE + 1]
    surprise = read_surprise(model, arch, codec, some)[start:]
    text = Highlighted(pieces(codec, some[start + 1 :]), surprise, "The beginning of the test text", between="")
    return Highlights("Surprise", "The darker a character, the less the network expected it.", [text])


def pieces(codec: LanguageCodec, ids: np.ndarray) -> list[str]:
    """Returns what each id stands for, with a sign for the end of a line."""
    return [codec.vocabulary.piece(int(i)).replace("\n", "⏎\n") for i in ids]


# --- recurrent networks

# From a text to a number for each character.
FUNCTIONS: dict[str, Callable[[str], Sequence[float]]] = {
    "inside quotation marks": lambda text: [text[: i + 1].count('"') % 2 for i in range(len(text))],
    "characters since the line began": lambda text: [i - text.rfind("\n", 0, i + 1) for i in range(len(text))],
    "characters since the word began": lambda text: [
        i - max(text.rfind("\n", 0, i + 1), text.rfind(" ", 0, i + 1)) for i in range(len(text))
    ],
    "a word has just ended": lambda text: [one.isspace() for one in text],
    "a line has just ended": lambda text: [one == "\n" for one in text],
    "a vowel": lambda text: [one in VOWELS for one in text],
    "an upper-case letter": lambda text: [one.isupper() for one in text],
    "a punctuation mark": lambda text: [not (one.isalnum() or one.isspace()) for one in text],
    "the first word of a line": lambda text: [
        " " not in text[text.rfind("\n", 0, i + 1) + 1 : i + 1] for i in range(len(text))
    ],
}


def unit_blocks(model: keras.Model, codec: LanguageCodec, ids: np.ndarray) -> list[Block]:
    """Shows the units whose outputs follow a simple function of the text most closely, each of another function."""
    if isinstance(codec.vocabulary, Lines):
        return []  # whose tokens are no single characters
    some = ids[:FOLLOWED]
    text = "".join((codec.vocabulary.piece(int(i)) or " ")[0] for i in some)
    layers = {layer.name: layer.output[0] for layer in model.layers if layer.name[:-1] in ("lstm", "gru")}
    activities = keras.Model(model.inputs, layers)([some[None]], training=False)
    outputs = [np.asarray(activities[name])[0].astype(np.float32) for name in layers]
    names = [f"layer {i}, unit {j}" for i, one in enumerate(outputs, start=1) for j in range(1, one.shape[1] + 1)]
    found = closest(np.concatenate(outputs, 1), {name: function(text) for name, function in FUNCTIONS.items()})
    activity = np.concatenate(outputs, 1)
    shown = slice(SKIPPED, SKIPPED + PASSAGE)
    texts = [
        Highlighted(pieces(codec, some[shown]), activity[shown, unit], f"{names[unit]}: {name} ({value:+.2f})", "")
        for name, unit, value in found
    ]
    table = [[name, names[unit], value] for name, unit, value in found]
    caption = "The unit whose output has the highest correlation with a simple function of the text read so far."
    return [
        Table("What units follow", ["function", "unit", "correlation"], table, caption, digits=2),
        Highlights("Units", "Outputs above 0 are orange, those below 0 blue.", texts),
    ]


def closest(activity: np.ndarray, functions: Mapping[str, Sequence[float]]) -> list[tuple[str, int, float]]:
    """Returns the functions (n,) that a unit follows best, which unit of (n, units), and their correlation."""
    found = []
    units = activity - activity.mean(0)
    units /= np.maximum(np.sqrt((units**2).sum(0)), 1e-6)
    for name, values in functions.items():
        values = np.asarray(values, np.float32)
        values = values - values.mean()
        norm = np.sqrt((values**2).sum())
        if norm == 0:
            continue  # as of quotation marks in a text without any
        correlations = values @ units / norm
        best = int(np.abs(correlations).argmax())
        found.append((name, best, float(correlations[best])))
    return sorted(found, key=lambda one: -abs(one[2]))[:BEST]


# --- transformers


def heads_figure(model: keras.Model, codec: LanguageCodec, ids: np.ndarray) -> Figure:
    """Draws what each head attends to, a row of images for each layer."""
    some = ids[: min(ATTENDED, codec.context)]
    attention = transformer_language_model.attention_of(model)([some[None]], training=False)["attention"]
    attention = np.asarray(attention)[0]  # (layers, heads, T, T)
    depth, heads = attention.shape[:2]
    figure = new_figure(width=min(11.0, 1.9 * heads), height=1.9 * depth)
    for i in range(depth * heads):
        layer, head = divmod(i, heads)
        axes = add_axes(figure, depth, heads, i + 1, title=f"layer {layer + 1}, head {head + 1}")
        axes.imshow(np.sqrt(attention[layer, head]), cmap="Blues", vmin=0, vmax=1)
        axes.set_axis_off()
    text = plain("".join(pieces(codec, some)).replace("\n", ""))
    caption = f"A row for each character: the darker, the more it attends to that of the column. The text is: {text}"
    return Figure("attention_heads", caption, figure)
