"""One painting in a run folder: progress, preview, pictures on the way, checkpoint, and the best so far."""

import csv
import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.image_figures import as_bytes
from experiments.style_network import Canvas
from kerasapps.data.pictures import Photo, encode_picture
from kerasapps.errors import TrainingError, UserError
from kerasapps.runs import Run, write_atomically
from kerasapps.styling import Step
from kerasapps.styling.loop import fit_size, resize

# What only keeps and shows the state may take a twentieth of the time.
SHARE = 20
PREVIEW_SECONDS, CHECKPOINT_SECONDS = 2.0, 30.0
SHOWN_ON_THE_WAY = 8
THUMBNAIL = 384  # pixels


@dataclass
class Outcome:
    """What came of a painting.

    Args:
        picture: The best so far, 0 to 255, float32 (H, W, 3).
        best: Step, size and losses of it.
        rows: The same of every step.
        way: Small pictures on the way, by step, uint8 (h, w, 3).
        interrupted: Whether Ctrl-C ended it.
        seconds: Time spent, that before a resume included.
    """

    picture: np.ndarray | None = None
    best: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    way: dict[int, np.ndarray] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0


class Occasion:
    """Does something every so many seconds, and in no more than a share of the time."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.next = time.perf_counter() + seconds

    def __call__(self, action: Callable[[], None]) -> None:
        """Does it if it is time."""
        start = time.perf_counter()
        if start >= self.next:
            action()
            end = time.perf_counter()
            self.next = end + max(self.seconds, SHARE * (end - start))


def paint(run: Run, canvas: Canvas, *, save_every: int | None = None) -> Outcome:
    """Paints, from the checkpoint if there is one, until it is done or Ctrl-C.

    Args:
        run: The run folder.
        canvas: What is painted.
        save_every: Steps between pictures under steps/; by default none.

    Raises:
        TrainingError: If the loss is no longer a number; the best so far is kept in result.png.
        UserError: If nothing was painted before Ctrl-C.
    """
    outcome, state = load(run)
    started = time.perf_counter() - outcome.seconds
    preview, checkpoint = Occasion(PREVIEW_SECONDS), Occasion(CHECKPOINT_SECONDS)
    every = max(1, canvas.total // SHOWN_ON_THE_WAY)
    saved = outcome.rows[-1]["step"] if outcome.rows else 0
    with _bar(canvas.total) as bar:
        task = bar.add_task("", total=canvas.total, completed=saved, state="")
        try:
            for step in canvas.steps(resume=state):
                before, row = (outcome.rows or [{"step": 0, "height": 0}])[-1], row_of(step)
                outcome.rows.append(row)
                outcome.seconds = time.perf_counter() - started
                if is_better(row, outcome.best):
                    outcome.best, outcome.picture = row, canvas.picture(step)
                if row["step"] // every > before["step"] // every or not outcome.way:
                    outcome.way[row["step"]] = thumbnail(canvas.picture(step))
                if save_every and row["step"] // save_every > before["step"] // save_every:
                    photo = replace(canvas.content, pixels=canvas.picture(step))
                    write_atomically(run.path("steps", f"{row['step']:05d}.png"), encode_picture(photo, ".png"))
                state = step.state
                preview(lambda step=step: write_preview(run, canvas.picture(step)))
                checkpoint(lambda state=state: save(run, outcome, state))
                show(bar, task, row, new_size=row["height"] != before["height"])
        except KeyboardInterrupt:
            outcome.interrupted = True
        except TrainingError as error:
            if outcome.picture is not None:
                write_atomically(run.path("result.png"), encode_picture(Photo(outcome.picture), ".png"))
            raise TrainingError(f"{error} The best so far is in {run.folder}.") from None
    if outcome.picture is None:
        raise UserError("Interrupted before the first step: nothing is painted.")
    save(run, outcome, state)
    write_preview(run, outcome.picture)
    return outcome


def row_of(step: Step) -> dict[str, float]:
    """Returns step, size and losses in a row."""
    height, width = step.scale
    return {"step": step.step, "height": height, "width": width, **step.losses}


def is_better(row: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Tells whether a picture is larger than the best, or of its size with no larger loss."""
    return not best or (row["height"], row["width"], -row["total"]) >= (best["height"], best["width"], -best["total"])


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Returns a small copy, uint8 (h, w, 3)."""
    shape = picture.shape[:2]
    return as_bytes(resize(picture, fit_size(shape, min(THUMBNAIL, max(shape)))).numpy())


def write_preview(run: Run, picture: np.ndarray) -> None:
    """Writes the picture to look at while it is painted."""
    write_atomically(run.path("preview.png"), encode_picture(Photo(picture), ".png"))


def save(run: Run, outcome: Outcome, state: Mapping) -> None:
    """Writes history and checkpoint, from which `load` goes on exactly."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*outcome.rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(outcome.rows)
    write_atomically(run.path("history.csv"), text.getvalue())
    told = asdict(replace(outcome, picture=None, way={})) | {"steps": list(outcome.way)}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        told=np.array(json.dumps(told)),
        picture=outcome.picture,
        **{f"way_{step}": small for step, small in outcome.way.items()},
        **{f"state_{name}": np.asarray(value) for name, value in state.items()},
    )
    write_atomically(run.path("checkpoints", "last.npz"), buffer.getbuffer())


def load(run: Run) -> tuple[Outcome, dict[str, np.ndarray] | None]:
    """Reads what `save` wrote; without it, an empty outcome and no state."""
    path = run.path("checkpoints", "last.npz")
    if not path.exists():
        return Outcome(), None
    with np.load(path) as file:
        told = json.loads(str(file["told"]))
        way = {step: file[f"way_{step}"] for step in told.pop("steps")}
        state = {name.removeprefix("state_"): file[name] for name in file.files if name.startswith("state_")}
        return Outcome(**told | {"picture": file["picture"], "way": way, "interrupted": False}), state


def show(bar: Progress, task, row: Mapping[str, float], *, new_size: bool) -> None:
    """Moves the bar on; in a log, one line a size."""
    losses = "  ".join(f"{name} {row[name]:.4g}" for name in ("total", "content", "style"))
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
