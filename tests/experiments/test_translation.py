"""The translation experiment as a person runs it."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.translation import __main__ as experiment
from experiments.translation.network import make_model, recipe_of
from experiments.translation.results import mistakes_table
from experiments.translation.scores import bleu, signature, tokenized_bleu, translation_metrics
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

run, refused = commands("experiments.translation", *experiment.COMMANDS)
SMALL = '{"embedding_dim": 32, "units": 64, "dropout": 0.0}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A network that has learned something from 1,000 sentences."""
    folder = tmp_path_factory.mktemp("runs") / "market"
    few = ("--limit", 1000, "--epochs", 5, "--batch-size", 512, "--learning-rate", 0.015, "--params", SMALL)
    run("train", *few, "--beam", 2, "--out", folder)
    return folder


def test_train_learns_what_a_guess_cannot_reach(trained):
    metrics = read(trained)
    assert metrics["chrf"] > 25  # that of an untrained network is under 5
    assert {"exact_match", "bleu", "bleu_cased", "chrf", "seconds", "bleu_greedy", "bleu_tokenized"} <= metrics.keys()
    html = (trained / "report.html").read_text()
    for shown in ("BLEU of greedy translations", "case:lc", "tok:13a", "Words that are wrong", "attends to the piece"):
        assert shown in html
    assert (trained / "figures" / "attention_1.png").exists()
    assert {"source", "target", "max_length"} == read(trained, "codec.json").keys()


def test_evaluate_repeats_what_train_found(trained, capsys):
    run("evaluate", "--run", trained, "--beam", 2)
    assert f"{'bleu':<20}{read(trained)['bleu']:.4f}" in capsys.readouterr().out


def test_a_line_comes_out_for_each_line_that_goes_in(trained, tmp_path, capsys, monkeypatch):
    lines = ["The farmer has sold one hat.", "", "The child will bring one hat.", "zyx 😀"]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--beam", 1)
    said = capsys.readouterr().out
    assert said.count("\n") == 4
    assert said.split("\n")[1] == ""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    run("translate", "--run", trained, "--beam", 1)
    assert capsys.readouterr().out == said
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--beam", 2, "--n-best", 2)
    assert "score" in capsys.readouterr().out
    run("translate", "--run", trained, "--file", tmp_path / "lines.txt", "--temperature", 0.8, "--top-k", 5)
    assert capsys.readouterr().out.count("\n") == 4


def test_what_cannot_be_translated(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"good\n\xff\xfebad\n")))
    assert "Standard input, line 2: not UTF-8 text." in refused(capsys, "translate", "--run", trained)
    (tmp_path / "long.txt").write_text("The farmer " * 100)
    said = refused(capsys, "translate", "--run", trained, "--file", tmp_path / "long.txt")
    assert "--max-length was 100 in training" in said
    assert "--beam must be in [1, 100]. Received: 0" in refused(capsys, "translate", "--run", trained, "--beam", 0)
    assert "--n-best must be at most --beam" in refused(capsys, "translate", "--run", trained, "--n-best", 9)
    assert "nowhere.txt is no file" in refused(
        capsys, "translate", "--run", trained, "--file", tmp_path / "nowhere.txt"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "nowhere.tsv"), "--data nowhere.tsv is neither market, multi30k nor a file"),
        (("--pair", "en-fr"), "--pair en-fr is none of those of market: en-de, de-en"),
        (("--max-length", 3), "--max-length 3 is shorter than every pair of texts"),
        (("--vocab-size", 20), "--vocab-size must be at least 300 for subwords"),
        (("--beam", 0), "--beam must be in [1, 100]"),
        (("--params", '{"layers": 3}'), "--params: --arch additive does not take layers; it takes"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


@pytest.mark.slow
def test_search_writes_params_that_train_takes(tmp_path):
    run("search", "--smoke", "--max-trials", 1, "--beam", 1, "--out", tmp_path / "search")
    run("train", "--smoke", "--params", tmp_path / "search" / "best.json", "--beam", 1, "--out", tmp_path / "best")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["lectures", "dot", "none", "transformer"])
def test_every_architecture_learns_to_copy(arch):
    sizes = {"source_vocab_size": 12, "target_vocab_size": 12}
    params = {"units": 32, "dropout": 0.0} | ({"heads": 2} if arch == "transformer" else {"embedding_dim": 16})
    recipe = recipe_of(arch, "market", options=Options())
    model = make_model(arch=arch, sizes=sizes, params=params, recipe=recipe, steps=400, max_length=10)
    words = np.random.default_rng(0).integers(4, 12, (640, 3)).astype(np.int32)
    start = np.full((640, 1), 2, np.int32)
    inputs = {"source": words, "target": np.concatenate([start, words[:, :-1]], 1)}
    model.fit(inputs, words, epochs=20, batch_size=32, verbose=0)
    assert (model.predict(inputs, verbose=0)["next"].argmax(-1) == words).mean() > 0.9


# --- by hand


def test_the_kinds_of_bleu_are_kept_apart():
    reference, text = ["Two dogs run over the green grass ."], ["two dogs run over the green grass."]
    assert bleu(reference, reference) == pytest.approx(100)
    assert bleu(text, reference, lowercase=True) == pytest.approx(100)
    assert bleu(text, reference) < 100
    assert tokenized_bleu(text, reference) == pytest.approx(100)
    assert "case:lc" in signature(lowercase=True)
    assert "case:mixed" in signature(lowercase=False)
    metrics = translation_metrics([*text, *reference], reference * 2)
    assert metrics["exact_match"] == 0.5
    assert metrics.keys() == {"exact_match", "bleu", "bleu_cased", "bleu_tokenized", "chrf"}


def test_mistakes_by_hand():
    table = mistakes_table(
        [("ein roter Hut", "one red hat"), ("zwei Hüte", "two hats")], ["one roter hat hat", "two hats"]
    )
    assert [row[1] for row in table.rows] == [1, 2, 1, 1]
    assert [row[2] for row in table.rows] == ["red 1", "roter 1, hat 1", "roter 1", "hat 1"]
