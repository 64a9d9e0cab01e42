"""Word vectors from files, or learned from texts without labels.

References: Mikolov et al., "Distributed Representations of Words and Phrases", NeurIPS 2013 (word2vec); Pennington et
al., "GloVe", EMNLP 2014; Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017 (fastText);
Levy, Goldberg and Dagan, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 2015;
Schütze, "Distributional Part-of-Speech Tagging", EACL 1995 (contexts by their place).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np

from kerasapps.data.text_sets import clean, read_imdb
from kerasapps.data.words import PADDING, UNKNOWN, Tokens, WordIds, tokenize
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

SPREAD = 0.25  # of words without a vector, uniform in +-, about that of word2vec's vectors (Kim 2014)
NEAR = 5  # words to each side that count as neighbors, whatever their place
PLACES = 2  # words to each side that count by their place
Contexts = Literal["near", "places", "both"]
LEARNED_SIZE: dict[Contexts, int] = {"near": 300, "places": 300, "both": 500}
FEWEST = 5  # times that a further word is in the texts: a rarer one's vector would be chance
SMOOTHING = 0.75  # exponent of the contexts' frequencies: rare ones would seem to tell too much
LONGEST_WORD = 1_000  # bytes


@dataclass(frozen=True)
class Pretrained:
    """What was learned from texts without labels.

    Args:
        name: Where it comes from, for people.
        words: Its words, the most frequent first.
        table: Word vectors, float32 (token ids, D).
        reader: Of a network that reads texts, what it makes of each id, float32 (token ids, U), and its other weights.
    """

    name: str
    words: WordIds
    table: np.ndarray
    reader: tuple[np.ndarray, ...]

    def vectors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the words with their vectors, float32 (D,)."""
        return zip(self.words.words, self.table[UNKNOWN + 1 :], strict=True)

    def reader_of(self, words: WordIds) -> tuple[np.ndarray, ...]:
        """Returns the weights of the reader for other token ids; to it, words that it does not have are unknown."""
        number = {word: i for i, word in enumerate(self.words.words, start=UNKNOWN + 1)}
        ids = [PADDING, UNKNOWN, *(number.get(word, UNKNOWN) for word in words.words)]
        return self.reader[0][ids], *self.reader[1:]


def load_vectors(
    source: str | Pretrained, words: WordIds, *, size: int, seed: int, contexts: Contexts = "near"
) -> tuple[WordIds, np.ndarray, str]:
    """Returns words, those of a training set and further ones that have vectors, with a vector for every token id.

    A text may hold words that no training text did; with a vector the network can make something of them.

    Args:
        source: A file in the text or the binary format of word2vec, of GloVe, or of fastText (.vec); "imdb", for
            vectors that are learned from these reviews; or words that have vectors already.
        words: The words of the training texts.
        size: Token ids at most; those that `words` leave go to the first further words of the file, or to the most
            frequent ones of the reviews.
        seed: Seed of the vectors of words that have none. Padding and the unknown word have zeros: where no training
            text has an unknown word, a network cannot learn what to make of other numbers.
        contexts: What vectors are learned from, see `learn_vectors`.

    Returns:
        `words`, the further ones behind them; vectors float32 (token ids, D); and a sentence.

    Raises:
        DataError: If the file cannot be read, is cut off, or its vectors are not of one width.
    """
    room = max(0, size - words.size)
    if source == "imdb":
        texts = clean(read_imdb().texts)
        found = learn_vectors(texts, words.words, further=room, contexts=contexts, tokens=words.tokens)
    else:
        given = source.vectors() if isinstance(source, Pretrained) else read_vectors(user_path(source))
        found = _wanted(given, words, room)
    known = set(words.words)
    further = tuple(word for word in found if word not in known)
    own = len(found) - len(further)
    if not own:
        name = source.name if isinstance(source, Pretrained) else source
        raise DataError(f"{name} has a vector for none of the {len(known):,} words of the training texts.")
    width = len(next(iter(found.values())))
    vectors = np.random.default_rng(seed).uniform(-SPREAD, SPREAD, (words.size, width)).astype(np.float32)
    vectors[[PADDING, UNKNOWN]] = 0
    for i, word in enumerate(words.words, start=UNKNOWN + 1):
        vectors[i] = found.get(word, vectors[i])
    others = np.array([found[word] for word in further], np.float32).reshape(-1, width)
    note = f"{own:,} of {len(known):,} words ({own / len(known):.0%}) have vectors of {width} numbers"
    note += f", and so have {len(further):,} further ones." if further else "."
    return replace(words, words=(*words.words, *further)), np.concatenate([vectors, others]), note


