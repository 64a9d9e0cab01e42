"""Texts with one label each: public sets, tables and folders, and what is wrong with them in one sentence."""

import io
import os
import tarfile

import numpy as np
import pytest

from kerasapps.data import text_sets
from kerasapps.data.text_classes import TextClassCodec, load_texts
from kerasapps.data.text_sets import clean, read_own, read_sentences, read_set, read_text_folder
from kerasapps.errors import DataError


def write_folder(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def own(data, **options):
    return read_set(
        str(data), **{"text": "text", "label": "label", "fine": False, "keep_html": False, "seed": 0} | options
    )


@pytest.mark.real_data
def test_public_sets_are_the_official_ones():
    mr = read_sentences("mr")
    assert (len(mr.texts), mr.num_test) == (10_662, 0)
    assert "Windows-1252" in mr.notes[0]
    assert any("é" in text for text in mr.texts)
    assert len(read_sentences("subj").texts) == 10_000
    trec = read_sentences("trec")
    assert (len(trec.texts), trec.num_test, len(set(trec.labels))) == (5_952, 500, 6)
    assert trec.texts[0] == "How did serfdom develop in and then leave Russia ?"
    fine = read_sentences("trec", fine=True)
    assert len(set(fine.labels)) == 50
    assert fine.labels[0] == "DESC:manner"
    imdb = text_sets.read_imdb()
    assert (len(imdb.texts), imdb.num_test) == (50_000, 25_000)
    assert imdb.labels.count("positive") == 25_000


def test_a_public_set_that_is_not_the_official_one(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path))
    write_folder(tmp_path / "sentences", {"TREC.train": "NUM:date When ?\n", "TREC.test": "NUM:date Then ?\n"})
    with pytest.raises(DataError, match=r"has not the official TREC: 2 lines, not 5,952\.$"):
        read_sentences("trec")


def test_an_imdb_archive_that_is_not_the_official_one(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASAPPS_DATA", str(tmp_path))
    (tmp_path / "imdb").mkdir()
    with tarfile.open(tmp_path / "imdb" / "aclImdb_v1.tar.gz", "w:gz") as archive:
        for name in (
            "aclImdb/train/pos/1_9.txt",
            "aclImdb/test/neg/0_2.txt",
            "aclImdb/train/unsup/3_0.txt",
            "../x.txt",
        ):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"hello"))
    with pytest.raises(DataError, match="does not hold 25,000 reviews"):
        text_sets.read_imdb()


def test_a_folder_with_and_without_a_test_set(tmp_path):
    plain = write_folder(
        tmp_path / "plain", {"cat/1.txt": "miaow", "dog/1.txt": "woof", "dog/.x.txt": "", "x.txt": "no"}
    )
    found = read_text_folder(plain)
    assert (found.texts, found.labels, found.num_test) == (["miaow", "woof"], ["cat", "dog"], 0)
    parts = {"train/good one/1.txt": "fine", "train/Bad/1.txt": "caf\xe9".encode("cp1252"), "test/Bad/1.txt": "poor"}
    found = read_text_folder(write_folder(tmp_path / "parts", parts))
    assert found.labels == ["Bad", "good one", "Bad"]
    assert found.num_test == 1
    assert found.texts[0] == "café"
    assert found.notes == ("1 of 3 files are read as Windows-1252.",)


def test_tables(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("review,stars\ngreat,3.10\nbad,3.1\n,3.1\nfine,NA\n" + "more,3.1\n" * 5)
    found = read_own(str(path), text="review", label="stars")
    assert found.texts[:2] == ["great", "bad"]
    assert set(found.labels) == {"3.10", "3.1"}  # as written
    assert "1 missing: NA" in found.notes[-1]
    with pytest.raises(DataError, match=r"has no column text; it has review, stars\.$"):
        read_own(str(path), text="text", label="stars")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cat/1.txt": "miaow"}, "has one label alone, cat: there is nothing to tell apart"),
        ({"notes.txt": "hello"}, "holds no .txt files in folders that are named after their labels"),
        ({"a/1.txt": b"hi\0there", "b/1.txt": "x"}, "line 1: a NUL character"),
        ({"a/1.txt": "", "b/1.txt": "..."}, "has one label alone, none"),
    ],
)
def test_what_is_wrong_with_a_folder(tmp_path, files, said):
    with pytest.raises(DataError, match=said):
        own(write_folder(tmp_path, files))


def test_texts_are_cleaned_and_empty_ones_left_out(tmp_path):
    assert clean(["A<br /><br />b &amp; 1 < 2"]) == ["A b & 1 < 2"]
    assert clean(["A<br />\nb"], keep_html=True) == ["A<br /> b"]
    files = {"a/1.txt": "<p>", "a/2.txt": "yes", "b/1.txt": "no\nnever", "b/2.txt": "!"}
    found = own(write_folder(tmp_path, files))
    assert found.texts == ["yes", "no never"]
    assert "2 texts without a word are left out." in found.notes


