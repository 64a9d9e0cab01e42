"""NB-SVM: a linear classifier over n-grams weighted by naive Bayes, what a network has to beat.

Reference: Wang and Manning, "Baselines and Bigrams", ACL 2012.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from kerasapps.data.splits import stratify
from kerasapps.data.text_classes import HELD_OUT, TextSplits
from kerasapps.data.words import Tokens, tokenize

MANY = 20_000  # texts
STRENGTHS = (0.1, 1.0, 10.0)  # inverse of the regularization; validation accuracy chooses


def nb_svm_accuracy(splits: TextSplits, *, longest: int) -> float:
    """Returns the test accuracy of NB-SVM, its regularization chosen on the validation set.

    Without one it is chosen on a tenth of the training set, and the classifier then learns from all of it.

    Args:
        splits: The data, whose whole texts are read.
        longest: Words of the longest n-grams.
    """
    sets = {
        name: (np.array(splits.texts[name], object), getattr(splits, name).targets["label"]) for name in splits.texts
    }
    given = {"tokens": splits.codec.words.tokens, "longest": longest}
    if "validation" in sets:
        accuracy = accuracies(sets, strengths=STRENGTHS, **given)
        return max(accuracy.values(), key=lambda one: one["validation"])["test"]
    texts, labels = sets["train"]
    rows, held_out = stratify(labels, shares=[HELD_OUT], seed=0)
    best = 1.0
    if len(held_out):  # there is none where a class has one text
        parts = {"train": (texts[rows], labels[rows]), "validation": (texts[held_out], labels[held_out])}
        accuracy = accuracies(parts, strengths=STRENGTHS, **given)
        best = max(STRENGTHS, key=lambda strength: accuracy[strength]["validation"])
    return accuracies(sets, strengths=[best], **given)[best]["test"]


def accuracies(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray]], *, strengths: Sequence[float], tokens: Tokens, longest: int
) -> dict[float, dict[str, float]]:
    """Returns for each strength the accuracy of NB-SVM on each set but "train", of which it learns.

    Args:
        sets: Texts and labels of each set.
        strengths: Inverses of the regularization.
        tokens: How texts become words.
        longest: Words of the longest n-grams.
    """
    count = CountVectorizer(
        analyzer=partial(ngrams, tokens=tokens, longest=longest),
        binary=True,
        min_df=least_count(len(sets["train"][0])),
        dtype=np.float32,
    )
    rows = {"train": count.fit_transform(sets["train"][0])}
    rows |= {name: count.transform(texts) for name, (texts, _) in sets.items() if name != "train"}
    truth = {name: labels for name, (_, labels) in sets.items()}
    classes = np.unique(truth["train"])
    # One classifier for each class against the others; of two classes one is enough.
    scores = {strength: {name: [] for name in sets if name != "train"} for strength in strengths}
    for one in classes[1:] if len(classes) == 2 else classes:
        positive = truth["train"] == one
        ratio = log_count_ratio(rows["train"], positive)
        weighted = {name: matrix.multiply(ratio).tocsr() for name, matrix in rows.items()}
        for strength, found in scores.items():
            # The primal form, three times as fast as the dual one on the simulator's texts, and nothing is drawn in it.
            model = LogisticRegression(C=strength, solver="liblinear", max_iter=1000)
            model.fit(weighted["train"], positive)
            for name, columns in found.items():
                columns.append(model.decision_function(weighted[name]))
    return {
        strength: {name: float((_decide(columns, classes) == truth[name]).mean()) for name, columns in found.items()}
        for strength, found in scores.items()
    }


def least_count(texts: int) -> int:
    """Returns in how many texts an n-gram must occur: of many texts, millions occur once."""
    return 2 if texts > MANY else 1


def ngrams(text: str, *, tokens: Tokens, longest: int) -> list[str]:
    """Returns the n-grams of a text, from single words on."""
    words = tokenize(text, tokens)
    return [" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


def log_count_ratio(counts, positive: np.ndarray) -> np.ndarray:
    """Returns for each n-gram the logarithm of how much more often it is in texts of the class, (n-grams,)."""
    p, q = (1 + np.asarray(counts[rows].sum(0)).ravel() for rows in (positive, ~positive))
    return np.log((p / p.sum()) / (q / q.sum()))


def _decide(columns: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """Returns the class of each row, from a score for each class, or for the second of two."""
    if len(columns) == 1:
        return classes[(columns[0] > 0).astype(int)]
    return classes[np.argmax(columns, 0)]
