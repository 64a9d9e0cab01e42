"""Several workers against one process, and gangs that lose one of them."""

import importlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.shared import cli
from kerasapps import distribution
from kerasapps.checkpoints import load_arrays
from kerasapps.runs import write_json

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.multiworker


def variables(folder: Path) -> list[np.ndarray]:
    arrays, _ = load_arrays(folder / "checkpoints" / "last.npz")
    return [arrays[name] for name in sorted(arrays)]


def start(*arguments, workers: int = 2, launch=(), **settings) -> subprocess.Popen:
    command = [sys.executable, "-m", "kerasapps.launch", "--workers", workers, *launch, "--", "-m", *arguments]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **settings
    )


def run(*arguments, **settings) -> tuple[int, str]:
    process = start(*arguments, **settings)
    try:
        said, _ = process.communicate(timeout=600)
    finally:
        process.terminate()  # and with it the workers
    return process.returncode, said


def toy(out: Path, *arguments) -> tuple:
    return ("tests.gang_process", "train", "--out", out, *arguments)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The toy network trained by two workers that nobody disturbs."""
    out = tmp_path_factory.mktemp("gang") / "whole"
    status, said = run(*toy(out, "--epochs", 4))
    assert status == 0, said
    return out


def test_two_workers_end_where_one_process_does(whole, tmp_path):
    command = [sys.executable, "-m", *map(str, toy(tmp_path / "alone", "--epochs", 4))]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    for a, b in zip(variables(whole), variables(tmp_path / "alone"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    rows, alone = (np.genfromtxt(folder / "history.csv", delimiter=",")[1:] for folder in (whole, tmp_path / "alone"))
    np.testing.assert_allclose(rows, alone, atol=1e-5)


# A network that normalises amplifies rounding with each step, ten times at a learning rate of 0.01.
PICTURES = ("--arch", "separable", "--optimizer", "sgd", "--learning-rate", "1e-4")
EXPERIMENTS = {
    "qa": ("--arch", "lstm"),
    "image_classification": PICTURES,
    "profile": (),
    "gan": ("--data", "gaussians"),
    # Adam divides by the size of a gradient, in which rounding is all there is to a weight without one.
    "language_model": ("--context", "16", "--learning-rate", "1e-5", "--params", '{"units": 16}'),
    "captioning": (
        "--beam",
        "1",
        "--learning-rate",
        "1e-5",
        "--params",
        '{"units": 16, "filters": [4], "dropout": 0.0}',
    ),
    "translation": ("--beam", "1", "--learning-rate", "1e-5", "--params", '{"units": 16, "dropout": 0.0}'),
    "translation, transformer": (
        *("--arch", "transformer", "--optimizer", "muon", "--learning-rate", "1e-5", "--beam", "1"),
        *("--params", '{"units": 16, "heads": 2, "feedforward": 32, "dropout": 0.0}'),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", EXPERIMENTS)
def test_an_experiment_ends_alike_however_it_is_shared(case, tmp_path, monkeypatch):
    name = case.split(",")[0]
    arguments = ["train", "--smoke", "--batch-size", 16, "--precision", "float32", *EXPERIMENTS[case]]
    if name == "image_classification":
        write_json(tmp_path / "params.json", {"batch_norm": True, "dropout": 0.3})
        arguments += ["--params", tmp_path / "params.json"]
    module = importlib.import_module(f"experiments.{name}.__main__")
    # With several replicas a short last batch is left out; alone it is here too.
    monkeypatch.setattr(distribution, "is_distributed", lambda strategy: True)
    for strategy in ("none", "mirrored"):
        shared = ["--strategy", strategy, "--out", tmp_path / strategy]
        cli.main(f"experiments.{name}", module.train, module.search, args=list(map(str, [*arguments, *shared])))
    status, said = run(f"experiments.{name}", *arguments, "--out", tmp_path / "workers")
    assert status == 0, said
    assert (tmp_path / "workers" / "report.html").exists()
    alone = variables(tmp_path / "none")
    for shared in ("mirrored", "workers"):
        for a, b in zip(variables(tmp_path / shared), alone, strict=True):
            # A variance of 14,400 numbers in float32 depends on the order in which they are added up; the momentum of
            # Muon is a sum of gradients.
            np.testing.assert_allclose(a, b, rtol=5e-5, atol=3e-5)


def children(process: subprocess.Popen) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except OSError:
        return []


def kill_some(out: Path, *, kills: int, seed: int) -> int:
    """Trains with two workers, kills one of them at a random moment, again and again; returns how many."""
    rng, done = random.Random(seed), 0
    process = start(*toy(out, "--epochs", 4, "--seconds", 0.1), launch=("--max-restarts", kills))
    try:
        while done < kills and process.poll() is None:
            before = rows_of(out)
            while process.poll() is None and len(children(process)) < 2:
                time.sleep(0.05)
            # Half of the kills come once something was saved, the others whenever.
            deadline = time.monotonic() + rng.uniform(0, 9)
            while time.monotonic() < deadline and process.poll() is None:
                if rows_of(out) > before and rng.random() < 0.1:
                    break
                time.sleep(0.05)
            gang = children(process)
            if process.poll() is None and len(gang) == 2:
                os.kill(rng.choice(gang), signal.SIGKILL)
                done += 1
                while process.poll() is None and set(children(process)) & set(gang):
                    time.sleep(0.05)
        said, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 0, said
    return done


def rows_of(out: Path) -> int:
    path = out / "history.csv"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_a_gang_that_loses_workers_ends_where_it_would_have(whole, tmp_path, seed):
    assert kill_some(tmp_path / "killed", kills=2, seed=seed) == 2
    for a, b in zip(variables(tmp_path / "killed"), variables(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def as_on_a_terminal():
    """Undoes the `nohup` that the tests may run under."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_signal_to_the_launcher_saves_within_an_epoch(whole, tmp_path, number):
    out = tmp_path / "run"
    process = start(*toy(out, "--epochs", 4, "--seconds", 0.3), preexec_fn=as_on_a_terminal)
    while rows_of(out) < 3 and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.8)
    process.send_signal(number)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 143, said
    assert "Stopped: saved in" in said
    assert load_arrays(out / "checkpoints" / "last.npz")[1]["step"] > 0
    status, said = run(*toy(out, "--epochs", 4, "--resume"))
    assert status == 0, said
    assert (out / "history.csv").read_text() == (whole / "history.csv").read_text()
    for a, b in zip(variables(out), variables(whole), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("fault", "launch", "sentence"),
    [
        ("data", (), "Worker 1 and worker 0 have different data."),
        ("code", (), "Worker 1 and worker 0 have different code or versions of Keras and TensorFlow."),
        (
            "missing",
            ("--start-limit", 8, "--max-restarts", 0),
            "The start has not finished after 8 s. No answer from worker 1",
        ),
    ],
)
def test_what_is_wrong_with_a_worker_is_said(tmp_path, fault, launch, sentence):
    status, said = run(*toy(tmp_path / "run", "--fault", fault), launch=launch)
    assert status != 0
    assert sentence in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--workers", "2", "--", "-m", "tests.gang_process"], "The command needs --out FOLDER"),
        (["--workers", "0", "--", "x.py", "--out", "x"], "--workers must be at least 1"),
    ],
)
def test_a_mistake_in_starting_workers_is_said(arguments, sentence):
    process = subprocess.run(
        [sys.executable, "-m", "kerasapps.launch", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert process.returncode == 2
    assert process.stderr.startswith(sentence)
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("{}/file", "Not a directory"),
        ("{}/file/below", "Not a directory"),
        ("{}/" + "x" * 300, "File name too long"),
        ("/proc/nothing", "No such file or directory"),
    ],
)
def test_a_folder_that_cannot_be_made_is_said(tmp_path, out, reason):
    (tmp_path / "file").touch()
    out = out.format(tmp_path)
    process = subprocess.run(
        [sys.executable, "-m", "kerasapps.launch", "--", "x.py", "--out", out],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert process.returncode == 2
    assert process.stderr.startswith(out)
    assert process.stderr.endswith(f": {reason}.\n")
    assert process.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("asked", [1, 2])
def test_ctrl_c_ends_a_gang_and_nothing_of_it_stays(tmp_path, asked):
    process = start(*toy(tmp_path / "run", "--epochs", 4, "--seconds", 0.3))
    while rows_of(tmp_path / "run") < 2 and process.poll() is None:
        time.sleep(0.05)
    gang = children(process)
    assert len(gang) == 2
    for _ in range(asked):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "Stopped. Continue with --resume" in said
    assert not any(Path(f"/proc/{pid}").exists() for pid in gang)


def test_a_gang_ends_when_its_launcher_is_killed(tmp_path):
    process = start(*toy(tmp_path / "run", "--epochs", 4, "--seconds", 0.3))
    while rows_of(tmp_path / "run") < 2 and process.poll() is None:
        time.sleep(0.05)
    gang = children(process)
    assert len(gang) == 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in gang):
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in gang)


@pytest.mark.slow
def test_a_stuck_worker_is_noticed_and_all_start_again(whole, tmp_path):
    status, said = run(*toy(tmp_path / "run", "--epochs", 4, "--fault", "stuck"))
    assert status == 0, said
    assert "one of them may be stuck" in (tmp_path / "run" / "workers" / "worker-1.log").read_text()
    assert said.count("epoch 1/4") == 1  # not from the beginning
    assert "restarting all from the last checkpoint (1 of 3)" in said
    for a, b in zip(variables(tmp_path / "run"), variables(whole), strict=True):
        np.testing.assert_array_equal(a, b)
