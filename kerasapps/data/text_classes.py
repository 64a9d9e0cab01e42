"""Texts with one label each, as splits: vocabulary and classes of the training set, folds for cross-validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasapps.data.splits import Split, Splits, stratify
from kerasapps.data.text_sets import TextSet, read_set
from kerasapps.data.words import PADDING, GivenTokens, Keep, WordIds, fit_words, settle_tokens, tokenize
from kerasapps.errors import DataError

HELD_OUT = 0.1  # share of the rows for validation, and for the test set where there is none
MOST_LABELS = 1_000  # a column with more is a name or a number, not a class


@dataclass(frozen=True)
class TextClassCodec:
    """Turns texts into token ids, and probabilities into names of classes; fitted to a training set.

    Args:
        words: Words as token ids.
        class_names: The labels, in the order of the output.
        sentence_length: Tokens of a sentence at most, for networks that read a text by sentences; 0 for others.
    """

    words: WordIds
    class_names: tuple[str, ...]
    sentence_length: int = 0

    def encode(self, *texts: str) -> dict[str, np.ndarray]:
        """Returns the input "text" of a model, int32 (n, T), by sentences (n, S, T)."""
        return {"text": self._ids(texts)[0]}

    def _ids(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids, and how many tokens, or sentences, each text has."""
        if self.sentence_length:
            return self.words.encode_sentences(texts, longest=self.sentence_length)
        return self.words.encode(texts)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Returns for each row the classes by name with their probabilities, the most probable first."""
        return [
            {self.class_names[i]: float(row[i]) for i in np.argsort(-row, kind="stable")}
            for row in np.asarray(outputs["label"])
        ]

    def unknown(self, texts: Sequence[str]) -> list[str]:
        """Returns the words that have no token id, each once."""
        known = set(self.words.words)
        tokens = dict.fromkeys(token for text in texts for token in tokenize(text, self.words.tokens))
        return [token for token in tokens if token not in known]

    def outputs(self) -> dict[str, int]:
        """Returns the width of each output."""
        return {"label": len(self.class_names)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {"class_names": self.class_names, "sentence_length": self.sentence_length} | self.words.to_json()

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TextClassCodec":
        """Returns the codec that `to_json` described.

        Raises:
            DataError: If it has no classes.
        """
        if "class_names" not in content:
            raise DataError("it names no classes; what `pretrain` has learned is for `train --vectors`.")
        words, class_names = WordIds.from_json(content), tuple(content["class_names"])
        return cls(words, class_names, int(content.get("sentence_length", 0)))

    def split(self, texts: Sequence[str], labels: Sequence[str]) -> Split:
        """Returns rows: input "text", target "label".

        Raises:
            DataError: If a label is none of the classes.
        """
        numbers = {name: i for i, name in enumerate(self.class_names)}
        unknown = next((label for label in labels if label not in numbers), None)
        if unknown is not None:
            raise DataError(f"The label {unknown!r} is none of those that the network was trained on.")
        ids, lengths = self._ids(texts)
        return Split({"text": ids}, {"label": np.array([numbers[one] for one in labels], np.int32)}, {"text": lengths})


@dataclass(frozen=True, kw_only=True)
class TextSplits(Splits):
    """Splits with the texts behind them.

    Args:
        texts: The texts of each set, by its name.
        labels: The labels of each set.
        optimum: The accuracy that no classifier exceeds on the test set, up to chance, where it is known.
    """

    texts: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[str]]
    optimum: float | None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, in the order of the output."""
        return self.codec.class_names

    def encoded(self, codec: TextClassCodec) -> "TextSplits":
        """Returns the same texts as a codec encodes them; with their own there is nothing to do."""
        if codec == self.codec:
            return self
        sets = {name: codec.split(self.texts[name], self.labels[name]) for name in self.texts}
        return replace(self, **sets, codec=codec, sizes=self.sizes | {"vocab_size": codec.words.size})


