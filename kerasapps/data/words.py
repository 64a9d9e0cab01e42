"""Words as token ids: 0 is padding, 1 any unknown word, then the words from the most frequent on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np


@dataclass(frozen=True)
class WordIds:
    """Turns texts into token ids.

    Args:
        words: Words by token id, from 2 on.
        length: Maximum number of tokens in a text.
    """

    words: tuple[str, ...]
    length: int

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self.words) + 2

    @cached_property
    def _vectorize(self) -> keras.layers.TextVectorization:
        return keras.layers.TextVectorization(vocabulary=list(self.words), ragged=True)

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids int32 (n, T), padded at the end, and how many each text has (n,), at least 1."""
        ragged = self._vectorize(np.array(texts, object))
        lengths = np.clip(ragged.row_lengths().numpy(), 1, self.length).astype(np.int32)
        return ragged.to_tensor(shape=(None, max(1, int(lengths.max())))).numpy().astype(np.int32), lengths


def fit_words(texts: Sequence[str], *, size: int, length: int) -> WordIds:
    """Collects the most frequent words of texts, for at most `size` token ids."""
    vectorize = keras.layers.TextVectorization(max_tokens=size, ragged=True)
    vectorize.adapt(np.array(texts, object))
    return WordIds(tuple(vectorize.get_vocabulary(include_special_tokens=False)), length)
