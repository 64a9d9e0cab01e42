import json

import numpy as np
import polars
import pytest

from kerasapps.data.labelled_texts import read_adult, read_table
from kerasapps.data.posts import bayes_estimates, simulate_people
from kerasapps.data.profiles import TextCodec, load_profiles
from kerasapps.errors import DataError
from kerasapps.heads import Head

AUTHORS = 40


def rows(count: int = 120) -> dict[str, list]:
    """Rows of a table: three texts an author, with a number, two values, and an order."""
    author = [f"author {i % AUTHORS}" for i in range(count)]
    return {
        "body": [f"word{i % 7} common text {i}" for i in range(count)],
        "user": author,
        "age": [20 + i % AUTHORS for i in range(count)],
        "sex": ["m" if i % 2 else "f" for i in range(count)],
        "decade": [str(10 * (i % 3) + 5) for i in range(count)],
    }


def write(path, columns) -> str:
    table = polars.DataFrame(columns)
    if path.suffix == ".csv":
        table.write_csv(path)
    elif path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_ndjson(path)
    return str(path)


LABELS = ("age=regression", "sex", "decade=ordinal")


@pytest.mark.parametrize("name", ["posts.csv", "posts.jsonl", "posts.parquet"])
def test_a_table_of_any_kind(tmp_path, name):
    data = write(tmp_path / name, rows())
    splits = load_profiles(data, text="body", labels=LABELS, author="user")
    heads = splits.codec.heads
    assert {name: head.kind for name, head in heads.items()} == {
        "age": "regression",
        "sex": "binary",
        "decade": "ordinal",
    }
    assert splits.codec.classes == {"sex": ("f", "m"), "decade": ("5", "15", "25")}  # by size, not by letter
    train = splits.rows["train"].labels["age"]
    assert heads["age"].mean == pytest.approx(train.mean())
    assert heads["age"].scale == pytest.approx(train.std())
    assert splits.train.targets["decade"].dtype == np.int32
    assert splits.sizes == {"vocab_size": splits.codec.words.size, "heads": heads}


def test_nobody_is_in_two_parts(tmp_path):
    data = write(tmp_path / "posts.csv", rows())
    splits = load_profiles(data, text="body", labels=LABELS, author="user")
    authors = [set(splits.rows[part].groups) for part in ("train", "validation", "test")]
    assert sum(map(len, authors)) == len(set.union(*authors)) == AUTHORS
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 120
    assert len(authors[2]) == 8


def test_words_come_from_the_training_part_alone(tmp_path):
    columns = rows()
    columns["body"] = [f"only{i}" for i in range(120)]
    splits = load_profiles(write(tmp_path / "posts.csv", columns), text="body", labels=LABELS)
    assert set(splits.codec.words.words) == {text for text in splits.rows["train"].texts}
    assert set(np.unique(splits.test.inputs["text"])) == {1}


def test_missing_labels_weigh_nothing(tmp_path):
    columns = rows()
    columns["age"] = [None if i % 4 == 0 else value for i, value in enumerate(columns["age"])]
    columns["sex"] = [None if i % 3 == 0 else value for i, value in enumerate(columns["sex"])]
    splits = load_profiles(write(tmp_path / "posts.csv", columns), text="body", labels=LABELS)
    for part in ("train", "validation", "test"):
        labels, split = splits.rows[part].labels, getattr(splits, part)
        np.testing.assert_array_equal(split.weights["age"] > 0, np.isfinite(labels["age"]))
        np.testing.assert_array_equal(split.weights["sex"] > 0, [label is not None for label in labels["sex"]])
        assert np.isfinite(split.targets["age"]).all()
    inputs, targets, weights = next(iter(splits.train.batches(8)))
    assert targets.keys() == weights.keys() == {"age", "sex", "decade"}
    assert inputs["text"].shape[0] == 8


def test_labels_are_removed_to_train_and_validate_but_not_to_test():
    whole = load_profiles("posts", limit=400, seed=1)
    half = load_profiles("posts", limit=400, seed=1, missing=0.5)
    for name in ("age", "income", "gender"):
        assert whole.train.weights[name].mean() == 1
        assert 0.4 < (half.train.weights[name] > 0).mean() < 0.6
        assert half.train.weights[name].mean() == pytest.approx(1)
        assert half.test.weights[name].mean() == 1
    assert not np.array_equal(half.train.weights["age"], half.train.weights["gender"])
    assert whole.rows["train"].texts == half.rows["train"].texts


