"""The text classification experiment as a person runs it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import scipy.sparse
from keras_tuner import HyperParameters

from experiments.shared.classification import calibration, calibration_error
from experiments.shared.runs import Settings, load_run
from experiments.text_classification import __main__ as experiment
from experiments.text_classification import baseline
from experiments.text_classification import pretrain as pretraining
from experiments.text_classification.baseline import accuracies, log_count_ratio, ngrams
from experiments.text_classification.compare import summarize
from experiments.text_classification.network import Arch, Source, load, make_model, space_of, splits_of
from experiments.text_classification.results import label_metrics
from experiments.text_classification.vectors import Beginning, is_run, load_beginning
from kerasapps.data.segments import Segmenter
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

run, refused = commands(
    "experiments.text_classification",
    experiment.train,
    experiment.compare,
    experiment.search,
    experiment.pretrain,
    experiment.evaluate,
    experiment.predict,
)
SMALL = '{"embedding_dim": 16, "filters": 16}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 1,500 reviews."""
    folder = tmp_path_factory.mktemp("runs") / "snippets"
    run("train", "--limit", 1500, "--epochs", 6, "--learning-rate", 0.01, "--params", SMALL, "--out", folder)
    return folder


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained)
    assert metrics["accuracy"] > 0.55  # 0.17 by guessing, 0.83 at best
    assert metrics["accuracy_baseline"] > 0.55
    html = (trained / "report.html").read_text()
    for shown in (
        "NB-SVM",
        "most confident mistakes",
        "calibration error",
        "by the length of the texts",
        "<mark style=",
    ):
        assert shown in html
    assert read(trained, "codec.json")["class_names"][0] == "film, bad"


def test_train_without_validation(tmp_path, capsys):
    run("train", "--no-validation", "--limit", 200, "--epochs", 3, "--params", SMALL, "--out", tmp_path / "run")
    metrics, header = read(tmp_path / "run"), (tmp_path / "run" / "history.csv").read_text().splitlines()[0]
    assert metrics["train_rows"] == metrics["test_rows"] == 200
    assert "validation_rows" not in metrics
    assert "loss" in header
    assert "val_" not in header
    assert 0 < metrics["accuracy_baseline"] < 1
    message = "A search chooses by validation accuracy: leave out --no-validation."
    assert message in refused(capsys, "search", "--no-validation")


def test_nb_svm_without_validation_learns_from_all_that_is_not_for_testing(monkeypatch):
    splits = load(Source(validation=False), "text_cnn", options=Options(limit=400))
    seen = []

    def watched(sets, **given):
        seen.append({name: len(texts) for name, (texts, _) in sets.items()} | {"strengths": len(given["strengths"])})
        return accuracies(sets, **given)

    monkeypatch.setattr(baseline, "accuracies", watched)
    assert 0.3 < baseline.nb_svm_accuracy(splits, longest=1) < 0.7
    choosing, testing = seen
    assert choosing["train"] + choosing["validation"] == testing["train"] == testing["test"] == 400
    assert (choosing["strengths"], testing["strengths"]) == (3, 1)
    few = replace(splits, train=splits.train.take(np.arange(2)), texts=splits.texts | {"train": ["good", "bad"]})
    assert 0 <= baseline.nb_svm_accuracy(few, longest=1) <= 1  # nothing is left to choose by


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained)
    assert re.search(rf"^accuracy  +{read(trained)['accuracy']:.4f}$", capsys.readouterr().out, re.MULTILINE)


def test_predict(trained, tmp_path, capsys):
    (tmp_path / "reviews.txt").write_text("The soup was superb; the bread is bright.\n\nThe zyzzyva was dull.\n")
    run("predict", "--run", trained, "--file", tmp_path / "reviews.txt", "--text", "Their plot is bland.")
    said = capsys.readouterr()
    assert "food, good" in said.out
    assert "unknown: zyzzyva" in said.err
    assert all(start in said.out for start in ("Their plot", "The soup", "The zyzzyva"))
    assert "No text was given" in refused(capsys, "predict", "--run", trained)


