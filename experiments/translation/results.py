"""What the translation experiment reports: BLEU, examples, attention, mistakes, the speed of decoding."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kerasapps.data.subwords import END, START
from kerasapps.data.translation import TranslationCodec, TranslationSplits, padded
from kerasapps.data.words import tokenize
from kerasapps.decoding import GREEDY
from kerasapps.files import write_atomically
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure, plain

from ..shared.scores import bleu, chrf_signature, signature, translation_metrics
from ..shared.writing import Writing
from .network import Arch, module_of, translate_texts, writer_of

# BLEU in percent on test_2016, by languages; of which kind is said where its source does.
PUBLISHED = {
    "de-en": {
        "tokenized: GRU without attention (bentrevett)": 20.6,
        "tokenized: GRU, additive attention (bentrevett)": 28.3,
        "tokenization not stated: LSTM, attention, subwords (msarmi9)": 33.5,
        "tokenized: transformer of 256 units (bentrevett)": 36.5,
    },
    "en-de": {"tokenized: transformer of 128 units (Revisit-MMT)": 41.0},
}
EXAMPLES = 20
PICTURES = 4
LENGTHS = 5
FREQUENT = 12


def test_metrics(
    model: keras.Model, arch: Arch, codec: TranslationCodec, pairs: Sequence[tuple[str, str]], writing: Writing
) -> tuple[dict[str, float], list[str]]:
    """Returns metrics of the translations of a test set, and these; without attention to how long tracing takes."""
    writer = writer_of(model, arch)
    sources, references = zip(*pairs, strict=True)
    translate_texts(writer, codec, sources[:1], writing.search)  # traced here, timed below
    started, cpu = time.perf_counter(), time.process_time()
    best = [one[0][0] for one in translate_texts(writer, codec, sources, writing.search)]
    seconds = {"decoding_seconds": time.perf_counter() - started, "decoding_cpu_seconds": time.process_time() - cpu}
    metrics = translation_metrics(best, references) | seconds
    if writing.beam > 1:
        greedy = [one[0][0] for one in translate_texts(writer, codec, sources, GREEDY)]
        of_greedy = translation_metrics(greedy, references)
        metrics |= {f"{name}_greedy": of_greedy[name] for name in ("exact_match", "bleu", "bleu_cased")}
    return metrics, best


def score_table(metrics: Mapping[str, float], *, data: str, pair: str | None, beam: int) -> Table:
    """Lists the metrics, and published figures, which are of another kind of BLEU."""
    how = "greedy" if beam == 1 else f"beam {beam}"
    rows = [
        [f"exact match, {how}", 100 * metrics["exact_match"]],
        [f"BLEU, lower case, {how}", metrics["bleu"]],
        [f"BLEU, cased, {how}", metrics["bleu_cased"]],
        [f"BLEU, tokenized and lower case, {how}", metrics["bleu_tokenized"]],
        [f"chrF, {how}", metrics["chrf"]],
    ]
    if "bleu_greedy" in metrics:
        rows.append(["BLEU, lower case, greedy", metrics["bleu_greedy"]])
    published = PUBLISHED.get(pair, {}) if data == "multi30k" else {}
    rows += [[f"published, {name}", figure] for name, figure in published.items()]
    of_bleu = " and ".join(signature(lowercase=lowercase) for lowercase in (True, False))
    caption = f"sacreBLEU {of_bleu}, chrF {chrf_signature()}, on detokenized texts."
    return Table("Test set", ["", "percent"], rows, caption)


def result_blocks(
    model: keras.Model, arch: Arch, splits: TranslationSplits, best: Sequence[str], rows: Sequence[dict[str, float]]
) -> list[Block | None]:
    """Returns curves of BLEU, BLEU by length, examples, attention and frequent mistakes."""
    pairs = splits.texts["test"]
    return [
        bleu_figure(rows),
        length_figure(pairs, best),
        *attention_figures(model, arch, splits.codec, [a for a, _ in pairs], best),
        examples_table(pairs, best),
        mistakes_table(pairs, best),
    ]


def bleu_figure(rows: Sequence[dict[str, float]]) -> Figure | None:
    """Draws the BLEU of validation texts over the epochs."""
    if not rows:
        return None
    figure = new_figure()
    axes = add_axes(figure, xlabel="epoch", ylabel="BLEU")
    axes.plot(range(1, len(rows) + 1), [row["val_bleu"] for row in rows], marker="o")
    return Figure("validation_BLEU", "BLEU of greedy translations of validation texts, cased.", figure)


def length_figure(pairs: Sequence[tuple[str, str]], best: Sequence[str]) -> Figure:
    """Draws BLEU by the length of the source, in groups of equal size."""
    lengths = np.array([len(a.split()) for a, _ in pairs])
    groups = np.array_split(np.argsort(lengths, kind="stable"), min(LENGTHS, len(lengths)))
    names = [f"{lengths[group].min()} to {lengths[group].max()}" for group in groups]
    scores = [bleu([best[i] for i in group], [pairs[i][1] for i in group], lowercase=True) for group in groups]
    figure = new_figure()
    axes = add_axes(figure, xlabel="words of the source", ylabel="BLEU")
    axes.bar(range(len(groups)), scores, tick_label=names)
    return Figure("BLEU_by_length", "Test BLEU, lower case, by the length of the source.", figure)


def attention_figures(
    model: keras.Model, arch: Arch, codec: TranslationCodec, sources: Sequence[str], best: Sequence[str]
) -> list[Figure]:
    """Draws where the network looks while it writes a few texts of usual length."""
    if arch == "none":
        return []
    lengths = np.array([len(text) for text in sources])
    middle = np.argsort(np.abs(lengths - np.median(lengths)), kind="stable")[:PICTURES]
    pairs = [(sources[i], best[i]) for i in middle]
    return [
        attention_figure(*seen, name=f"attention_{number}")
        for number, seen in enumerate(attended(model, arch, codec, pairs), start=1)
    ]


def save_pictures(
    folder: Path,
    model: keras.Model,
    arch: Arch,
    codec: TranslationCodec,
    sources: Sequence[str],
    best: Sequence[str],
    *,
    first: int,
) -> None:
    """Writes a picture of what was read while each text was written, from `first`.png on; of empty ones none."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = {number: (a.strip(), b) for number, (a, b) in enumerate(zip(sources, best, strict=True), start=first)}
    pairs = {number: pair for number, pair in pairs.items() if pair[0]}
    for number, seen in zip(pairs, attended(model, arch, codec, list(pairs.values())), strict=True):
        write_atomically(folder / f"{number}.png", attention_figure(*seen, name=str(number)).png)


