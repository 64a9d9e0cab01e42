"""A queue of jobs on disk: a folder each, worked off one at a time by a process that runs a command.

job.json    what is to be done, when it was ordered, whether it was stopped and what went wrong
run/        the run folder that the command writes; with metrics.json the job is done
log.txt     what the command printed

Nothing else is kept: a server that is killed finds all jobs again, and the command resumes its run.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kerasapps.errors import UserError
from kerasapps.files import read_json, write_json
from kerasapps.records import is_locked
from kerasapps.serving import child
from kerasapps.serving.forms import without_folders

State = Literal["waiting", "running", "done", "stopped", "failed"]
TOKEN = 24  # bytes of the secret in a link
POLL_SECONDS, CLEAN_SECONDS = 0.2, 600.0
GRACE = 120.0  # seconds that a command may take to end after it was stopped
TERMINATED = 128 + signal.SIGTERM  # what a command exits with that has saved its state
# Signals of who runs the machine, after which a job begins again, so many times; others are defects of the job.
OUTSIDE, ATTEMPTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP), 3
BACK_OFF, SICK = 60.0, 3  # longest pause in seconds after a defect of the queue; defects in a row that /health reports
MIB, VISITOR_SHARE = 2**20, 0.25  # of the disk space for all
STOPPED = "You stopped it."
UNKNOWN = "Something went wrong here, and not with your picture: please tell whoever runs this page."


@dataclass(frozen=True)
class Limits:
    """What visitors may use.

    Args:
        waiting: Jobs in the queue.
        visitor: Jobs of one visitor in the queue.
        minutes: Time for a job, after which it is stopped and what there is is kept.
        keep_days: Days after which a job is removed.
        kept: Jobs that are kept, those in the queue included.
        visitor_kept: The same of one visitor.
        mib: Disk space of all jobs; one visitor may use a quarter of it.
    """

    waiting: int = 50
    visitor: int = 5
    minutes: float = 60.0
    keep_days: float = 7.0
    kept: int = 1000
    visitor_kept: int = 100
    mib: float = 20_480.0


@dataclass(frozen=True)
class Job:
    """A job as its folder tells.

    Args:
        folder: Its folder, whose name is the secret of its link.
        created: When it was ordered, in nanoseconds; decides the order.
        visitor: Who ordered it.
        arguments: Of the command, which runs in the folder.
        shown: What its page shows: title, names, notes, the command as a person would type it.
        stop: Why it is to be stopped; empty if it is not.
        error: What went wrong; empty if nothing did.
        notified: Whether its end was announced.
        attempts: How often it was ended from outside and began again.
    """

    folder: Path
    created: int
    visitor: str
    arguments: tuple[str, ...]
    shown: Mapping[str, Any] = field(default_factory=dict)
    stop: str = ""
    error: str = ""
    notified: bool = False
    attempts: int = 0

    @classmethod
    def read(cls, folder: Path) -> "Job | None":
        """Reads a job; None if there is none, or it is damaged."""
        try:
            told = read_json(folder / "job.json")
            return cls(folder, **told | {"arguments": tuple(told["arguments"])})
        except (UserError, KeyError, TypeError):
            return None

    def write(self, **changes: Any) -> None:
        """Writes it, with some fields changed."""
        told = {name: value for name, value in vars(self).items() if name != "folder"} | changes
        write_json(self.folder / "job.json", told)

    @property
    def token(self) -> str:
        """The secret of its link."""
        return self.folder.name

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self.folder / "run"

    @property
    def ended(self) -> State | None:
        """How it ended; None if it did not."""
        if (self.run / "metrics.json").is_file():
            return "done"
        return "failed" if self.error else "stopped" if self.stop else None

    @property
    def picture(self) -> Path | None:
        """The result, or the preview where there is none yet."""
        return next((path for name in ("result.png", "preview.png") if (path := self.run / name).is_file()), None)

    @property
    def progress(self) -> Mapping[str, Any]:
        """What the command tells of its progress: step, total, height, width; empty before the first step."""
        try:
            return read_json(self.run / "progress.json")
        except UserError:
            return {}

    @property
    def changed(self) -> float:
        """When something last happened, in seconds."""
        path = self.run / "metrics.json"
        return (path if path.is_file() else self.folder / "job.json").stat().st_mtime


class Queue:
    """The jobs of a folder, and the thread that has them done.

    Args:
        root: The folder; one server at a time uses it.
        module: The module whose command does a job.
        limits: What visitors may use.
        notify: Called with a job that has ended and how.

    Raises:
        UserError: If another server uses the folder, or it cannot be written.
    """

    def __init__(self, root: Path, *, module: str, limits: Limits = Limits(), notify: Callable | None = None):
        self.jobs, self.module, self.limits, self.notify = root / "jobs", module, limits, notify
        try:
            self.jobs.mkdir(parents=True, exist_ok=True)
            self.jobs.chmod(0o700)  # names of its folders are secrets
            self.lock = open(root / ".lock", "wb")  # noqa: SIM115 - held as long as the server lives
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Another server uses {root}: stop it, or choose another --out.") from None
        except OSError as error:
            raise UserError(f"Cannot write into {root}: {error.strerror}. Choose another --out.") from None
        self.changing = threading.Lock()  # of the order of jobs, and of job.json
        self.coming: dict[object, str] = {}  # the visitor of each upload that is not yet in the queue
        self.known: dict[str, tuple[tuple[int, int], Job | None]] = {}  # job.json as it was read, and when it was
        self.sizes: dict[str, int] = {}  # bytes of jobs that have ended
        self.failures = 0  # defects of the queue itself in a row
        self.current: str | None = None
        self.process: subprocess.Popen | None = None
        self.closing = threading.Event()
        self.woken = threading.Event()
        self.worker = threading.Thread(target=self._work, name="queue", daemon=True)

    # --- what pages ask for

    def all(self) -> list[Job]:
        """Returns all jobs, the oldest first."""
        names = [name for name in os.listdir(self.jobs) if not name.startswith(".")]
        for gone in {*self.known} - {*names}:
            self.known.pop(gone, None)
            self.sizes.pop(gone, None)
        found = (self._read(name) for name in names)
        return sorted((job for job in found if job is not None), key=lambda job: job.created)

    def _read(self, name: str) -> Job | None:
        """Reads a job, but only if its file has changed: every look at a page asks for all."""
        try:
            found = (self.jobs / name / "job.json").stat()
        except OSError:
            return None
        version = (found.st_ino, found.st_mtime_ns)
        known = self.known.get(name)
        if known is None or known[0] != version:
            self.known[name] = known = (version, Job.read(self.jobs / name))
        return known[1]

    def find(self, token: str) -> Job | None:
        """Returns the job of a link."""
        known = token.replace("-", "").replace("_", "").isalnum() and token.isascii()
        return Job.read(self.jobs / token) if known else None

    def state(self, job: Job) -> State:
        """Returns how far a job is."""
        if job.token == self.current:
            return "running"
        return job.ended or "waiting"

    def position(self, job: Job) -> int:
        """Returns how many jobs are before one that waits, the running one included."""
        return sum(other.created < job.created and other.ended is None for other in self.all())

    def folder(self) -> Path:
        """Makes a folder for a job to come, which does not count before `submit`."""
        folder = self.jobs / f".{secrets.token_urlsafe(TOKEN)}"
        folder.mkdir(mode=0o700)
        return folder

    def enter(self, visitor: str) -> object:
        """Returns a place for a job whose upload begins; it is held until `submit` fills it or `leave` gives it back.

        Raises:
            UserError: If there is none for this visitor, or for anybody.
        """
        with self.changing:
            self._check(visitor)
            place = object()
            self.coming[place] = visitor
            return place

    def leave(self, place: object) -> None:
        """Gives a place back, unless a job has filled it."""
        with self.changing:
            self.coming.pop(place, None)

    def _check(self, visitor: str) -> None:
        jobs, limits = self.all(), self.limits
        own, waiting = [job for job in jobs if job.visitor == visitor], [job for job in jobs if job.ended is None]
        if len(waiting) + len(self.coming) >= limits.waiting:
            raise UserError("The queue is full: please come back later.")
        queued = sum(job.ended is None for job in own) + list(self.coming.values()).count(visitor)
        if queued >= limits.visitor:
            raise UserError(f"You have {queued} pictures in the queue already: please wait until one is done.")
        used = {job.token: self._size(job) for job in jobs}
        if len(jobs) >= limits.kept or sum(used.values()) >= limits.mib * MIB:
            raise UserError("There is no space left for pictures: please come back later.")
        mine = sum(used[job.token] for job in own)
        if len(own) >= limits.visitor_kept or mine >= VISITOR_SHARE * limits.mib * MIB:
            raise UserError("You have too many pictures here: please remove some of them first.")

    def _size(self, job: Job) -> int:
        """Returns how many bytes a job takes."""
        if job.token in self.sizes:
            return self.sizes[job.token]
        size = 0
        with contextlib.suppress(OSError):  # a file that is replaced just now
            size = sum(path.stat().st_size for path in job.folder.rglob("*") if path.is_file())
        if job.ended is not None and job.token != self.current:
            self.sizes[job.token] = size
        return size

    def submit(self, folder: Path, *, place: object, arguments: Sequence[str], shown: Mapping[str, Any]) -> Job:
        """Fills a place with a job; from then on it survives whatever happens to the server."""
        with self.changing:  # the place goes as the job comes: counted twice, it would turn the next one away
            visitor = self.coming.pop(place)
            Job(folder, time.time_ns(), visitor, tuple(arguments), shown).write()
            # The name appears at once and with everything in it.
            final = folder.rename(folder.with_name(folder.name.removeprefix(".")))
        self.woken.set()
        return Job.read(final)

    def stop(self, job: Job, why: str = STOPPED) -> None:
        """Stops a job; what there is of it is kept."""
        with self.changing:
            now = Job.read(job.folder)
            if now is not None and now.ended is None:
                now.write(stop=why)
                if now.token != self.current:
                    _forget_uploads(replace(now, stop=why))
                self.woken.set()

    def remove(self, job: Job) -> None:
        """Removes a job with all its pictures, stopping it first."""
        self.stop(job)
        # A name that no page finds and the next clean-up removes, even if the command still writes into it.
        gone = job.folder.with_name(f".gone-{job.token}")
        with contextlib.suppress(OSError):
            job.folder.rename(gone)
            if job.token != self.current:
                shutil.rmtree(gone, ignore_errors=True)

    # --- the thread

    def start(self) -> None:
        """Starts working."""
        self.worker.start()

    def close(self) -> None:
        """Stops working; the running job saves its state and is resumed by the next server."""
        self.closing.set()
        self.woken.set()
        if self.worker.is_alive():
            self.worker.join(GRACE)
        self.lock.close()

    @property
    def healthy(self) -> bool:
        """Whether jobs are worked off."""
        return self.worker.is_alive() and self.failures < SICK

    def _work(self) -> None:
        """Works until the queue is closed, whatever happens: a full disk, say, or a folder that cannot be read."""
        self.cleaned: float | None = None
        while not self.closing.is_set():
            try:
                self._next()
                self.failures = 0
            except Exception:
                traceback.print_exc()
                sys.stderr.flush()
                self.failures += 1
                self.closing.wait(min(BACK_OFF, 2.0 ** (self.failures - 1)))

    def _next(self) -> None:
        """Does the next job, or waits for one."""
        self.woken.clear()  # before anything is looked at, or what happens meanwhile would be slept through
        if self.closing.is_set():
            return
        if self.cleaned is None or time.monotonic() - self.cleaned > CLEAN_SECONDS:
            self._clean()
            self.cleaned = time.monotonic()
        waiting = [job for job in self.all() if job.ended is None]
        self._announce()
        if waiting:
            self._do(waiting[0])
        else:
            self.woken.wait(CLEAN_SECONDS)

    def _do(self, job: Job) -> None:
        """Has one job done, or as much of it as there is time for."""
        self._wait_until_free(job)
        self.current, self.process = job.token, None
        try:
            with open(job.folder / "log.txt", "ab") as log:
                resume = ["--resume"] if (job.run / "config.json").is_file() else []
                words = [*job.arguments, "--out", "run", *resume]
                streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, "cwd": job.folder}
                self.process = child.start(self.module, *words, **streams)
            status = self._watch(job)
        except OSError as error:  # the folder was removed, or there are no processes left
            status, self.process = None, None
            self._fail(job.folder, f"The job could not be started: {error.strerror}.")
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.current = None
            for gone in self.jobs.glob(".gone-*"):
                shutil.rmtree(gone, ignore_errors=True)
        if status is not None and not self.closing.is_set():
            self._judge(job.folder, status)

    def _watch(self, job: Job) -> int:
        """Waits for the process, and passes on what stops it; returns its status."""
        deadline = time.monotonic() + 60 * self.limits.minutes
        stopped: float | None = None
        while (status := self.process.poll()) is None:
            if self.closing.is_set():
                self.process.terminate()
                return self._end()
            now = Job.read(job.folder)
            if now is not None and not now.stop and time.monotonic() > deadline:
                self.stop(now, f"It was stopped after {self.limits.minutes:g} minutes.")
                continue
            if (now is None or now.stop) and stopped is None:
                stopped = time.monotonic()
                self.process.send_signal(signal.SIGINT)
            if stopped is not None and time.monotonic() > stopped + GRACE:
                self.process.kill()
            time.sleep(POLL_SECONDS)
        return status

    def _end(self) -> int:
        """Waits for a process that was told to end, and kills it if it does not."""
        try:
            return self.process.wait(GRACE / 2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _judge(self, folder: Path, status: int) -> None:
        """Records how a job ended, unless its folder tells."""
        job = Job.read(folder)
        if job is None:
            return
        if job.ended is not None:
            _forget_uploads(job)
        elif (status == TERMINATED or -status in OUTSIDE) and job.attempts < ATTEMPTS:
            with self.changing:  # resumed where it was
                job = Job.read(folder)
                if job is not None:
                    job.write(attempts=job.attempts + 1)
        elif status == -signal.SIGKILL:
            self._fail(folder, "The system ended the job, usually because memory ran out: try a smaller size.")
        else:
            self._fail(folder, _last_line(folder / "log.txt") if status == 2 else "")

    def _fail(self, folder: Path, sentence: str) -> None:
        with self.changing:
            job = Job.read(folder)
            if job is not None:
                job.write(error=sentence or UNKNOWN)

    def _wait_until_free(self, job: Job) -> None:
        """Waits for the process of a server that was killed, which may still be saving its state."""
        while is_locked(job.run) and not self.closing.is_set():
            time.sleep(POLL_SECONDS)

    def _announce(self) -> None:
        """Tells of each job that has ended, once."""
        for job in self.all():
            if job.ended is not None and not job.notified:
                self._trim(job)
                with contextlib.suppress(OSError):  # it was removed meanwhile
                    job.write(notified=True)
                    if self.notify is not None:
                        self.notify(job, job.ended)

    def _trim(self, job: Job) -> None:
        """Removes the checkpoints of a picture that has ended: most of its room, and of no use any longer."""
        if (job.run / "checkpoints").exists():
            shutil.rmtree(job.run / "checkpoints", ignore_errors=True)
            self.sizes.pop(job.token, None)

    def _clean(self) -> None:
        """Removes jobs that have expired, and what was never put into the queue or was removed."""
        oldest = time.time() - 86_400 * self.limits.keep_days
        for job in self.all():
            if job.ended is not None and job.changed < oldest:
                shutil.rmtree(job.folder, ignore_errors=True)
            elif job.ended is not None:
                self._trim(job)
        for folder in self.jobs.glob("[!.]*"):
            with contextlib.suppress(OSError):
                if Job.read(folder) is None and folder.stat().st_mtime < oldest:  # damaged
                    shutil.rmtree(folder)
        for folder in self.jobs.glob(".*"):
            with contextlib.suppress(OSError):
                if folder.name.startswith(".gone-") or folder.stat().st_mtime < time.time() - CLEAN_SECONDS:
                    shutil.rmtree(folder)


def _forget_uploads(job: Job) -> None:
    """Removes what was sent for a job that was stopped without a picture."""
    if job.ended == "stopped" and job.picture is None:
        for path in job.folder.iterdir():
            if path.is_file() and path.name not in ("job.json", "log.txt"):
                path.unlink(missing_ok=True)


def _last_line(log: Path) -> str:
    """Returns the sentence that a command ended with, without the folders of this machine."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return without_folders(lines[-1].strip()) if lines else ""
