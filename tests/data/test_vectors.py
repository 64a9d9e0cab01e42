"""Word vectors: files of three formats, damage to them, and vectors learned from texts."""

from types import SimpleNamespace

import numpy as np
import pytest

from kerasapps.data import vectors as module
from kerasapps.data.vectors import Pretrained, learn_vectors, load_vectors, read_vectors
from kerasapps.data.words import WordIds
from kerasapps.errors import DataError


def words_of(*words: str) -> WordIds:
    return WordIds(words, length=9)


WORDS = {"cat": [1.0, 2.0, 3.0], "né": [0.5, -0.25, 0.0], "new york": [9.0, 8.0, 7.0]}


def as_text(*, header: bool) -> bytes:
    lines = [f"{len(WORDS)} 3"] * header + [f"{word} {' '.join(map(str, vector))}" for word, vector in WORDS.items()]
    return "\n".join(lines).encode()


def as_binary(*, newlines: bool) -> bytes:
    vectors = [
        f"{word} ".replace("new york", "new_york").encode() + np.array(v, "<f4").tobytes() for word, v in WORDS.items()
    ]
    return f"{len(WORDS)} 3\n".encode() + (b"\n" if newlines else b"").join(vectors)


@pytest.mark.parametrize("header", [False, True])
def test_text(tmp_path, header):
    (tmp_path / "v.vec").write_bytes(as_text(header=header))
    found = {word: vector.tolist() for word, vector in read_vectors(tmp_path / "v.vec")}
    assert found == WORDS


@pytest.mark.parametrize("newlines", [False, True])
def test_binary(tmp_path, newlines):
    (tmp_path / "v.bin").write_bytes(as_binary(newlines=newlines))
    found = {word.replace("_", " "): vector.tolist() for word, vector in read_vectors(tmp_path / "v.bin")}
    assert found == WORDS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (as_text(header=True)[:-12], "line 4: not a word and 3 numbers"),
        (as_text(header=True).rsplit(b"\n", 1)[0], "is cut off: it has 2 of 3 vectors"),
        (as_binary(newlines=False)[:-3], "is cut off: it has 2 of 3 vectors"),
        (b"cat 1 2 3\ndog 1 2\n", "line 2: not a word and 3 numbers"),
        (b"cat one two\n", "line 1: not a word and 2 numbers"),
        (b"hello\n", "line 1: not a word"),
        (b"", "has a vector for none of the 2 words"),
    ],
)
def test_damage(tmp_path, content, said):
    (tmp_path / "v.vec").write_bytes(content)
    with pytest.raises(DataError, match=said):
        load_vectors(str(tmp_path / "v.vec"), words_of("cat", "dog"), size=9, seed=0)


def test_words_without_a_vector_start_at_random(tmp_path):
    (tmp_path / "v.vec").write_bytes(as_text(header=True))
    words, vectors, note = load_vectors(str(tmp_path / "v.vec"), words_of("dog", "cat"), size=4, seed=0)
    assert words == words_of("dog", "cat")
    assert vectors.shape == (4, 3)
    assert vectors[3].tolist() == WORDS["cat"]
    assert 0 < np.abs(vectors[2]).max() <= 0.25
    assert not vectors[:2].any()  # what a network never saw in training says nothing
    assert note == "1 of 2 words (50%) have vectors of 3 numbers."
    with pytest.raises(DataError, match=r"cannot be read|is not a"):
        load_vectors(str(tmp_path / "nowhere.vec"), words_of("cat"), size=9, seed=0)


def test_what_was_learned_before_is_put_in_the_order_of_the_words():
    table = np.arange(10, dtype=np.float32).reshape(5, 2)
    reader = np.arange(15, dtype=np.float32).reshape(5, 3), np.ones(4, np.float32)
    pretrained = Pretrained("runs/reviews", words_of("cat", "dog", "owl"), table, reader)
    words, vectors, note = load_vectors(pretrained, words_of("ape", "owl"), size=5, seed=0)
    assert words == words_of("ape", "owl", "cat")
    assert vectors[3:].tolist() == [[8, 9], [4, 5]]
    assert note == "1 of 2 words (50%) have vectors of 2 numbers, and so have 1 further ones."
    inputs, weight = pretrained.reader_of(words)
    assert inputs[:, 0].tolist() == [0, 3, 3, 12, 6]  # padding, unknown, ape as unknown, owl, cat
    assert weight is reader[1]
    with pytest.raises(DataError, match="runs/reviews has a vector for none of the 1 words"):
        load_vectors(pretrained, words_of("ape"), size=9, seed=0)


def test_ids_that_are_left_go_to_further_words_of_a_file(tmp_path):
    (tmp_path / "v.vec").write_bytes(b"dog 1 2\nNew_York! 3 4\nowl 5 6\ncat 7 8\nemu 9 9\n")
    words, vectors, note = load_vectors(str(tmp_path / "v.vec"), words_of("cat", "ape"), size=6, seed=0)
    # The first that a text can hold: it would be cut at the exclamation mark.
    assert words == words_of("cat", "ape", "dog", "owl")
    assert vectors[[2, 4, 5]].tolist() == [[7, 8], [1, 2], [5, 6]]
    assert note == "1 of 2 words (50%) have vectors of 2 numbers, and so have 2 further ones."
    with pytest.raises(DataError, match="for none of the 1 words of the training texts"):
        load_vectors(str(tmp_path / "v.vec"), words_of("fox"), size=6, seed=0)


