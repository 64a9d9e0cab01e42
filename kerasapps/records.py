"""Run folders as they lie on disk, of any version, finished or not, read without TensorFlow."""

import csv
import fcntl
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kerasapps.errors import DataError, UserError
from kerasapps.files import printable, read_json, regular_file

State = Literal["finished", "unfinished", "in use", "damaged"]
# What was done before there was an option for it, by experiment: a run of then is not resumed with anything else.
BEFORE = {name: {"optimizer": "adam"} for name in ("captioning", "language_model", "translation")}
BEFORE["text_classification"] = {"contexts": "near"}
# A folder that holds one of these and no config.json was a run folder.
RECORDS = ("metrics.json", "search.json", "history.csv", "model.keras", "checkpoints")
# Where a run keeps files, but no runs; `jobs` and `workers` hold logs.
INSIDE = {"checkpoints", "figures", "jobs", "samples", "steps", "tensorboard", "wandb", "workers"}
# Metrics that say how much was computed, not how well.
EFFORT = re.compile(
    r"(seconds|peak_memory|epochs|parameters|steps|flops|folds$|(failed_)?trials$|generator_updates"
    r"|(train|validation|test)_rows$)"
)
# Metrics that others are to be compared with.
LEVEL = re.compile(r"_(guess|reference|lowest|highest)(_|$)")
HEADLINE = 2
# What earlier versions called metrics, by experiment, with what may come before or after it, as in val_fid, fid_floor.
EARLIER_METRICS = {"gan": {"fid": "frechet_distance", "kid": "kernel_distance"}}
# Settings that say where a run is or how it was started, not what it computes.
PLACE = {"out", "resume", "track", "workers", "cluster", "trial_minutes", "trial_memory_gb", "max_memory"}


@dataclass(frozen=True)
class Record:
    """What is known of a run folder.

    Args:
        folder: The run folder.
        name: Its path below the folder that was searched, as text that can be printed.
        parent: Name of the run that it is a part of, such as the search of a trial; empty for a run of its own.
        state: How far it is.
        problem: What is wrong with a damaged one, in a sentence.
        experiment: Name of the experiment; empty if the folder does not tell.
        title: What the report is headed.
        started: Date and time as written; empty if the folder does not tell.
        settings: Every option by name.
        metrics: Name to number, the most important first; none before it is finished.
        history: A row an epoch, or a step of a painting.
    """

    folder: Path
    name: str
    parent: str
    state: State
    problem: str
    experiment: str
    title: str
    started: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    history: list[dict[str, float]]

    @property
    def data(self) -> str:
        """What it was trained on, or what it painted."""
        named = (self.settings.get(name) for name in ("data", "texts", "content"))
        value = next(filter(None, named), None)
        return text(os.path.basename(value.rstrip("/"))) if isinstance(value, str) else ""

    @property
    def is_smoke(self) -> bool:
        """Whether it only tried whether everything runs."""
        return self.settings.get("smoke") is True

    @property
    def epochs(self) -> int | None:
        """Epochs that were finished."""
        counted = self.metrics.get("epochs")
        return int(counted) if counted is not None else len(self.history) or None

    @property
    def seconds(self) -> float | None:
        """Time spent; None before it is finished."""
        return self.metrics.get("seconds")

    @property
    def headline(self) -> dict[str, float]:
        """The most important metrics."""
        names = [name for name in self.metrics if not EFFORT.match(name) and not LEVEL.search(name)]
        return {name: self.metrics[name] for name in names[:HEADLINE]}

    @property
    def report(self) -> Path | None:
        """Its report, if there is one."""
        path = self.folder / "report.html"
        return path if path.is_file() else None


def read_runs(root: Path) -> list[Record]:
    """Reads all run folders below a folder, and that folder itself if it is one; the newest first.

    A folder that cannot be understood becomes a record whose state is "damaged"; nothing that it holds is executed.

    Raises:
        UserError: If there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"There is no folder {printable(root)}.")
    records: dict[Path, Record] = {}
    for folder in run_folders(root):
        above = next((records[one] for one in folder.parents if one in records), None)
        records[folder] = _read_run(folder, root, above)
    return sorted(records.values(), key=lambda record: record.started, reverse=True)


def run_folders(root: Path) -> Iterator[Path]:
    """Yields the run folders below a folder, those that hold others before these, each once."""
    seen, waiting = set(), [root]
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:  # by a link
            continue
        seen.add(real)
        try:
            content = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            yield folder
            continue
        names = {entry.name for entry in content}
        if "config.json" in names or names & set(RECORDS):
            yield folder
        folders = [entry for entry in content if entry.is_dir() and not entry.name.startswith(".")]
        folders = [entry for entry in folders if entry.name not in INSIDE]
        # Links last, so that a run is known by its own name.
        waiting[:0] = [folder / entry.name for entry in folders if entry.is_symlink()]
        waiting += [folder / entry.name for entry in reversed(folders) if not entry.is_symlink()]


def experiment_of(config: Mapping[str, Any]) -> str | None:
    """Returns the experiment that a config names, an older one by its command; None if it names none."""
    named = re.search(r"-m experiments\.(\w+)", str(config.get("command", "")))
    return config.get("experiment") or (named[1] if named else None)


def settings_recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of a run; of one from before there was an option, what it did without."""
    return BEFORE.get(str(experiment_of(config)), {}) | config["settings"]


