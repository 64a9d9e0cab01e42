"""Captions in the formats that people have, their traps, and the splits that are made of them."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.shared.scores import bleu, cider
from kerasapps.data.caption_files import read_caption_file, read_described
from kerasapps.data.captions import CaptionCodec, clean, load_captions
from kerasapps.data.subwords import END, START, Words, fit_pieces
from kerasapps.errors import DataError, UserError

SAID = ["a red dog runs", 'a dog , "rex" , runs', "ein Hund läuft", "犬が走る", "A dog in a field ."]


def pictures(folder, count, *, prefix=""):
    """Image files of one color each, 30 pixels wide."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{prefix}{i}.jpg" for i in range(count)]
    for i, name in enumerate(names):
        Image.new("RGB", (30, 20 + i), (20 * i, 100, 50)).save(folder / name)
    return names


def tokens(path, names, said=SAID):
    path.write_text("".join(f"{name}#{i}\t{text}\n" for name in names for i, text in enumerate(said)))


def coco(path, names, said=SAID):
    images = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    annotations = [{"image_id": i, "caption": text} for i in range(len(names)) for text in said]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))


def test_flickr_with_its_lists(tmp_path):
    names = pictures(tmp_path / "Flicker8k_Dataset", 6)
    tokens(tmp_path / "Flickr8k.token.txt", [*names, "gone.jpg"])
    tokens(tmp_path / "Flickr8k.lemma.token.txt", names)
    for part, own in {"train": names[:4], "dev": names[4:5], "test": names[5:]}.items():
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text("\n".join(own) + "\n")
    found = read_described(tmp_path, None)
    assert found.parts == ["train"] * 4 + ["validation", "test"]
    assert found.captions[0] == SAID
    assert found.notes == ("Left out: 1 image with captions but no file, such as gone.jpg.",)
    splits = load_captions(str(tmp_path), size=16)
    assert [len(one) for one in (splits.train, splits.validation, splits.test)] == [4, 1, 1]
    assert splits.train.inputs["image"].shape == (4, 16, 16, 3)
    assert splits.train.inputs["target"].shape[:2] == (4, 5)  # all captions of an image in one row


def test_kaggle_with_commas_and_quotes(tmp_path):
    names = pictures(tmp_path / "Images", 3)
    lines = ["image,caption"]
    lines += [f'{names[0]},"A child , in a ""pink"" dress ."', f"{names[0]},no, quotes but commas"]
    lines += [f'{names[1]},"over', 'two lines"', f'{names[2]}," open quote', f'{names[2]},""']
    (tmp_path / "captions.txt").write_text("\r\n".join(lines) + "\r\n")
    found = read_caption_file(tmp_path / "captions.txt")
    assert found.captions == {
        names[0]: ['A child , in a "pink" dress .', "no, quotes but commas"],
        names[1]: ["over two lines"],
        names[2]: ['" open quote'],
    }
    assert found.empty == 1


def test_flickr30k_table(tmp_path):
    (tmp_path / "results.csv").write_text("image_name| comment_number| comment\n1.jpg| 0| a dog | a cat\n")
    assert read_caption_file(tmp_path / "results.csv").captions == {"1.jpg": ["a dog | a cat"]}


def test_coco_of_two_sets(tmp_path):
    names = pictures(tmp_path / "train2017", 6) + pictures(tmp_path / "val2017", 2, prefix="v")
    coco(tmp_path / "annotations" / "captions_train2017.json", names[:6])
    coco(tmp_path / "annotations" / "captions_val2017.json", [*names[6:], "gone.jpg"], SAID[:2])
    found = read_described(tmp_path, None)
    assert found.parts == ["train"] * 6 + ["validation"] * 2
    assert "gone.jpg" in found.notes[0]
    splits = load_captions(str(tmp_path), size=8)
    assert len(splits.train) + len(splits.test) == 6  # no set for the test, drawn by image
    assert len(splits.validation) == 2