def attended(
    model: keras.Model, arch: Arch, codec: TranslationCodec, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[np.ndarray, list[str], list[str]]]:
    """Yields for each text and its translation the weights (T, S), the pieces read (S) and those written (T)."""
    attention = module_of(arch).attention_of(model)
    for source, target in pairs:
        ids, written = codec.encode([source])["source"], codec.target.encode([target])[0]
        inputs = {"source": ids, "target": padded([[START, *written]])}
        weights = attention.predict(inputs, verbose=0)["attention"][0]
        yield weights, codec.source.pieces(ids[0]), codec.target.pieces([*written, END])


def attention_figure(weights: np.ndarray, read: Sequence[str], wrote: Sequence[str], *, name: str) -> Figure:
    """Draws the weights (T, S) of the pieces that are read, a row for each piece that is written."""
    figure = new_figure(width=min(11.0, 2 + 0.32 * len(read)), height=1.5 + 0.26 * len(wrote))
    axes = add_axes(figure)
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=max(0.01, float(weights.max())), aspect="auto")
    axes.grid(False)
    axes.set_xticks(range(len(read)), [plain(one.replace("▁", " ").strip() or one) for one in read], rotation=60)
    axes.set_yticks(range(len(wrote)), [plain(one.replace("▁", " ").strip() or one) for one in wrote])
    axes.xaxis.tick_top()
    caption = "A row for each piece that is written: the darker, the more the network attends to the piece above."
    return Figure(name, caption, figure)


def examples_table(pairs: Sequence[tuple[str, str]], best: Sequence[str]) -> Table:
    """Lists test texts, spread over the set, with reference and translation."""
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(EXAMPLES, len(pairs))).astype(int))
    cells = [[pairs[i][0], pairs[i][1], best[i], "yes" if best[i] == pairs[i][1] else ""] for i in rows]
    return Table("Test texts", ["source", "reference", "translation", "exact"], cells)


def mistakes_table(pairs: Sequence[tuple[str, str]], best: Sequence[str]) -> Table | None:
    """Counts words that are missing from translations, that are in no reference, and that were copied or repeated."""
    missing, extra, copied, repeated = Counter(), Counter(), Counter(), Counter()
    for (source, reference), text in zip(pairs, best, strict=True):
        of_source, wanted, written = (Counter(tokenize(one)) for one in (source, reference, text))
        missing.update(wanted - written)
        extra.update(written - wanted)
        copied.update(word for word in written.keys() - wanted.keys() if word in of_source)
        words = tokenize(text)
        repeated.update(a for a, b in itertools.pairwise(words) if a == b)
    kinds = {"missing": missing, "not in the reference": extra, "copied": copied, "repeated": repeated}
    rows = [
        [
            kind,
            float(sum(counts.values())),
            ", ".join(f"{word} {count}" for word, count in counts.most_common(FREQUENT)),
        ]
        for kind, counts in kinds.items()
    ]
    return Table("Words that are wrong", ["", "words", "the most frequent"], rows, digits=0) if best else None


def translations_table(texts: Sequence[str], best: Sequence[Sequence[tuple[str, float]]]) -> Table:
    """Lists several translations of each text with their scores."""
    rows = [
        [text if i == 0 else "", one, score]
        for text, n in zip(texts, best, strict=True)
        for i, (one, score) in enumerate(n)
    ]
    return Table("", ["text", "translation", "score"], rows, digits=3)
