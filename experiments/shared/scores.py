"""Scores of texts: BLEU and chrF by sacreBLEU, exact matches, tokenized BLEU as in older papers, CIDEr and ROUGE-L.

References: Vedantam et al., "CIDEr: Consensus-based Image Description Evaluation", CVPR 2015; Lin, "ROUGE: A Package
for Automatic Evaluation of Summaries", 2004.
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from kerasapps.data.words import tokenize

LONGEST, WIDTH = 4, 6.0  # of CIDEr: words of an n-gram, and the deviation of lengths that it forgives
RECALL = 1.2  # how much more than precision recall counts in ROUGE-L, as COCO's evaluation has it

Reference = str | Sequence[str]  # one text, or several of which each is right


def bleu(hypotheses: Sequence[str], references: Sequence[Reference], *, lowercase: bool = False) -> float:
    """Returns sacreBLEU of detokenized texts, tokenizer 13a."""
    return _corpus(hypotheses, references, lowercase=lowercase)[0]


def signature(*, lowercase: bool) -> str:
    """Returns the signature that tells which BLEU this is."""
    return _corpus(["a"], ["a"], lowercase=lowercase)[1]


def chrf_signature() -> str:
    """Returns the signature that tells which chrF `translation_metrics` has."""
    return _chrf(["a"], ["a"])[1]


def _chrf(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[float, str]:
    import sacrebleu

    metric = sacrebleu.CHRF()
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return score, str(metric.get_signature())


def _corpus(hypotheses: Sequence[str], references: Sequence[Reference], *, lowercase: bool) -> tuple[float, str]:
    import sacrebleu  # here, so that --help does not wait for it

    metric = sacrebleu.BLEU(lowercase=lowercase)
    several = [[one] if isinstance(one, str) else one for one in references]
    score = metric.corpus_score(list(hypotheses), [list(one) for one in zip_longest(*several)]).score
    return score, str(metric.get_signature())


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Returns BLEU of lower-case words and punctuation marks, as figures before sacreBLEU were made."""
    import sacrebleu

    cut = [[" ".join(tokenize(text, "punctuation")) for text in texts] for texts in (hypotheses, references)]
    return sacrebleu.corpus_bleu(cut[0], [cut[1]], tokenize="none", force=True).score


def translation_metrics(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Returns exact matches as a share, and BLEU and chrF in percent."""
    right = [a == b for a, b in zip(hypotheses, references, strict=True)]
    return {
        "exact_match": sum(right) / len(right),
        "bleu": bleu(hypotheses, references, lowercase=True),
        "bleu_cased": bleu(hypotheses, references),
        "bleu_tokenized": tokenized_bleu(hypotheses, references),
        "chrf": _chrf(hypotheses, references)[0],
    }


def cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Returns CIDEr-D, from 0 to 10: how alike n-grams are, the rarer the more, as COCO's evaluation has it.

    An n-gram is the rarer the fewer images have it in one of their references, so that a set of one image has 0.
    """
    cut = [[_ngrams(text) for text in own] for own in references]
    seen = Counter(gram for own in cut for gram in set().union(*own))
    rarity = {gram: math.log(len(cut)) - math.log(count) for gram, count in seen.items()}
    scores = []
    for text, own in zip(hypotheses, cut, strict=True):
        counts = _ngrams(text)
        scores.append(sum(_likeness(counts, one, rarity, math.log(len(cut))) for one in own) / len(own))
    return 10 * sum(scores) / len(scores)


def _ngrams(text: str) -> Counter:
    words = tokenize(text)
    return Counter(words[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(words) - n + 1))


def _likeness(counts: Counter, other: Counter, rarity: dict, unseen: float) -> float:
    """Returns the mean over n of the cosine of two texts' n-grams, less for other lengths and for repetitions."""
    total = 0.0
    for n in range(1, LONGEST + 1):
        a, b = (
            {gram: count * rarity.get(gram, unseen) for gram, count in one.items() if len(gram) == n}
            for one in (counts, other)
        )
        norms = [math.sqrt(sum(value**2 for value in one.values())) for one in (a, b)]
        if all(norms):
            total += sum(min(a[gram], b[gram]) * b[gram] for gram in a.keys() & b.keys()) / (norms[0] * norms[1])
    lengths = [sum(count for gram, count in one.items() if len(gram) == 1) for one in (counts, other)]
    return total / LONGEST * math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * WIDTH**2))


def rouge_l(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Returns ROUGE-L, a share: the longest common subsequence of words, with the best recall and precision."""
    scores = []
    for text, own in zip(hypotheses, references, strict=True):
        words, others = tokenize(text), [tokenize(one) for one in own]
        common = [_common(words, other) for other in others]
        precision = max((c / len(words) for c in common), default=0.0) if words else 0.0
        recall = max((c / len(other) for c, other in zip(common, others, strict=True) if other), default=0.0)
        both = recall + RECALL**2 * precision
        scores.append((1 + RECALL**2) * precision * recall / both if both else 0.0)
    return sum(scores) / len(scores)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Returns the length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = row[:]
        for j, other in enumerate(b, start=1):
            row[j] = before[j - 1] + 1 if word == other else max(before[j], row[j - 1])
    return row[-1]
