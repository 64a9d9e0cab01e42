"""The run folder: where an experiment writes, and what it needs to be understood, resumed and used later.

config.json    every option as resolved, the command, machine and versions
history.csv    a row an epoch
metrics.json   name to number; there once the run is finished
model.keras    the best model
checkpoints/   last.npz and best.npz
figures/       PNG files, and GIF files of what moves
report.html    all of it on one page
tensorboard/   logs for TensorBoard
"""

import contextlib
import fcntl
import json
import os
import resource
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import keras
import tensorflow as tf

from kerasapps import distribution, runtime
from kerasapps.errors import UserError
from kerasapps.files import regular_file
from kerasapps.reports import Animation, Block, Figure, render_report

# What may differ between a run and its resumption, whatever the command.
FREE_ON_RESUME = {"out", "resume"}
# All that is there when a run ended before its first epoch did: nothing that a new one could destroy.
UNBEGUN = {"config.json", "vocabulary.json", "classes.json", "tensorboard", "workers"}


@dataclass(frozen=True)
class Options:
    """Options that every experiment shares.

    Args:
        out: The run folder itself; a new one under runs/ by default.
        seed: Decides initial weights, order and noise.
        strategy: Share each step among devices, or among several workers as `python -m kerasapps.launch` starts them;
            without a GPU `mirrored` tries it on two virtual CPUs.
        precision: Number format; `auto` takes bfloat16 where it is measured to be faster here.
        scale_lr: Multiply the learning rate by the number of devices that share a step.
        deterministic: Add up in the same order every time on a GPU as well, at some cost of speed.
        resume: Go on with the run in --out from its last checkpoint.
        smoke: Shrink everything to see in seconds whether it runs.
        limit: Use at most this many rows of each part of the data.
    """

    out: Path | None = None
    seed: int = 0
    strategy: distribution.StrategyName = "none"
    precision: runtime.Precision = "auto"
    scale_lr: bool = False
    deterministic: bool = False
    resume: bool = False
    smoke: bool = False
    limit: int | None = None

    def shrink(self, value: int, smoke_value: int) -> int:
        """Returns `value`, or with --smoke at most `smoke_value`."""
        return min(value, smoke_value) if self.smoke else value

    @property
    def rows(self) -> int | None:
        """How many rows of each part to use: --limit, or with --smoke at most 64."""
        return min(self.limit or 64, 64) if self.smoke else self.limit