def test_karpathy(tmp_path):
    names = pictures(tmp_path / "val2014", 4)
    images = [
        {"filepath": "val2014", "filename": name, "split": part, "sentences": [{"raw": text} for text in SAID]}
        for name, part in zip(names, ("train", "restval", "val", "test"), strict=True)
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
    assert read_described(tmp_path, None).parts == ["train", "train", "validation", "test"]


def test_without_captions_without_words_and_strangers_are_counted(tmp_path):
    names = pictures(tmp_path, 5)
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names[:4])],
        "annotations": [{"image_id": i, "caption": "a dog"} for i in (0, 1, 2)]
        + [
            {"image_id": 0, "caption": "  "},
            {"image_id": 99, "caption": "a stranger"},
            {"image_id": 1, "caption": None},
        ],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    found = read_described(tmp_path, None)
    assert found.notes == (
        "Left out: 2 images without a caption.",
        "Left out: 2 captions without a word.",
        "Left out: 1 caption of images that are not listed.",
    )
    assert len(found.files) == 3


def test_images_of_every_kind(tmp_path):
    names = pictures(tmp_path, 40)
    Image.new("RGB", (1, 1), "red").save(tmp_path / "0.jpg")
    Image.new("CMYK", (20, 20), (255, 0, 0, 0)).save(tmp_path / "1.jpg")
    Image.new("L", (300, 3), 128).save(tmp_path / "2.jpg")
    (tmp_path / "3.jpg").write_bytes(b"no image")
    tokens(tmp_path / "own.token", names)
    splits = load_captions(str(tmp_path), size=8)
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 39
    assert any("1 of 40 images cannot be read" in note for note in splits.notes)
    for name in names[:12]:
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="12 of 40 images cannot be read"):
        load_captions(str(tmp_path), size=8)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("captions.json", '{"images": [{"id": 1, "file_n', "is not valid JSON"),
        ("captions.json", "[]", "has no captions: neither"),
        ("captions.json", '{"images": [{"id": 1}], "annotations": []}', "an entry of it is not as it should be"),
        ("captions.txt", "image,caption\n1.jpg\n", "line 2: neither a line such as"),
        ("captions.txt", "hello\n", "line 1: neither a line such as"),
        ("own.token", "1.jpg#0 a dog\n", "line 1: neither a line such as"),
        ("captions.txt", "image,caption\nnowhere.jpg,a dog\n", "none of the 1 images with captions is in"),
    ],
)
def test_one_clear_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_described(tmp_path, None)
    assert "\n" not in str(error.value)


def test_which_file_is_asked_where_it_is_not_clear(tmp_path):
    names = pictures(tmp_path, 4)
    with pytest.raises(DataError, match=r"has no captions: no captions\.txt"):
        read_described(tmp_path, None)
    tokens(tmp_path / "a.token", names)
    tokens(tmp_path / "b.token", names)
    with pytest.raises(DataError, match=r"several files with captions, .*a\.token.*choose one with --captions"):
        read_described(tmp_path, None)
    assert len(read_described(tmp_path, tmp_path / "b.token").files) == 4
    with pytest.raises(DataError, match="neither scenes nor a folder"):
        read_described(tmp_path / "nowhere", None)
    tokens(tmp_path / "c.token", names[:1])
    with pytest.raises(DataError, match="at least 3 images"):
        load_captions(str(tmp_path), captions=str(tmp_path / "c.token"), size=8)


def test_what_is_broken_empty_in_no_list_or_unclear_is_left_out_and_counted(tmp_path):
    names = pictures(tmp_path / "one", 6)
    pictures(tmp_path / "other", 6)
    for name in names[:5]:
        (tmp_path / "other" / name).unlink()  # only the last one's name is in two folders
    lines = [*(f"{name}#0\ta dog {i}" for i, name in enumerate(names)), "broken", f"{names[0]}#1\t .", "broken as well"]
    (tmp_path / "own.token").write_text("\n".join(lines))
    for part, own in {"train": names[:2], "dev": names[2:3], "test": names[3:4]}.items():
        (tmp_path / f"Flickr_8k.{part}Images.txt").write_text("\n".join(own) + "\n")
    splits = load_captions(str(tmp_path), size=8)
    assert splits.notes == (
        "Left out: 2 lines of own.token that cannot be read, such as line 7.",
        f"Left out: 1 image whose name several folders have, such as {names[5]}.",
        "Left out: 2 images without a caption.",
        "Left out: 1 caption without a word.",
        "Left out: 1 image that no list of the data puts in a set.",
    )
    assert [len(one) for one in (splits.train, splits.validation, splits.test)] == [2, 1, 1]


