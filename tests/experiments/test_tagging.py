"""The tagging experiment as a person runs it."""

from pathlib import Path

import keras
import numpy as np
import pytest

from experiments.shared.runs import load_run
from experiments.tagging import __main__ as experiment
from experiments.tagging import trying
from experiments.tagging.network import encoded_splits, predict_tags
from experiments.tagging.results import most_frequent_tags, tag_metrics
from experiments.tagging.spans import Span, are_marked, span_scores, spans_of
from kerasapps.data.columns import TaggedSequence
from kerasapps.data.dispatches import write_dispatches
from kerasapps.data.tagging import load_tagged
from tests.experiments.commands import commands, read

run, refused = commands("experiments.tagging", *experiment.COMMANDS)
SMALL = '{"embedding_dim": 16, "units": 16}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 1,500 sentences."""
    folder = tmp_path_factory.mktemp("runs") / "dispatches"
    run("train", "--limit", 1500, "--epochs", 4, "--learning-rate", 0.02, "--params", SMALL, "--out", folder)
    return folder


def test_train_learns_what_no_network_in_one_direction_can_know(trained):
    metrics = read(trained)
    assert metrics["accuracy_baseline"] < metrics["accuracy_filtering"] < metrics["accuracy"]
    assert abs(metrics["accuracy"] - metrics["accuracy_reference"]) < 0.03
    assert metrics["f1_baseline"] < metrics["f1"] < metrics["f1_reference"] + 0.02
    html = (trained / "report.html").read_text()
    for shown in (
        "best possible",
        "conlleval",
        "most confident mistakes",
        "By length",
        '<mark style="background: rgba(',
    ):
        assert shown in html
    assert read(trained, "codec.json")["tag_names"][0] == "B-LOC"