# --- splits


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "texts.csv"
    rows = [f"{'w' * (i % 7 + 1)} word{i % 13} only{i},{'AB'[i % 2]} b" for i in range(400)]
    path.write_text("text,label\n" + "\n".join(rows))
    return path


def test_words_and_classes_come_from_the_training_set(table):
    splits = load_texts(str(table))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (324, 36, 40)
    seen = {word for text in splits.texts["train"] for word in text.split()}
    assert set(splits.codec.words.words) == seen
    assert splits.class_names == ("A b", "B b")
    again = TextClassCodec.from_json(splits.codec.to_json())
    assert again == splits.codec
    np.testing.assert_array_equal(again.encode(*splits.texts["test"])["text"], splits.test.inputs["text"])
    assert splits.codec.unknown(["word1 zebra Zebra"]) == ["zebra"]
    (likely,) = splits.codec.decode({"label": np.array([[0.25, 0.75]])})
    assert list(likely.items()) == [("B b", 0.75), ("A b", 0.25)]
    with pytest.raises(DataError, match="The label 'C' is none of those"):
        splits.codec.split(["x"], ["C"])


def test_every_text_is_tested_once_in_a_cross_validation(table):
    folds = [load_texts(str(table), fold=fold, folds=4, seed=seed) for fold, seed in ((0, 0), (1, 5), (2, 0), (3, 0))]
    tested = [text for splits in folds for text in splits.texts["test"]]
    assert len(tested) == len(set(tested)) == 400
    for splits in folds:
        assert not set(splits.texts["test"]) & {*splits.texts["train"], *splits.texts["validation"]}
        assert abs(splits.test.targets["label"].mean() - 0.5) < 0.02


def test_without_validation_all_others_are_for_training(table):
    for fold in ({"fold": 1, "folds": 4}, {}):
        held_out, splits = (load_texts(str(table), **fold, validation=one) for one in (True, False))
        assert splits.validation is None
        assert splits.texts["test"] == held_out.texts["test"]
        assert sorted(splits.texts["train"]) == sorted(held_out.texts["train"] + held_out.texts["validation"])


@pytest.mark.parametrize(("keep", "kept"), [("head", "a b c"), ("tail", "d e f"), ("both", "a b f")])
def test_what_stays_of_a_long_text(tmp_path, keep, kept):
    rows = ["a b c d e f,x", "a b c d e f,y"] * 20
    (tmp_path / "long.csv").write_text("text,label\n" + "\n".join(rows))
    splits = load_texts(str(tmp_path / "long.csv"), length=3, keep=keep)
    words = splits.codec.words.words
    assert " ".join(words[i - 2] for i in splits.train.inputs["text"][0]) == kept
    assert any("see --length" in note for note in splits.notes)


def test_too_few_rows(tmp_path):
    (tmp_path / "small.csv").write_text("text,label\n" + "a,x\nb,y\n" * 2)
    with pytest.raises(DataError, match="training, validation and test set need"):
        load_texts(str(tmp_path / "small.csv"))
    assert len(load_texts(str(tmp_path / "small.csv"), validation=False).train) == 2
    (tmp_path / "few.csv").write_text("text,label\na,x\nb,y\n")
    with pytest.raises(DataError, match="texts are too few"):
        load_texts(str(tmp_path / "few.csv"))


def test_labels_with_blanks_and_of_different_case_stay_as_they_are(tmp_path):
    rows = ["a b,very good", "a c,Very Good", "d e,bad"] * 10
    (tmp_path / "case.csv").write_text("text,label\n" + "\n".join(rows))
    splits = load_texts(str(tmp_path / "case.csv"))
    assert splits.class_names == ("Very Good", "bad", "very good")
    assert "Labels that differ in case or blanks alone are different classes: 'Very Good', 'very good'." in splits.notes
    assert not any("differ in case" in note for note in load_texts("snippets", limit=20).notes)


def test_a_text_of_a_megabyte_is_cut(tmp_path):
    rows = ["good film,x", "bad film,y"] * 20 + [f"{'word other ' * 100_000},x"]
    (tmp_path / "large.csv").write_text("text,label\n" + "\n".join(rows))
    splits = load_texts(str(tmp_path / "large.csv"), length=50, keep="both")
    assert max(getattr(splits, name).inputs["text"].shape[1] for name in ("train", "validation", "test")) == 50


def test_a_text_of_unknown_words_alone_is_a_text(table):
    codec = load_texts(str(table)).codec
    assert codec.encode("zebra gnu")["text"].tolist() == [[1, 1]]
    assert codec.unknown(["zebra gnu"]) == ["zebra", "gnu"]


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv is empty"):
        load_texts(str(tmp_path / "empty.csv"))


def test_a_class_with_one_example_is_trained_on(tmp_path):
    (tmp_path / "rare.csv").write_text("text,label\n" + "\n".join(["a,x", "b,y"] * 20 + ["c,rare"]))
    splits = load_texts(str(tmp_path / "rare.csv"))
    assert "rare" in splits.labels["train"]


def test_downloads_are_not_needed(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert load_texts("snippets", limit=50).optimum is None