def test_a_text_is_read_by_sentences(tmp_path, capsys):
    """The whole way of a network whose input has another shape: codec, report, prediction."""
    folder = tmp_path / "run"
    params = '{"embedding_dim": 8}'
    run("train", "--smoke", "--arch", "hierarchical", "--sentence-length", 5, "--params", params, "--out", folder)
    assert read(folder, "codec.json")["sentence_length"] == 5
    assert "<mark style=" in (folder / "report.html").read_text()
    run("evaluate", "--run", folder)
    assert re.search(rf"^accuracy  +{read(folder)['accuracy']:.4f}$", capsys.readouterr().out, re.MULTILINE)
    run("predict", "--run", folder, "--text", "The soup was superb. The bread is bright.")


@pytest.mark.parametrize("arch", get_args(Arch))
def test_every_architecture_trains(arch):
    sizes = {"vocab_size": 20, "num_classes": 2}
    own = {"ngrams": {"buckets": 50}, "text_cnn": {"filters": 8}, "wide_text_cnn": {"filters": 8, "buckets": 50}}
    params = {"embedding_dim": 8} | own.get(arch, {"units": 8})
    recipe = replace(experiment.recipe_of(arch, options=experiment.Options()), learning_rate=0.05)
    model = make_model(arch=arch, sizes=sizes, params=params, recipe=recipe, steps=80)
    rng = np.random.default_rng(0)
    texts = rng.integers(2, 20, (200, 6)).astype(np.int32)
    labels = (texts[:, 0] < 11).astype(np.int32)
    texts[:, 1:] = 2
    if arch == "hierarchical":
        texts = texts.reshape(-1, 2, 3)
    model.fit(texts, labels, epochs=8, batch_size=20, verbose=0)
    assert (model.predict(texts, verbose=0)["label"].argmax(1) == labels).mean() > 0.8


def test_given_vectors_are_where_training_starts():
    vectors = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    recipe = experiment.recipe_of("text_cnn", options=experiment.Options())
    for kind, trainable in (("static", []), ("multichannel", ["words"]), ("non_static", ["words"])):
        model = make_model(
            arch="text_cnn",
            sizes={"vocab_size": 7, "num_classes": 2},
            params={"filters": 2, "vectors": kind},
            recipe=recipe,
            steps=1,
            beginning=Beginning(vectors),
        )
        embeddings = {layer.name: layer for layer in model.layers if layer.name in ("words", "frozen_words")}
        assert [name for name, layer in embeddings.items() if layer.trainable_weights] == trainable
        for layer in embeddings.values():
            np.testing.assert_array_equal(layer.get_weights()[0], vectors)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """What was learned from a file of texts without labels."""
    folder = tmp_path_factory.mktemp("pretrained")
    rng = np.random.default_rng(0)
    (folder / "texts.txt").write_text(
        "\n".join(
            f"The {rng.choice(['film', 'plot'])} is {rng.choice(['good', 'superb', 'bad', 'dull'])}" for _ in range(600)
        )
    )
    arguments = ("--texts", folder / "texts.txt", "--tokens", "cased", "--vocab-size", 100, "--units", 4)
    run("pretrain", *arguments, "--epochs", 20, "--batch-size", 8, "--learning-rate", 0.03, "--out", folder / "run")
    return folder / "run"


