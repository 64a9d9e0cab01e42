"""Word vectors from files, or learned from texts without labels.

References: Mikolov et al., "Distributed Representations of Words and Phrases", NeurIPS 2013 (word2vec); Pennington et
al., "GloVe", EMNLP 2014; Bojanowski et al., "Enriching Word Vectors with Subword Information", TACL 2017 (fastText);
Levy, Goldberg and Dagan, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", TACL 2015.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kerasapps.data.text_sets import clean, read_imdb
from kerasapps.data.words import UNKNOWN, Tokens, WordIds, tokenize
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

SPREAD = 0.25  # of words without a vector, uniform in +-, about that of word2vec's vectors (Kim 2014)
LEARNED_SIZE = 300
WINDOW = 5  # words to each side that count as neighbors
SMOOTHING = 0.75  # exponent of the neighbors' frequencies: rare ones would seem to tell too much
LONGEST_WORD = 1_000  # bytes


def load_vectors(source: str, words: Sequence[str], *, seed: int, tokens: Tokens = "words") -> tuple[np.ndarray, str]:
    """Returns a vector for every token id, and how many words have one of their own.

    Args:
        source: A file in the text or the binary format of word2vec, of GloVe, or of fastText (.vec); or "imdb", for
            vectors that are learned from these reviews.
        words: Words by token id, from 2 on.
        seed: Seed of the vectors of other words.
        tokens: How texts are cut that vectors are learned from, see `kerasapps.data.words.tokenize`.

    Returns:
        Vectors float32 (words + 2, D), and a sentence.

    Raises:
        DataError: If the file cannot be read, is cut off, or its vectors are not of one width.
    """
    numbers = {word: i for i, word in enumerate(words, start=UNKNOWN + 1)}
    if source == "imdb":
        found = learn_vectors(clean(read_imdb().texts), words, tokens=tokens)
    else:
        found = {word: vector for word, vector in read_vectors(user_path(source)) if word in numbers}
    if not found:
        raise DataError(f"{source} has a vector for none of the {len(words):,} words of the training texts.")
    width = len(next(iter(found.values())))
    vectors = np.random.default_rng(seed).uniform(-SPREAD, SPREAD, (len(words) + 2, width)).astype(np.float32)
    for word, vector in found.items():
        vectors[numbers[word]] = vector
    note = f"{len(found):,} of {len(words):,} words ({len(found) / len(words):.0%}) have vectors of {width} numbers."
    return vectors, note


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
    texts: Sequence[str], words: Sequence[str], *, size: int = LEARNED_SIZE, tokens: Tokens = "words"
) -> dict[str, np.ndarray]:
    """Learns word vectors from how often words are near each other.

    The positive pointwise mutual information of words and their neighbors, as a matrix, is reduced to its largest
    singular vectors. What all words have in common is taken away, and all vectors are made equally long: as they come,
    the frequent words have the longest.

    Args:
        texts: The texts.
        words: Words to learn vectors for; they are each other's neighbors.
        size: Length of a vector.
        tokens: How the texts are cut, see `kerasapps.data.words.tokenize`.

    Returns:
        Word to vector float32 (size,), for those that occur.
    """
    import scipy.sparse
    from sklearn.utils.extmath import randomized_svd

    ids = WordIds(tuple(words), length=1 << 30)
    number = {word: i for i, word in enumerate(ids.words)}
    gap = np.full(WINDOW, -1, np.int32)  # no word is near one of another text
    parts = []
    for text in texts:
        parts += [np.fromiter((number.get(token, -1) for token in tokenize(text, tokens)), np.int32), gap]
    sequence = np.concatenate(parts)
    shape = (len(words), len(words))
    counts = scipy.sparse.csr_matrix(shape, dtype=np.float32)
    for distance in range(1, WINDOW + 1):
        left, right = sequence[:-distance], sequence[distance:]
        both = (left >= 0) & (right >= 0)
        weight = np.full(both.sum(), 1 / distance, np.float32)  # nearer ones count more
        counts += scipy.sparse.coo_matrix((weight, (left[both], right[both])), shape).tocsr()
    counts = (counts + counts.T).tocoo()
    of_word = np.asarray(counts.sum(1)).ravel()
    of_neighbor = of_word**SMOOTHING
    of_neighbor /= of_neighbor.sum()
    information = np.log(counts.data / (of_word[counts.row] * of_neighbor[counts.col]))
    kept = information > 0
    matrix = scipy.sparse.csr_matrix((information[kept], (counts.row[kept], counts.col[kept])), shape)
    size = min(size, len(words) - 1)
    if size < 1 or not kept.any():
        return {}
    u, s, _ = randomized_svd(matrix, size, n_iter=2, random_state=0)
    there = of_word > 0
    vectors = (u * np.sqrt(s)).astype(np.float32)[there]
    vectors -= vectors.mean(0)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    vectors *= SPREAD * np.sqrt(size / 3)  # as long as those of other words
    return dict(zip(np.array(words, object)[there].tolist(), vectors, strict=True))
