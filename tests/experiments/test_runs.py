"""`python -m experiments.runs`: the runs of a folder in the terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import runs
from experiments.__main__ import experiments
from tests.made_runs import make_run

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def listed(tmp_path, capsys):
    """Returns a function that lists tmp_path and returns the names of the runs in order, and all that was printed."""

    def list_runs(*arguments):
        runs.main([str(tmp_path), *arguments])
        lines = capsys.readouterr().out.splitlines()
        names = [line.split()[0] for line in lines if line.startswith(" run")]
        return names[1:], "\n".join(lines)

    return list_runs


@pytest.fixture
def three(tmp_path):
    make_run(
        tmp_path / "run_a",
        started="2026-11-02 10:00:00",
        metrics={"accuracy": 0.75, "loss": 1.5, "seconds": 90.0, "epochs": 9},
        experiment="qa",
        data="stories",
    )
    make_run(
        tmp_path / "run_b", started="2026-11-03 10:00:00", metrics={"accuracy": 0.5}, data="data/my images/", smoke=True
    )
    make_run(tmp_path / "run_c", started="2026-11-01 10:00:00")
    make_run(tmp_path / "run_b" / "trials" / "00", started="2026-10-01 10:00:00", metrics={"val_accuracy": 0.9})


def test_the_runs_are_listed_and_an_index_is_written(listed, three, tmp_path):
    names, text = listed()
    assert names == ["run_b", "run_a", "run_c"]
    for part in ("run_b (+1)", "my images", "finished, smoke", "accuracy 75.0 %", "1 min 30 s", "2026-11-02 10:00"):
        assert part in text
    assert text.splitlines()[-1] == str(tmp_path / "index.html")
    assert "run_b/trials/00/report.html" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--experiment", "qa"], ["run_a"]),
        (["--inside"], ["run_b", "run_a", "run_c", "run_b/trials/00"]),
        (["--reverse"], ["run_c", "run_a", "run_b"]),
        (["--sort", "name"], ["run_a", "run_b", "run_c"]),
        (["--sort", "accuracy"], ["run_a", "run_b", "run_c"]),
        (["--sort", "accuracy", "--reverse"], ["run_b", "run_a", "run_c"]),
        (["--sort", "time"], ["run_a", "run_b", "run_c"]),
        (["--sort", "data"], ["run_b", "run_a", "run_c"]),
    ],
)
def test_runs_are_chosen_and_sorted_and_what_is_missing_comes_last(arguments, names, listed, three):
    assert listed(*arguments)[0] == names


def test_a_damaged_run_is_named_and_hostile_text_is_shown_as_it_is(listed, tmp_path):
    make_run(tmp_path / "run_[bold]", metrics={"a": 1.0}, data="[red]x[/red]")
    (make_run(tmp_path / "run_broken") / "metrics.json").write_text("{")
    _, text = listed()
    assert "run_[bold]" in text
    assert "[red]x[/red]" not in text  # a path is shown by its last part
    assert "red]" in text
    assert f"{tmp_path / 'run_broken' / 'metrics.json'} is not valid JSON" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--experiment", "cars"], "There is no run of cars in "),
        (
            ["--sort", "beauty"],
            "--sort must be one of name, experiment, data, state, epochs, time, started, or a metric",
        ),
    ],
)
def test_what_cannot_be_listed_is_a_sentence(arguments, sentence, three, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        runs.main([str(tmp_path), *arguments])
    assert left.value.code == 2
    assert capsys.readouterr().err.strip().startswith(sentence)


def test_a_folder_without_runs_is_a_sentence(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(SystemExit):
            runs.main([str(folder)])
        error = capsys.readouterr().err.strip()
        assert error.startswith("There is no ")
        assert "\n" not in error
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(("width", "headings"), [(200, 8), (80, 4)])
def test_a_narrow_terminal_leaves_columns_out(width, headings, three, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    runs.main([str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    heading = next(line for line in lines if "started" in line)
    assert sum(name in heading for name in runs.HEADINGS) >= headings
    assert ("epochs" in heading) == (width == 200)
    assert not any("…" in line for line in lines)


def test_it_is_a_tool_and_no_experiment_and_needs_no_tensorflow(three, tmp_path):
    assert "runs" not in experiments()
    code = (
        "import runpy, sys; runpy.run_module('experiments.runs', run_name='__main__', alter_sys=True);"
        "print([name for name in ('tensorflow', 'keras', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.endswith("[]\n")
    assert done.stderr == ""
