"""An image that is optimized in a run folder: progress, preview, images on the way, checkpoint, the best so far."""

import csv
import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kerasapps.checkpoints import LAST, PREVIOUS, load_arrays, save_arrays
from kerasapps.data.pictures import Photo, encode_picture
from kerasapps.errors import TrainingError, UserError, is_out_of_memory
from kerasapps.reports import Figure
from kerasapps.runs import Run, write_atomically, write_json
from kerasapps.styling.loop import fit_size, resize

from .images import as_bytes, image_grid

SHARE = 20  # saving and showing the state may take a twentieth of the time
PREVIEW_SECONDS, CHECKPOINT_SECONDS = 2.0, 30.0
SHOWN_ON_THE_WAY = 8
THUMBNAIL = 384  # pixels
KEPT = ("best", "rows", "seconds", "digest")  # what a checkpoint holds of an outcome as JSON

State = Mapping[str, Any]  # name to an array or tensor


class Step(Protocol):
    """What an optimization yields after each step; `kerasapps.styling.Step` is one."""

    @property
    def step(self) -> int:
        """Evaluations so far, the first one 1."""

    @property
    def scale(self) -> tuple[int, int]:
        """Height and width of the image."""

    @property
    def losses(self) -> Mapping[str, float]:
        """Losses by name; "total" decides which image is best."""

    @property
    def state(self) -> State:
        """All that is needed to continue from here."""


@dataclass(frozen=True)
class ImageJob:
    """What is optimized.

    Args:
        steps: From the state of a step, or None to start, to the steps that follow.
        total: Number of evaluations at most.
        finish: From a step to its image as people get it, float32 (H, W, 3), 0 to 255.
        original: What a saved image takes its profile and bits from.
        digest: Changes where a file that it is made from does.
        remedy: What to do if memory runs out.
    """

    steps: Callable[[State | None], Iterator[Step]]
    total: int
    finish: Callable[[Step], np.ndarray]
    original: Photo
    digest: str = ""
    remedy: str = "Start again with a smaller --size."


@dataclass
class Outcome:
    """What came of a job.

    Args:
        image: The best so far, 0 to 255, float32 (H, W, 3).
        best: Step, size and losses of it.
        rows: The same of every step.
        way: Small images on the way, by step, uint8 (h, w, 3).
        interrupted: Whether Ctrl-C ended it.
        seconds: Time spent, that before a resume included.
        digest: Of the files that it is made from.
    """

    image: np.ndarray | None = None
    best: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    way: dict[int, np.ndarray] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0
    digest: str = ""

    @property
    def last(self) -> Mapping[str, float]:
        """Step and size so far."""
        return self.rows[-1] if self.rows else {"step": 0, "height": 0}


