"""What a text classifier begins with: word vectors, and what `pretrain` has learned."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from kerasapps.applications import text_cnn
from kerasapps.data.vectors import Contexts, Pretrained, load_vectors
from kerasapps.data.words import WordIds
from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.pretraining import WORDS, reader_weights
from kerasapps.runs import load_model, read_config

from ..shared.runs import read_codec

PRETRAINING = "Text pretraining"  # title of a run of `pretrain`


@dataclass(frozen=True)
class Beginning:
    """Weights that a network begins with.

    Args:
        vectors: Word vectors, float32 (token ids, D).
        reader: Those of a network that reads texts, see `Pretrained`; none where only vectors are given.
    """

    vectors: np.ndarray
    reader: tuple[np.ndarray, ...] = ()

    def sizes(self, *, reads: bool) -> dict[str, int]:
        """Returns the arguments of a builder that they fix; `reads` says whether it takes a reader."""
        sizes = {"embedding_dim": self.vectors.shape[1]}
        return sizes | ({"reader_units": self.reader[0].shape[1]} if reads and self.reader else {})

    def set(self, model: keras.Model) -> None:
        """Sets the weights of a network that are given."""
        weights = {text_cnn.TRAINED: [self.vectors], text_cnn.FROZEN: [self.vectors]}
        if self.reader:
            weights |= {text_cnn.READER_WORDS: self.reader[:1], text_cnn.READER: self.reader[1:]}
        for layer in model.layers:
            if layer.name in weights:
                layer.set_weights(list(weights[layer.name]))


def load_beginning(
    source: str, words: WordIds, *, size: int, seed: int, contexts: Contexts
) -> tuple[WordIds, Beginning, str]:
    """Returns words, further ones among them, what a network of them begins with, and a sentence; see `load_vectors`.

    Raises:
        UserError: If they cannot be read, or are of words that are cut in another way.
    """
    pretrained = read_pretrained(user_path(source)) if user_path(source).is_dir() else None
    if pretrained is not None and pretrained.words.tokens != words.tokens:
        cut, wanted = (one if isinstance(one, str) else "learned" for one in (words.tokens, pretrained.words.tokens))
        raise UserError(
            f"{source} has learned from --tokens {wanted}, and the texts are cut into {cut}: give --tokens {wanted}."
        )
    words, vectors, note = load_vectors(pretrained or source, words, size=size, seed=seed, contexts=contexts)
    return words, Beginning(vectors, () if pretrained is None else pretrained.reader_of(words)), note


def read_pretrained(folder: Path) -> Pretrained:
    """Reads a run of `pretrain`.

    Raises:
        UserError: If it is none, or is damaged.
    """
    if read_config(folder).get("title") != PRETRAINING:
        raise UserError(f"{folder} is no run of pretrain, whose vectors --vectors takes.")
    words, model = read_codec(folder, WordIds), load_model(folder)
    return Pretrained(str(folder), words, model.get_layer(WORDS).get_weights()[0], tuple(reader_weights(model)))