@dataclass
class Run:
    """A run folder that this process holds, and what was decided for it at the start.

    Of several workers only the first, the chief, writes to the run folder. The others do all that it does, in a folder
    that goes when they end, and read its checkpoints.
    """

    title: str
    folder: Path
    chief_folder: Path  # the same, but for other workers than the chief
    options: Options
    config: dict[str, Any]
    strategy: tf.distribute.Strategy
    jit_compile: bool
    lock: BinaryIO
    scratch: tempfile.TemporaryDirectory | None = None  # holds `folder` of other workers than the chief
    resumed: dict[str, Any] | None = None  # settings of the run that this one goes on with
    started: float = field(default_factory=time.perf_counter)

    @property
    def is_chief(self) -> bool:
        """Whether what this process writes stays."""
        return self.folder == self.chief_folder

    def checkpoint(self, name: str) -> Path:
        """Returns the path of a checkpoint, which the chief writes and all read."""
        path = self.chief_folder / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def path(self, *parts: str) -> Path:
        """Returns a path in the run folder, its parent made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def part(self, name: str, settings: dict[str, Any]) -> "Run":
        """Returns a run folder inside this one, for a second network under the same options but for `settings`."""
        folder = self.path(name, "config.json").parent
        config = self.config | {"settings": self.config["settings"] | settings}
        write_json(folder / "config.json", config)
        return replace(self, folder=folder, chief_folder=self.chief_folder / name, config=config)

    def finish(
        self,
        metrics: dict[str, float],
        *,
        model: keras.Model | None = None,
        summary: str = "",
        headline: Sequence[str] = (),
        blocks: Sequence[Block] = (),
    ) -> dict[str, float]:
        """Writes model, figures, report and metrics; releases the folder.

        Args:
            metrics: Name to number, flat; `seconds` and `peak_memory_mib` of the process are added where missing.
            model: The model to keep, where the run has one.
            summary: One or two sentences for the head of the report.
            headline: Names of the metrics to show large.
            blocks: What the report shows, in order.

        Returns:
            The metrics as written.
        """
        metrics = {name: float(value) for name, value in metrics.items()}
        metrics.setdefault("seconds", time.perf_counter() - self.started)
        unit = 1024**2 if sys.platform == "darwin" else 1024  # of ru_maxrss in a MiB
        metrics.setdefault("peak_memory_mib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
        if model is not None:
            save_model(model, self.path("model.keras"))
        for block in blocks:
            if isinstance(block, Figure):
                write_atomically(self.path("figures", f"{block.name}.png"), block.png())
            elif isinstance(block, Animation):
                write_atomically(self.path("figures", f"{block.name}.gif"), block.gif())
        html = render_report(self.config, metrics, summary=summary, headline=headline, blocks=blocks)
        write_atomically(self.path("report.html"), html)
        # Last: a folder with metrics.json is a finished run.
        write_json(self.path("metrics.json"), metrics)
        self.close()
        return metrics

    def close(self) -> None:
        """Lets others have the folder."""
        self.lock.close()


def start(title: str, settings: dict[str, Any], *, network: runtime.Network, free: Sequence[str] = ("epochs",)) -> Run:
    """Opens a run folder and settles devices, number format and seeds.

    Args:
        title: Name of the experiment and what it does, such as "qa train"; names the folder by default.
        settings: Every option of the command with its value, `options` among them: `locals()` of its first line.
        network: What the network mostly does; see `runtime.set_precision`.
        free: Settings that may differ when the run is resumed.

    Raises:
        UserError: If the folder holds another run, is in use or cannot be written, or is resumed with other options; if
            several workers have other options or another version of this package than the first.
    """
    settings = dict(settings)
    options: Options = settings.pop("options")
    settings |= asdict(options)
    if options.limit is not None and options.limit < 1:
        raise UserError(f"--limit must be at least 1. Received: {options.limit}")
    worker = distribution.this_worker(options.strategy)
    if options.strategy == "multiworker" and options.out is None:
        raise UserError("--strategy multiworker needs --out, a folder that all workers share.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    chief_folder = options.out or Path("runs") / f"{title.lower().replace(' ', '-')}-{stamp}"
    scratch = None if worker.is_chief else tempfile.TemporaryDirectory(prefix="kerasapps-")
    if scratch:
        distribution.at_end.append(scratch.cleanup)
    folder = Path(scratch.name) if scratch else chief_folder
    lock = _claim(folder)
    try:
        before = _taken_up(chief_folder, settings, resume=options.resume, free={*FREE_ON_RESUME, *free})
    except UserError:
        lock.close()
        raise

    # Threads and devices first: TensorFlow starts with the first computation and keeps both from then on.
    runtime.set_devices(network)
    strategy = distribution.make_strategy(options.strategy)
    if distribution.is_multiworker(strategy):
        distribution.check_alike(
            strategy,
            code_or_versions_of_Keras_and_TensorFlow=distribution.code_digest(),
            options=distribution.digest(json.dumps(settings, default=str, sort_keys=True).encode()),
            run_folders=distribution.digest(json.dumps(before, sort_keys=True).encode()),
        )
        distribution.check_keras(strategy)
    runtime.set_seed(options.seed, deterministic=options.deterministic)
    # A resumed run keeps the number format it began with, whatever is measured today.
    precision = before["precision"] if before else options.precision
    precision = runtime.set_precision(precision, network=network)
    # Machines may measure differently; the first decides for all.
    chosen = distribution.gather(strategy, [runtime.PRECISIONS.index(precision)])[0, 0]
    config = {
        "title": title,
        "command": shlex.join(["python", *_command()]),
        "settings": settings,
        "precision": runtime.set_precision(runtime.PRECISIONS[chosen], network=network),
        "replicas": strategy.num_replicas_in_sync,
        "workers": len(worker.addresses),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "machine": runtime.machine(),
    }
    write_json(folder / "config.json", config)
    jit_compile = runtime.use_xla(network=network, distributed=distribution.is_distributed(strategy))
    resumed = before and before["settings"]
    return Run(title, folder, chief_folder, options, config, strategy, jit_compile, lock, scratch, resumed)


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config of a run folder.

    Raises:
        UserError: If `folder` is none.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a run folder: it has no config.json.")
    return read_json(folder / "config.json")


def load_model(folder: Path) -> keras.Model:
    """Loads the best model of a run folder, to answer and to look inside; it is not compiled.

    Raises:
        UserError: If the run has not got that far.
    """
    read_config(folder)
    if not (folder / "model.keras").is_file():
        raise UserError(f"{folder} has no model.keras yet: finish the run first, with --resume --out {folder}.")
    return keras.models.load_model(folder / "model.keras", compile=False)


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model so that a reader finds the old file or the new one, never half of one."""
    # Keras insists on the ending.
    with _replacing(path, suffix=".keras") as temporary, distribution.as_built(model):
        model.save(temporary)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, atomically."""
    write_atomically(path, json.dumps(value, indent=2, default=str) + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: If it is not there or not JSON.
    """
    if path.exists():
        regular_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error


