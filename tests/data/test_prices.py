import numpy as np
import polars
import pytest
from PIL import Image

from kerasapps.data.prices import load_prices
from kerasapps.errors import DataError

COLUMNS = {"numbers": ("age",), "categories": ("brand",), "text": "what", "image": "photo"}


@pytest.fixture
def offers(tmp_path):
    """A table of 40 offers, one in eight without a image, and the images."""
    rows = []
    for i in range(40):
        photo = f"photos/{i}.png" if i % 8 else None
        if photo:
            (tmp_path / "photos").mkdir(exist_ok=True)
            Image.new("RGB", (20, 12), (i, 2 * i, 90)).save(tmp_path / photo)
        rows.append({"price": 10.0 + i, "age": i % 7, "brand": "AB"[i % 2], "what": f"thing {i % 5}", "photo": photo})
    rows[9]["what"] = None
    rows[17]["age"] = None
    polars.DataFrame(rows).write_csv(tmp_path / "offers.csv")
    return tmp_path / "offers.csv"


def all_batches(split):
    return list(split.batches(8))


def test_a_table_of_ones_own(offers):
    splits = load_prices(str(offers), **COLUMNS, size=16)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [28, 4, 8]
    assert splits.sizes["category_sizes"] == (3,)
    assert splits.sizes["image_shape"] == (16, 16, 3)
    prices = np.concatenate([splits.things[part].log_price for part in ("train", "validation", "test")])
    np.testing.assert_allclose(np.sort(np.exp(prices)), np.arange(10.0, 50.0))
    assert splits.codec.numbers["age"][0] == pytest.approx(np.nanmean(splits.things["train"].numbers["age"]))


def test_a_missing_picture_is_minus_one_and_a_missing_description_is_padding(offers):
    splits = load_prices(str(offers), **COLUMNS, size=16)
    seen, without_text = 0, 0
    for part in ("train", "validation", "test"):
        split, things = getattr(splits, part), splits.things[part]
        images = np.concatenate([inputs["image"] for inputs, _ in all_batches(split)])
        np.testing.assert_array_equal(images.max((1, 2, 3)) >= 0, things.has_image)
        assert (images[~things.has_image] == -1).all()
        seen += (~things.has_image).sum()
        empty = (split.inputs["text"] == 0).all(1)
        np.testing.assert_array_equal(empty, things.texts == "")
        without_text += empty.sum()
    assert seen == 5
    assert without_text == 1


def test_only_training_pictures_change_and_missing_ones_stay_missing(offers):
    splits = load_prices(str(offers), **COLUMNS, size=16)
    batches = list(splits.train.epochs(28, seed=0, first=0, last=2))
    images = [batch[0]["image"].numpy() for batch in batches]
    for epoch in images:
        missing = epoch.max((1, 2, 3)) < 0
        assert missing.sum() == (~splits.things["train"].has_image).sum()
        assert (epoch[missing] == -1).all()
    garments = load_prices("garments", limit=24)
    shown, stored = next(iter(garments.train.epochs(24, seed=0, first=0, last=1)))[0]["image"], garments.train.inputs
    assert not {image.numpy().tobytes() for image in shown} <= {
        image.astype(np.float32).tobytes() for image in stored["image"]
    }
    plain = next(iter(garments.test.batches(8)))[0]["image"].numpy()
    np.testing.assert_array_equal(plain, garments.test.inputs["image"][:8].astype(np.float32))


def test_a_missing_number_is_the_mean(offers):
    splits = load_prices(str(offers), **COLUMNS, size=16)
    found = []
    for part in ("train", "validation", "test"):
        unknown = ~np.isfinite(splits.things[part].numbers["age"])
        found += getattr(splits, part).inputs["numbers"][unknown, 0].tolist()
    assert found == [pytest.approx(splits.codec.numbers["age"][0])]


def test_a_category_that_was_never_seen_is_any_other():
    splits = load_prices("garments", limit=60)
    things = splits.things["test"]
    things.categories["brand"][0] = "unheard of"
    assert splits.codec.split(things).inputs["categories"][0, 1] == 0


def test_some_branches_alone():
    splits = load_prices("garments", limit=60)
    text = splits.only(["text"])
    assert list(text.train.inputs) == ["text"]
    assert text.sizes["image_shape"] is None
    assert text.sizes["numbers"] == ()
    image = splits.only(["image"])
    inputs, _ = next(iter(image.train.batches(4)))
    assert list(inputs) == ["image"]


def test_one_broken_picture_is_named_and_counts_as_missing(offers, tmp_path):
    rows = polars.read_csv(offers)
    big = polars.concat([rows] * 2)
    big.write_csv(offers)
    (tmp_path / "photos" / "11.png").write_bytes(b"no image")
    splits = load_prices(str(offers), **COLUMNS, size=16)
    assert "2 of 70 images cannot be read and count as missing, such as:" in splits.notes[1]
    assert "11.png" in splits.notes[1]


def test_many_broken_pictures_are_an_error(offers, tmp_path):
    for i in (11, 12, 13):
        (tmp_path / "photos" / f"{i}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"3 of 35 images cannot be read, such as: .*11\.png"):
        load_prices(str(offers), **COLUMNS, size=16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "cost"}, "has no column cost; it has price, age, brand, what, photo"),
        ({"numbers": ("weight",)}, "has no column weight"),
        ({"numbers": ("brand",)}, "brand is not a number in every row. Received: 'A'"),
        ({"image": "image"}, "has no column image"),
        ({"numbers": (), "categories": (), "text": None, "image": None}, "must name columns"),
    ],
)
def test_what_a_person_can_get_wrong(offers, change, message):
    with pytest.raises(DataError) as error:
        load_prices(str(offers), **COLUMNS | change)
    assert message in str(error.value)


def test_a_price_of_nothing(offers):
    polars.read_csv(offers).with_columns(price=polars.lit(0.0)).write_csv(offers)
    with pytest.raises(DataError, match=r"price must be above 0 in every row\. Received: 0"):
        load_prices(str(offers), **COLUMNS)


def test_deep_images_have_one_range_that_the_codec_keeps(offers):
    for i, photo in enumerate(sorted((offers.parent / "photos").iterdir())):
        Image.fromarray(np.full((12, 20), 100 + 50 * i, np.uint16)).save(photo)  # up to 1,800
    splits = load_prices(str(offers), **COLUMNS, size=16)
    assert splits.codec.values == (0, 2047)
    assert any("2,047 becomes 255" in note for note in splits.notes)
    codec = type(splits.codec).from_json(splits.codec.to_json())
    (dark, *_) = sorted((offers.parent / "photos").iterdir())
    assert codec.encode(image=dark)["image"].max() == round(100 * 255 / 2047)
    kept = codec.to_json()
    del kept["values"]  # as older runs wrote it
    assert type(codec).from_json(kept).values is None