@pytest.mark.slow
@pytest.mark.parametrize("data", ["dispatches", "context"])
def test_the_default_is_within_a_point_of_the_best_possible(data, tmp_path):
    run("train", "--data", data, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run")
    assert metrics["accuracy"] > metrics["accuracy_reference"] - 0.01
    assert metrics["accuracy"] > metrics["accuracy_filtering"] > metrics["accuracy_baseline"]


def test_evaluate_repeats_what_train_found(trained, tmp_path, capsys):
    run("evaluate", "--run", trained)
    said = capsys.readouterr().out
    assert f"accuracy  {100 * read(trained)['accuracy']:.1f} %" in said
    assert f"F1        {100 * read(trained)['f1']:.1f} %" in said
    (tmp_path / "test.txt").write_text("coach O\nMiller B-PER\nsmiled O\n. O\n")
    run("evaluate", "--run", trained, "--data", tmp_path / "test.txt")
    assert "accuracy  100 %" in capsys.readouterr().out


def test_predict(trained, tmp_path, capsys):
    (tmp_path / "sentences.txt").write_text("coach Miller smiled.\n\nthe zyzzyva waited in Oslo.\n")
    (tmp_path / "columns.txt").write_text("mr\nKent\nspoke\n.\n")
    run("predict", "--run", trained, "--file", tmp_path / "sentences.txt", "--columns", tmp_path / "columns.txt")
    said = capsys.readouterr()
    assert said.out.startswith("coach\tO\nMiller\tB-PER\nsmiled\tO\n.\tO\n\nthe\t")
    assert said.out.endswith("Oslo\tB-LOC\n.\tO\n\nmr\tO\nKent\tB-PER\nspoke\tO\n.\tO\n")
    assert "too rare there: the, zyzzyva" in said.err
    assert "Nothing was given" in refused(capsys, "predict", "--run", trained)
    assert "no word to tag" in refused(capsys, "predict", "--run", trained, "--text", " ")


def test_the_form_on_the_page_does_what_predict_does(trained):
    saved = load_run(trained)
    assert [field.name for field in trying.questions(saved)] == ["text"]
    tried = trying.answer(saved, {"text": "coach Miller\nsmiled."})
    assert tried.blocks[0].rows == [("coach", "O"), ("Miller", "B-PER"), ("smiled", "O"), (".", "O")]
    assert tried.arguments == ("predict", "--text", "coach Miller smiled .")


def test_a_run_gets_its_data_back(trained):
    saved = load_run(trained)
    splits = encoded_splits(saved)
    assert len(splits.test) == 1500
    truth = [one.tags for one in splits.sequences["test"]]
    predicted = saved.codec.decode(saved.outputs(splits.test.inputs), list(map(len, truth)))
    assert tag_metrics(truth, predicted)["f1"] == pytest.approx(read(trained)["f1"])


def test_context_in_place_of_words(tmp_path, capsys):
    folder = tmp_path / "run"
    run("train", "--data", "context", "--smoke", "--params", '{"units": 4, "cell": "gru"}', "--out", folder)
    metrics = read(folder)
    assert metrics["accuracy_baseline"] < metrics["accuracy_filtering"] < metrics["accuracy_reference"]
    assert "f1" not in metrics
    assert "What the context adds" in (folder / "report.html").read_text()
    (tmp_path / "outputs.txt").write_text("0.8 0.15 0 0 0.05 0\n0 0 0 0 0 1\n")
    run("predict", "--run", folder, "--columns", tmp_path / "outputs.txt")
    said = capsys.readouterr().out
    assert said.splitlines()[-2].startswith("dog 0.80\t")
    assert said.splitlines()[-1].startswith("bear 1.00\t")
    assert "reads 6 numbers a step: give --columns" in refused(capsys, "predict", "--run", folder, "--text", "a wolf")


def test_own_files(tmp_path):
    lines = []
    for one in write_dispatches(60, seed=3):
        lines += [f"{i} {word} x {tag}" for i, (word, tag) in enumerate(zip(one.steps, one.tags, strict=True))]
        lines += ["", "-DOCSTART- -X- O O", ""]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    arguments = ("--word", 1, "--tag", -1, "--params", SMALL, "--epochs", 1)
    run("train", "--data", tmp_path / "train.txt", *arguments, "--out", tmp_path / "one")
    metrics = read(tmp_path / "one")
    assert (metrics["train_rows"], metrics["validation_rows"], metrics["test_rows"]) == (48, 6, 6)
    assert "accuracy_reference" not in metrics
    assert {"accuracy_baseline", "f1"} <= metrics.keys()


def test_numbers_of_own_files(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["\t".join([f"{x:.3f}", f"{y:.3f}", "up" if x > y else "down"]) for x, y in rng.normal(size=(80, 2))]
    text = "\n\n".join("\n".join(rows[i : i + 4]) for i in range(0, 80, 4))
    (tmp_path / "numbers.tsv").write_text(text)
    arguments = ("--numbers", 0, 1, "--params", '{"units": 4}', "--epochs", 1)
    run("train", "--data", tmp_path / "numbers.tsv", *arguments, "--out", tmp_path / "run")
    assert read(tmp_path / "run", "codec.json")["feature_names"] == ["column 0", "column 1"]


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    best = tmp_path / "search" / "best.json"
    run("train", "--smoke", "--params", best, "--epochs", 1, "--out", tmp_path / "best")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.txt"), "--data nowhere.txt is neither dispatches, context nor a file."),
        (("--test", "test.txt"), "--test: --data dispatches is simulated, and has sets of its own."),
        (("--params", '{"vocab_size": 3}'), "--params: this network does not take vocab_size; it takes"),
        (("--params", '{"cell": "rnn"}'), "`cell` must be"),
        (("--longest", 0), "--longest must be at least 1"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


def test_probabilities_come_without_padding():
    splits = load_tagged(limit=70)
    text = keras.Input((None,), name="text")
    model = keras.Model([text], {"tags": keras.layers.Embedding(1000, 3, name="tags")(text)})
    found = predict_tags(model, splits.test, batch_size=32)
    assert [len(one) for one in found] == [len(one) for one in splits.sequences["test"]]
    whole = model.predict(splits.test.inputs, verbose=0)["tags"]
    np.testing.assert_allclose(found[40], whole[40, : len(found[40])], rtol=1e-6)


def test_the_most_frequent_tag_of_a_word_by_hand():
    train = [TaggedSequence(("a", "b", "a"), ("X", "Y", "X")), TaggedSequence(("a", "b"), ("Y", "Y"))]
    test = [TaggedSequence(("b", "a", "c"), ("Y", "Y", "Y"))]
    splits = type("Splits", (), {"sequences": {"train": train, "test": test}})
    assert most_frequent_tags(splits) == [["Y", "X", "Y"]]  # X twice and Y thrice: the usual one of an unknown word


# --- names, as conlleval counts them


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("O O", []),
        ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)]),
        ("B-PER B-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("I-PER I-PER B-PER O", [("PER", 0, 2), ("PER", 2, 3)]),  # as the data of 2003 mark neighbors
        ("B-PER I-LOC I-LOC", [("PER", 0, 1), ("LOC", 1, 3)]),  # another kind is another name, B or not
        ("O I-ORG O I-ORG", [("ORG", 1, 2), ("ORG", 3, 4)]),
        ("B-PER I-PER E-PER I-PER", [("PER", 0, 3), ("PER", 3, 4)]),  # after an end a new one begins
        ("S-PER I-PER", [("PER", 0, 1), ("PER", 1, 2)]),
        ("B I O B", [("", 0, 2), ("", 3, 4)]),
    ],
)
def test_spans_by_hand(tags, spans):
    assert spans_of(tags.split()) == {Span(*span) for span in spans}


def test_span_scores_by_hand():
    truth = ["B-PER I-PER O B-LOC", "B-ORG O B-PER O"]
    predicted = ["B-PER I-PER O B-ORG", "B-ORG I-ORG B-PER O"]
    scores = span_scores([one.split() for one in truth], [one.split() for one in predicted])
    # Of four names two are found, of four guesses two are names: one kind is wrong, one name is too long.
    assert scores[""] == (0.5, 0.5, 0.5, 4)
    assert scores["PER"] == (1, 1, 1, 2)
    assert scores["LOC"] == (0, 0, 0, 1)
    assert scores["ORG"] == (0, 0, 0, 1)
    assert span_scores([["O"]], [["O"]]) == {"": (0, 0, 0, 0)}


def test_which_tags_mark_names():
    assert are_marked(["B-PER", "O", "I-PER"])
    assert are_marked(["B", "I", "O"])
    assert not are_marked(["O", "O"])
    assert not are_marked(["NOUN", "VERB"])
    assert not are_marked(["B-PER", "NOUN"])