class Throttle:
    """Calls something every so many seconds, for no more than a share of the time."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.next = time.perf_counter() + seconds

    def __call__(self, action: Callable[[], None]) -> None:
        """Calls it if it is time."""
        start = time.perf_counter()
        if start >= self.next:
            action()
            end = time.perf_counter()
            self.next = end + max(self.seconds, SHARE * (end - start))


def optimize_image(run: Run, job: ImageJob, *, save_every: int | None = None) -> Outcome:
    """Optimizes an image, from the checkpoint if there is one, until it is done or Ctrl-C.

    Args:
        run: The run folder.
        job: What is optimized.
        save_every: Steps between images under steps/; none by default.

    Raises:
        TrainingError: If the loss is no longer a number, or memory runs out; the best so far is in result.png.
        UserError: If there was no step before Ctrl-C, the checkpoint is damaged, or a run is resumed whose input images
            have changed.
    """
    outcome, state = load(run)
    if state is not None and outcome.digest != job.digest:
        raise UserError(f"The input images of {run.folder} have changed: a resumed run keeps them.")
    outcome.digest = job.digest
    started = time.perf_counter() - outcome.seconds
    preview, checkpoint = Throttle(PREVIEW_SECONDS), Throttle(CHECKPOINT_SECONDS)
    with _bar(job.total) as bar:
        task = bar.add_task("", total=job.total, completed=outcome.last["step"], state="")
        try:
            for step in job.steps(state):
                before, later = outcome.last, advanced(outcome, step, job, seconds=time.perf_counter() - started)
                if save_every and step.step // save_every > before["step"] // save_every:
                    photo = replace(job.original, pixels=job.finish(step))
                    write_atomically(run.path("steps", f"{step.step:05d}.png"), encode_picture(photo, ".png"))
                # At once: Ctrl-C must not come between a row and the state that it belongs to.
                outcome, state = later, step.state
                preview(lambda step=step: tell(run, step, job))
                checkpoint(lambda outcome=outcome, state=state: save(run, outcome, state))
                show(bar, task, outcome.last, new_size=outcome.last["height"] != before["height"])
        except KeyboardInterrupt:
            outcome.interrupted = True
        except SystemExit:  # SIGTERM, as before a machine is taken away
            save(run, outcome, state)
            raise
        except Exception as error:
            if not isinstance(error, TrainingError) and not is_out_of_memory(error):
                raise
            reason = str(error) if isinstance(error, TrainingError) else f"Out of memory. {job.remedy}"
            raise TrainingError(reason + keep_best(run, outcome, state)) from error
    if outcome.image is None:
        raise UserError("Interrupted before the first step: there is no image yet.")
    save(run, outcome, state)
    write_preview(run, outcome.image)
    return outcome


def keep_best(run: Run, outcome: Outcome, state: State | None) -> str:
    """Writes the best so far and the checkpoint after a failure; returns the sentence that tells where, if any."""
    if outcome.image is None:
        return ""
    write_atomically(run.path("result.png"), encode_picture(Photo(outcome.image), ".png"))
    save(run, outcome, state)
    return f" The best so far is in {run.folder}."


def advanced(outcome: Outcome, step: Step, job: ImageJob, *, seconds: float) -> Outcome:
    """Returns the outcome after one more step.

    Raises:
        TrainingError: If its loss is no number.
    """
    height, width = step.scale
    row = {"step": step.step, "height": height, "width": width, **step.losses}
    if not math.isfinite(row["total"]):
        raise TrainingError(f"The loss became {row['total']} in step {step.step}.")
    best, image, way = outcome.best, outcome.image, outcome.way
    if is_better(row, best):
        best, image = row, job.finish(step)
    every = max(1, job.total // SHOWN_ON_THE_WAY)
    if step.step // every > outcome.last["step"] // every or not way:
        way = way | {step.step: thumbnail(job.finish(step))}
    rows = [*outcome.rows, row]
    return replace(outcome, image=image, best=best, rows=rows, way=way, seconds=seconds)


def is_better(row: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Returns whether an image is larger than the best, or of its size with no larger loss."""
    return not best or (row["height"], row["width"], -row["total"]) >= (best["height"], best["width"], -best["total"])


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Returns a small copy, uint8 (h, w, 3)."""
    shape = image.shape[:2]
    return as_bytes(resize(image, fit_size(shape, min(THUMBNAIL, max(shape)))).numpy())


def tell(run: Run, step: Step, job: ImageJob) -> None:
    """Writes how far it is, and the image to look at in the meantime."""
    height, width = step.scale
    write_json(run.path("progress.json"), {"step": step.step, "total": job.total, "height": height, "width": width})
    write_preview(run, job.finish(step))


def write_preview(run: Run, image: np.ndarray) -> None:
    """Writes the image to look at in the meantime."""
    write_atomically(run.path("preview.png"), encode_picture(Photo(image), ".png"))


def save(run: Run, outcome: Outcome, state: State | None) -> None:
    """Writes history and checkpoint, from which `load` resumes exactly; nothing before the first step."""
    if state is None:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [*outcome.rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(outcome.rows)
    write_atomically(run.path("history.csv"), text.getvalue())
    arrays = {"picture": outcome.image}
    arrays |= {f"way_{step}": small for step, small in outcome.way.items()}
    arrays |= {f"state_{name}": np.asarray(value) for name, value in state.items()}
    told = {name: getattr(outcome, name) for name in KEPT} | {"steps": list(outcome.way)}
    save_arrays(run.checkpoint(LAST), arrays, told, previous=run.checkpoint(PREVIOUS))


def load(run: Run) -> tuple[Outcome, State | None]:
    """Reads what `save` wrote; without it, an empty outcome and no state.

    Raises:
        UserError: If it is damaged, or something else.
    """
    path = run.checkpoint(LAST)
    if not path.exists():
        return Outcome(), None
    arrays, told = load_arrays(path, previous=run.checkpoint(PREVIOUS))
    try:
        way = {step: arrays[f"way_{step}"] for step in told["steps"]}
        outcome = Outcome(image=arrays["picture"], way=way, **{name: told[name] for name in KEPT})
    except (KeyError, TypeError):
        raise UserError(f"{path} is the checkpoint of something else.") from None
    state = {name.removeprefix("state_"): array for name, array in arrays.items() if name.startswith("state_")}
    return outcome, state


def show(bar: Progress, task, row: Mapping[str, float], *, new_size: bool) -> None:
    """Updates the bar; in a log, prints one line a size."""
    losses = "  ".join(f"{name} {row[name]:.4g}" for name in row if name not in ("step", "height", "width"))
    size = f"{row['width']}x{row['height']}"
    bar.update(task, completed=row["step"], state=f"{size}  {losses}")
    if bar.disable and new_size:
        print(f"step {row['step']}  {size}  {losses}", flush=True)


def _bar(total: int) -> Progress:
    """Returns a progress bar, silent where there is no terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"), TimeRemainingColumn())
    bar = Progress(TextColumn("step"), *columns)
    bar.disable = not bar.console.is_terminal
    return bar


# --- figures


def result_figure(outcome: Outcome) -> Figure:
    """Shows the result as large as the report is wide."""
    height, width = outcome.image.shape[:2]
    figure = grid_of([as_bytes(outcome.image)], [""], columns=1)
    return Figure("result", f"The result, {width} x {height} pixels.", figure)


def way_figure(outcome: Outcome) -> Figure:
    """Shows the image on its way."""
    below = [f"step {step}" for step in outcome.way]
    drawn = grid_of([*outcome.way.values()], below, columns=4)
    return Figure("way", "Intermediate images, coarse to fine.", drawn, "On the way")


def grid_of(images: Sequence[np.ndarray], below: Sequence[str], *, columns: int):
    """Draws a grid whose cells are as high as its highest image, up to twice their width."""
    aspect = max(image.shape[0] / image.shape[1] for image in images)
    return image_grid(images, below, columns=columns, aspect=min(aspect, 2.0))
