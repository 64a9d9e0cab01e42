"""Rows of a table: features, what is fitted on the training set alone, groups, and files that cannot be used."""

from pathlib import Path

import numpy as np
import polars  # noqa: F401 - sets a variable of the environment when it is first imported
import pytest

from kerasapps.data.rows import RowCodec, load_rows
from kerasapps.errors import DataError


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture
def table(tmp_path) -> str:
    rows = [f"{i},{('red', 'blue')[i % 2]},p{i // 2},{('yes', 'no', 'no')[i % 3]}" for i in range(60)]
    return write(tmp_path / "rows.csv", ["size,color,person,kind", *rows])


def test_features_are_standardized_on_the_training_set_alone(table):
    splits = load_rows(table, target="kind", group="person", seed=1)
    assert splits.sizes == {"features": 3, "num_classes": 2}
    features = splits.train.inputs["features"]
    np.testing.assert_allclose([features[:, 0].mean(), features[:, 0].std()], [0, 1], atol=1e-5)
    assert abs(splits.test.inputs["features"][:, 0].mean()) > 1e-3
    np.testing.assert_array_equal(features[:, 1] + features[:, 2], 1)
    assert splits.codec.class_names == ("no", "yes")
    assert len(splits.train) + len(splits.test) == 60


def test_groups_and_equal_rows_are_in_one_set(table, tmp_path):
    splits = load_rows(table, target="kind", group="person")
    assert len(splits.train) % 2 == len(splits.test) % 2 == 0
    twice = write(tmp_path / "twice.csv", ["size,kind", *[f"{i // 2},{i * i}" for i in range(60)]])
    splits = load_rows(twice, target="kind")
    seen = {row.tobytes() for row in splits.train.inputs["features"]}
    assert not seen & {row.tobytes() for row in splits.test.inputs["features"]}
    assert splits.train.targets["number"].shape == (len(splits.train), 1)


def test_the_codec_takes_what_is_known_and_comes_back_from_json(table):
    codec = load_rows(table, target="kind").codec
    again = RowCodec.from_json(codec.to_json())
    assert again == codec
    np.testing.assert_array_equal(codec.encode({"color": ["green"]})["features"], [[0] * codec.width])
    assert codec.decode({"label": np.array([[0.2, 0.8]])}) == [{"yes": 0.8, "no": 0.2}]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "--target must name the column of"),
        ({"target": "shape"}, "has no column shape"),
        ({"target": "kind=words"}, "--target kind=words: the kind must be classes or regression"),
        ({"target": "color", "group": "color"}, "--group and --target are the same column"),
    ],
)
def test_what_cannot_be_predicted_is_refused(table, options, said):
    with pytest.raises(DataError, match=said):
        load_rows(table, **options)


def test_equal_rows_and_named_groups_that_overlap_are_one_group(tmp_path):
    # Rows 2 i and 2 i + 1 are equal; 2 i + 1 and 2 i + 2 are of one person, but for every third i.
    rows = [f"{i // 2},p{(i + 1) // 2 if i % 6 else f'x{i}'},{i * i}" for i in range(120)]
    splits = load_rows(write(tmp_path / "both.csv", ["size,person,kind", *rows]), target="kind", group="person")
    numbers = np.sqrt(splits.train.targets["number"][:, 0]).round().astype(int)
    for linked in (numbers // 2, numbers // 6):
        assert all(len(set(splits.groups[linked == one])) == 1 for one in set(linked))
    assert len(np.unique(splits.groups)) == len(np.unique(numbers // 6)) == len(numbers) / 6


def test_posts_have_no_groups():
    with pytest.raises(DataError, match="--group names a column of a file, and posts are simulated"):
        load_rows("posts", group="person")
