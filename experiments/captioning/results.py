"""What the captioning experiment reports: loss and its floor, BLEU, CIDEr, truth of statements, attention, examples."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from kerasapps.data.captions import CaptionCodec, CaptionSplits
from kerasapps.data.scene_captions import check, is_complete, likeliest, parse, surprise
from kerasapps.data.scenes import UNSEEN, Scene
from kerasapps.data.splits import Split
from kerasapps.data.subwords import UNKNOWN
from kerasapps.losses import token_losses
from kerasapps.reports import Block, Table

from ..shared.scores import bleu, cider, rouge_l
from ..shared.writing import Writing
from .attention import attention_figures, attention_to, pointing
from .describing import describe, writer_of
from .features import AT_ONCE

EXAMPLES = 24
NO_COLOR, NOT_NAMED = "no color", "not named"
FACTS = ("kind", "count", "color", "size", "relation", "ground")


@dataclass(frozen=True)
class Written:
    """What a network wrote about a set.

    Args:
        images: The images, uint8 (n, H, W, C).
        captions: The best caption of each.
        attention: Attention weights, (n, T, S); None for a network without attention.
    """

    images: np.ndarray
    captions: list[str]
    attention: np.ndarray | None


def write(
    model: keras.Model, codec: CaptionCodec, images: np.ndarray, writing: Writing
) -> tuple[Written, float, float]:
    """Describes images: what was written, and the seconds and processor seconds that it took without tracing."""
    writer = writer_of(model)
    describe(writer, codec, images[:AT_ONCE], writing.search)  # traced here, timed below
    started, cpu = time.perf_counter(), time.process_time()
    captions = [best[0][0] for best in describe(writer, codec, images, writing.search)]
    seconds = time.perf_counter() - started, time.process_time() - cpu
    attention = attention_to(model, codec, images, captions) if "attention" in model.output else None
    return Written(images, captions, attention), *seconds


def evaluate_model(
    model: keras.Model, codec: CaptionCodec, splits: CaptionSplits, writing: Writing
) -> tuple[dict[str, float], list[Block | None]]:
    """Returns the metrics of the test set, and what to show of it."""
    written, seconds, cpu = write(model, codec, splits.test.inputs["image"], writing)
    references = splits.captions["test"]
    metrics = {
        "loss": token_loss(model, codec, splits.test, references),
        **scores(written.captions, references),
        "images_per_second": len(written.captions) / seconds,
        "images_per_cpu_second": len(written.captions) / cpu,
    }
    often = Counter(caption for own in splits.captions["train"] for caption in own).most_common(1)[0][0]
    metrics |= named(scores([often] * len(references), references), "guess")
    blocks = []
    if splits.scenes:
        metrics |= scene_metrics(splits, written, codec)
        metrics["true_share_guess"] = truth([often] * len(references), splits.scenes["test"])["true_share"]
        unseen, _, _ = write(model, codec, splits.unseen.inputs["image"], writing)
        metrics |= named(truth(unseen.captions, splits.scenes["unseen"]), "unseen")
        pairs = colors_of_pairs(unseen.captions, splits.scenes["unseen"])
        metrics["pair_color_unseen"] = right_share(pairs) or 0.0
        blocks.append(truth_table(metrics))
        blocks.append(pairs_table(pairs))
    blocks += attention_figures(written, splits.scenes.get("test", ()), codec=codec)
    blocks.append(examples_table(written.captions, references))
    return metrics, blocks


def token_loss(model: keras.Model, codec: CaptionCodec, split: Split, captions: Sequence[Sequence[str]]) -> float:
    """Returns the cross-entropy of a set's captions in nats a token, the end of a caption among the tokens."""
    ids, _ = codec.ids(captions)  # with the words of this codec, whose run may have learned others
    total = count = 0.0
    for first in range(0, len(split), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        given = ids[rows, :, :-1], ids[rows, :, 1:]
        outputs = model({"image": split.inputs["image"][rows].astype(np.float32), "target": given[0]}, training=False)
        losses = np.asarray(token_losses(keras.ops.convert_to_tensor(given[1]), outputs["next"]))
        total, count = total + losses[given[1] != 0].sum(dtype=np.float64), count + np.count_nonzero(given[1])
    return float(total / count)


def scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Returns BLEU-4 in percent, CIDEr from 0 to 10, and ROUGE-L as a share."""
    return {
        "bleu": bleu(captions, references, lowercase=True),
        "cider": cider(captions, references),
        "rouge_l": rouge_l(captions, references),
    }


def named(metrics: Mapping[str, float], suffix: str) -> dict[str, float]:
    """Returns metrics with a suffix to their names."""
    return {f"{name}_{suffix}": value for name, value in metrics.items()}


# --- scenes


def scene_metrics(splits: CaptionSplits, written: Written, codec: CaptionCodec) -> dict[str, float]:
    """Returns what is known of scenes alone: truth, the floor of the loss, the scores of a person, and pointing."""
    scenes, references, further = splits.scenes["test"], splits.captions["test"], splits.further["test"]
    human = named(scores(further, references), "human") | {"complete_human": truth(further, scenes)["complete"]}
    human["true_share_human"] = 1.0  # the grammar says what is true and nothing else
    best = named(scores([likeliest(scene) for scene in scenes], references), "reference")
    found = truth(written.captions, scenes) | lowest_loss(references, scenes, codec) | human | best
    if written.attention is not None:
        found |= pointing(written.captions, written.attention, scenes, codec=codec)
    return found


def lowest_loss(captions: Sequence[Sequence[str]], scenes: Sequence[Scene], codec: CaptionCodec) -> dict[str, float]:
    """Returns "loss_reference", the lowest loss there can be in nats a token, the end of a caption among the tokens.

    It is not known, and left out, where captions are cut, or have words that the codec does not tell apart.
    """
    flat = [caption for own in captions for caption in own]
    rows = codec.pieces.encode(flat)
    if any(len(row) >= codec.max_length or UNKNOWN in row for row in rows):
        print("Captions are cut or have unknown words: the lowest loss there can be is not known.", flush=True)
        return {}
    each = [scene for own, scene in zip(captions, scenes, strict=True) for _ in own]
    nats = sum(surprise(caption, scene) for caption, scene in zip(flat, each, strict=True))
    return {"loss_reference": nats / sum(len(row) + 1 for row in rows)}


def truth(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Returns which share of what captions state is true.

    Returns:
        "true_share" of all statements, where a sentence outside the grammar counts as one that is false; "grammatical"
        and "complete" sentences, the latter naming as many groups as a caption can; "true_captions", those without a
        false statement; and for each kind of statement the share that is false, such as "count_errors", 0 if none is
        made.
    """
    made, false = Counter(), Counter()
    grammatical = complete = right = 0
    for caption, scene in zip(captions, scenes, strict=True):
        claims = parse(caption)
        if claims is None:
            continue
        statements = check(claims, scene)
        made.update(fact for fact, _ in statements)
        false.update(fact for fact, true in statements if not true)
        grammatical += 1
        complete += is_complete(claims, scene)
        right += all(true for _, true in statements)
    total = sum(made.values()) + len(captions) - grammatical
    shares = {
        "true_share": (sum(made.values()) - sum(false.values())) / total,
        "true_captions": right / len(captions),
        "grammatical": grammatical / len(captions),
        "complete": complete / len(captions),
    }
    return shares | {f"{fact}_errors": false[fact] / max(1, made[fact]) for fact in FACTS}


def truth_table(metrics: Mapping[str, float]) -> Table:
    """Compares known and unknown combinations, and the network with a person."""
    rows = [
        ["true statements", "true_share"],
        ["captions without a false one", "true_captions"],
        ["sentences of the grammar", "grammatical"],
        ["name as many groups as they can", "complete"],
        *([f"false: {fact}", f"{fact}_errors"] for fact in FACTS),
    ]
    cells = [
        [label, *(None if name not in metrics else 100 * metrics[name] for name in (key, f"{key}_unseen"))]
        for label, key in rows
    ]
    caption = (
        "A statement is a kind, a number, a color, a size, a relation or the ground. New combinations: one group of "
        "each scene has a kind and a color that were never seen together."
    )
    return Table("What is true", ["percent of", "test scenes", "new combinations"], cells, caption)


def colors_of_pairs(captions: Sequence[str], scenes: Sequence[Scene]) -> dict[tuple[str, str], Counter]:
    """Counts for each pair of kind and color that no training scene has which color captions give to the kind."""
    pairs = {}
    for kind, color in UNSEEN:
        given = pairs[kind, color] = Counter()
        for caption, scene in zip(captions, scenes, strict=True):
            if (kind, color) in {(group.kind, group.color) for group in scene.groups}:
                claims = parse(caption)
                own = [one for one in claims.mentions if one.kind == kind] if claims else []
                given.update(one.color or NO_COLOR for one in own)
                given.update([NOT_NAMED] * (not own))
    return pairs


def right_share(pairs: Mapping[tuple[str, str], Counter]) -> float | None:
    """Returns the share of right colors among the colors that the kinds of some pairs are given, None without any."""
    colors = sum(n for given in pairs.values() for word, n in given.items() if word not in (NO_COLOR, NOT_NAMED))
    return sum(given[color] for (_, color), given in pairs.items()) / colors if colors else None


def pairs_table(pairs: Mapping[tuple[str, str], Counter]) -> Table:
    """Lists for each pair that no training scene has how often the caption gives the thing its color."""
    rows = []
    for (kind, color), given in pairs.items():
        share = right_share({(kind, color): given})
        others = ", ".join(f"{word} {n}" for word, n in given.most_common() if word != color)
        rows.append([f"{color} {kind}", float(sum(given.values())), None if share is None else 100 * share, others])
    title = "Kinds and colors never seen together"
    return Table(title, ["pair", "scenes", "right color, %", "instead"], rows, "Of captions that give it a color.", 0)


def examples_table(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Table:
    """Lists captions of test images, spread over the set, next to those of people."""
    rows = np.unique(np.linspace(0, len(captions) - 1, min(EXAMPLES, len(captions))).astype(int))
    cells = [[captions[i], " / ".join(references[i][:2])] for i in rows]
    return Table("Test images", ["caption", "two of the references"], cells)


def score_table(metrics: Mapping[str, float], writing: Writing) -> Table:
    """Lists the metrics of the network, those of one more caption of a person, and of always the same caption."""
    rows = []
    for label, name, scale in (
        ("loss, nats a token", "loss", 1),
        ("BLEU-4", "bleu", 1),
        ("CIDEr", "cider", 1),
        ("ROUGE-L, %", "rouge_l", 100),
        ("true statements, %", "true_share", 100),
        ("true statements of new combinations, %", "true_share_unseen", 100),
        ("right colors of new combinations, %", "pair_color_unseen", 100),
        ("attention on what is named, %", "pointing", 100),
    ):
        human = {"loss": "loss_reference"}.get(name, f"{name}_human")
        values = [metrics.get(key) for key in (name, human, f"{name}_guess")]
        if values[0] is not None:
            rows.append([label, *(None if value is None else scale * value for value in values)])
    how = "greedy" if writing.beam == 1 else f"beam {writing.beam}"
    caption = (
        f"Captions by {how}. Human: one more caption of the grammar, whose surprise is the lowest loss there can be. "
        "Guess: the most frequent caption for every image; of the attention, a place drawn blindly."
    )
    return Table("Test set", ["", "network", "human", "guess"], rows, caption, digits=3)