def write_atomically(path: Path, data: str | bytes) -> None:
    """Writes a file so that a reader, or a machine that dies, finds the old content or the new, never half of it."""
    with atomic_file(path) as file:
        # Paths may hold bytes that are no text.
        file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write to, as `write_atomically` does, for what is too large to be held twice."""
    with _replacing(path) as temporary, open(temporary, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _replacing(path: Path, suffix: str = ".part") -> Iterator[str]:
    """Yields a temporary path beside `path` that takes its place at the end, or goes if something fails."""
    if path.exists() and not path.is_file():  # to replace a device would remove it for everybody
        raise UserError(f"{path} is not a regular file: choose another one to write to.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """Returns the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _claim(folder: Path) -> BinaryIO:
    """Makes the folder and holds its lock, which the system frees even after kill -9."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "wb")  # noqa: SIM115 - held as long as the run lasts
    except FileExistsError:
        raise UserError(f"{folder} is a file; --out takes a folder.") from None
    except OSError as error:
        raise UserError(f"Cannot write into {folder}: {error.strerror}. Choose another --out.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{folder} is in use by another process. Wait for it, or choose another --out.") from None
    return lock


def _has_begun(folder: Path, config: dict | None) -> bool:
    """Tells whether a folder holds more than a run that ended before its first epoch.

    Raises:
        UserError: If it holds something that is no run.
    """
    content = {
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and (entry.is_file() or any(entry.iterdir()))
    }
    if config is None and content - {"workers"}:
        raise UserError(f"{folder} is not empty and holds no run. Choose another --out.")
    return bool(content - UNBEGUN)


def _taken_up(folder: Path, settings: dict[str, Any], *, resume: bool, free: set[str]) -> dict[str, Any] | None:
    """Returns the config of the run that a folder holds, None for an empty one.

    Raises:
        UserError: If there is one that is not to be resumed, or not with these settings.
    """
    config_path = folder / "config.json"
    before = read_json(config_path) if config_path.exists() else None
    if not folder.is_dir() or not _has_begun(folder, before):
        return None
    if not resume:
        state = "a finished run" if (folder / "metrics.json").exists() else "an unfinished run"
        raise UserError(f"{folder} holds {state}. Add --resume to go on with it, or choose another --out.")
    _check_same_settings(folder, before["settings"], settings, free=free)
    return before


def _check_same_settings(folder: Path, before: dict[str, Any], settings: dict[str, Any], *, free: set[str]) -> None:
    """Refuses to resume a run with other options."""
    now = json.loads(json.dumps(settings, default=str))
    for name in sorted((now.keys() | before.keys()) - free):
        if before.get(name) != now.get(name):
            changed = f"--{name.replace('_', '-')} {before.get(name)}, not {now.get(name)}"
            raise UserError(f"{folder} was run with {changed}: a resumed run keeps its options.")


def _command() -> list[str]:
    """Returns what stands behind `python` on the command line, `-m module` restored."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    script = ["-m", spec.name.removesuffix(".__main__")] if spec else [Path(sys.argv[0]).name]
    return [*script, *sys.argv[1:]]
