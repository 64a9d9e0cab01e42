"""BLEU and chrF by sacreBLEU, exact matches, and the tokenized BLEU that older papers report."""

from collections.abc import Sequence

from kerasapps.data.words import tokenize


def bleu(hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False) -> float:
    """Returns sacreBLEU of detokenized texts, tokenizer 13a."""
    return _corpus(hypotheses, references, lowercase=lowercase)[0]


def signature(*, lowercase: bool) -> str:
    """Returns the signature that tells which BLEU this is."""
    return _corpus(["a"], ["a"], lowercase=lowercase)[1]


def _corpus(hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool) -> tuple[float, str]:
    import sacrebleu  # here, so that --help does not wait for it

    metric = sacrebleu.BLEU(lowercase=lowercase)
    score = metric.corpus_score(list(hypotheses), [list(references)]).score
    return score, str(metric.get_signature())


def tokenized_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Returns BLEU of lower-case words and punctuation marks, as figures before sacreBLEU were made."""
    import sacrebleu

    cut = [[" ".join(tokenize(text, "punctuation")) for text in texts] for texts in (hypotheses, references)]
    return sacrebleu.corpus_bleu(cut[0], [cut[1]], tokenize="none", force=True).score


def translation_metrics(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Returns exact matches as a share, and BLEU and chrF in percent."""
    import sacrebleu

    right = [a == b for a, b in zip(hypotheses, references, strict=True)]
    return {
        "exact_match": sum(right) / len(right),
        "bleu": bleu(hypotheses, references, lowercase=True),
        "bleu_cased": bleu(hypotheses, references),
        "bleu_tokenized": tokenized_bleu(hypotheses, references),
        "chrf": sacrebleu.corpus_chrf(list(hypotheses), [list(references)]).score,
    }
