import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasapps.jobs import Job, Limits, Machine, first_outcome, kill, memory_of, share
from kerasapps.search_report import BASELINE
from tests import trials

ROOT = Path(__file__).parent.parent
CALL = {"params": {}, "folder": "", "epochs": 1}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_jobs_fail_alone(tmp_path):
    jobs = {
        str(x): Job(
            "tests.trials:bad_trial", {"params": {"x": x, "word": "a"}, "folder": "", "epochs": 1}, tmp_path / str(x)
        )
        for x in (0, 1, 3, 4)
    }
    outcomes = dict(first_outcome(jobs) for _ in range(4))
    assert outcomes["0"].value == {"score": pytest.approx(0.65)}
    assert "one is not a good number" in outcomes["1"].message
    assert outcomes["3"].message.startswith("Out of memory.")
    assert "Killed by signal 9" in outcomes["4"].message
    assert not any(outcomes[x].completed for x in "134")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(seconds=0.01), "Ended at its time limit of 0.000167 minutes."),
        (Limits(memory=1e6), "Out of memory: held 0."),
    ],
    ids=["time", "memory"],
)
def test_a_job_that_breaks_a_limit_is_ended(limits, said, tmp_path):
    job = Job("tests.trials:slow_trial", CALL | {"folder": str(tmp_path)}, tmp_path / "job", limits=limits)
    _, outcome = first_outcome({"job": job})
    assert outcome.message.startswith(said)
    assert not outcome.completed
    assert job.process.poll() == -signal.SIGKILL


def test_children_count_and_end_with_their_job():
    child = "import time; held = b'x' * 100_000_000; print(len(held), flush=True); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes)
    assert process.stdout.readline() == b"100000000\n"
    assert 100e6 < memory_of(process.pid) < 300e6
    kill(process)
    # The pipe ends when the last process that holds it does.
    assert process.stdout.read() == b""
    process.stdout.close()


def test_jobs_use_the_spare_process_and_the_environment_of_their_slot(tmp_path):
    machine = Machine([{"CUDA_VISIBLE_DEVICES": "5"}, {"CUDA_VISIBLE_DEVICES": "7"}])
    first = machine.start("tests.trials:who_trial", CALL, tmp_path / "first", more=True)
    spare = machine.spare
    second = machine.start("tests.trials:who_trial", CALL, tmp_path / "second", more=True)
    unused = machine.spare
    assert second.process is spare
    outcomes = dict([first_outcome({"first": first}), first_outcome({"second": second})])
    assert outcomes["first"].value == {"pid": first.process.pid, "gpus": "5"}
    assert outcomes["second"].value == {"pid": spare.pid, "gpus": "7"}
    machine.close()
    assert unused.poll() == -signal.SIGKILL


def test_a_spare_process_that_died_is_not_used(tmp_path):
    machine = Machine([{"CUDA_VISIBLE_DEVICES": ""}])
    machine.spare = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    machine.spare.wait()
    job = machine.start("tests.trials:who_trial", CALL, tmp_path / "job")
    assert first_outcome({"job": job})[1].completed
    assert machine.spare is None


@pytest.mark.parametrize(
    ("devices", "workers", "each"),
    [([8], 1, 8), ([8], 3, 2), ([8], 8, 1), ([2], 5, 1), ([4, 4], 2, 4), ([4, 4], 3, 2), ([8, 2], 2, 4), ([], 2, 1)],
)
def test_jobs_share_the_devices_of_their_machines(devices, workers, each):
    assert share(devices, workers) == each


def test_jobs_end_with_their_parent(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from kerasapps.jobs import Job, first_outcome\n"
        "folder = Path(sys.argv[1])\n"
        "job = Job('tests.trials:slow_trial', {'params': {}, 'folder': str(folder), 'epochs': 1}, folder / 'job')\n"
        "first_outcome({'job': job})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child = int((tmp_path / "pid").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_search_to_which_everything_happens_ends_with_the_right_table(tmp_path):
    command = [sys.executable, "-m", "tests.search_process", str(tmp_path / "run")]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    before = [driver.stdout.readline().strip() for _ in range(4)]
    driver.send_signal(signal.SIGKILL)
    before += driver.stdout.read().split()
    driver.wait()
    driver.stdout.close()
    done = subprocess.run([*command, "RESUME"], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = list(csv.DictReader((tmp_path / "run" / "trials.csv").open()))
    assert [row["trial"] for row in rows] == before + done.stdout.split()
    assert sorted(row["trial"] for row in rows) == sorted([BASELINE, *(f"{i:02d}" for i in range(12))])
    said = {}
    for row in rows:
        params = {"x": int(row["x"]), "word": row["word"]}
        bad = params["word"] == "a" and params["x"] in (1, 2, 3)
        said |= {params["x"]: row["message"]} if bad else {}
        if bad and params["x"] > 1:
            assert row["val_accuracy"] == "failed"
        else:
            assert float(row["val_accuracy"]) == trials.score_of(params)
            assert bool(row["message"]) == bad
    assert said[1].startswith("First try: Killed by signal 9")
    assert "Out of memory: held" in said[2]
    assert said[3] == "Twice: The score is not a number."
    tries = sum(len(path.read_text().split()) for path in (tmp_path / "run" / "trials").glob("*/tries.txt"))
    # A second one of the three; at most again what ran when the driver was killed.
    assert 16 <= tries <= 18