def _wanted(vectors: Iterator[tuple[str, np.ndarray]], words: WordIds, room: int) -> dict[str, np.ndarray]:
    """Returns the vectors of words, and of so many others that a text can hold, the first ones."""
    known, found = set(words.words), {}
    for word, vector in vectors:
        if word not in known and word not in found:
            if not room or tokenize(word, words.tokens) != (word,):
                continue
            room -= 1
        found[word] = vector
    return found


def read_vectors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the words of a file with their vectors float32 (D,), one after the other: such files are large.

    Raises:
        DataError: If it cannot be read, is cut off, or its vectors are not of one width.
    """
    try:
        with regular_file(path).open("rb") as file:
            first = file.readline(1_000_000)
            header = first.split()
            if len(header) == 2 and all(part.isdigit() for part in header):
                count, width = map(int, header)
                start = file.tell()
                if _is_binary(file.read(4 * width + LONGEST_WORD)):
                    file.seek(start)
                    yield from _read_binary(file, path, count=count, width=width)
                    return
                file.seek(start)
                yield from _read_lines(file, path, line=2, count=count, width=width)
            else:
                file.seek(0)
                yield from _read_lines(file, path, line=1, count=None, width=len(header) - 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None


def _is_binary(start: bytes) -> bool:
    """Returns whether vectors are stored as they lie in memory: as text they have no control characters."""
    return any(byte < 9 or 13 < byte < 32 for byte in start)


def _read_lines(file, path: Path, *, line: int, count: int | None, width: int) -> Iterator[tuple[str, np.ndarray]]:
    read = 0
    for i, content in enumerate(file, start=line):
        # From the end: in some files words contain blanks.
        parts = content.rstrip().rsplit(b" ", width)
        try:
            if len(parts) != width + 1 or width < 2:
                raise ValueError
            yield parts[0].decode("utf-8", "replace"), np.array(parts[1:], np.float32)
        except ValueError:
            raise DataError(f"{path}, line {i}: not a word and {width} numbers, as in the lines before.") from None
        read += 1
    if count is not None and read < count:
        raise DataError(f"{path} is cut off: it has {read:,} of {count:,} vectors.")


def _read_binary(file, path: Path, *, count: int, width: int) -> Iterator[tuple[str, np.ndarray]]:
    for i in range(count):
        word = bytearray()
        while len(word) < LONGEST_WORD:
            byte = file.read(1)
            if byte in (b" ", b""):
                break
            word += byte
        content = file.read(4 * width)
        if len(content) < 4 * width:
            raise DataError(f"{path} is cut off: it has {i:,} of {count:,} vectors.")
        yield word.strip().decode("utf-8", "replace"), np.frombuffer(content, "<f4")


def learn_vectors(
    texts: Sequence[str],
    words: Sequence[str],
    *,
    further: int = 0,
    size: int | None = None,
    contexts: Contexts = "near",
    tokens: Tokens = "words",
) -> dict[str, np.ndarray]:
    """Learns word vectors from the company that words keep.

    The positive pointwise mutual information of words and their contexts, as a matrix, is reduced to its largest
    singular vectors. What all words have in common is taken away, and all vectors are made equally long: as they come,
    the frequent words have the longest.

    Args:
        texts: The texts.
        words: Words to learn vectors for; they are each other's contexts.
        further: How many more words of the texts are taken in, the most frequent first; none that is rare.
        size: Length of a vector, at most one less than words, or twice that for both contexts; even for these. By
            default 300, and 500 for both.
        contexts: What counts as a context: a word up to five words away, which tells what texts with a word are about
            ("near"), or one in a certain place, two words before a word to two after it, which tells what can stand in
            its stead ("places"); "both" learns half of a vector from each.
        tokens: How the texts are cut, see `kerasapps.data.words.tokenize`.

    Returns:
        Word to vector float32 (size,), for those with a context; with both, zeros in the half for which it has none.

    Example:
        >>> vectors = learn_vectors(reviews, ["good", "great", "bad"], contexts="places")
    """
    counted = {"near": [_near], "places": [_places], "both": [_near, _places]}[contexts]
    sequence, words = _sequence(texts, words, further, tokens)
    size = min((size or LEARNED_SIZE[contexts]) // len(counted), len(words) - 1)
    if size < 1:
        return {}
    vectors = np.concatenate([_reduced(pairs(sequence, len(words)), size) for pairs in counted], 1)
    there = vectors.any(1)
    return dict(zip(np.array(words, object)[there].tolist(), vectors[there], strict=True))


def _sequence(
    texts: Sequence[str], words: Sequence[str], further: int, tokens: Tokens
) -> tuple[np.ndarray, Sequence[str]]:
    """Returns the words of all texts by number, int32, -1 for others; and the words, with the further ones."""
    number: dict[str, int] = defaultdict(count().__next__)
    wanted = [number[word] for word in words]
    gap = np.full(max(NEAR, PLACES), -1, np.int32)  # no word is near one of another text
    parts = [gap]
    for text in texts:
        parts += [np.fromiter(map(number.__getitem__, tokenize(text, tokens)), np.int32), gap]
    sequence = np.concatenate(parts)
    often = np.bincount(sequence[sequence >= 0], minlength=len(number))
    often[wanted] = 0
    others = np.argsort(-often, kind="stable")[:further]
    others = others[often[others] >= FEWEST]
    renumbered = np.full(len(number) + 1, -1, np.int32)  # the last one is that of a gap
    renumbered[[*wanted, *others]] = np.arange(len(wanted) + len(others))
    every = list(number)
    return renumbered[sequence], [*words, *(every[i] for i in others)]


def _near(sequence: np.ndarray, words: int):
    """Counts the neighbors of words whatever their place, as a sparse matrix (words, words)."""
    # Nearer ones count more.
    counts = sum(_pairs(sequence, distance, words) / np.float32(distance) for distance in range(1, NEAR + 1))
    return counts + counts.T


def _places(sequence: np.ndarray, words: int):
    """Counts the neighbors of words at each place, as a sparse matrix (words, places * words)."""
    import scipy.sparse

    after = [_pairs(sequence, distance, words) for distance in range(1, PLACES + 1)]
    return scipy.sparse.hstack([*after, *(counts.T for counts in after)])


def _pairs(sequence: np.ndarray, distance: int, words: int):
    """Counts which word is how often so far behind which, as a sparse matrix float32 (words, words)."""
    import scipy.sparse

    left, right = sequence[:-distance], sequence[distance:]
    both = (left >= 0) & (right >= 0)
    ones = np.ones(both.sum(), np.float32)
    return scipy.sparse.coo_matrix((ones, (left[both], right[both])), (words, words)).tocsr()


def _reduced(counts, size: int) -> np.ndarray:
    """Returns vectors float32 (words, size) of words by their contexts; zeros for words without any."""
    import scipy.sparse
    from sklearn.utils.extmath import randomized_svd

    counts = counts.tocoo()
    vectors = np.zeros((counts.shape[0], size), np.float32)
    if not counts.nnz:
        return vectors
    of_word, of_context = (np.asarray(counts.sum(axis)).ravel() for axis in (1, 0))
    of_context = of_context**SMOOTHING
    information = np.log(counts.data / (of_word[counts.row] * (of_context / of_context.sum())[counts.col]))
    kept = information > 0
    matrix = scipy.sparse.csr_matrix((information[kept], (counts.row[kept], counts.col[kept])), counts.shape)
    u, s, _ = randomized_svd(matrix, size, n_iter=2, random_state=0)
    there = of_word > 0
    vectors[there] = (u * np.sqrt(s))[there]
    vectors[there] -= vectors[there].mean(0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors * np.float32(SPREAD * np.sqrt(size / 3))  # as long as those of other words