def test_the_reference_is_of_the_test_part():
    splits = load_profiles("posts", limit=400)
    truth = splits.test.targets["age"]
    assert len(splits.reference["age"]) == len(truth)
    error = np.abs(splits.reference["age"] - truth).mean()
    assert error < 0.6 * np.abs(np.median(truth) - truth).mean()


def test_the_reference_counts_in_the_classes_of_the_network():
    splits = load_profiles("posts", limit=20, seed=3)  # too few for all ten income groups
    names = splits.codec.classes["income"]
    assert len(names) < 10
    best = bayes_estimates(simulate_people(80, seed=3).take(splits.rows["test"].numbers))["income"]
    named = [f"group {group}" for group in best]
    np.testing.assert_array_equal(splits.reference["income"], [names.index(n) if n in names else -1 for n in named])
    assert (splits.reference["income"] != best).any()


def test_the_test_part_as_a_trained_network_sees_it(tmp_path):
    columns = rows()
    first = load_profiles(write(tmp_path / "posts.csv", columns), text="body", labels=LABELS)
    columns["body"] = [f"new {text}" for text in columns["body"]]
    columns["sex"] = ["a" if value == "f" else value for value in columns["sex"]]
    changed = load_profiles(write(tmp_path / "other.csv", columns), text="body", labels=LABELS)
    seen = changed.as_seen_by(first.codec, limit=5)
    assert len(seen.test) == len(seen.rows["test"].texts) == 5
    assert seen.codec.classes["sex"] == ("f", "m")
    known = np.array([label == "m" for label in seen.rows["test"].labels["sex"]])
    np.testing.assert_array_equal(seen.test.weights["sex"] > 0, known)  # "a" is no class of the network
    assert (seen.test.inputs["text"][:, 0] == 1).all()  # "new" is no word of it


def test_some_heads_alone():
    splits = load_profiles("posts", limit=100).only(["gender"])
    for split in (splits.train, splits.validation, splits.test):
        assert list(split.targets) == list(split.weights) == ["gender"]
    assert splits.sizes["heads"] == splits.codec.heads == {"gender": Head("binary")}
    assert splits.codec.classes == {"gender": ("a", "b")}


def test_the_codec_by_hand(tmp_path):
    fitted = load_profiles(write(tmp_path / "posts.csv", rows()), text="body", labels=LABELS).codec
    codec = TextCodec.from_json(json.loads(json.dumps(fitted.to_json())))
    assert codec == fitted
    word = codec.words.words.index("common") + 2
    np.testing.assert_array_equal(codec.encode("Common, never seen: common!")["text"], [[word, 1, 1, word]])
    assert codec.outputs() == {"age": 1, "sex": 1, "decade": 3}
    outputs = {
        "decade": np.array([[0.2, 0.5, 0.3], [1, 0, 0]], np.float32),
        "sex": np.array([[0.75], [0.5]], np.float32),
        "age": np.array([31.5, 20], np.float32),
    }
    first, second = codec.decode(outputs)
    assert list(first) == ["age", "sex", "decade"]
    assert first["age"] == 31.5
    assert list(first["sex"].items()) == [("m", 0.75), ("f", 0.25)]
    assert list(first["decade"]) == ["15", "25", "5"]
    assert next(iter(second["sex"])) == "f"  # as `decide` has it


def test_a_class_that_was_never_seen_is_left_out(tmp_path):
    columns = rows(300) | {"user": [str(i) for i in range(300)]}
    columns["sex"] = ["m" if i % 2 else "f" for i in range(300)]
    data = write(tmp_path / "posts.csv", columns)
    tested = load_profiles(data, text="body", labels=("sex=classes",), author="user").rows["test"].groups[0]
    columns["sex"][int(tested.removeprefix("author "))] = "x"
    splits = load_profiles(write(tmp_path / "posts.csv", columns), text="body", labels=("sex=classes",), author="user")
    assert splits.codec.classes["sex"] == ("f", "m")
    assert (splits.test.weights["sex"] > 0).sum() == len(splits.test) - 1
    assert any("sex x" in note for note in splits.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "words"}, "has no column words; it has body, user, age, sex, decade."),
        ({"labels": ("height",)}, "has no column height"),
        ({"author": "who"}, "has no column who"),
        ({"labels": ()}, "--labels must name columns"),
        ({"labels": ("age=number",)}, "--labels age=number: the kind must be one of"),
        ({"labels": ("sex=regression",)}, "sex is not a number in every row. Received: 'f'"),
        ({"labels": ("decade=binary",)}, "decade has 3 values, which are too many for binary"),
    ],
)
def test_what_a_person_can_get_wrong(tmp_path, change, message):
    data = write(tmp_path / "posts.csv", rows())
    with pytest.raises(DataError) as error:
        load_profiles(data, **{"text": "body", "labels": LABELS} | change)
    assert message in str(error.value)


