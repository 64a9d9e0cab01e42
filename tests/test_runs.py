import fcntl
import gc
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerasapps import runs, runtime
from kerasapps.errors import UserError
from kerasapps.reports import Animation, Figure, Reading, Readings, Table, add_axes, new_figure
from kerasapps.runs import Options, write_atomically
from kerasapps.session import start


def begin(folder, *, resume=False, **settings):
    return start("toy train", {"options": Options(out=folder, resume=resume), **settings}, workload="matmul")


def figure():
    drawn = new_figure()
    add_axes(drawn, xlabel="x").plot([1, 2])
    return Figure("line", "A line.", drawn)


def reading(answer="attic", truth="attic"):
    return Reading(["Nora is in the attic.", "<b>&"], "Where is Nora?", truth, [(answer, 0.9)], [[0.8, 0.1]], (0,))


def test_a_moving_picture_is_in_the_folder_and_in_the_report(tmp_path):
    frames = [np.full((4, 6, 1), 100 * i, np.uint8) for i in range(3)]
    run = begin(tmp_path / "run")
    run.finish({}, blocks=[Animation("grown", "It grows.", frames)])
    with Image.open(run.folder / "figures" / "grown.gif") as picture:
        assert (picture.n_frames, picture.size) == (3, (6, 4))
    html = (run.folder / "report.html").read_text()
    assert "data:image/gif;base64," in html
    assert "It grows." in html


def test_a_run_folder_has_everything(tmp_path):
    run = begin(tmp_path / "run", rate=0.5)
    blocks = [figure(), Table("Table", ["kind", "right"], [["a", 1.25], ["b", None]]), Readings("R", "", [reading()])]
    run.finish({"loss": 2, "accuracy": 1}, summary="A summary.", headline=["accuracy"], blocks=blocks)
    config = json.loads((run.folder / "config.json").read_text())
    assert config["settings"]["rate"] == 0.5
    assert config["precision"] in ("float32", "mixed_bfloat16")
    assert config["machine"]["tensorflow"]
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics["accuracy"] == 1.0
    assert metrics["seconds"] > 0
    assert next(iter(metrics)) == "accuracy"  # the headline first, for who lists many runs
    assert (run.folder / "figures" / "line.png").read_bytes().startswith(b"\x89PNG")
    html = (run.folder / "report.html").read_text()
    for part in ("A summary.", "A line.", "Where is Nora?", "&lt;b&gt;&amp;", "data:image/png;base64,", "–", "1.2"):
        assert part in html


def test_the_report_needs_nothing_beside_it(tmp_path):
    run = begin(tmp_path / "run")
    run.finish({}, blocks=[figure()])
    html = (run.folder / "report.html").read_text()
    assert "http" not in html
    assert 'src="data:' in html
    assert html.count("src=") == html.count('src="data:')


def test_a_wrong_answer_shows_the_right_one(tmp_path):
    run = begin(tmp_path / "run")
    run.finish({}, blocks=[Readings("R", "", [reading(answer="cellar")])])
    assert "true: <b>attic</b>" in (run.folder / "report.html").read_text()


def test_a_path_that_is_no_text_can_be_written(tmp_path):
    write_atomically(tmp_path / "report.html", "caf\udce9 latte")
    assert (tmp_path / "report.html").read_text() == "caf? latte"


def test_a_run_knows_the_settings_that_it_goes_on_with(tmp_path):
    run = begin(tmp_path / "run", epochs=1)
    assert run.resumed is None
    run.finish({})
    again = begin(tmp_path / "run", resume=True, epochs=2)
    again.close()
    assert again.resumed["epochs"] == 1


def test_a_run_is_not_overwritten_silently(tmp_path):
    run = begin(tmp_path / "run")
    run.path("history.csv").write_text("epoch\n1\n")
    run.close()
    with pytest.raises(UserError, match=r"holds an unfinished run\. Add --resume"):
        begin(tmp_path / "run")
    begin(tmp_path / "run", resume=True).finish({})
    with pytest.raises(UserError, match="holds a finished run"):
        begin(tmp_path / "run")


def test_a_resumed_run_keeps_its_options(tmp_path):
    run = begin(tmp_path / "run", rate=0.5, epochs=2)
    run.path("history.csv").write_text("epoch\n1\n")
    run.close()
    begin(tmp_path / "run", rate=0.5, epochs=3, resume=True).close()
    with pytest.raises(UserError, match=r"was run with --rate 0\.5, not 0\.1"):
        begin(tmp_path / "run", rate=0.1, epochs=3, resume=True)


