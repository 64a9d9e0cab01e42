"""What a command finds around it: closed streams and pipes, full disks, limits, stray variables, signals, leftovers."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from experiments.__main__ import experiments
from kerasapps import startup
from kerasapps.errors import UserError
from kerasapps.runs import read_json, write_atomically
from kerasapps.workers.jobs import Job, first_outcome

ROOT = Path(__file__).parent.parent
TOY = ("-m", "tests.gang_process", "train", "--epochs", "1", "--out")


def in_shell(command: str, *arguments, **environment: str) -> subprocess.CompletedProcess:
    """Runs a command of the shell in which "$@" is Python with arguments."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, "bash", sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def test_help_leaves_standard_error_empty():
    # In one process, which imports TensorFlow once: the first of them does, whatever it imports first.
    code = (
        "import runpy, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for command in ([], ['train']):\n"
        "        sys.modules.pop(f'experiments.{name}.__main__', None)\n"
        "        sys.argv[1:] = [*command, '--help']\n"
        "        try: runpy.run_module(f'experiments.{name}', run_name='__main__', alter_sys=False)\n"
        "        except SystemExit as end: assert not end.code\n"
        "assert 'tensorflow' in sys.modules\n"
    )
    done = in_shell('"$@"', "-c", code, *experiments(), TF_CPP_MIN_LOG_LEVEL="0")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("usage: ") == 2 * len(experiments())


@pytest.mark.slow
def test_for_debugging_everything_is_shown():
    done = in_shell('"$@"', "-c", "import experiments, tensorflow", KERASAPPS_DEBUG="1")
    assert "oneDNN" in done.stderr


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ('"$@" | head -n 0', {}),
        pytest.param('"$@" | head -n 0', {"PYTHONUNBUFFERED": "1"}, marks=pytest.mark.slow),
        pytest.param('"$@" 2>&-', {}, marks=pytest.mark.slow),
        ('"$@" <&- >&- 2>&-', {}),
        pytest.param('"$@"', {"MPLBACKEND": "junk", "PYTHONWARNINGS": "error"}, marks=pytest.mark.slow),
        pytest.param('"$1" -W error "${@:2}"', {}, marks=pytest.mark.slow),
    ],
)
def test_a_run_is_written_whatever_surrounds_it(tmp_path, command, environment):
    done = in_shell(command, *TOY, tmp_path / "run", **environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ('"$@" > /dev/full', "Standard output cannot be written: No space left on device."),
        ('ulimit -f 20; "$@"', "A file would be larger than is allowed here (see `ulimit -f`)"),
        ('ulimit -v 1000000; "$@"', "TensorFlow cannot be loaded: there is too little memory (see `ulimit -v`)."),
    ],
)
def test_what_surrounds_a_run_may_end_it_in_a_sentence(tmp_path, command, sentence):
    done = in_shell(command, *TOY, tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.strip().startswith(sentence)
    assert done.stderr.strip().count("\n") == 0


def test_a_list_that_nobody_reads():
    assert in_shell('"$@" | true', "-m", "experiments").stderr == ""


@pytest.mark.slow
def test_help_that_cannot_be_written():
    done = in_shell('"$@" 2>&1 > /dev/full', "-m", "tests.gang_process", "--help")
    assert (done.returncode, done.stdout.strip()) == (2, "Standard output cannot be written: No space left on device.")


def test_signals_are_handled_and_one_that_is_ignored_stays_so():
    got = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with startup.when_stopped(lambda number, _: got.append(number)):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with startup.when_stopped(lambda number, _: got.append(number)):
            os.kill(os.getpid(), signal.SIGHUP)
        assert got == [signal.SIGTERM, signal.SIGHUP]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/full"), Path.mkdir])
def test_only_regular_files_are_written_and_read(tmp_path, make):
    make(tmp_path / "out")
    for use in (lambda path: write_atomically(path, "x"), read_json):
        with pytest.raises(UserError, match="not a regular file"):
            use(tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
    assert not (tmp_path / "out").is_file()


# --- temporary files

MAKES_FILES = """
import os, sys, tempfile, time
from pathlib import Path
from kerasapps import startup
startup.own_temp_folder()
folder = tempfile.mkstemp(prefix="__autograph_generated_file")[1]
end = sys.argv[1]
if end == "signal":
    with startup.when_stopped(startup.stop):
        print(folder, flush=True)
        time.sleep(600)
print(folder, flush=True)
if end == "kill":
    time.sleep(600)
if end == "worker":
    startup.remove_temp_folder()
    os._exit(3)
"""


def start(end: str, folder: Path) -> tuple[subprocess.Popen, Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKES_FILES, end],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    made = Path(process.stdout.readline().strip())
    assert made.is_relative_to(folder)
    assert made.parent != folder
    return process, made


@pytest.mark.parametrize(("end", "status"), [("normal", 0), ("signal", 143), ("worker", 3)])
def test_temporary_files_go_with_the_process(tmp_path, end, status):
    process, made = start(end, tmp_path)
    if end == "signal":
        assert made.exists()
        process.terminate()
    assert process.wait() == status
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_and_a_living_one_keeps_its_own(tmp_path):
    living, kept = start("signal", tmp_path)
    killed, left = start("kill", tmp_path)
    killed.kill()
    killed.wait()
    assert left.exists()
    assert start("normal", tmp_path)[0].wait() == 0
    assert not left.parent.exists()
    assert kept.exists()
    living.terminate()
    living.wait()
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_is_killed_leaves_its_files_where_its_parent_removes_them(tmp_path):
    job = Job("tests.trials:temp_trial", {"params": {}, "folder": str(tmp_path), "epochs": 1}, tmp_path / "job")
    made = Path(first_outcome({"job": job})[1].value["file"])
    assert made.exists()
    assert (made.parent / startup.MARK).exists()
    assert made.parent == Path(tempfile.gettempdir())
