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
from kerasapps.pretraining import INPUT, READER, WORDS, reader_weights
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

    @property
    def reader_units(self) -> int:
        """Width of the reader in each direction, 0 without one."""
        return self.reader[0].shape[1] if self.reader else 0

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
    check_source(source, words)
    pretrained = read_pretrained(user_path(source)) if is_run(source) else None
    words, vectors, note = load_vectors(pretrained or source, words, size=size, seed=seed, contexts=contexts)
    return words, Beginning(vectors, () if pretrained is None else pretrained.reader_of(words)), note


def is_run(source: str | None) -> bool:
    """Returns whether vectors are those of a run folder, of which one named "imdb" does not count."""
    return source not in (None, "imdb") and user_path(source).is_dir()


def check_source(source: str | None, words: WordIds) -> None:
    """Refuses a run folder that is no run of `pretrain`, or has learned words that are cut in another way.

    Raises:
        UserError: With what to do instead.
    """
    if not is_run(source):
        return
    folder = user_path(source)
    if read_config(folder).get("title") != PRETRAINING:
        raise UserError(f"{folder} is no run of pretrain, whose vectors --vectors takes.")
    learned = read_codec(folder, WordIds).tokens
    if learned != words.tokens:
        raise UserError(f"{folder} has learned from texts cut by --tokens {learned}: give the same here.")


def read_pretrained(folder: Path) -> Pretrained:
    """Reads a run of `pretrain`.

    Raises:
        UserError: If it is damaged.
    """
    words, model = read_codec(folder, WordIds), load_model(folder)
    layers = {layer.name: layer for layer in model.layers}
    if {WORDS, INPUT, READER} - layers.keys() or layers[WORDS].input_dim != words.size:
        raise UserError(f"{folder / 'model.keras'} and codec.json are not of the same network.")
    return Pretrained(str(folder), words, layers[WORDS].get_weights()[0], tuple(reader_weights(model)))
