import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasapps.errors import TrainingError
from kerasapps.runs import Options
from kerasapps.search.result import BASELINE
from kerasapps.session import start
from kerasapps.workers.jobs import Job, Limits, Machine, completed, first_outcome, kill, memory_of, run_all, share
from tests.trials import once_bad_trial, score_of

ROOT = Path(__file__).parents[2]
CALL = {"params": {}, "folder": "", "epochs": 1}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_jobs_fail_alone_each_in_its_slot(tmp_path):
    machine = Machine([{"CUDA_VISIBLE_DEVICES": str(gpu)} for gpu in (2, 3, 5, 7)])
    jobs, spares = {}, {}
    for function, x in (("bad", 1), ("who", 0), ("bad", 3), ("bad", 4)):
        name = f"{function}{x}"
        spares[name] = machine.spare
        call = {"params": {"x": x, "word": "a"}, "folder": "", "epochs": 1}
        # The spare process takes over the second job and the last one.
        more = name in ("bad1", "bad3")
        jobs[name] = machine.start(f"tests.trials:{function}_trial", call, tmp_path / name, more=more)
    processes = {name: job.process for name, job in jobs.items()}
    outcomes = dict(first_outcome(jobs) for _ in range(4))
    assert outcomes["who0"].value == {"pid": processes["who0"].pid, "gpus": "3"}
    assert processes["who0"] is spares["who0"]
    assert processes["bad4"] is spares["bad4"]
    assert len({process.pid for process in processes.values()}) == 4
    assert "one is not a good number" in outcomes["bad1"].message
    assert outcomes["bad3"].message.startswith("Out of memory.")
    assert "Killed by signal 9" in outcomes["bad4"].message
    assert not any(outcomes[name].completed for name in ("bad1", "bad3", "bad4"))
    assert "one is not a good number" in (tmp_path / "bad1" / "log.txt").read_text()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(seconds=0.01), "Stopped at its time limit of 0.000167 minutes."),
        (Limits(memory=1e6), "Out of memory: it used more than its limit of 0.001 GB."),
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
    child = "import time; held = b'x' * 100_000_000; print(len(held), flush=True); time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **pipes)
    assert process.stdout.readline() == b"100000000\n"
    assert 100e6 < memory_of(process.pid) < 300e6
    kill(process)
    # The pipe ends when the last process that holds it does.
    assert process.stdout.read() == b""
    process.stdout.close()


def test_a_spare_process_that_died_is_not_used_and_one_that_is_left_is_ended(tmp_path):
    machine = Machine([{}])
    machine.spare = dead = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE)
    dead.wait()
    job = machine.start("tests.trials:slow_trial", CALL, tmp_path / "job", more=True)
    assert job.process is not dead
    assert job.process.poll() is None
    job.kill()
    machine.close()
    assert machine.spare.poll() == -signal.SIGKILL


def test_a_resumed_run_keeps_the_jobs_that_completed(tmp_path):
    run = start("toy", {"options": Options(out=tmp_path / "run")}, workload="matmul")
    calls = {f"x{x}": {"params": {"x": x, "word": "a"}, "folder": str(tmp_path / f"x{x}"), "epochs": 4} for x in (0, 1)}
    with pytest.raises(TrainingError, match=r"x1 failed: .*odd"):
        list(run_all(run, once_bad_trial, calls, workers=1))
    values = {name: outcome.value for name, outcome in run_all(run, once_bad_trial, calls, workers=1)}
    assert values == {name: {"score": score_of(call["params"])} for name, call in calls.items()}
    assert (tmp_path / "x0" / "epochs.txt").read_text() == "4 "
    (tmp_path / "run" / "x0" / "job" / "outcome.json").write_text("{")
    assert completed(tmp_path / "run" / "x0" / "job") is None


@pytest.mark.parametrize(
    ("devices", "workers", "each"),
    [([8], 1, 8), ([8], 3, 2), ([8], 8, 1), ([2], 5, 1), ([4, 4], 2, 4), ([4, 4], 3, 2), ([8, 2], 2, 4), ([], 2, 1)],
)
def test_jobs_share_the_devices_of_their_machines(devices, workers, each):
    assert share(devices, workers) == each


def test_jobs_end_with_their_parent(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from kerasapps.workers.jobs import Job, first_outcome\n"
        "folder = Path(sys.argv[1])\n"
        "job = Job('tests.trials:slow_trial', {'params': {}, 'folder': str(folder), 'epochs': 1}, folder / 'job')\n"
        "first_outcome({'job': job})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 600
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child = int((tmp_path / "pid").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("max_trials", [6, 12])
def test_a_search_to_which_everything_happens_ends_with_the_right_table(tmp_path, max_trials):
    command = [sys.executable, "-m", "tests.search_process", str(tmp_path / "run"), str(max_trials)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as driver:
        before = [driver.stdout.readline().strip() for _ in range(max_trials // 2)]
        driver.send_signal(signal.SIGKILL)
        before += driver.stdout.read().split()
    assert driver.returncode == -signal.SIGKILL
    after = subprocess.run([*command, "RESUME"], cwd=ROOT, check=True, **pipes).stdout.split()
    rows = list(csv.DictReader((tmp_path / "run" / "trials.csv").open()))
    assert [row["trial"] for row in rows] == before + after
    baseline, *tried = sorted(rows, key=lambda row: (row["trial"] != BASELINE, int(row["x"])))
    assert [baseline["trial"], baseline["x"], baseline["val_accuracy"]] == [BASELINE, "0", "0.0"]
    assert [int(row["x"]) for row in tried] == list(range(max_trials))
    for x, row in enumerate(tried):
        assert row["val_accuracy"] == ("failed" if x in (2, 3) else str(float(x)))
        assert bool(row["message"]) == (x in (1, 2, 3))
    assert tried[1]["message"].startswith("First try: Killed by signal 9")
    assert tried[2]["message"] == "Twice: Out of memory: it used more than its limit of 2 GB."
    assert tried[3]["message"] == "Twice: The score is not a number."
    tries = sum(len(path.read_text().split()) for path in (tmp_path / "run" / "trials").glob("*/tries.txt"))
    # A second one of the three; at most again what ran when the driver was killed.
    assert max_trials + 4 <= tries <= max_trials + 6