def load_texts(
    data: str = "snippets",
    *,
    text: str = "text",
    label: str = "label",
    fine: bool = False,
    keep_html: bool = False,
    vocab_size: int = 20_000,
    length: int = 400,
    keep: Keep = "head",
    tokens: GivenTokens = "auto",
    sentence_length: int = 0,
    folds: int = 10,
    fold: int | None = None,
    validation: bool = True,
    seed: int = 0,
    limit: int | None = None,
) -> TextSplits:
    """Loads texts with labels.

    Args:
        data: "snippets" (simulated), "mr", "subj", "trec", "imdb", a table, or a folder with a folder for each label.
        text: Column of a table that holds the texts.
        label: Column of a table that holds the labels.
        fine: Whether to keep the fine labels of "trec".
        keep_html: Whether HTML tags and entities stay in the texts.
        vocab_size: Token ids at most; the most frequent words of the training set get one.
        length: Tokens of a text at most.
        keep: What stays of longer texts: "head", "tail", or half of "both".
        tokens: "words", "punctuation" (words, and punctuation marks as words), "cased" (as that, with case),
            "characters", "learned" (words of scripts without spaces), or "auto": words, learned ones where needed.
        sentence_length: Tokens of a sentence at most, for networks that read a text by sentences; 0 for others.
        folds: Number of parts of a data set that is cross-validated.
        fold: Which of them is the test set; by default the data set's own, or a tenth of the rows.
        validation: Whether a tenth of what is not for testing is held out; otherwise all of it is for training.
        seed: Seed of the simulator, of the validation set, and of a test set that the data do not have; not of folds.
        limit: Rows of each set at most.

    Returns:
        Splits with the input "text" int32 (n, T), by sentences (n, S, T), and the target "label" int32 (n,).

    Raises:
        DataError: If the data cannot be read, or have too few labels or too many.
    """
    found = read_set(data, text=text, label=label, fine=fine, keep_html=keep_html, seed=seed)
    class_names = tuple(sorted(set(found.labels)))
    if len(class_names) > MOST_LABELS:
        raise DataError(f"{data} has {len(class_names):,} different labels in {label}: is that a column of classes?")
    parts = {
        name: rows[:limit]
        for name, rows in _parts(found, folds=folds, fold=fold, validation=validation, seed=seed).items()
    }
    texts = {name: [found.texts[i] for i in rows] for name, rows in parts.items()}
    labels = {name: [found.labels[i] for i in rows] for name, rows in parts.items()}
    settled, notes = settle_tokens(tokens, texts["train"])
    words = fit_words(texts["train"], size=vocab_size, length=length, tokens=settled, keep=keep)
    codec = TextClassCodec(words, class_names, sentence_length)
    sets = {name: codec.split(texts[name], labels[name]) for name in parts}
    ids = sets["train"].inputs["text"]
    longest = ((ids != PADDING).reshape(len(ids), -1).sum(1) == length).sum()
    if longest:
        notes += (f"{longest:,} of {len(texts['train']):,} training texts have {length} tokens or more: see --length.",)
    return TextSplits(
        **sets,
        sizes={"vocab_size": words.size, "num_classes": len(class_names)},
        codec=codec,
        notes=(*found.notes, *notes),
        texts=texts,
        labels=labels,
        optimum=found.optimum if fold is None and limit is None else None,
    )


def _parts(found: TextSet, *, folds: int, fold: int | None, validation: bool, seed: int) -> dict[str, np.ndarray]:
    """Returns the rows of training, validation and test set, each shuffled."""
    labels = np.array(found.labels, object).astype(str)
    everything = np.arange(len(labels))
    if fold is not None:
        # The same folds whatever the seed: only then do trainings with several seeds have the same test sets.
        test = _folds(labels, folds)[fold]
    elif found.num_test:
        test = everything[-found.num_test :]
    else:
        test = stratify(labels, shares=[HELD_OUT], seed=seed)[1]
    rest = np.setdiff1d(everything, test)
    train, held_out = (rest[rows] for rows in stratify(labels[rest], shares=[HELD_OUT], seed=seed + 1))
    if not all(map(len, (held_out, test) if validation else (rest, test))):
        names = "training, validation and test" if validation else "training and test"
        raise DataError(f"{len(labels)} texts are too few: {names} set need some of a label each.")
    rng = np.random.default_rng(seed)
    train, held_out, test = (rng.permutation(rows) for rows in (train, held_out, test))
    if not validation:
        return {"train": np.concatenate([train, held_out]), "test": test}
    return {"train": train, "validation": held_out, "test": test}


def _folds(labels: np.ndarray, folds: int) -> list[np.ndarray]:
    """Splits rows into folds with the same share of each class."""
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(order[i::folds]) for i in range(folds)]