def current_metrics(values: Mapping[str, float], experiment: str | None) -> dict[str, float]:
    """Returns metrics of a run of an experiment, written by any version, by the names that they have now."""
    renamed = EARLIER_METRICS.get(experiment or "", {})
    named = re.compile(rf"(val_)?({'|'.join(renamed)})(_\w+)?")

    def current(name: str) -> str:
        found = named.fullmatch(name) if renamed else None
        return f"{found[1] or ''}{renamed[found[2]]}{found[3] or ''}" if found else name

    return {current(name): value for name, value in values.items()}


def text(value: Any) -> str:
    """Returns a value of a file as text that a terminal can show, without control characters."""
    characters = printable(str(value))
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in characters)


def _read_run(folder: Path, root: Path, above: Record | None) -> Record:
    config: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    history: list[dict[str, float]] = []
    problem = ""
    finished = (folder / "metrics.json").exists()
    try:
        config = _read_config(folder)
        metrics = _read_metrics(folder / "metrics.json") if finished else {}
        history = _read_history(folder / "history.csv") if (folder / "history.csv").exists() else []
    except UserError as error:
        problem = text(error)
    experiment = text(experiment_of(config) or "")
    # A second network of a run has no metrics of its own.
    finished = finished or (above is not None and above.state == "finished")
    state: State = "damaged" if problem else "in use" if is_locked(folder) else "finished" if finished else "unfinished"
    return Record(
        folder,
        text(folder.relative_to(root)),
        "" if above is None else above.name,
        state,
        problem,
        experiment,
        text(config.get("title", "")),
        text(config.get("started", "")),
        config.get("settings", {}),
        current_metrics(metrics, experiment),
        [current_metrics(row, experiment) for row in history],
    )


def _read_config(folder: Path) -> dict[str, Any]:
    """Returns the config of a run folder.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    try:
        has_config = "config.json" in os.listdir(folder)
    except OSError as error:
        raise DataError(f"{printable(folder)} cannot be read: {error.strerror}.") from None
    path = folder / "config.json"
    if not has_config:
        raise DataError(f"{printable(folder)} is damaged: it has no config.json.")
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("settings"), dict):
        raise DataError(f"{printable(path)} is damaged: it is not what a run writes.")
    return config


def _read_metrics(path: Path) -> dict[str, float]:
    """Returns what metrics.json holds.

    Raises:
        UserError: If it is damaged.
    """
    metrics = read_json(path)
    numbers = metrics.values() if isinstance(metrics, dict) else [None]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise DataError(f"{printable(path)} is damaged: it holds something else than numbers.")
    try:
        return {text(name): float(value) for name, value in metrics.items()}
    except OverflowError:
        raise DataError(f"{printable(path)} is damaged: it holds a number that is too large.") from None


def _read_history(path: Path) -> list[dict[str, float]]:
    """Returns the rows of history.csv; a cell that is no number, as an empty one, is NaN.

    Raises:
        UserError: If it cannot be read, or its rows are not of one length.
    """
    try:
        rows = list(csv.reader(regular_file(path).read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise DataError(f"{printable(path)} cannot be read: {error.strerror}.") from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{printable(path)} is damaged: {error}.") from None
    if any(len(row) != len(rows[0]) for row in rows):
        raise DataError(f"{printable(path)} is damaged: its rows are not of one length.")
    names = [text(name) for name in rows[0]] if rows else []
    return [dict(zip(names, map(_number, row), strict=True)) for row in rows[1:]]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def is_locked(folder: Path) -> bool:
    """Tells whether a process holds a run folder; asking keeps it for a microsecond from one that starts."""
    try:
        lock = os.open(folder / ".lock", os.O_RDONLY | os.O_NONBLOCK)  # does not wait for a named pipe
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(lock)
    return False
