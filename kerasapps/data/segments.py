"""Words of scripts that put no spaces between them, learned from texts by sentencepiece.

Reference: Kudo, "Subword Regularization", ACL 2018 (the unigram language model of pieces).
"""

import base64
import itertools
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from kerasapps.data.pieces import LONGEST, open_pieces, train_pieces

# The scripts that put no spaces between words: Thai and Lao, Tibetan, Burmese, Khmer, kana, Han.
SPACELESS = re.compile("[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
# What stands between spaces, in parts of such scripts and of others.
PARTS = re.compile(f"{SPACELESS.pattern}+|[^{SPACELESS.pattern[1:-1]}]+")
ENOUGH = 100_000  # letters; from less, single letters and phrases are learned rather than words
READ = 300_000  # letters that are read, drawn at random: more of them find hardly better words and take longer
# Words grow with the root of a text's length (Heaps' law). With many more of them whole phrases would be words, and the
# same word would be written in several ways.
GROWTH = 0.5


@dataclass(frozen=True)
class Segmenter:
    """Cuts texts of scripts without spaces into learned words.

    Args:
        model: A model of sentencepiece, as bytes.
    """

    model: bytes

    @cached_property
    def _processor(self):
        return open_pieces(self.model)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(map(self._processor.id_to_piece, range(self._processor.vocab_size())))

    def cut(self, runs: Iterable[str]) -> tuple[str, ...]:
        """Cuts what stands between spaces and punctuation marks; that of other scripts stays as it is."""
        words: list[str] = []
        for run in runs:
            for part in PARTS.findall(run):
                if not SPACELESS.match(part):
                    words.append(part)
                    continue
                for piece in self._processor.encode(part, out_type=str):
                    words += [piece] if piece in self._known else piece  # unknown letters each by itself
        return tuple(words)

    def to_json(self) -> dict[str, str]:
        """Returns what `from_json` needs."""
        return {"segmenter": base64.b64encode(self.model).decode()}

    @classmethod
    def from_json(cls, content: dict[str, str]) -> "Segmenter":
        """Returns the segmenter that `to_json` described; ValueError if it is damaged."""
        model = base64.b64decode(content["segmenter"], validate=True)
        open_pieces(model)
        return cls(model)


def learn_segmenter(runs: Iterable[str]) -> Segmenter | None:
    """Learns words from what stands between spaces and punctuation marks; None where there is too little to learn from.

    Args:
        runs: Of the training texts, in any order.
    """
    parts = [part for run in runs for part in PARTS.findall(run) if SPACELESS.match(part)]
    letters = sum(map(len, parts))
    if letters < ENOUGH:
        return None
    alphabet = "".join(sorted(set().union(*parts)))
    chunks = [part[i : i + LONGEST] for part in parts for i in range(0, len(part), LONGEST)]
    # In the order of the texts every second one might be of another column.
    random.Random(0).shuffle(chunks)
    ends = itertools.accumulate(map(len, chunks))
    read = [chunk for chunk, end in zip(chunks, ends, strict=True) if end <= READ]
    size = len(alphabet) + round(GROWTH * letters**0.5)
    options = {"hard_vocab_limit": False, "add_dummy_prefix": False, "required_chars": alphabet}
    return Segmenter(train_pieces(read, kind="unigram", size=size, **options))