def test_the_first_of_further_words_counts_and_none_where_there_is_no_room(tmp_path):
    (tmp_path / "v.vec").write_bytes(b"cat 1 2\nowl 3 4\nemu 5 6\ncat 7 8\n")
    for size, further in ((3, ()), (1, ()), (4, ("owl",)), (9, ("owl", "emu"))):
        words, vectors, _ = load_vectors(str(tmp_path / "v.vec"), words_of("cat"), size=size, seed=0)
        assert words.words == ("cat", *further)
        assert vectors[2:].tolist() == [[7, 8], [3, 4], [5, 6]][: 1 + len(further)]


def test_vectors_of_the_reviews(monkeypatch):
    reviews = ["Red apple", "green apple"] * 9 + ["red Pear", "green Pear"] * 6
    monkeypatch.setattr(module, "read_imdb", lambda: SimpleNamespace(texts=reviews))
    given = WordIds(("red", "green", "blue"), length=9, tokens="cased")
    words, vectors, note = load_vectors("imdb", given, size=7, seed=0, contexts="places")
    assert words.words == ("red", "green", "blue", "apple", "Pear")
    expected = learn_vectors(reviews, given.words, further=2, contexts="places", tokens="cased")
    for word in ("red", "apple", "Pear"):
        np.testing.assert_allclose(vectors[2 + words.words.index(word)], expected[word], atol=1e-6)
    assert note.startswith("2 of 3 words (67%) have vectors of ")
    assert note.endswith(", and so have 2 further ones.")


def test_further_words_are_the_most_frequent_ones_of_the_texts():
    texts = ["red apple", "green apple"] * 9 + ["red pear", "green pear"] * 6 + ["red fig", "green fig"] * 2
    vectors = learn_vectors(texts, ["red", "green"], further=9, size=2)
    assert set(vectors) == {"red", "green", "apple", "pear"}  # figs are too rare
    assert set(learn_vectors(texts, ["red", "pear"], further=1, size=2)) == {"red", "pear", "apple"}
    # They are contexts as well: they alone tell that the two colors are alike.
    assert vectors["red"] @ vectors["green"] > 0 > vectors["red"] @ vectors["apple"]


def test_words_in_the_same_company_have_similar_vectors():
    rng = np.random.default_rng(0)
    fruit, tools = ["apple", "pear", "plum"], ["hammer", "saw", "drill"]
    frames = {"eat": fruit, "peel": fruit, "swing": tools, "sharpen": tools}
    texts = [f"{verb} {rng.choice(frames[verb])}" for verb in rng.choice(list(frames), 2000)]
    words = sorted({word for text in texts for word in text.split()})
    vectors = learn_vectors(texts, [*words, "absent"], size=4)
    assert "absent" not in vectors

    def similarity(a, b):
        return vectors[a] @ vectors[b] / np.linalg.norm(vectors[a]) / np.linalg.norm(vectors[b])

    assert min(similarity("apple", "pear"), similarity("saw", "drill")) > 0.9
    assert max(similarity("apple", "saw"), similarity("plum", "hammer")) < 0.5


def test_places_tell_what_can_stand_in_a_word_s_stead():
    rng = np.random.default_rng(0)
    people, things, verbs = ["ann", "ben", "cem"], ["nut", "pie", "egg"], ["eat", "own"]
    texts = [f"{rng.choice(people)} {rng.choice(verbs)}" for _ in range(999)]
    texts += [f"{rng.choice(verbs)} {rng.choice(things)}" for _ in range(999)]
    words = [*people, *things, *verbs]
    vectors = {contexts: learn_vectors(texts, words, size=4, contexts=contexts) for contexts in ("near", "places")}

    def similarity(contexts, a, b):
        a, b = vectors[contexts][a], vectors[contexts][b]
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    # People and things are near the same words, which stand behind the ones and before the others.
    assert similarity("near", "ann", "nut") > 0.9
    assert similarity("places", "ann", "cem") > 0.9 > 0 > similarity("places", "ann", "nut")


def test_both_contexts_share_a_vector():
    texts = ["red apple", "green apple", "red pear", "green pear"] * 9
    words = ["red", "green", "apple", "pear"]
    both = learn_vectors(texts, words, size=4, contexts="both")
    halves = [learn_vectors(texts, words, size=2, contexts=contexts) for contexts in ("near", "places")]
    for word in words:
        np.testing.assert_allclose(both[word], np.concatenate([half[word] for half in halves]), atol=1e-5)
    assert learn_vectors(["red apple"], ["red"], contexts="both") == {}
    assert learn_vectors([], words) == {}
