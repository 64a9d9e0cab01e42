"""Texts and their translations: the market's grammar, subwords, what people's files hold, batches by tokens."""

import gzip

import numpy as np
import pytest

from kerasapps.data.market import english_number, german_number, write_market
from kerasapps.data.pairs import read_pairs
from kerasapps.data.splits import Split
from kerasapps.data.subwords import fit_pieces, pieces_from_json
from kerasapps.data.translation import load_pairs, share_of_padding
from kerasapps.errors import DataError


def test_numbers_in_words():
    assert [german_number(i) for i in (1, 16, 17, 20, 21, 100, 101, 716, 999)] == [
        "eins",
        "sechzehn",
        "siebzehn",
        "zwanzig",
        "einundzwanzig",
        "einhundert",
        "einhunderteins",
        "siebenhundertsechzehn",
        "neunhundertneunundneunzig",
    ]
    assert [english_number(i) for i in (7, 20, 41, 100, 105)] == [
        "seven",
        "twenty",
        "forty one",
        "one hundred",
        "one hundred and five",
    ]
    for number in (english_number, german_number):
        assert len({number(i) for i in range(1, 1000)}) == 999


def test_the_market_is_the_same_for_a_seed_and_has_one_translation_each():
    pairs = write_market(300, seed=3)
    assert pairs[:100] == write_market(100, seed=3)
    assert len({a for a, _ in pairs}) == 300
    for english, german in pairs:
        ends = ("verkauft.", "verkaufen.", "gegeben.", "geben.", "gezeigt.", "zeigen.")
        ends += ("gebracht.", "bringen.", "geschickt.", "schicken.")
        assert german.endswith(ends)
        # After a date the verb comes first.
        assert german.startswith("Am ") == english.startswith("On the")
        assert not german.startswith("Am ") or german.split()[3] in ("hat", "wird")


@pytest.mark.parametrize("kind", ["subwords", "words"])
def test_pieces_there_and_back(kind):
    texts = [text for pair in write_market(200, seed=0) for text in pair]
    pieces = pieces_from_json(fit_pieces(texts, kind=kind, size=900).to_json())
    assert pieces.size <= 900
    assert pieces.decode(pieces.encode(texts)) == texts
    odd = "Grüße  😀, x\u200dy"
    if kind == "subwords":
        assert pieces.decode(pieces.encode([odd, "", "zyx"])) == [odd, "", "zyx"]
    else:
        assert pieces.encode(["zyx"]) == [[1]]


def test_two_vocabularies_or_one():
    apart, joint = (load_pairs(vocab_size=400, joint=joint, limit=200) for joint in (False, True))
    assert apart.codec.source != apart.codec.target
    assert joint.codec.source == joint.codec.target
    assert joint.sizes["source_vocab_size"] == joint.sizes["target_vocab_size"]


def test_the_vocabulary_is_that_of_the_training_set(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"text {i}\tText {i}\n" for i in range(100)))
    words = load_pairs(str(path), tokens="words", vocab_size=1000).codec.source.words
    seen = {word for text, _ in load_pairs(str(path), tokens="words").texts["train"] for word in text.split()}
    assert {*words} == seen


def test_inputs_targets_and_batches():
    splits = load_pairs(vocab_size=400, limit=300)
    train = splits.train
    np.testing.assert_array_equal(
        train.inputs["target"][:, 1:], train.targets["next"][:, :-1] * (train.inputs["target"][:, 1:] != 0)
    )
    assert (train.inputs["target"][:, 0] == 2).all()
    assert share_of_padding(train, 512) < 0.2
    batches = list(train.epochs(512, seed=1, first=0, last=2))
    assert len(batches) == 2 * train.steps(512)
    for inputs, targets in batches:
        assert max(inputs["source"].shape[1], targets["next"].shape[1]) * len(targets["next"]) <= 640
    # A resumed epoch continues as it would have.
    again = list(train.epochs(512, seed=1, first=1, last=2, skip=2))
    for (_, one), (_, other) in zip(batches[train.steps(512) + 2 :], again, strict=True):
        np.testing.assert_array_equal(one["next"], other["next"])
    rows = [len(targets["next"]) for _, targets in train.epochs(512, seed=1, first=0, last=1, drop_remainder=True)]
    assert not any(count % 8 for count in rows)