def test_a_network_begins_with_what_was_learned_from_texts_without_labels(tmp_path, pretrained, capsys):
    metrics = read(pretrained)
    # Of each sentence two words are open, one of two and one of four: 1.7 at best, 8 by guessing.
    assert 1.6 < metrics["perplexity_next"] < 2.5
    assert "What the networks expect in the place of a word" in (pretrained / "report.html").read_text()
    assert read(pretrained, "codec.json")["tokens"] == "cased"
    (tmp_path / "texts.csv").write_text("text,label\n" + "The film is good,1\nThe play is bad,0\n" * 40)
    arguments = ("--data", tmp_path / "texts.csv", "--vectors", pretrained, "--epochs", 1, "--params", '{"filters": 4}')
    for command, *options in (("train",), ("compare", "--archs", "text_cnn"), ("search",)):
        said = refused(capsys, command, *options, *arguments[:-2], "--out", tmp_path / command)
        assert "has learned from texts cut by --tokens cased: give the same here." in said
    for arch, layers in (("text_cnn", {"words", "reader_words", "reader"}), ("wide_text_cnn", {"words"})):
        folder = tmp_path / arch
        run("train", *arguments, "--tokens", "cased", "--arch", arch, "--out", folder)
        assert "5 of 6 words (83%) have vectors" in capsys.readouterr().out
        model = load_run(folder).model
        assert layers <= {layer.name for layer in model.layers}
    given = load_run(tmp_path / "text_cnn")
    learned = load_beginning(str(pretrained), given.codec.words, size=0, seed=0, contexts="near")[1]
    for name, weights in (("reader_words", learned.reader[:1]), ("reader", learned.reader[1:])):
        for one, other in zip(given.model.get_layer(name).get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_was_learned_without_labels_is_no_classifier_and_a_classifier_is_no_such_run(trained, pretrained, capsys):
    said = refused(capsys, "predict", "--run", pretrained, "--text", "The film is good")
    assert "codec.json: it names no classes; what `pretrain` has learned is for `train --vectors`." in said
    said = refused(capsys, "train", "--vectors", trained)
    assert "is no run of pretrain, whose vectors --vectors takes." in said


def test_a_reader_is_not_for_params(tmp_path, capsys):
    said = refused(capsys, "train", "--limit", 100, "--params", '{"reader_units": 4}', "--out", tmp_path / "run")
    assert "--params: --arch text_cnn does not take reader_units" in said


def test_a_folder_named_imdb_is_not_what_vectors_means(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imdb").mkdir()
    assert not is_run("imdb")
    assert is_run("./imdb")


def test_a_damaged_run_of_pretrain(tmp_path, pretrained, capsys):
    folder = shutil.copytree(pretrained, tmp_path / "run")
    content = json.loads((folder / "codec.json").read_text())
    (folder / "codec.json").write_text(json.dumps(content | {"words": content["words"][:-1]}))
    (tmp_path / "texts.csv").write_text("text,label\n" + "The film is good,1\nThe play is bad,0\n" * 40)
    said = refused(
        capsys, "train", "--data", tmp_path / "texts.csv", "--tokens", "cased", "--vectors", folder, "--epochs", 1
    )
    assert "model.keras and codec.json are not of the same network." in said


def test_words_that_are_learned_themselves_are_refused(tmp_path, monkeypatch):
    """`train` would learn others."""
    (tmp_path / "texts.txt").write_text("今天天气很好\n")
    monkeypatch.setattr(pretraining, "settle_tokens", lambda *_: (Segmenter.__new__(Segmenter), ()))
    with pytest.raises(UserError, match="has no spaces between words: give --tokens characters, here and to train"):
        pretraining.read_corpus(pretraining.Corpus(str(tmp_path / "texts.txt")), limit=None, seed=0)


def test_texts_that_are_too_few_to_learn_from(tmp_path, capsys):
    (tmp_path / "texts.txt").write_text("one two\nthree four\n")
    said = refused(capsys, "pretrain", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "run")
    assert "texts.txt: no two words that are in the texts 5 times stand near each other." in said
    assert "cannot be read" in refused(capsys, "pretrain", "--texts", tmp_path / "none.txt", "--out", tmp_path / "run")


@pytest.fixture
def opinions(tmp_path) -> tuple[str | Path, ...]:
    """Texts that a word decides, and vectors in which words that no text has are like these; as options."""
    rng = np.random.default_rng(0)
    words = {"pos": ["good", "great", "fine"], "neg": ["bad", "dull", "poor"]}
    rows = [f"the {rng.choice(['film', 'plot'])} was {rng.choice(words[label])},{label}" for label in [*words] * 100]
    (tmp_path / "opinions.csv").write_text("\n".join(["text,label", *rows]))
    axes = dict(zip([*words["pos"], "superb", *words["neg"], "awful"], [3] * 4 + [-3] * 4, strict=True))
    vectors = {word: [axis, *rng.normal(size=3)] for word, axis in axes.items()} | {"film": [0] * 4, "opus": [0] * 4}
    lines = [f"{word} {' '.join(map(str, vector))}" for word, vector in vectors.items()]
    (tmp_path / "words.vec").write_text("\n".join(lines))
    return "--data", tmp_path / "opinions.csv", "--vectors", tmp_path / "words.vec"


def test_words_that_only_the_vectors_know_are_read_as_those_they_are_like(tmp_path, opinions, capsys):
    folder, params = tmp_path / "run", '{"filters": 8, "vectors": "static"}'
    run("train", *opinions, "--epochs", 6, "--learning-rate", 0.02, "--params", params, "--out", folder)
    assert "7 of 10 words (70%) have vectors of 4 numbers, and so have 3 further ones." in capsys.readouterr().out
    assert read(folder)["accuracy"] == 1
    run("predict", "--run", folder, "--text", "the opus was superb", "the opus was awful", "the zyzzyva was awful")
    said = capsys.readouterr()
    assert [line.split()[4] for line in said.out.splitlines() if " was " in line] == ["pos", "neg", "neg"]
    assert said.err.strip().endswith("unknown: zyzzyva.")
    run("evaluate", "--run", folder)
    assert re.search(r"^accuracy  +1.0000$", capsys.readouterr().out, re.MULTILINE)


def test_a_run_is_not_resumed_with_other_words(tmp_path, opinions, capsys):
    """As an unfinished run from before words had ids that only the vectors know."""
    folder = tmp_path / "run"
    arguments = (*opinions, "--params", '{"filters": 4}', "--baseline", 0, "--out", folder)
    run("train", *arguments, "--epochs", 1)
    codec = (folder / "codec.json").read_bytes()
    with (tmp_path / "words.vec").open("a") as file:
        file.write("\nlovely 1 1 1 1")
    message = "was started with other words, classes or scales than the data give now"
    assert message in refused(capsys, "train", *arguments, "--epochs", 2, "--resume")
    assert (folder / "codec.json").read_bytes() == codec


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_a_search_tests_in_the_words_of_the_vectors(tmp_path, opinions, monkeypatch):
    tested = []

    def watched(model, splits):
        tested.append(splits.codec.words.words)
        return metrics_of(model, splits)

    metrics_of = experiment.test_metrics
    monkeypatch.setattr(experiment, "test_metrics", watched)
    run("search", *opinions, "--epochs", 1, "--max-trials", 1, "--tuner", "random", "--out", tmp_path / "search")
    assert len(tested) == 1
    assert {"good", "superb"} <= set(tested[0])


def test_a_search_does_not_propose_the_length_of_given_vectors():
    proposed = space_of("lstm", vectors=True)(HyperParameters())
    assert proposed.keys() == space_of("lstm")(HyperParameters()).keys() - {"embedding_dim"}


@pytest.mark.parametrize("buckets", [0, 1000])
def test_the_weights_of_ngrams_are_those_of_naive_bayes(buckets):
    texts = np.array([[2, 3, 0], [2, 4, 2], [4, 3, 0]], np.int32)
    labels = np.array([0, 0, 1], np.int32)
    model = make_model(
        arch="ngrams",
        sizes={"vocab_size": 6, "num_classes": 2},
        params={"buckets": buckets, "weighted": True},
        recipe=experiment.recipe_of("ngrams", options=experiment.Options()),
        steps=1,
        train=Split({"text": texts}, {"label": labels}),
    )
    weights = model.get_layer("weights").get_weights()[0][:, 0]
    # The words 2, 3, 4 and, with buckets, the pairs (2, 3), (2, 4), (4, 2), (4, 3), by class and 1 more.
    p, q = [3, 2, 2, *[2, 2, 2, 1] * (buckets > 0)], [1, 2, 2, *[1, 1, 1, 2] * (buckets > 0)]
    expected = np.abs(np.log(np.array(p) / sum(p)) - np.log(np.array(q) / sum(q)))
    np.testing.assert_allclose(weights[2:5], expected[:3], rtol=1e-5)
    np.testing.assert_allclose(np.sort(weights[6:][weights[6:] > 0]), np.sort(expected[3:]), rtol=1e-5)
    assert (weights[[0, 1, 5]] == 0).all()


@pytest.mark.slow
def test_compare_by_cross_validation(tmp_path):
    run("compare", "--smoke", "--archs", "ngrams", "--folds", 3, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run")
    assert {"accuracy", "accuracy_std", "accuracy_ngrams", "seconds_ngrams"} <= metrics.keys()


def test_the_texts_of_a_network_of_a_cross_validation_are_those_of_its_fold():
    source, options = Source(), Options(limit=300)
    settings = vars(source) | {"arch": "ngrams", "limit": 300, "seed": 0, "smoke": False}
    for fold in ({"fold": 1, "folds": 3}, {}):
        expected = load(source, "ngrams", options=options, **fold)
        saved = Settings(Path("config.json"), settings | fold)
        found = splits_of(SimpleNamespace(settings=saved, codec=expected.codec))
        for name in ("train", "validation", "test"):
            assert getattr(found, name).digest() == getattr(expected, name).digest()


def test_the_table_of_a_comparison_by_hand():
    one = {"seconds": 2.0}
    results = {
        "lstm_fold0": [one | {"accuracy": 0.5}, one | {"accuracy": 0.7}],
        "lstm_fold1": [one | {"accuracy": 0.8}, one | {"accuracy": 0.8}],
    }
    table, metrics = summarize(results, ["lstm"], folds=2, data="trec", linear=[0.5, 0.7])
    assert metrics["accuracy"] == metrics["accuracy_lstm"] == pytest.approx(0.7)
    assert metrics["accuracy_std"] == metrics["accuracy_std_lstm"] == pytest.approx(0.1)  # of 0.6 and 0.8
    for name in ("accuracy", "accuracy_lstm"):
        assert [metrics[f"{name}_{end}"] for end in ("lowest", "highest")] == pytest.approx([0.6, 0.8])
    assert metrics["folds"] == 2
    assert metrics["seconds_lstm"] == 4
    assert metrics["accuracy_baseline"] == pytest.approx(0.6)
    assert table.rows[1] == ["NB-SVM", pytest.approx(60), pytest.approx(10), None]
    assert table.rows[-1][1] == 91.2


def test_the_spread_is_over_seeds_without_folds():
    one = {"seconds": 2.0}
    results = {"lstm": [one | {"accuracy": 0.5}, one | {"accuracy": 0.7}], "ngrams": [one | {"accuracy": 0.9}] * 2}
    metrics = summarize(results, ["lstm", "ngrams"], folds=0, data="")[1]
    assert [metrics[f"accuracy{end}"] for end in ("", "_lowest", "_highest")] == pytest.approx([0.6, 0.5, 0.7])
    assert metrics["accuracy_ngrams_lowest"] == metrics["accuracy_ngrams_highest"] == 0.9
    assert "folds" not in metrics
    alone = summarize({"lstm": results["lstm"][:1]}, ["lstm"], folds=0, data="")[1]
    assert not {name for name in alone if name.endswith(("lowest", "highest"))}


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    best = tmp_path / "search" / "best.json"
    run("train", "--smoke", "--baseline", 0, "--params", best, "--epochs", 1, "--out", tmp_path / "best")
    assert "accuracy_baseline" not in read(tmp_path / "best")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.csv"), "is neither snippets, mr, subj, trec, imdb, a folder nor a file"),
        (("--params", '{"heads": 3}'), "--params: --arch text_cnn does not take heads; it takes"),
        (("--params", '{"widths": [3, 3]}'), "`widths` must hold at least one width, none twice"),
        (("--arch", "ngrams", "--vectors", "imdb"), "the network ngrams has one for pairs of words as well"),
        (("--contexts", "both"), "--contexts is about vectors that are learned: give --vectors imdb as well"),
        (("--arch", "attention", "--params", '{"hierarchical": true}'), "--arch attention does not take hierarchical"),
        (("--length", 0), "--length must be at least 1"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


def test_vectors_that_do_not_suit_are_refused_before_anything_is_trained(tmp_path, capsys):
    out = ("--smoke", "--out", tmp_path / "run")
    assert "give --vectors imdb as well" in refused(capsys, "search", "--contexts", "both", *out)
    assert "give --vectors imdb as well" in refused(capsys, "compare", "--contexts", "places", *out)
    assert "the network ngrams" in refused(
        capsys, "compare", "--vectors", "imdb", "--archs", "text_cnn", "ngrams", *out
    )
    assert not (tmp_path / "run").exists()


# --- by hand


def test_ngrams_and_their_weights_by_hand():
    assert ngrams("Not so bad", tokens="words", longest=2) == ["not", "so", "bad", "not so", "so bad"]
    counts = np.array([[1, 0], [1, 1], [0, 1], [0, 1]], np.float32)
    ratio = log_count_ratio(scipy.sparse.csr_matrix(counts), np.array([True, True, False, False]))
    # p = (1 + 2, 1 + 1) / 5, q = (1 + 0, 1 + 2) / 4
    np.testing.assert_allclose(ratio, np.log([(3 / 5) / (1 / 4), (2 / 5) / (3 / 4)]), rtol=1e-6)


def test_coarse_labels_have_the_probabilities_of_their_fine_ones():
    names = ["DESC:def", "NUM:count", "NUM:date"]
    probabilities = np.array([[0.4, 0.3, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], np.float32)
    metrics = label_metrics(probabilities, np.array([1, 0, 1]), names)
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["accuracy_coarse"] == 1
    assert "accuracy_coarse" not in label_metrics(probabilities, np.array([1, 0, 1]), ["a:b", "c", "c:d"])
    # Every label has a first part of its own, or all have the same: nothing is coarser.
    assert "accuracy_coarse" not in label_metrics(probabilities, np.array([1, 0, 1]), ["a:b", "b:b", "c:b"])
    assert "accuracy_coarse" not in label_metrics(probabilities, np.array([1, 0, 1]), ["a:b", "a:c", "a:d"])
    results = {"lstm": [{"accuracy": 0.5, "accuracy_coarse": coarse, "seconds": 1} for coarse in (0.6, 0.8)]}
    table, metrics = summarize(results, ["lstm"], folds=0, data="trec", fine=True)
    assert table.rows[-1][:2] == ["text CNN, random vectors (Kim 2014), coarse labels", 91.2]
    assert table.rows[1][:3] == ["lstm, coarse labels", pytest.approx(70), pytest.approx(10)]
    assert metrics["accuracy_coarse"] == metrics["accuracy_coarse_lstm"] == pytest.approx(0.7)
    assert metrics["accuracy_coarse_std"] == pytest.approx(0.1)
    del results["lstm"][1]["accuracy_coarse"]  # as a training of before
    assert "accuracy_coarse" not in summarize(results, ["lstm"], folds=0, data="")[1]


def test_calibration_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.05, 0.95], [0.45, 0.55], [0.6, 0.4]])
    truth = np.array([0, 0, 1, 0])
    shares, sure, right = calibration(probabilities, truth)
    assert shares[[5, 6, 9]].tolist() == [0.25, 0.25, 0.5]
    assert right[[5, 6, 9]].tolist() == [1, 1, 0.5]
    np.testing.assert_allclose(sure[[5, 6, 9]], [0.55, 0.6, 0.95])
    assert calibration_error(probabilities, truth) == pytest.approx(0.25 * 0.45 + 0.25 * 0.4 + 0.5 * 0.45)
