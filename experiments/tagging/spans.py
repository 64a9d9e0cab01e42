"""Names that several words make up, as tags with B- and I- mark them, and how many are found: what conlleval counts.

Reference: Tjong Kim Sang and Buchholz, "Introduction to the CoNLL-2000 Shared Task: Chunking", 2000.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

MARKED = re.compile(r"O|[BIES](-.+)?")  # E and S: ends and single words, in schemes with both


class Span(NamedTuple):
    """A name.

    Args:
        kind: Its kind, such as PER.
        first: Its first step.
        end: The step after its last one.
    """

    kind: str
    first: int
    end: int


def are_marked(tags: Iterable[str]) -> bool:
    """Returns whether tags mark spans: all are O or begin with B-, I-, E- or S-, and not all are O."""
    tags = set(tags)
    return bool(tags - {"O"}) and all(MARKED.fullmatch(tag) for tag in tags)


def spans_of(tags: Sequence[str]) -> set[Span]:
    """Returns the spans of a sequence.

    A span begins at B or S, at another kind, and at I or E after O or after an end: a network may forget a B, and data
    of 2003 have none but between neighbors of one kind.

    Example:
        >>> spans_of(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]) == {("PER", 0, 2), ("LOC", 3, 4), ("LOC", 4, 5)}
        True
    """
    spans, first, before, kind = set(), 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        mark, _, name = tag.partition("-")
        continued = before in ("B", "I") and mark in ("I", "E") and name == kind
        if before != "O" and not continued:
            spans.add(Span(kind, first, i))
        if not continued:
            first = i
        before, kind = mark, name
    return spans


def span_scores(
    truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, tuple[float, float, float, int]]:
    """Returns precision, recall, F1 and the number of true spans, of each kind and of all ("").

    A span is found if its kind and both ends are right.
    """
    counts = {name: Counter() for name in ("true", "predicted", "found")}
    for of_truth, of_prediction in zip(truth, predicted, strict=True):
        sets = {"true": spans_of(of_truth), "predicted": spans_of(of_prediction)}
        sets["found"] = sets["true"] & sets["predicted"]
        for name, spans in sets.items():
            counts[name].update(span.kind for span in spans)
    for count in counts.values():
        count[""] = count.total()
    scores = {}
    for kind in sorted(counts["true"].keys() | counts["predicted"].keys()):
        true, guessed, found = (counts[name][kind] for name in ("true", "predicted", "found"))
        precision, recall = found / max(guessed, 1), found / max(true, 1)
        scores[kind] = (precision, recall, 2 * found / max(true + guessed, 1), true)
    return scores
