"""Where sentencepiece is called: pieces of texts learned, and models of them opened."""

import io
from collections.abc import Iterable
from typing import Any, Literal

LONGEST = 1_000  # characters that sentencepiece reads at once; it would leave out longer texts


def train_pieces(texts: Iterable[str], *, kind: Literal["bpe", "unigram"], size: int, **options: Any) -> bytes:
    """Learns pieces of texts as they are written, without normalizing them, with all their characters.

    Args:
        texts: The texts.
        kind: Pairs that are often together (Sennrich et al., ACL 2016), or a unigram language model (Kudo, ACL 2018).
        size: Number of pieces.
        options: Further ones of `sentencepiece.SentencePieceTrainer.train`.

    Returns:
        The model.

    Raises:
        RuntimeError: If there are not so many pieces in the texts.
    """
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text[i : i + LONGEST] for text in texts for i in range(0, len(text), LONGEST)),
        model_writer=model,
        model_type=kind,
        vocab_size=size,
        normalization_rule_name="identity",
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def open_pieces(model: bytes):
    """Returns what cuts texts by a model; ValueError if it is none."""
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        processor.vocab_size()
    except RuntimeError as error:
        raise ValueError(f"`model` is none of sentencepiece: {error}") from None
    return processor
