"""Running text: the simulated source and its entropy, what is read and refused, tokens there and back, windows."""

import math

import numpy as np
import pytest

from kerasapps.data import running_text
from kerasapps.data.grammar import entropy, mean_length, write_lines
from kerasapps.data.language import LanguageCodec, encode_content, load_language, random_windows
from kerasapps.data.running_text import read_running_text
from kerasapps.data.vocabularies import UNKNOWN, Bytes, fit_vocabulary, vocabulary_from_json
from kerasapps.errors import DataError

TEXT = "To be, or not to be:\nthat is the question.\n\n" * 20


def test_the_entropy_of_the_source_is_the_mean_surprise_of_its_text():
    lines = write_lines(4_000, seed=3)
    assert lines.nats / len(lines.text) == pytest.approx(entropy(), rel=0.01)
    assert len(lines.text) / 4_000 == pytest.approx(mean_length(), rel=0.02)
    assert lines.text.startswith(write_lines(10, seed=3).text)
    assert lines.text.count('"') % 2 == 0


def test_the_probability_of_lines_by_hand(monkeypatch):
    # 0.6 no quotation, then of each noun: 0.5 one, 1 of 4 articles, 0.6 no adjective, 1 of 16; 1 of 12 verbs.
    class Draws:
        def random(self, shape):
            return np.tile([0.9, 0.1, 0.0, 0.9, 0.0, 0.0, 0.1, 0.0, 0.9, 0.0], (shape[0], 1))

    monkeypatch.setattr("kerasapps.data.grammar.np.random.default_rng", lambda seed: Draws())
    lines = write_lines(2, seed=0)
    assert lines.text == "the cat sees the cat.\n" * 2
    assert lines.nats == pytest.approx(-2 * math.log(0.6 * (0.5 * 0.6 / 4 / 16) ** 2 / 12))


@pytest.mark.parametrize("tokens", ["characters", "bytes", "subwords", "words"])
def test_tokens_there_and_back(tokens):
    vocabulary = fit_vocabulary(TEXT, tokens=tokens, size=300)
    again = vocabulary_from_json(vocabulary.to_json())
    ids = again.encode(TEXT)
    assert ids.max() < again.size
    assert ids.min() > UNKNOWN
    assert again.decode(ids) == TEXT
    assert "".join(again.piece(int(i)) for i in ids[:40]).strip()


def test_what_was_never_seen():
    vocabulary = fit_vocabulary("aab\n", tokens="characters", size=0)
    assert vocabulary.encode("ab\nc😀").tolist() == [2, 4, 3, UNKNOWN, UNKNOWN]  # the most frequent first
    assert vocabulary.unknown("cab😀c") == "c😀"
    assert vocabulary.size == 5
    assert fit_vocabulary(TEXT, tokens="words", size=300).unknown("to fly is TO") == "fly TO"
    assert Bytes().unknown("😀") == ""


def test_a_text_of_one_character(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 2_000)
    splits = load_language(str(tmp_path / "a.txt"), context=16)
    assert splits.sizes == {"vocab_size": 3}


def test_line_ends_and_folders(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\n" * 20)
    (tmp_path / "b.txt").write_text("four " * 30)
    (tmp_path / "c.md").write_text("not read")
    text = read_running_text(str(tmp_path), as_bytes=None, seed=0)
    whole = text.train + text.validation + text.test
    assert whole == "one\ntwo\nthree\n" * 20 + "\n" + "four " * 30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "has 5 characters, and at least 100 are needed"),
        (b"", "has 0 characters"),
        ("Привет, мир. ".encode("cp1251") * 50, "line 1: the byte 0xcf is not UTF-8 text"),
        (b"a\0b" * 100, "a NUL character"),
    ],
)
def test_what_is_no_text(tmp_path, content, message):
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_running_text(str(tmp_path / "text.txt"), as_bytes=None, seed=0)


def test_invalid_bytes_are_tokens(tmp_path):
    (tmp_path / "text.bin").write_bytes(b"\xff\xfe\x00ok" * 400)
    splits = load_language(str(tmp_path / "text.bin"), tokens="bytes", context=16)
    inputs, targets = next(iter(splits.train.epochs(2, seed=0, first=0, last=1)))
    assert splits.codec.decode(inputs["text"][0].numpy()).count("ok") >= 2
    np.testing.assert_array_equal(inputs["text"][:, 1:], targets["next"][:, :-1])


def test_a_large_file_is_mapped_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(running_text, "LARGE", 1_000)
    (tmp_path / "large.txt").write_text("größe " * 1_000)
    text = read_running_text(str(tmp_path / "large.txt"), as_bytes=None, seed=0)
    assert isinstance(text.train, np.memmap)
    splits = load_language(str(tmp_path / "large.txt"), context=16)
    assert isinstance(splits.codec.vocabulary, Bytes)
    assert splits.characters < len(splits.tested)  # two letters have two bytes each
    with pytest.raises(DataError, match="more than is read at once: leave out --tokens"):
        load_language(str(tmp_path / "large.txt"), tokens="characters")


def test_a_text_shorter_than_the_context(tmp_path):
    (tmp_path / "text.txt").write_text("word " * 100)
    with pytest.raises(DataError, match=r"The validation text has 25 tokens, too few for --context 128"):
        load_language(str(tmp_path / "text.txt"))


def test_windows_differ_between_epochs_and_repeat_with_the_seed():
    split = random_windows(np.arange(1_000, dtype=np.int32), context=10)

    def starts(seed, epoch, count=1):
        batches = split.epochs(8, seed=seed, first=epoch, last=epoch + count)
        return np.concatenate([inputs["text"][:, 0].numpy() for inputs, _ in batches])

    assert len(split) == 99
    np.testing.assert_array_equal(starts(1, 0), starts(1, 0))
    assert not np.array_equal(np.sort(starts(1, 0)), np.sort(starts(1, 1)))
    seen = starts(1, 0, 30)
    assert seen.min() <= 1
    assert seen.max() == 989  # the last window ends with the text
    assert np.diff(np.sort(starts(2, 0))).max() <= 20  # all parts of the text are read in each epoch


def test_the_vocabulary_is_that_of_the_training_text(tmp_path):
    (tmp_path / "text.txt").write_text("abc " * 500 + "xyz " * 30)
    splits = load_language(str(tmp_path / "text.txt"), context=8)
    assert sorted(splits.codec.vocabulary.known) == [" ", "a", "b", "c"]
    assert any("have no token id" in note for note in splits.notes)
    assert LanguageCodec.from_json(splits.codec.to_json()) == splits.codec
    ids, characters = encode_content(splits.codec, "ab?")
    assert (ids[2], characters) == (UNKNOWN, 3)


@pytest.mark.parametrize(
    "damaged",
    [
        {"context": 0},
        {"vocabulary": {"characters": ["a", "b"]}},
        {"vocabulary": {"subwords": "AAAA"}},
        {"vocabulary": {"words": [1, 2]}},
    ],
)
def test_a_damaged_codec_is_refused(damaged):
    whole = LanguageCodec(fit_vocabulary(TEXT, tokens="characters", size=300), 8).to_json()
    with pytest.raises(ValueError, match="`"):
        LanguageCodec.from_json(whole | damaged)


def test_pieces_of_a_text_of_one_line():
    vocabulary = fit_vocabulary("to be or not to be " * 1_000, tokens="subwords", size=300)
    assert vocabulary.piece(int(vocabulary.encode("be")[-1])) != "e"