def test_every_row_is_seen_once_an_epoch():
    lengths = np.random.default_rng(0).integers(1, 20, 101)
    rows = np.arange(1, 102, dtype=np.int32)
    split = Split({"x": rows}, {"y": np.ones((101, 20), np.int32)}, {"y": lengths}, by_tokens=True)
    for epoch in (0, 1):
        seen = np.concatenate([inputs["x"] for inputs, _ in split.epochs(64, seed=0, first=epoch, last=epoch + 1)])
        assert sorted(seen) == rows.tolist()
    assert sorted(np.concatenate([inputs["x"] for inputs, _ in split.batches(64)])) == rows.tolist()


def test_own_files(tmp_path):
    source, target = tmp_path / "a.txt", tmp_path / "b.txt"
    lines = [f"one {i}" for i in range(20)]
    source.write_text("\n".join([*lines, "", "one 3"]) + "\n")
    target.write_text("\r\n".join([line.upper() for line in lines] + ["NOTHING", "ONE 3"]))
    found = read_pairs(str(source), pair="", target=str(target), seed=0)
    assert sorted(found.train + found.validation + found.test) == sorted((line, line.upper()) for line in lines)
    assert " ".join(found.notes).count("left out") == 2


def test_pairs_of_wildly_different_length_are_left_out(tmp_path):
    path = tmp_path / "pairs.tsv"
    rows = [f"a {i}\tb {i}" for i in range(60)] + [f"c {i}\t{'d ' * 200}" for i in range(3)]
    path.write_text("\n".join(rows))
    splits = load_pairs(str(path), tokens="words")
    left = sum(len(splits.texts[name]) for name in ("train", "validation", "test"))
    assert left == 60
    assert any("left out: over --max-length 100" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("content", "other", "message"),
    [
        (b"a\nb\n", b"A\n", "has 2 lines and .*b.txt has 1"),
        (b"a\tA\n" * 20, None, "1 pairs of texts, and at least 10"),
        (b"no tab\n", None, "line 1: no tab between source and translation"),
        (b"a\n\xff\xfe\xfa\xc3\xc3\n" * 5, b"A\n" * 10, "is not UTF-"),
    ],
)
def test_one_clear_sentence(tmp_path, content, other, message):
    path, target = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_bytes(content)
    if other is not None:
        target.write_bytes(other)
    with pytest.raises(DataError, match=message):
        read_pairs(str(path), pair="", target=None if other is None else str(target), seed=0)


def test_multi30k_from_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path))
    (tmp_path / "multi30k").mkdir()
    for name, count in {"train": 29_000, "val": 1_014, "test_2016_flickr": 999}.items():
        for language in ("de", "en"):
            with gzip.open(tmp_path / "multi30k" / f"{name}.{language}.gz", "wt") as file:
                file.write("x \n" * count)
    with pytest.raises(DataError, match=r"not the official Multi30k: test_2016_flickr.de.gz has 999 lines, not 1,000"):
        read_pairs("multi30k", pair="de-en", target=None, seed=0)
    whole = (tmp_path / "multi30k" / "train.en.gz").read_bytes()
    for damaged in (whole[:-9], whole[:20] + b"\xff\xff\xff" + whole[23:], b"no archive"):
        (tmp_path / "multi30k" / "train.en.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"train\.en\.gz is damaged"):
            read_pairs("multi30k", pair="de-en", target=None, seed=0)
    with pytest.raises(DataError, match="--pair de-es is none of those of multi30k: de-en"):
        read_pairs("multi30k", pair="de-es", target=None, seed=0)


def test_translations_of_one_text_are_in_one_set(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"text {i // 4}\tText {i // 4}, {i}\n" for i in range(400)))
    parts = load_pairs(str(path), tokens="words").texts
    sources = [{source for source, _ in parts[name]} for name in ("train", "validation", "test")]
    assert list(map(len, sources)) == [90, 5, 5]
    assert not sources[0] & sources[1] | sources[0] & sources[2] | sources[1] & sources[2]
    assert sum(map(len, parts.values())) == 400
    path.write_text("".join(f"text {i if i % 2 else 0}\tText {i}\n" for i in range(400)))
    parts = load_pairs(str(path), tokens="words").texts  # half of it has one source, which is trained on
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [380, 10, 10]
    path.write_text("".join(f"text {i % 2}\tText {i}\n" for i in range(40)))
    with pytest.raises(DataError, match="There are 2 different texts to translate, and at least 3"):
        load_pairs(str(path))
