"""Figures, and `report.html`: one self-contained file."""

import base64
import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import jinja2
import matplotlib
import matplotlib.figure
import numpy as np
from PIL import Image

from kerasapps.fonts import make_readable

STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=["#2563a8", "#d9822b", "#3a9169", "#b5485d", "#7a5ea8", "#6b7280"]),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": "#e6e8ec",
}


class Block(Protocol):
    """A section of a report; a block with files for the folder figures/ has `files()` as well, name to bytes."""

    def html(self) -> str:
        """Returns the inside of the section."""
        ...


# What comes in whole numbers on an axis.
COUNTED = {"epoch", "trial"}


@dataclass(frozen=True)
class Figure:
    """An image: `name` is its file name, `figure` what matplotlib drew."""

    name: str
    caption: str
    figure: matplotlib.figure.Figure

    @cached_property
    def key(self) -> str:
        """The key to numbers that stand for words in scripts that no font here has; settled before it is drawn."""
        return make_readable(self.figure)

    @cached_property
    def png(self) -> bytes:
        """The image as a PNG file."""
        _ = self.key
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=160)
        return buffer.getvalue()

    def files(self) -> dict[str, bytes]:
        """Returns the PNG file by its name."""
        return {f"{self.name}.png": self.png}

    def html(self) -> str:
        """Returns the image with its caption."""
        key = f" {self.key}: no font on the machine that drew this has the script." if self.key else ""
        return render("image", uri=_data_uri("image/png", self.png), caption=self.caption + key)


@dataclass(frozen=True)
class Animation:
    """An animation: `name` is its file name, `frames` are images uint8 (H, W, C) of one shape.

    Args:
        name: As for `Figure`.
        caption: As for `Figure`.
        frames: The images; the last one is shown longer.
        seconds: How long it takes.
    """

    name: str
    caption: str
    frames: Sequence[np.ndarray]
    seconds: float = 8.0

    @cached_property
    def gif(self) -> bytes:
        """The frames as a GIF file."""
        images = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in self.frames]
        each = max(20, int(1000 * self.seconds / len(images)))  # milliseconds
        buffer = io.BytesIO()
        durations = [each] * (len(images) - 1) + [max(each, 2000)]
        images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)
        return buffer.getvalue()

    def files(self) -> dict[str, bytes]:
        """Returns the GIF file by its name."""
        return {f"{self.name}.gif": self.gif}

    def html(self) -> str:
        """Returns the animation with its caption."""
        return render("image", uri=_data_uri("image/gif", self.gif), caption=self.caption)


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; a number is shown with `digits` after the point, None as a dash."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    caption: str = ""
    digits: int = 1

    def html(self) -> str:
        """Returns title, rows and caption."""
        return render("table", table=self)


@dataclass(frozen=True)
class Reading:
    """A question about a text, what a model answered, and how much it looked at each sentence.

    Args:
        sentences: The text, as written.
        question: The question, as written.
        truth: The right answer, where it is known.
        answers: Likeliest answers with their probabilities, the likeliest first.
        weights: For each hop of the model the weight of each sentence, in [0, 1], (hops, sentences).
        supports: Positions of the sentences that hold the answer, where they are known.
    """

    sentences: Sequence[str]
    question: str
    truth: str | None
    answers: Sequence[tuple[str, float]]
    weights: np.ndarray
    supports: Sequence[int] = ()


@dataclass(frozen=True)
class Readings:
    """Some readings under one title."""

    title: str
    caption: str
    readings: Sequence[Reading]

    def html(self) -> str:
        """Returns each text with its weights and answers."""
        return render("readings", block=self)


def new_figure(width: float = 7.0, height: float = 3.6) -> matplotlib.figure.Figure:
    """Returns an empty figure in the style of the reports, sizes in inches; no window system is involved."""
    with matplotlib.rc_context(STYLE):
        return matplotlib.figure.Figure(figsize=(width, height), layout="constrained")


def plain(text: str) -> str:
    """Escapes a text for matplotlib, which reads mathematics between two dollar signs."""
    return text.replace("$", r"\$")


def add_axes(figure: matplotlib.figure.Figure, *position: int, **labels: str) -> matplotlib.axes.Axes:
    """Returns axes at a position (rows, columns, index) with labels set."""
    with matplotlib.rc_context(STYLE):
        axes = figure.add_subplot(*(position or (1, 1, 1)))
        axes.set(**labels)
        if labels.get("xlabel") in COUNTED:
            axes.xaxis.get_major_locator().set_params(integer=True)
        return axes


def curves(
    rows: Sequence[dict[str, float]], *, best_epoch: int, name: str = "curves", network: str = "The network"
) -> Figure:
    """Draws loss and accuracy-like metrics over the epochs, training and validation together."""
    metrics = [key for key in rows[0] if not key.startswith("val_") and f"val_{key}" in rows[0]] if rows else []
    columns = min(4, max(2, len(metrics)))
    lines = -(-len(metrics) // columns)
    figure = new_figure(width=3.6 * columns, height=3.6 * max(1, lines))
    epochs = np.arange(1, len(rows) + 1)
    for i, metric in enumerate(metrics, start=1):
        axes = add_axes(figure, lines, min(columns, len(metrics)), i, xlabel="epoch", title=metric.replace("_", " "))
        axes.plot(epochs, [row[metric] for row in rows], label="training")
        axes.plot(epochs, [row[f"val_{metric}"] for row in rows], label="validation")
        axes.axvline(best_epoch, color="#9aa1ab", linewidth=1, linestyle=":", label="kept")
        axes.legend(frameon=False)
    return Figure(name, f"{network} by epoch; the weights of epoch {best_epoch} are kept.", figure)


def render_report(
    config: dict[str, Any],
    metrics: dict[str, float],
    *,
    summary: str,
    headline: Sequence[str],
    blocks: Sequence[Block],
) -> str:
    """Returns the report as one HTML page with everything inside it.

    Args:
        config: What was run and on what, as in config.json.
        metrics: Name to number.
        summary: One or two sentences for its head.
        headline: Names of the metrics to show large.
        blocks: What to show, in order.
    """
    sections = [block.html() for block in blocks]
    return render("report", config=config, metrics=metrics, summary=summary, headline=headline, sections=sections)


def render(template: str, **context: Any) -> str:
    """Returns HTML of one of the templates next to this module; text in `context` is escaped."""
    return _environment().get_template(f"{template}.html.j2").render(**context)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerasapps", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = format_number
    return environment


def _data_uri(kind: str, content: bytes) -> str:
    """Returns an address that holds all of a file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def format_number(value: str | float | None, digits: int = 3) -> str:
    """Returns a number with so many digits after the point, text unchanged, and None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if float(value).is_integer() and abs(value) < 1e15 and not isinstance(value, float):
        return f"{value:,}"
    return f"{value:,.{digits}f}"
