"""The copy task as a person runs it."""

from pathlib import Path

import numpy as np
import pytest

from experiments.turing import __main__ as experiment
from experiments.turing.network import lstm_network, units_like
from experiments.turing.results import copy_metrics, length_table
from kerasapps.applications.neural_turing_machine import build_neural_turing_machine
from kerasapps.runs import load_model
from tests.experiments.commands import commands, read

run, refused = commands("experiments.turing", *experiment.COMMANDS)
TOY = ("--bits", 3, "--longest", 3, "--params", '{"units": 16, "slots": 8, "width": 6}')


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A machine that has learned a little."""
    folder = tmp_path_factory.mktemp("runs") / "copies"
    run("train", *TOY, "--rows", 960, "--epochs", 3, "--out", folder)
    return folder


def test_train_reports_both_networks(trained):
    metrics = read(trained)
    assert metrics["trained_accuracy"] > 0.55
    assert 0.4 < metrics["accuracy"] <= 1
    assert metrics["test_rows"] == 64  # of 4 steps
    html = (trained / "report.html").read_text()
    for shown in ("Where the heads attend", "Longer than in training", "Turing machine", "LSTM", "How they learn"):
        assert shown in html
    for name in ("model.keras", "baseline/model.keras", "figures/heads.png", "figures/copies.png"):
        assert (trained / name).is_file()
    sizes = [load_model(folder).count_params() for folder in (trained, trained / "baseline")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.06)


def test_evaluate(trained, capsys):
    run("evaluate", "--run", trained, "--lengths", 3, 5, 7)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if "%" in line] == ["3", "5", "7"]
    run("evaluate", "--run", trained / "baseline", "--lengths", 3)
    assert "wrong, LSTM" in capsys.readouterr().out


@pytest.mark.slow
def test_training_is_deterministic(tmp_path):
    """Also where the bits of each batch are drawn."""
    options = (*TOY, "--rows", 960, "--baseline", "none", "--out")
    run("train", *options, tmp_path / "once", "--epochs", 2)
    run("train", *options, tmp_path / "again", "--epochs", 2)
    weights = [load_model(tmp_path / name).get_weights() for name in ("once", "again")]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.usefixtures("_jobs_here")
def test_search(tmp_path):
    run("search", "--smoke", "--bits", 2, "--longest", 2, "--max-trials", 1, "--out", tmp_path / "search")
    assert set(read(tmp_path / "search", "best.json")) == {"units", "slots", "width", "dropout"}


def test_metrics_of_known_errors():
    none, one = np.zeros(64, int), np.ones(64, int)
    errors = {"turing": {1: none, 2: none, 3: none, 4: one}, "lstm": {1: none, 2: one, 3: one, 4: one}}
    metrics = copy_metrics(errors, bits=4, longest=2)
    assert (metrics["accuracy"], metrics["sequence_accuracy"], metrics["solved_length"]) == (1, 1, 3)
    assert metrics["accuracy_baseline"] == pytest.approx(1 - 1 / 12)  # only length 3 is beyond and tested
    assert (metrics["sequence_accuracy_baseline"], metrics["solved_length_baseline"]) == (0, 1)
    assert length_table(errors, bits=4, lengths=[3]).rows == [["3", "12", 0.0, 1.0, "100 %", "0 %"]]


@pytest.mark.parametrize("params", [{}, {"units": 100, "slots": 128, "width": 20}])
def test_the_lstm_has_as_many_weights(params):
    machine = build_neural_turing_machine(input_bits=9, output_bits=8, **params)
    units = units_like(machine)
    assert lstm_network(input_bits=9, output_bits=8, units=units).count_params() == pytest.approx(
        machine.count_params(), rel=0.02
    )


@pytest.mark.slow
def test_it_copies_sequences_half_as_long_again(tmp_path):
    run("train", "--baseline", "none", "--out", tmp_path / "run")
    metrics = read(tmp_path / "run")
    assert metrics["accuracy"] > 0.99
    assert metrics["trained_accuracy"] > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--longest", 0), "--longest must be in [1, 1000]"),
        (("--bits", 65), "--bits must be in [1, 64]"),
        (("--learning-rate", 0), "--learning-rate must be above 0"),
        (("--params", '{"slots": 2}'), "`slots` must be at least 3"),
        (("--params", '{"heads": 2}'), "does not take heads; it takes"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "train", *arguments, "--smoke", "--out", tmp_path / "run")


def test_evaluate_refuses(trained, capsys):
    assert "--lengths must be in [1, 10000]" in refused(capsys, "evaluate", "--run", trained, "--lengths", 0)
