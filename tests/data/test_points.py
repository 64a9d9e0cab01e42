"""Points of two classes: the simulated applicants, and tables of a person's own."""

import numpy as np
import polars  # noqa: F401 - sets a variable of the environment when it is first imported
import pytest

from kerasapps.data.points import MARGIN, PointCodec, load_points, simulate_admissions
from kerasapps.errors import DataError


def test_applicants_are_accepted_by_the_rule():
    points = simulate_admissions(("test", "grades", "rank"))
    distance = (points.numbers - 5) @ [3, 2, 2] / np.sqrt(17)
    assert len(points.labels) == 200
    assert (np.abs(distance) >= MARGIN).all()
    np.testing.assert_array_equal(points.labels, distance > 0)
    assert len(np.unique(simulate_admissions(("test", "grades")).numbers, axis=0)) == 200
    other = simulate_admissions(("test", "grades", "rank"), overlap=0.5)
    assert 30 < (other.labels != points.labels).sum() < 70  # half of them are drawn, half of these change
    np.testing.assert_array_equal(other.numbers, points.numbers)


def test_features_are_standardized_by_the_training_set():
    splits = load_points(numbers=("grades", "test"))
    features = splits.train.inputs["features"]
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(features.std(0), 1, atol=1e-6)
    assert np.abs(splits.test.inputs["features"].mean(0)).min() > 1e-4
    assert list(splits.codec.numbers) == ["grades", "test"]
    assert splits.codec.class_names == ("rejected", "accepted")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [120, 40, 40]
    again = PointCodec.from_json(splits.codec.to_json())
    assert isinstance(again, PointCodec)
    assert again.decode({"label": np.array([[0.75]])}) == [{"accepted": 0.75, "rejected": 0.25}]


def rows(count: int = 20) -> list[str]:
    return [f"{i},{i % 7 + 0.5},{'yes' if i % 2 else 'no'},x{i}" for i in range(count)]


def write(path, *lines: str) -> str:
    path.write_text("\n".join(lines))
    return str(path)


def test_a_table_has_its_columns_of_numbers_and_the_classes_in_order(tmp_path):
    file = write(tmp_path / "students.csv", "hours,sleep,passed,name", *rows(), "3,,yes,x", "4,5,,x")
    splits = load_points(file, target="passed")
    assert list(splits.codec.numbers) == ["hours", "sleep"]
    assert splits.codec.class_names == ("no", "yes")
    assert splits.notes[-1] == "22 rows, 2 dropped: no passed, hours or sleep; passed: 0 is no, 1 is yes."
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 20
    only = load_points(file, numbers=("sleep", "hours"), target="passed")
    assert list(only.codec.numbers) == ["sleep", "hours"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--target must name the column of"),
        ({"target": "passt"}, "has no column passt"),
        ({"target": "name"}, "a neuron tells two classes apart, and name holds 20: "),
        ({"target": "passed", "numbers": ("hours", "name")}, "name is not a number in every row"),
        ({"target": "passed", "numbers": ("hours",)}, "--numbers must name two or three columns of numbers of"),
        ({"target": "passed", "numbers": ("hours", "passed")}, "--numbers and --target are the same column"),
    ],
)
def test_what_a_table_cannot_be_asked_for_is_refused(tmp_path, options, message):
    file = write(tmp_path / "students.csv", "hours,sleep,passed,name", *rows())
    with pytest.raises(DataError) as error:
        load_points(file, **options)
    assert message in str(error.value)


def test_a_class_of_few_rows_is_refused(tmp_path):
    lines = [line.replace("yes", "no") for line in rows()]
    file = write(tmp_path / "students.csv", "hours,sleep,passed,name", *lines, *["1,2,yes,x"] * 9)
    with pytest.raises(DataError, match="passed yes has 1 different complete rows; at least 5 are needed"):
        load_points(file, target="passed")


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_no_point_is_in_two_sets(tmp_path, share):
    rng = np.random.default_rng(0)
    points = rng.integers(0, 6, (200, 2))
    labels = (points.sum(1) > 5) ^ (rng.uniform(size=200) < share)  # or of both classes
    lines = [f"{a},{b},{label}" for (a, b), label in zip(points, labels, strict=True)]
    splits = load_points(write(tmp_path / "own.csv", "a,b,big", *lines), target="big")
    parts = [{*map(tuple, part.inputs["features"].tolist())} for part in (splits.train, splits.validation, splits.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == len(np.unique(points, axis=0))
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 200
    assert all(len(np.unique(part.targets["label"])) == 2 for part in (splits.train, splits.validation, splits.test))


@pytest.mark.parametrize("numbers", [("test",), ("test", "height"), ("test", "test")])
def test_applicants_have_three_numbers(numbers):
    with pytest.raises(DataError, match="takes two or all of test, grades, rank"):
        load_points(numbers=numbers)