def test_an_option_that_a_run_did_not_have_yet_stays_what_it_did(tmp_path):
    def begin_captioning(optimizer, **options):
        settings = {"options": Options(out=tmp_path / "run", **options), **optimizer}
        return start("captioning train", settings, experiment="captioning", workload="matmul")

    run = begin_captioning({})
    run.path("history.csv").write_text("epoch\n1\n")
    run.close()
    with pytest.raises(UserError, match="was run with --optimizer adam, not muon"):
        begin_captioning({"optimizer": "muon"}, resume=True)
    begin_captioning({"optimizer": "adam"}, resume=True).close()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "float32"])
def test_a_resumed_run_keeps_its_precision(tmp_path, precision):
    begun = begin(tmp_path / "run")
    begun.path("history.csv").write_text("epoch\n1\n")
    begun.close()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    runs.write_json(tmp_path / "run" / "config.json", config | {"precision": precision})
    run = begin(tmp_path / "run", resume=True)
    assert run.config["precision"] == precision


@pytest.mark.parametrize(
    "record", ["metrics.json", "history.csv", "model.keras", "checkpoints/last.npz", "search.json", "judge/history.csv"]
)
def test_what_a_run_leaves_behind_is_not_overwritten(tmp_path, record):
    run = begin(tmp_path / "run")
    run.path(*record.split("/")).write_text("precious")
    run.close()
    with pytest.raises(UserError, match="Add --resume"):
        begin(tmp_path / "run")


def test_a_run_that_ended_before_its_first_epoch_can_be_started_anew(tmp_path):
    run = begin(tmp_path / "run", rate=0.5)
    run.path("codec.json").write_text("{}")
    run.path("tensorboard", "events").write_text("")
    run.close()
    begin(tmp_path / "run", rate=0.1).close()


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        begin(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file; --out takes a folder"):
        begin(tmp_path / "file")


def test_a_folder_in_use_is_refused(tmp_path):
    run = begin(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from kerasapps.runs import Options\n"
        "from kerasapps.session import start\n"
        "try: start('t', {'options': Options(out=Path(sys.argv[1]), resume=True)}, workload='matmul')\n"
        "except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(run.folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "is in use by another process" in said


def in_use(folder) -> bool:
    """Whether a folder's lock is held, by this process as well."""
    with open(folder / ".lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_run_that_its_caller_drops_is_unlocked(tmp_path):
    run = begin(tmp_path / "run")
    assert in_use(tmp_path / "run")
    del run
    gc.collect()
    assert not in_use(tmp_path / "run")


def test_a_cell_of_a_notebook_can_be_run_again(tmp_path):
    run = begin(tmp_path / "run")
    again = begin(tmp_path / "run")
    assert run.lock.closed
    assert in_use(again.folder)
    again.finish({})


def test_with_unlocks_whatever_happens(tmp_path):
    def fail():
        with begin(tmp_path / "run") as run:
            assert in_use(run.folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not in_use(tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, Options()),
        ({"settings": {"rate": 0.5}}, Options()),
        ({"settings": {"seed": 5, "precision": "float32"}}, Options(seed=5, precision="float32")),
        ({"options": Options(out="mine", seed=7), "settings": {"rate": 0.5}}, Options(out=Path("mine"), seed=7)),
    ],
)
def test_options_are_given_apart_among_the_settings_or_not_at_all(tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "bfloat16_speedup", lambda workload: 1.0)
    with start("My A/B test", **arguments) as run:
        assert run.options == expected
        assert run.config["settings"]["seed"] == expected.seed
        assert str(run.folder).startswith("mine" if expected.out else "runs/my-a-b-test-2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"workload": "images"},
            "`workload` must be one of convolution, matmul, recurrent, lstm. Received: workload='images'",
        ),
        ({"options": Options(strategy="mirorred")}, "--strategy does not take 'mirorred'."),
        ({"options": Options(seed=-1)}, "--seed must be in"),
        ({"options": Options(), "settings": {"seed": 1}}, "must not hold an option twice. Received: seed"),
    ],
)
def test_options_that_are_refused(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, UserError), match=re.escape(message)):
        start("run", **arguments)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_atomically(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_what_is_no_run_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"is not a run folder: it has no config\.json"):
        runs.load_model(tmp_path)
    begin(tmp_path / "run").close()
    with pytest.raises(UserError, match=r"has no model\.keras yet"):
        runs.load_model(tmp_path / "run")


def test_json_that_is_none_is_named(tmp_path):
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(UserError, match="is not valid JSON"):
        runs.read_json(tmp_path / "best.json")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        runs.read_json(tmp_path / "none.json")


def test_smoke_only_shrinks():
    assert Options().shrink(30, 2) == 30
    assert Options(smoke=True).shrink(30, 2) == 2
    assert Options(smoke=True).shrink(1, 2) == 1
    assert Options(smoke=True, limit=10).rows == 10
    assert Options(limit=1000).rows == 1000
