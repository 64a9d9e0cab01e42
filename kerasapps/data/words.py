"""Texts as tokens, in every script, and tokens as ids: the one text layer of all applications.

The same functions cut texts at training and at prediction: a codec keeps which (`WordIds.tokens`), with the words that
were learned for scripts without spaces (`kerasapps.data.segments`).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, Literal, get_args

import numpy as np

from kerasapps.data.segments import SPACELESS, Segmenter, learn_segmenter

# How texts are cut: one of these, or a segmenter.
KINDS = ("words", "punctuation", "cased", "characters", "keras")
Tokens = str | Segmenter
# What stays of a text that is too long: its beginning, its end, or half of each.
Keep = Literal["head", "tail", "both"]
# What a person asks for; "auto" looks at the texts.
GivenTokens = Literal["auto", "words", "punctuation", "cased", "characters", "learned"]

PADDING, UNKNOWN = 0, 1
# Apostrophes and hyphens of all scripts, which belong to a word only inside it.
APOSTROPHES = "\xb4\u2018\u2019\u201b\u02bc\u055a\u05f3\u2032\uff07"
HYPHENS = "\u2010\u2011\u058a\u05be\ufe63\uff0d"
# What means nothing: soft hyphens, the line that stretches Arabic words, marks of direction, byte order marks.
UNSEEN = "\xad\u0640\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
ONE_SPELLING = str.maketrans(APOSTROPHES + HYPHENS, "'" * len(APOSTROPHES) + "-" * len(HYPHENS), UNSEEN)
OTHER_SPELLING = re.compile(f"[{''.join(map(chr, ONE_SPELLING))}]")
GERSHAYIM = re.compile('(?<=[\u05d0-\u05ea])"(?=[\u05d0-\u05ea])')  # as keyboards have it, in Hebrew abbreviations
WIDTHS = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uff9f]+")  # letters of full and half width
JOINERS = "\u200c\u200d"  # inside words of Persian and of the scripts of India
WIDE = re.compile("[\U00010000-\U0010ffff]")
EMOJI = "[\u2600-\u27bf\U0001f000-\U0001faff]"
LETTER = SPACELESS.pattern
SPACES = re.compile(f"(?<={LETTER})[\\s\u200b\u0f0b]+(?={LETTER})")  # Khmer has unseen ones, Tibetan a point
FEW_SPACES = 0.1  # Thai whose words stand apart has a space for about four letters
SAMPLE = 1_000  # texts that are looked at to settle "auto"

# Full stops, exclamation and question marks of all scripts, and what may stand behind them.
FULL_STOPS = ".!\u2026\u0589\u06d4\u0964\u0965\u1362\u17d4\u3002\uff01\uff0e\uff61"
QUESTION_MARKS = "?\u037e\u055e\u061f\u1367\u1945\u203d\u2047\u2048\u2049\u2e2e\ua60f\ua6f7\ufe56\uff1f"
CLOSING = "\"'\u2019\u201d\u00bb)]\u300d\u300f\uff09"
WIDE_ENDS = "\u3002\uff01\uff1f\uff0e\uff61"  # no blank follows
ENDS = re.escape(FULL_STOPS + QUESTION_MARKS)
SENTENCE = re.compile(
    # A run of marks is tried once, from its beginning, or a million of them would take hours.
    rf"[^{WIDE_ENDS}]*?(?:(?<![{ENDS}])[{ENDS}]++[{re.escape(CLOSING)}]*+(?=\s|$)"
    rf"|[{WIDE_ENDS}]+[{re.escape(CLOSING)}]*|$)",
    re.DOTALL,
)
SHORTEST = 5  # tokens of a sentence of its own
ASCII_WORD = re.compile(r"\w+(?:['-]\w+)*", re.ASCII)
ASCII_BLANKS = {i: " " for i in range(128) if not re.match(r"\w", chr(i))}
# As Keras' TextVectorization cut texts for the codecs of older runs: ASCII alone in lower case, without these.
KERAS_DELETES = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"


def tokenize(text: str, tokens: Tokens = "words") -> tuple[str, ...]:
    """Cuts a text into tokens.

    Words are in lower case (case folded), composed (NFC) and without punctuation. Vowel signs, tones and joiners
    belong to the word they are in, apostrophes and hyphens if they are inside it, and an emoji is a word.

    Args:
        text: The text, in any script.
        tokens: "words"; "punctuation", the same with each punctuation mark as a token of its own; "cased", as that with
            upper and lower case kept; "characters", each with its marks, for texts without spaces; a segmenter, which
            cuts words of scripts without spaces further; or "keras", the words of runs from before this module, which
            were right for ASCII only.

    Example:
        >>> tokenize("Don't go, «Mary-Ann»!")
        ("don't", 'go', 'mary-ann')
        >>> tokenize("Don't go!", "punctuation")
        ("don't", 'go', '!')
    """
    if isinstance(tokens, Segmenter):
        return tokens.cut(tokenize(text))
    if tokens == "keras":
        cut = text.encode("utf-8", "replace").lower().translate(None, KERAS_DELETES).split()
        return tuple(word.decode() for word in cut)
    if tokens == "words" and text.isascii():
        if "'" in text or "-" in text:
            return tuple(ASCII_WORD.findall(text.lower()))
        return tuple(text.lower().translate(ASCII_BLANKS).split())  # the same, three times as fast
    text = fold(text, case=tokens != "cased")
    return tuple(_pattern(tokens, WIDE.search(text) is not None).findall(text))


def composed(text: str) -> str:
    """Returns a text with letters and their accents as one character each, where there is one."""
    return unicodedata.normalize("NFC", text)


def fold(text: str, *, case: bool = True) -> str:
    """Returns a text composed, with one apostrophe and one hyphen, without what is not seen, and in lower case.

    Args:
        text: The text.
        case: Whether upper case becomes lower case.
    """
    if text.isascii():
        return text.lower() if case else text
    text = composed(WIDTHS.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text))
    if case:
        # Case folding knows a composed letter, and may take it apart; the dot of a Turkish capital stays behind.
        text = composed(text.casefold()).replace("i\u0307", "i")
    if '"' in text:
        text = GERSHAYIM.sub("\u05f4", text)
    return text.translate(ONE_SPELLING) if OTHER_SPELLING.search(text) else text


@cache
def _pattern(unit: str, wide: bool) -> re.Pattern:
    """Returns the pattern of a word or a character; made once, where a text needs it.

    `wide` is for texts with characters above U+FFFF, whose sets Python's expressions search one by one.
    """
    # `\w` has no marks: without them a Hindi word ends at every vowel sign.
    codes = range(0x300, 0x1F000) if wide else range(0x300, 0x10000)
    marks = "".join(chr(i) for i in codes if unicodedata.category(chr(i))[0] == "M")
    # Gershayim and the middle dot are inside words too, of Hebrew and Catalan.
    word = rf"\w[\w{marks}]*(?:(?:[{JOINERS}]+|['\-\u05f4\xb7])\w[\w{marks}]*)*"
    character = rf"\w[{marks}]*"
    emoji = EMOJI if wide else EMOJI[:4] + "]"
    emoji = rf"{emoji}(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d{emoji})*"
    # Of punctuation alone: what is not seen is none, nor is a mark without its letter.
    marked = rf"|[^\w\s\x00-\x1f\x7f-\x9f\u200b\ufe0f{JOINERS}{marks}]" if unit in ("punctuation", "cased") else ""
    return re.compile(f"{character if unit == 'characters' else word}|{emoji}{marked}")


def split_sentences(text: str) -> list[str]:
    """Cuts a text into sentences, after a full stop, an exclamation or question mark of any script.

    A blank must follow, but not after the wide marks of Chinese and Japanese. Abbreviations end a sentence as well.

    Example:
        >>> split_sentences('It was dull. "Why?" No plot!')
        ['It was dull.', '"Why?"', 'No plot!']
    """
    return [sentence.strip() for sentence in SENTENCE.findall(text) if sentence.strip()]


def settle_tokens(tokens: GivenTokens, texts: Sequence[str]) -> tuple[Tokens, tuple[str, ...]]:
    """Returns how to cut texts, and what a person should know about it.

    Args:
        tokens: What was asked for. "learned" learns the words of scripts without spaces, and cuts texts of such scripts
            into characters where there is too little to learn from; "auto" does so with texts that are mostly of them.
        texts: The texts of the training set; the first of them show of which scripts they are.

    Returns:
        What "auto" settled on or what was asked for, and notes, a sentence each.
    """
    if tokens not in get_args(GivenTokens):
        raise ValueError(f"`tokens` must be one of {', '.join(get_args(GivenTokens))}. Received: tokens={tokens}")
    sample = [text for text in islice(texts, SAMPLE) if text.strip()]
    settled = "words" if tokens in ("auto", "learned") else tokens
    unspaced = without_spaces(sample)
    if tokens == "learned" or (tokens == "auto" and unspaced):
        learned = learn_segmenter(run for text in texts for run in tokenize(text))
        settled = learned or ("characters" if unspaced else "words")
    per_text = sum(len(tokenize(text, settled)) for text in sample) / max(1, len(sample))
    notes = [f"{per_text:.1f} {unit_of(settled)} in a text on average."]
    if settled == "characters" != tokens:
        notes.append("The texts have no spaces between words: each character is a token. `--tokens words` keeps words.")
    elif isinstance(settled, Segmenter):
        notes.append(
            "Words of scripts without spaces were learned from the texts. `--tokens characters` takes characters, "
            "`--tokens words` what is between spaces."
        )
    elif settled != "characters" and 0 < per_text < 1.5:
        notes.append("The texts have about one word each; if words are not set apart, try `--tokens characters`.")
    return settled, tuple(notes)


def unit_of(tokens: Tokens) -> str:
    """Returns what a person calls tokens of this kind."""
    if tokens in ("punctuation", "cased"):
        return "words and punctuation marks"
    return "characters" if tokens == "characters" else "words"


def between(words: Sequence[str], tokens: Tokens) -> str:
    """Returns what stands between the tokens of a text where they are shown."""
    spaceless = sum(SPACELESS.match(word) is not None for word in words)
    learned = isinstance(tokens, Segmenter) and 2 * spaceless > len(words)
    return "" if tokens == "characters" or learned else " "


def without_spaces(texts: Iterable[str]) -> bool:
    """Returns whether texts are mostly of scripts that put no spaces between words, and have hardly any."""
    texts = [text.strip() for text in texts]
    letters = sum(sum(map(str.isalnum, text)) for text in texts)
    spaceless = sum(len(SPACELESS.findall(text)) for text in texts if not text.isascii())
    # Those around words of other scripts tell nothing.
    spaces = sum(len(SPACES.findall(text)) for text in texts if not text.isascii())
    return 2 * spaceless > letters and spaces < FEW_SPACES * spaceless


class _Numbers(dict):
    """Numbers of tokens; any other token has that of the unknown one."""

    def __missing__(self, token: str) -> int:
        return UNKNOWN


@dataclass(frozen=True)
class WordIds:
    """Turns texts into token ids: 0 is padding, 1 any unknown token, then the tokens.

    Args:
        words: Tokens by id, from 2 on.
        length: Maximum number of tokens in a text.
        tokens: How texts are cut into tokens, see `tokenize`.
        keep: Which tokens of a longer text stay: its "head", its "tail", or half of "both".
    """

    words: tuple[str, ...]
    length: int
    tokens: Tokens = "words"
    keep: Keep = "head"

    @property
    def size(self) -> int:
        """Number of token ids."""
        return len(self.words) + 2

    @cached_property
    def _numbers(self) -> _Numbers:
        return _Numbers((word, i) for i, word in enumerate(self.words, start=UNKNOWN + 1))

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids int32 (n, T), padded at the end, and how many each text has (n,), at least 1."""
        number = self._numbers.__getitem__
        rows = [np.fromiter(map(number, self.cut(tokenize(text, self.tokens))), np.int32) for text in texts]
        lengths = np.array([max(1, len(row)) for row in rows], np.int32)
        ids = np.full((len(rows), int(lengths.max(initial=1))), PADDING, np.int32)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        return ids, lengths

    def encode_sentences(self, texts: Sequence[str], *, longest: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns token ids by sentences, int32 (n, S, T), padded at the end, and sentences in each text (n,).

        Args:
            texts: The texts.
            longest: Tokens of a sentence at most; a longer one goes on as the next. One of a few words joins the next,
                or a text of exclamations would make every text as many rows.
        """
        number = self._numbers.__getitem__
        rows = []
        for text in texts:
            sentences = enumerate(split_sentences(text))
            tokens = [(i, token) for i, sentence in sentences for token in tokenize(sentence, self.tokens)]
            kept: list[list[int]] = []
            for _, group in groupby(self.cut(tokens), itemgetter(0)):
                ids = [number(token) for _, token in group]
                if kept and len(kept[-1]) < min(SHORTEST, longest):
                    kept[-1] += ids
                else:
                    kept.append(ids)
            rows.append([ids[i : i + longest] for ids in kept for i in range(0, len(ids), longest)] or [[]])
        lengths = np.array([len(row) for row in rows], np.int32)
        widest = max((len(sentence) for row in rows for sentence in row), default=0)
        ids = np.full((len(rows), int(lengths.max(initial=1)), max(1, widest)), PADDING, np.int32)
        for i, row in enumerate(rows):
            for j, sentence in enumerate(row):
                ids[i, j, : len(sentence)] = sentence
        return ids, lengths

    def cut(self, tokens: Sequence[Any]) -> Sequence[Any]:
        """Returns what stays of the tokens of a text."""
        if len(tokens) <= self.length or self.keep == "head":
            return tokens[: self.length]
        tail = self.length if self.keep == "tail" else self.length // 2
        return [*tokens[: self.length - tail], *tokens[len(tokens) - tail :]]

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        tokens = tokens_to_json(self.tokens)
        return {"words": self.words, "length": self.length, "tokens": tokens, "keep": self.keep}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "WordIds":
        """Returns what `to_json` described, also in a codec from before there was a choice of tokens."""
        tokens = tokens_from_json(content.get("tokens", "keras"))
        return cls(tuple(content["words"]), int(content["length"]), tokens, content.get("keep", "head"))


def tokens_to_json(tokens: Tokens) -> Any:
    """Returns what `tokens_from_json` needs."""
    return tokens.to_json() if isinstance(tokens, Segmenter) else tokens


def tokens_from_json(content: Any) -> Tokens:
    """Returns the tokens that a codec names; ValueError if there are none such."""
    if isinstance(content, Mapping) and "segmenter" in content:
        return Segmenter.from_json(content)
    if content not in KINDS:
        raise ValueError(f"`tokens` must be {', '.join(KINDS)} or a segmenter. Received: tokens={content}")
    return content


def fit_words(
    texts: Sequence[str], *, size: int, length: int, tokens: Tokens = "words", keep: Keep = "head"
) -> WordIds:
    """Collects the most frequent tokens of texts, for at most `size` token ids; the other arguments are `WordIds`'."""
    counts: Counter[str] = Counter()
    update: Callable = counts.update
    for text in texts:
        update(tokenize(text, tokens))
    ordered = sorted(counts, key=lambda token: (counts[token], token), reverse=True)
    return WordIds(tuple(ordered[: size - UNKNOWN - 1]), length, tokens, keep)