def test_an_image_under_two_names_or_in_two_sets_is_one(tmp_path):
    names = pictures(tmp_path / "images", 6)
    (tmp_path / "images" / "link.jpg").symlink_to(tmp_path / "images" / names[0])
    coco(tmp_path / "captions_train2017.json", [*names[:4], f"images/{names[3]}", "link.jpg"], SAID[:1])
    coco(tmp_path / "captions_val2017.json", names[3:], SAID[1:2])
    found = read_described(tmp_path, None)
    assert [file.name for file in found.files] == names
    assert found.captions[0] == [SAID[0]] * 2
    assert found.captions[3] == [SAID[0]] * 2 + [SAID[1]]
    assert found.parts == ["train"] * 4 + ["validation"] * 2
    assert found.notes == (f"1 image in two sets, kept in the first of them, such as {names[3]}.",)


def test_scripts_without_spaces_are_noted(tmp_path):
    tokens(tmp_path / "own.token", pictures(tmp_path, 4), ["一只狗在草地上跑", "雪の上に犬がいる"])
    assert "--tokens subwords" in load_captions(str(tmp_path), size=8).notes[0]


def test_no_image_is_in_two_sets_and_words_come_from_the_training_set(tmp_path):
    names = pictures(tmp_path, 20)
    (tmp_path / "own.token").write_text("".join(f"{name}#{i}\tword{name[:-4]}\n" for name in names for i in range(3)))
    splits = load_captions(str(tmp_path), size=8)
    parts = [{own[0] for own in splits.captions[name]} for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 20
    assert len(set.union(*parts)) == 20
    assert set(splits.codec.pieces.words) == parts[0]


def test_the_codec_there_and_back(tmp_path):
    splits = load_captions("scenes", limit=20)
    codec = CaptionCodec.from_json(json.loads(json.dumps(splits.codec.to_json())))
    assert codec == splits.codec
    own = splits.captions["train"][0]
    ids, cut = codec.ids([own, own[:1]])
    assert not cut
    assert ids.shape[:2] == (2, 5)
    assert not ids[1, 1:].any()  # captions that there are not
    assert (ids[0, :, 0] == START).all()
    assert codec.decode(ids[0]) == list(own)
    short = CaptionCodec(codec.pieces, codec.image_shape, 3)
    ids, cut = short.ids([["two red stars and a moon", "a moon"]])
    assert (ids.shape, cut) == ((1, 2, 4), 1)
    assert END in ids[0, 1]
    np.testing.assert_array_equal(splits.train.inputs["target"][:, :, 1:], splits.train.targets["next"][:, :, :-1])
    assert splits.unseen is not None
    assert len(splits.further["test"]) == len(splits.test)


def test_tokens_of_words():
    codec = CaptionCodec(Words(("a", "dog", ",", "red", "star")), (8, 8, 3), 9)
    assert codec.pieces_of("a dog, a star") == ["a", "dog", ",", "a", "star"]
    assert [codec.token_of("a dog, a star", word) for word in range(4)] == [0, 2, 3, 4]
    cut = fit_pieces(["one red crab", "no bread"], kind="subwords", size=300)  # hardly more than letters
    codec = CaptionCodec(cut, (8, 8, 3), 90)
    for word in range(3):
        shown = "".join(codec.pieces_of("one red crab")[: codec.token_of("one red crab", word) + 1])
        assert shown.replace("▁", " ").split() == ["one", "red", "crab"][: word + 1]


def test_captions_are_learned_in_one_spelling():
    assert clean("  A Dog\truns . ") == "a dog runs"
    assert clean("犬が走る。") == "犬が走る"


@pytest.mark.real_data
def test_photographs_of_coco():
    splits = load_captions("captions", size=32)
    captions = [own for name in ("train", "validation", "test") for own in splits.captions[name]]
    assert len(captions) == 51
    assert {len(own) for own in captions} == {5}
    assert splits.train.inputs["target"].shape[:2] == (41, 5)
    first, others = [own[0] for own in captions], [own[1:] for own in captions]
    assert 20 < bleu(first, others, lowercase=True) < 35  # what people reach against each other
    assert 0.8 < cider(first, others) < 1.5
    assert cider(first[1:] + first[:1], others) < 0.2  # of another image
