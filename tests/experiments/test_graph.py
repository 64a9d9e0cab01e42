"""The graph experiment as a person runs it."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments.graph import __main__ as experiment
from experiments.graph.network import Recipe, Source, classify_features, make_model, propagate_labels
from experiments.graph.results import accuracies, layout
from kerasapps.data.graphs import load_graph, split_graph
from kerasapps.formats import format_share
from tests.experiments.commands import commands, read

run, refused = commands("experiments.graph", *experiment.COMMANDS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "karate"
    run("train", "--out", folder)
    return folder


def test_train_is_better_than_the_features_alone(trained):
    metrics = read(trained)
    assert metrics["accuracy"] > 0.6
    assert metrics["features_accuracy"] < 0.5  # these nodes have none
    assert (metrics["train_rows"], metrics["validation_rows"], metrics["test_rows"]) == (4, 6, 24)
    html = (trained / "report.html").read_text()
    for shown in ("label propagation", "logistic regression", "Squares are the 4 nodes", "Embeddings while it learns"):
        assert shown in html
    for name in ("codec.json", "figures/graph.png", "figures/embeddings.png", "figures/confusion.png"):
        assert (trained / name).is_file()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained)
    assert format_share(read(trained)["accuracy"]) in capsys.readouterr().out


def test_predict(trained, capsys):
    run("predict", "34", "1", "--run", trained)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert [(line[0], line[-1]) for line in lines] == [("34", "officer"), ("1", "instructor")]
    assert "no node 35" in refused(capsys, "predict", "35", "--run", trained)


def test_ten_seeds_beat_the_majority_and_the_features_alone():
    """Full trainings in one process, from weights that are drawn uniformly."""
    graph, reached = load_graph("karate"), []
    keras.utils.set_random_seed(0)
    model = make_model(sizes={"num_features": 34, "num_classes": 4}, params={}, recipe=Recipe())
    model.optimizer.build(model.trainable_variables)
    fresh = [variable.numpy() for variable in model.optimizer.variables]
    for seed in range(10):
        splits = split_graph(graph, seed=seed)
        rng = np.random.default_rng(seed)
        model.set_weights([rng.uniform(-0.3, 0.3, weight.shape) for weight in model.get_weights()])
        for variable, value in zip(model.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        model.fit(splits.train.epochs(1, seed=seed, first=0, last=15), verbose=0)
        reached.append(accuracies(splits, model(graph.inputs)["label"][0].numpy()))
    means = {name: np.mean([one[name] for one in reached]) for name in reached[0]}
    assert means["graph convolution"] > means["label propagation"] > means["largest class"] + 0.25
    assert means["graph convolution"] > means["logistic regression"] + 0.25


def test_the_baselines_see_the_graph_alone_and_the_features_alone():
    splits = split_graph(load_graph("planted"), labeled=5, seed=0)
    apart = replace(splits.graph, features=np.zeros_like(splits.graph.features))
    np.testing.assert_array_equal(propagate_labels(replace(splits, graph=apart)), propagate_labels(splits))
    alone = replace(splits.graph, edges=splits.graph.edges[:1])
    np.testing.assert_array_equal(classify_features(replace(splits, graph=alone)), classify_features(splits))


def test_neighbors_are_drawn_closer_than_others():
    graph = load_graph("karate")
    places = layout(graph)
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    assert np.isfinite(places).all()
    assert distances[tuple(graph.edges.T)].mean() < 0.7 * distances[np.triu_indices(34, 1)].mean()


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_compare(tmp_path):
    run("compare", "--seeds", 2, "--epochs", 3, "--workers", 1, "--out", tmp_path / "compared")
    metrics = read(tmp_path / "compared")
    assert metrics["accuracy_lowest"] <= metrics["accuracy"] <= metrics["accuracy_highest"]
    assert "label propagation" in (tmp_path / "compared" / "report.html").read_text()


@pytest.mark.usefixtures("_jobs_here")
def test_search(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--out", tmp_path / "search")
    assert set(read(tmp_path / "search", "best.json")) == {"units", "depth", "dropout"}


def test_a_graph_of_your_own(tmp_path, capsys):
    edges, nodes = tmp_path / "edges.csv", tmp_path / "nodes.csv"
    names = [f"n{i}" for i in range(12)]
    nodes.write_text("name,kind,x\n" + "".join(f"{name},{'ab'[i % 2]},{i}\n" for i, name in enumerate(names)))
    edges.write_text("".join(f"{names[i]} {names[(i + 2) % 12]}\n" for i in range(12)))
    given = ("--edges", edges, "--nodes", nodes, "--node", "name", "--label", "kind", "--features", "x")
    run("train", *given, "--smoke", "--out", tmp_path / "run")
    assert "12 nodes, 12 edges, 12 labels: a, b." in capsys.readouterr().out
    run("predict", "n3", "--run", tmp_path / "run")
    assert "n3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--edges", "edges.csv"), "Give both --edges and --nodes, or neither."),
        (("--edges", "edges.csv", "--nodes", "nodes.csv"), "nodes.csv is neither karate, factions, planted"),
        (("--labeled", 5), "--labeled 5: the class students has 5 nodes"),
        (("--strategy", "mirrored"), "a graph is one row, which several devices cannot share"),
        (("--labeled", 0), "--labeled must be at least 1"),
        (("--params", '{"width": 3}'), "--params: this network does not take width; it takes"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


def test_the_source_has_a_name():
    assert (Source().name, Source(edges=Path("a/cites.txt")).name) == ("karate", "cites.txt")