def test_a_label_with_one_value(tmp_path):
    data = write(tmp_path / "posts.csv", rows() | {"age": [30] * 120})
    with pytest.raises(DataError, match="The label age has 1 value"):
        load_profiles(data, text="body", labels=("age=regression",))


def test_a_file_that_is_no_table(tmp_path):
    (tmp_path / "posts.parquet").write_text("no")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_table(str(tmp_path / "posts.parquet"), text="text", labels=("age",), author=None)
    with pytest.raises(DataError, match="neither posts, adult nor a file"):
        read_table(str(tmp_path / "posts.txt"), text="text", labels=("age",), author=None)


def test_rows_without_text_are_left_out(tmp_path):
    lines = [{"text": None if i == 3 else f"text {i}", "age": i} for i in range(30)]
    path = tmp_path / "posts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    table = read_table(str(path), text="text", labels=("age=regression",), author=None)
    assert len(table.texts) == 29
    assert table.notes == ("30 rows, 1 dropped: no text; age: numbers.",)


def test_what_is_blank_is_missing_however_it_is_stored(tmp_path):
    lines = ['"text","age","sex"'] + [
        f'"text {i}","{i if i % 5 else ""}","{"" if i % 7 == 0 else "ab"[i % 2]}"' for i in range(1, 60)
    ]
    (tmp_path / "quoted.csv").write_text("\n".join([*lines, '"  ","3","a"']))
    table = read_table(str(tmp_path / "quoted.csv"), text="text", labels=("age", "sex"), author=None)
    assert table.kinds == {"age": "regression", "sex": "binary"}
    assert len(table.texts) == 59
    assert np.isnan(table.labels["age"]).sum() == 11
    assert [value is None for value in table.labels["sex"]] == [i % 7 == 0 for i in range(1, 60)]
    polars.DataFrame({"text": ["a", "b", "c"] * 9, "yes": [0.0, 1.0, float("nan")] * 9}).write_parquet(
        tmp_path / "gaps.parquet"
    )
    gaps = read_table(str(tmp_path / "gaps.parquet"), text="text", labels=("yes",), author=None)
    assert gaps.kinds == {"yes": "binary"}
    assert [value is None for value in gaps.labels["yes"]] == [False, False, True] * 9


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("größe", "'größe' cannot name an output"),
        ("household income", "rename the column"),
        ("features", "'features' cannot name an output"),
        ("tags", "tags holds neither text nor numbers"),
    ],
)
def test_a_column_that_cannot_be_a_label(tmp_path, column, message):
    lines = [{"text": f"text {i}", column: ["x"] if column == "tags" else i} for i in range(30)]
    (tmp_path / "posts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match=message):
        read_table(str(tmp_path / "posts.jsonl"), text="text", labels=(column,), author=None)


def test_words_have_no_order(tmp_path):
    sizes = {"size": [("low", "medium", "high")[i % 3] for i in range(120)]}
    with pytest.raises(DataError, match="number the classes in their order"):
        load_profiles(write(tmp_path / "posts.csv", rows() | sizes), text="body", labels=("size=ordinal",))


@pytest.mark.real_data
def test_adult_tells_nothing_of_what_is_asked():
    adult = read_adult()
    assert len(adult.texts) == 30_162
    assert adult.labels["age"].min() == 17
    assert set(adult.labels["income"]) == {"<=50K", ">50K"}
    assert set(adult.labels["gender"]) == {"Female", "Male"}
    assert adult.kinds["age"] == "regression"
    words = {word for text in adult.texts for word in text.split()}
    assert not any(word.startswith(("age", "sex", "income")) for word in words)
    assert "hrperweek40" in words
    assert len(np.unique(adult.groups)) < len(adult.texts)  # a few rows are there twice
