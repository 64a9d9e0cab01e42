"""Run folders as they are found: of any version, unfinished, in use, damaged, nested, with hostile names."""

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest

from kerasapps.errors import UserError
from kerasapps.records import Record, read_runs
from tests.made_runs import make_run

SAVED = Path(__file__).parent / "fixtures" / "saved"


def only(root: Path) -> Record:
    (record,) = read_runs(root)
    return record


def test_runs_of_older_versions_are_read():
    records = {record.name: record for record in read_runs(SAVED)}
    assert {record.experiment for record in records.values()} == {
        *("gan", "image_classification", "price", "profile", "qa", "style_transfer")
    }
    assert {record.state for record in records.values()} == {"finished"}
    assert all(
        record.is_smoke and record.history and record.started for record in records.values() if not record.parent
    )
    image = records["image"]
    assert (image.data, image.epochs, image.title) == ("digits", 2, "Image classification")
    assert image.seconds == pytest.approx(3.27, abs=0.01)
    assert list(image.headline) == ["accuracy", "loss"]
    assert list(records["style"].headline) == ["total_loss", "content_loss"]
    # The judge of a GAN is a part of that run, and has no metrics of its own.
    assert [name for name, record in records.items() if record.parent] == ["gan/judge"]
    assert records["gan/judge"].parent == "gan"


def test_the_newest_comes_first_and_what_is_inside_knows_where(tmp_path):
    make_run(tmp_path / "old", started="2026-01-01 00:00:00", metrics={})
    search = make_run(tmp_path / "deep" / "search", started="2026-03-01 00:00:00", metrics={})
    make_run(search / "trials" / "00", started="2026-02-01 00:00:00", metrics={})
    make_run(search / "joint_0" / "network", started="2026-02-02 00:00:00")
    make_run(search / "checkpoints" / "no_run")
    make_run(search / ".hidden")
    assert [(record.name, record.parent, record.state) for record in read_runs(tmp_path)] == [
        ("deep/search", "", "finished"),
        ("deep/search/joint_0/network", "deep/search", "finished"),  # a part of it without metrics of its own
        ("deep/search/trials/00", "deep/search", "finished"),
        ("old", "", "finished"),
    ]
    # A run folder itself may be named as well.
    itself, *parts = read_runs(search)
    assert (itself.name, itself.parent) == (".", "")
    assert {part.parent for part in parts} == {"."}


def test_a_run_is_unfinished_or_in_use(tmp_path):
    run = make_run(tmp_path / "run")
    assert (only(tmp_path).state, only(tmp_path).epochs, only(tmp_path).seconds) == ("unfinished", 2, None)
    with open(run / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert only(tmp_path).state == "in use"
    assert only(tmp_path).state == "unfinished"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", None, "is damaged: it has no config.json"),
        ("config.json", "{", "is not valid JSON"),
        ("config.json", "[]", "is damaged: it is not what a run writes"),
        ("config.json", '{"settings": 3}', "is damaged: it is not what a run writes"),
        ("config.json", "[" * 100_000, "is not valid JSON"),
        ("metrics.json", "", "is not valid JSON"),
        ("metrics.json", '{"accuracy": "high"}', "holds something else than numbers"),
        ("metrics.json", '{"accuracy": true}', "holds something else than numbers"),
        ("metrics.json", "[1]", "holds something else than numbers"),
        ("metrics.json", '{"accuracy": 1' + "0" * 400 + "}", "holds a number that is too large"),
        ("history.csv", "epoch,loss\n1\n", "its rows are not of one length"),
        ("history.csv", "epoch\n\x00,1\n", "is damaged"),
        ("history.csv", b"\xff\xfe", "is damaged"),
        ("history.csv", "fifo", "is a named pipe, not a regular file"),
        ("config.json", "fifo", "is a named pipe, not a regular file"),
        ("metrics.json", "folder", "is a folder, not a regular file"),
    ],
)
def test_a_damaged_run_is_named_and_harms_no_other(name, content, problem, tmp_path):
    make_run(tmp_path / "whole", metrics={"accuracy": 1.0})
    path = make_run(tmp_path / "broken", metrics={"accuracy": 1.0}) / name
    path.unlink()
    if content == "fifo":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    records = {record.name: record for record in read_runs(tmp_path)}
    assert records["whole"].state == "finished"
    assert records["broken"].state == "damaged"
    assert problem in records["broken"].problem
    assert str(tmp_path / "broken") in records["broken"].problem


def test_what_is_no_run_is_left_alone_and_an_empty_history_is_none(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "data.csv").write_text("a,b\n")
    assert read_runs(tmp_path) == []
    make_run(tmp_path / "run", history="", metrics={"loss": float("nan")})
    assert (only(tmp_path).history, only(tmp_path).epochs) == ([], None)
    with pytest.raises(UserError, match=r"^There is no folder "):
        read_runs(tmp_path / "none")


def test_a_run_is_found_once_whatever_links_there_are(tmp_path):
    run = make_run(tmp_path / "runs" / "b", metrics={})
    (tmp_path / "runs" / "a_latest").symlink_to(run)
    (run / "loop").symlink_to(tmp_path / "runs")
    elsewhere = make_run(tmp_path / "disk" / "big", metrics={})
    (tmp_path / "runs" / "linked").symlink_to(elsewhere)
    assert sorted(record.name for record in read_runs(tmp_path / "runs")) == ["b", "linked"]


def test_names_and_texts_cannot_command_the_terminal(tmp_path):
    hostile = "\x1b[2J<script>\n$x$[bold]"
    make_run(
        tmp_path / hostile, experiment=hostile, title=hostile, started=hostile, metrics={hostile: 1.0}, data=hostile
    )
    name = os.fsencode(tmp_path) + b"/\xff\xfe"
    os.mkdir(name)
    shutil.copy(tmp_path / hostile / "config.json", os.path.join(name, b"config.json"))
    for record in read_runs(tmp_path):
        texts = [record.name, record.experiment, record.title, record.started, record.data, *record.metrics]
        assert all(one.isprintable() for one in texts), texts
        json.dumps(texts).encode()


def test_metrics_of_an_older_gan_have_the_names_of_today(tmp_path):
    score = {"fid": 4.0, "kid": 1.0, "fid_floor": 0.5, "fidelity": 2.0, "inception_fid": 9.0}
    history = "epoch,loss,val_fid\n1,1.0,3.0\n"
    make_run(tmp_path / "run", experiment="gan", metrics=score, history=history)
    now = {"frechet_distance": 4.0, "kernel_distance": 1.0, "frechet_distance_floor": 0.5}
    assert only(tmp_path).metrics == now | {"fidelity": 2.0, "inception_fid": 9.0}
    assert only(tmp_path).history == [{"epoch": 1.0, "loss": 1.0, "val_frechet_distance": 3.0}]
    make_run(tmp_path / "run" / "own", metrics=score)  # of another experiment, whose own names these are
    assert next(one for one in read_runs(tmp_path) if one.parent).metrics == score


def test_the_headline_leaves_out_what_only_counts(tmp_path):
    metrics = {"seconds": 3.0, "epochs": 2, "seconds_joint": 1.0, "fid": 4.0, "trials": 3, "kid": 1.0, "recall": 0.5}
    make_run(tmp_path / "run", metrics=metrics)
    assert only(tmp_path).headline == {"fid": 4.0, "kid": 1.0}
