"""The question-answering experiment as a person runs it: commands in, run folders and sentences out."""

import csv
import gc
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments.qa import __main__ as qa
from experiments.qa import babi as qa_babi
from experiments.qa.network import recipe_of, train_network
from experiments.qa.results import evaluate_model
from kerasapps import build_question_answering
from kerasapps.data.question_answering import split_stories
from kerasapps.data.stories import make_questions, write_stories
from kerasapps.runs import Options
from kerasapps.session import start as start_run
from tests.experiments.commands import commands

run, refused = commands("experiments.qa", qa.train, qa.search, qa.evaluate, qa.predict, qa_babi.babi)

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run folder with a memory network that has hardly seen anything."""
    folder = tmp_path_factory.mktemp("runs") / "qa"
    run("train", "--smoke", "--baseline", "lstm", "--out", folder)
    return folder


def test_train_writes_a_run_folder(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    for name in ("accuracy", "loss", "seconds", "accuracy_baseline", "accuracy_single_fact"):
        assert isinstance(metrics[name], float)
    assert 0 <= metrics["accuracy"] <= 1
    html = (trained / "report.html").read_text()
    assert "python " in html
    assert "hop 3" in html
    for name in ("config.json", "history.csv", "model.keras", "vocabulary.json", "figures/curves_0.png"):
        assert (trained / name).is_file()
    assert json.loads((trained / "config.json").read_text())["settings"]["arch"] == "memory"


def test_train_on_two_devices(tmp_path):
    run("train", "--smoke", "--strategy", "mirrored", "--batch-size", 16, "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["replicas"] == 2


def test_evaluate_prints_accuracy_by_kind(trained, capsys):
    run("evaluate", "--run", trained, "--limit", 26)
    printed = capsys.readouterr().out
    assert "three facts" in printed
    assert "of 26 questions" in printed


def test_predict_answers_shows_where_it_looked_and_names_unknown_words(trained, tmp_path, capsys):
    (tmp_path / "story.txt").write_text("1 Nora took the kettle.\n2 Nora walked to the zeppelin.\n")
    run("predict", "--run", trained, "--story", tmp_path / "story.txt", "--question", "Where is Nora?")
    printed = capsys.readouterr()
    assert "Where is Nora?  ->  " in printed.out
    assert "Nora took the kettle." in printed.out
    assert "%" in printed.out
    assert printed.err.strip().endswith("cannot know: zeppelin.")


def test_a_network_without_sentences_predicts_too(trained, tmp_path, capsys):
    (tmp_path / "story.txt").write_text("Nora took the kettle.")
    run("predict", "--run", trained / "baseline", "--story", tmp_path / "story.txt", "--question", "Where is Nora?")
    assert "->" in capsys.readouterr().out


def test_ones_own_file_trains_and_is_evaluated_on_what_was_held_out(tmp_path, capsys):
    write_stories(tmp_path / "data", part="train", questions_per_kind=40, seed=0)
    data = tmp_path / "data" / "single_fact_train.txt"
    run("train", "--data", data, "--arch", "conv", "--epochs", 1, "--out", tmp_path / "run")
    assert "single fact" in capsys.readouterr().out
    run("evaluate", "--run", tmp_path / "run", "--data", data)
    assert "of 40 questions" not in capsys.readouterr().out


def test_search_writes_params_that_train_takes(tmp_path, capsys):
    run("search", "--smoke", "--arch", "conv", "--max-trials", 1, "--out", tmp_path / "search")
    metrics = json.loads((tmp_path / "search" / "metrics.json").read_text())
    assert metrics["val_accuracy"] >= metrics["val_accuracy_baseline"]
    assert metrics["trials"] == 2
    assert len(list(csv.DictReader((tmp_path / "search" / "trials.csv").open()))) == 2
    best = tmp_path / "search" / "best.json"
    run("train", "--smoke", "--arch", "conv", "--params", best, "--epochs", 1, "--out", tmp_path / "best")
    run("evaluate", "--run", tmp_path / "search", "--limit", 13)
    assert "of 13 questions" in capsys.readouterr().out


@pytest.mark.real_data
def test_babi_makes_the_table(tmp_path, capsys):
    columns = ("--columns", "memory_joint", "lstm_single")
    run("babi", "--tasks", 1, 15, "--seeds", 1, *columns, "--smoke", "--out", tmp_path / "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("mean_error", "error_qa1", "error_qa15", "mean_error_lstm_single"):
        assert 0 <= metrics[name] <= 100
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings.keys() == {"seeds", "data", "tasks", "columns", "workers", *vars(Options())}
    assert "mean_error_reference" not in metrics  # published for all 20 tasks alone
    assert "15 basic deduction" in capsys.readouterr().out
    run(
        "babi",
        "--tasks",
        1,
        15,
        "--seeds",
        1,
        *columns,
        "--smoke",
        "--out",
        tmp_path / "run",
        "--resume",
        "--workers",
        1,
    )
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["mean_error"] == metrics["mean_error"]


# --- what a person can do wrong


def test_a_malformed_story(tmp_path, capsys):
    (tmp_path / "bad.txt").write_text("1 Nora is here.\n3 Where is Nora?\there\t1\n")
    said = refused(capsys, "train", "--data", tmp_path / "bad.txt", "--out", tmp_path / "run")
    assert "bad.txt, line 2" in said
    assert "3 Where is Nora?" in said


def test_an_empty_file(tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("")
    said = refused(capsys, "train", "--data", tmp_path / "empty.txt", "--out", tmp_path / "run")
    assert "holds no question" in said


def test_too_few_stories(tmp_path, capsys):
    (tmp_path / "one.txt").write_text("1 Nora is here.\n2 Where is Nora?\there\t1\n")
    said = refused(capsys, "train", "--data", tmp_path / "one.txt", "--out", tmp_path / "run")
    assert "At least 3 stories are needed" in said


def test_data_that_is_nowhere(tmp_path, capsys):
    said = refused(capsys, "train", "--data", "stroies", "--out", tmp_path / "run")
    assert "stroies is neither a data set" in said


def test_a_run_that_never_began_does_not_block_its_folder(tmp_path, capsys):
    refused(capsys, "train", "--data", "stroies", "--out", tmp_path / "run")
    gc.collect()  # a process that ends lets go of its run folder; here the traceback holds it
    run("train", "--smoke", "--arch", "conv", "--epochs", 1, "--out", tmp_path / "run")
    assert (tmp_path / "run" / "metrics.json").exists()


def test_an_unknown_option(capsys):
    with pytest.raises(SystemExit) as left:
        run("train", "--epoch", 3)
    assert left.value.code == 2
    assert "--epochs" in capsys.readouterr().err


def test_a_folder_in_use(trained, capsys):
    assert "holds a finished run" in refused(capsys, "train", "--smoke", "--out", trained)


def test_a_builder_argument_out_of_range(tmp_path, capsys):
    (tmp_path / "params.json").write_text('{"dropout": 1.5}')
    said = refused(
        capsys, "train", "--smoke", "--arch", "conv", "--params", tmp_path / "params.json", "--out", tmp_path / "run"
    )
    assert said == "`dropout` must be in [0, 1). Received: dropout=1.5"


def test_a_loss_that_is_no_number(tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", "--learning-rate", 1e30, "--epochs", 2, "--out", tmp_path / "run")
    assert "The loss became nan in epoch" in said
    assert "--learning-rate" in said


def test_a_seed_out_of_range(tmp_path, capsys):
    assert "--seed must be between" in refused(capsys, "train", "--seed", -1, "--out", tmp_path / "run")


def test_params_of_another_network(tmp_path, capsys):
    (tmp_path / "params.json").write_text('{"hops": 2}')
    said = refused(
        capsys, "train", "--smoke", "--arch", "conv", "--params", tmp_path / "params.json", "--out", tmp_path / "run"
    )
    assert said == "These parameters are not for --arch conv: hops."


@pytest.mark.parametrize("command", ["search", "babi"])
def test_no_workers(command, tmp_path, capsys):
    assert "must be at least 1" in refused(capsys, command, "--smoke", "--workers", 0, "--out", tmp_path / "run")


@pytest.mark.parametrize(("option", "value"), [("--epochs", 0), ("--batch-size", -1), ("--limit", 0)])
def test_a_number_that_makes_no_sense(option, value, tmp_path, capsys):
    said = refused(capsys, "train", "--smoke", "--arch", "conv", option, value, "--out", tmp_path / "run")
    assert "must be at least 1. Received: " in said


def test_a_story_that_is_not_there(trained, tmp_path, capsys):
    said = refused(capsys, "predict", "--run", trained, "--story", tmp_path / "none.txt", "--question", "Where?")
    assert "none.txt cannot be read: No such file or directory" in said


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert "is not a run folder" in refused(capsys, "evaluate", "--run", tmp_path)


# --- processes: Ctrl-C, a full disk, a read-only disk


def start(*arguments) -> subprocess.Popen:
    command = [sys.executable, "-u", "-m", "experiments.qa", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_evaluates_saves_and_reports_and_the_run_resumes(tmp_path):
    options = ("--arch", "conv", "--limit", "260", "--out", tmp_path / "run")
    process = start("train", "--epochs", "500", *options)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.send_signal(signal.SIGINT)
            break
    printed, errors = process.communicate()
    watchdog.cancel()
    assert process.returncode == 0, errors
    assert "Interrupted" in printed
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "model.keras").exists()
    epochs = len((tmp_path / "run" / "history.csv").read_text().splitlines()) - 1
    assert 1 <= epochs < 500
    run("train", "--epochs", epochs + 1, *options, "--resume")
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 1 + epochs + 1


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 600 kB, where the test may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk(small_disk):
    process = start("train", "--arch", "lstm", "--limit", "260", "--epochs", "3", "--out", small_disk / "run")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 2, errors
    assert "The disk is full" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors


def test_a_read_only_disk(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    process = start("train", "--smoke", "--out", small_disk / "run")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 2, errors
    assert errors.strip() == f"Cannot write into {small_disk / 'run'}: Read-only file system. Choose another --out."


# --- the networks learn


def test_a_memory_network_learns_what_a_guess_cannot_reach(tmp_path):
    kinds = ("single_fact", "two_facts", "yes_no")
    splits = split_stories(
        make_questions(questions_per_kind=400, seed=0, kinds=kinds),
        make_questions(questions_per_kind=100, seed=1, kinds=kinds),
        form="story",
    )
    options = Options(out=tmp_path / "run")
    trained = start_run("learning", {"options": options}, workload="recurrent")
    recipe = recipe_of("memory", epochs=12)
    model, _ = train_network(trained, splits, arch="memory", recipe=recipe, params={"units": 32})
    metrics, _ = evaluate_model(model, splits.test, splits.questions["test"])
    # Guessing the commonest answer of each kind is right on 0.27; without the story on little more.
    assert metrics["accuracy"] > 0.75


@pytest.mark.parametrize("encoder", ["lstm", "conv"])
def test_a_two_input_network_learns_to_join_text_and_question(encoder):
    rng = np.random.default_rng(0)
    text, question = rng.integers(2, 6, (600, 6)), rng.integers(2, 4, (600, 1))
    # Question 2: does the text hold a 5? Question 3: never mind, answer 2.
    answer = np.where(question[:, 0] == 3, 2, (text == 5).any(1))
    model = build_question_answering(vocab_size=6, num_answers=3, encoder=encoder)
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit([text[:500], question[:500]], answer[:500], epochs=15, batch_size=50, verbose=0)
    by_name = {"text": text[500:], "question": question[500:]}
    predicted = model.predict(by_name, verbose=0)["answer"].argmax(-1)
    assert (predicted == answer[500:]).mean() > 0.95
