"""Figures, and `report.html`: one self-contained file."""

import base64
import contextlib
import functools
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import jinja2
import matplotlib
import matplotlib.artist
import matplotlib.collections
import matplotlib.colors
import matplotlib.figure
import matplotlib.lines
import matplotlib.patches
import matplotlib.text
import matplotlib.ticker
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from kerasapps.fonts import make_readable
from kerasapps.formats import format_metric, format_number, is_share, label_of
from kerasapps.panels import columns_of, cut_out

INK = "#1c2430"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=["#2563a8", "#d9822b", "#3a9169", "#b5485d", "#7a5ea8", "#6b7280"]),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.color": "#e6e8ec",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#5d6878",
    "xtick.color": "#5d6878",
    "ytick.color": "#5d6878",
    "axes.titlesize": 11,
}
FAINT = 0.1  # of the strongest: a word with less is not colored
# Of tags: transparent, so that they suit either paper.
TAG_COLORS = tuple(
    f"rgba({color}, .34)"
    for color in ("37, 99, 168", "217, 130, 43", "58, 145, 105", "181, 72, 93", "122, 94, 168", "110, 118, 130")
)
DARK_INK, DARK_PAPER = "#e4e8ee", "#181d25"  # those of the dark report
KEEP = "keep"  # gid of an artist whose color is right on either ground, such as a label on a colored cell


class Block(Protocol):
    """A section of a report.

    A block with a heading has `title` as well, and one with files for the folder figures/ has `files()`, name to bytes.
    """

    def html(self) -> str:
        """Returns the inside of the section."""
        ...


# What comes in whole numbers on an axis.
COUNTED = {"epoch", "step", "trial"}
DPI = 160  # pixels to the inch of a figure


@dataclass(frozen=True)
class Figure:
    """An image.

    Args:
        name: Its file name.
        caption: What stands below it.
        figure: What matplotlib drew.
        heading: The title, if not the name.
        wraps: Whether its axes, in a grid, may stand one below the other where there is no room side by side.
    """

    name: str
    caption: str
    figure: matplotlib.figure.Figure
    heading: str = ""
    wraps: bool = False

    @property
    def title(self) -> str:
        """The heading of its section."""
        return self.heading or title_of(self.name)

    @property
    def wide(self) -> bool:
        """Whether a phone scrolls it rather than making its text too small to read; an image alone has no text."""
        axes = self.figure.axes
        alone = len(axes) == 1 and not (axes[0].axison and (len(axes[0].get_xticks()) or axes[0].get_xlabel()))
        return self.figure.get_figwidth() > 6 and not alone

    @cached_property
    def key(self) -> str:
        """The key to numbers that stand for words in scripts that no font here has; settled before it is drawn."""
        return make_readable(self.figure)

    @property
    def told(self) -> str:
        """The caption with the key."""
        key = f" {self.key}: no font on the machine that drew this has the script." if self.key else ""
        return self.caption + key

    @cached_property
    def image(self) -> Image.Image:
        """The figure as an image."""
        _ = self.key
        image = _draw(self.figure)
        self.figure.set_layout_engine("none")  # everything has its place now, in other colors too
        return image

    @cached_property
    def dark_image(self) -> Image.Image:
        """The same in the colors of the dark report."""
        _ = self.image
        with darkened(self.figure):
            return _draw(self.figure)

    @cached_property
    def png(self) -> bytes:
        """The image as a PNG file."""
        return png_of(self.image)

    def files(self) -> dict[str, bytes]:
        """Returns the PNG file by its name."""
        return {f"{self.name}.png": self.png}

    def html(self) -> str:
        """Returns the image with its caption."""
        caption, looks = self.told, (self.image, self.dark_image)
        if not self.wraps or len(self.figure.axes) < 2:
            pngs = (self.png, png_of(self.dark_image))
            image = [_data_uri("image/png", png) for png in pngs] + [f"{self.title}: {caption}"]
            return render("image", images=[image], title=self.title, caption=caption, wide=self.wide, columns=1)
        cut = cut_out(self.figure, looks)
        light, dark = ([_data_uri("image/png", png_of(panel)) for panel in panels] for panels in cut)
        titles = [f"{self.title}: {axes.get_title()}" for axes in self.figure.axes]
        images, columns = list(zip(light, dark, titles, strict=True)), columns_of(self.figure)
        return render("image", images=images, title=self.title, caption=caption, wide=False, columns=columns)


@dataclass(frozen=True)
class Animation:
    """An animation: `name` is its file name, `frames` are images uint8 (H, W, C) of one shape.

    Args:
        name: As for `Figure`.
        caption: As for `Figure`.
        frames: The images; the last one is shown longer.
        seconds: How long it takes.
        heading: As for `Figure`.
        dark_frames: The images of the dark report, where they are others.
    """

    name: str
    caption: str
    frames: Sequence[np.ndarray]
    seconds: float = 8.0
    heading: str = ""
    dark_frames: Sequence[np.ndarray] = ()

    @property
    def title(self) -> str:
        """The heading of its section."""
        return self.heading or title_of(self.name)

    @cached_property
    def gif(self) -> bytes:
        """The frames as a GIF file."""
        return self._gif(self.frames)

    def _gif(self, frames: Sequence[np.ndarray]) -> bytes:
        images = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
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
        dark = _data_uri("image/gif", self._gif(self.dark_frames)) if len(self.dark_frames) else ""
        image = (_data_uri("image/gif", self.gif), dark, f"{self.title}: {self.caption}")
        return render("image", images=[image], title=self.title, caption=self.caption, wide=False, columns=1)


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; a number is shown with `digits` after the point, None as a dash."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    caption: str = ""
    digits: int = 1

    def html(self) -> str:
        """Returns rows and caption."""
        columns = ([row[i] for row in self.rows if i < len(row)] for i in range(len(self.columns)))
        return render("table", table=self, texts=list(map(_is_text, columns)))


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


@dataclass(frozen=True)
class Highlighted:
    """A text, its words colored.

    Args:
        words: The words.
        weights: How much each speaks for something, or below 0 against it, (words,); in any unit.
        title: What is to be known of the text.
        between: What stands between words.
    """

    words: Sequence[str]
    weights: np.ndarray
    title: str
    between: str = " "

    def pieces(self) -> list[tuple[str, float]]:
        """Returns the text in pieces with their weights, at most 1 or -1; faint words are joined, with weight 0."""
        strongest = max(np.abs(self.weights).max(initial=0), np.finfo(np.float32).tiny)
        pieces: list[tuple[str, float]] = []
        for word, weight in zip(self.words, self.weights / strongest, strict=True):
            weight = float(weight) if abs(weight) >= FAINT else 0.0
            if pieces and not weight and not pieces[-1][1]:
                pieces[-1] = (f"{pieces[-1][0]}{self.between}{word}", 0.0)
            else:
                pieces.append((word, weight))
        return pieces


@dataclass(frozen=True)
class Highlights:
    """Some texts with colored words under one title."""

    title: str
    caption: str
    texts: Sequence[Highlighted]

    def html(self) -> str:
        """Returns each text with the color of its words."""
        return render("highlights", block=self)


@dataclass(frozen=True)
class Tagged:
    """A sequence with a tag a step.

    Args:
        steps: What is read, such as words.
        truth: The right tags.
        predicted: Those of a model.
        title: What is to be known of the sequence.
    """

    steps: Sequence[str]
    truth: Sequence[str]
    predicted: Sequence[str]
    title: str = ""


@dataclass(frozen=True)
class TaggedSequences:
    """Some sequences under one title: each step above its right tag and the predicted one, a color for each kind.

    Args:
        title: The title.
        caption: What is to be known of all.
        sequences: The sequences.
        plain: The tag without a color, such as that of words outside of names.
    """

    title: str
    caption: str
    sequences: Sequence[Tagged]
    plain: str = "O"

    def color(self, tag: str) -> str:
        """Returns the color of a tag, the same for B-PER and I-PER, that suits light and dark paper; "" for none."""
        return "" if tag == self.plain else TAG_COLORS[self._kinds.index(marked_kind(tag)) % len(TAG_COLORS)]

    @functools.cached_property
    def _kinds(self) -> list[str]:
        tags = {tag for one in self.sequences for tag in (*one.truth, *one.predicted)}
        return sorted({marked_kind(tag) for tag in tags - {self.plain}})

    def html(self) -> str:
        """Returns each sequence with its tags."""
        return render("tagged", block=self)


def marked_kind(tag: str) -> str:
    """Returns the kind of name that a tag such as B-PER marks, and any other tag as it is."""
    return tag.partition("-")[2] if tag[:2] in ("B-", "I-", "E-", "S-") else tag


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
    """Draws loss and accuracy-like metrics over the epochs, training and validation together, if there are both."""
    names = [key for key in (rows[0] if rows else {}) if not key.startswith("val_")]
    metrics = [key for key in names if f"val_{key}" in rows[0]] or names
    columns = 2 if len(metrics) in (0, 1, 2, 4) else 3  # more, and nobody could read them
    lines = -(-len(metrics) // columns)
    figure = new_figure(width=3.6 * columns, height=3.6 * max(1, lines))
    epochs = np.arange(1, len(rows) + 1)
    marker = "o" if len(rows) == 1 else ""  # a line of one point is not seen
    for i, metric in enumerate(metrics, start=1):
        axes = add_axes(figure, lines, min(columns, len(metrics)), i, xlabel="epoch", title=label_of(metric))
        axes.plot(epochs, [row[metric] for row in rows], marker=marker, label="training")
        if f"val_{metric}" in rows[0]:
            axes.plot(epochs, [row[f"val_{metric}"] for row in rows], marker=marker, label="validation")
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True, min_n_ticks=1))
        axes.axvline(best_epoch, color="#9aa1ab", linewidth=1, linestyle=":", label="kept")
        axes.legend(frameon=False)
        if is_share(metric):
            axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, symbol=" %"))
    heading = "Learning curves" if network == "The network" else f"Learning curves: {network.replace('_', ' ')}"
    caption = f"{network} by epoch; the weights of epoch {best_epoch} are kept."
    return Figure(name, caption, figure, heading, wraps=True)


class Command(NamedTuple):
    """What a person may type next: what it is for, and the line."""

    what: str
    line: str


def render_report(
    config: dict[str, Any],
    metrics: dict[str, float],
    *,
    summary: str,
    headline: Sequence[str],
    blocks: Sequence[Block],
    commands: Sequence[Command] = (),
    files: Sequence[str] = (),
) -> str:
    """Returns the report as one HTML page with everything inside it.

    Args:
        config: What was run and on what, as in config.json.
        metrics: Name to number; `NAME_guess` is what a constant prediction reaches in the metric NAME on `test_rows`
            rows, `NAME_lowest` and `NAME_highest` are its range over the seeds or, with `folds` of them, over these.
        summary: One or two sentences for its head.
        headline: Names of the metrics to show large.
        blocks: What to show, in order.
        commands: What may come next.
        files: Paths in the run folder to link to.
    """
    sections: list[dict[str, str]] = []
    for i, block in enumerate(blocks, start=1):
        title = getattr(block, "title", "")
        sections.append({"id": f"section{i}", "title": title, "html": block.html()})
    return render(
        "report",
        config=config,
        metrics=metrics,
        summary=summary,
        tiles=[_tile(name, metrics) for name in headline],
        sections=sections,
        commands=commands,
        files=files,
    )


def _is_text(column: Sequence[str | float | None]) -> bool:
    """Whether a column holds text that is no number written out."""

    def is_number(cell: str | float | None) -> bool:
        try:
            float(str(cell).replace(",", "").rstrip(" %"))
        except ValueError:
            return False
        return True

    cells = [cell for cell in column if cell not in (None, "", "–")]
    return bool(cells) and not all(map(is_number, cells))


def _tile(name: str, metrics: dict[str, float]) -> dict[str, str]:
    """Returns a metric to show large, with what it is to be compared with and how many rows it was measured on."""
    notes = []
    if f"{name}_guess" in metrics:
        notes.append(f"guessing: {format_metric(name, metrics[f'{name}_guess'])}")
        if "test_rows" in metrics:
            notes.append(f"{metrics['test_rows']:,.0f} test rows")
    if f"{name}_lowest" in metrics:
        low, high = (format_metric(name, metrics[f"{name}_{end}"]) for end in ("lowest", "highest"))
        notes.append(f"{low} to {high} over the {'folds' if 'folds' in metrics else 'seeds'}")
    return {"label": label_of(name), "value": format_metric(name, metrics[name]), "note": "; ".join(notes)}


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
    environment.filters["metric"] = lambda value, name: format_metric(name, value)
    environment.filters["label"] = label_of
    return environment


def _data_uri(kind: str, content: bytes) -> str:
    """Returns an address that holds all of a file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def title_of(name: str) -> str:
    """Returns a heading made of a file name."""
    words = re.sub(r"[_-]+", " ", name).strip()
    return words[:1].upper() + words[1:]


def _draw(figure: matplotlib.figure.Figure) -> Image.Image:
    """Returns a figure as an image. `savefig` would draw it twice, once only to place what is in it."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def png_of(image: Image.Image) -> bytes:
    """Returns an image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def frame_of(figure: matplotlib.figure.Figure) -> tuple[np.ndarray, np.ndarray]:
    """Returns a figure as it looks now, and in the colors of the dark report, as frames uint8 (H, W, 3).

    From the first call on its layout is fixed, so that what does not move stays where it is.
    """
    light = np.asarray(_draw(figure))
    figure.set_layout_engine("none")
    with darkened(figure):
        return light, np.asarray(_draw(figure))


@contextlib.contextmanager
def darkened(figure: matplotlib.figure.Figure) -> Iterator[None]:
    """Gives a figure the colors of the dark report for a while; images keep theirs."""
    changed = []
    for artist in figure.findobj():
        colors = [] if artist.get_gid() == KEEP else _colors_of(artist)
        # All are read before one is changed: an edge may take its color from the face.
        colors = [(change, get()) for get, change in colors]
        changed += colors
        for change, before in colors:
            change(for_dark(before))
    try:
        yield
    finally:
        for change, before in changed:
            change(before)


def _colors_of(artist: matplotlib.artist.Artist) -> list[tuple[Any, Any]]:
    """Returns how each color of an artist is read and set."""
    if isinstance(artist, matplotlib.lines.Line2D):
        names = ("color", "markerfacecolor", "markeredgecolor")
    elif isinstance(artist, matplotlib.patches.Patch | matplotlib.collections.Collection):
        names = ("facecolor", "edgecolor")
    else:
        names = ("color",) if isinstance(artist, matplotlib.text.Text) else ()
    return [(getattr(artist, f"get_{name}"), getattr(artist, f"set_{name}")) for name in names]


def for_dark(color: Any) -> np.ndarray:
    """Returns a color, or an array of them, as it is to be on the dark ground: grays turn round, colors get lighter."""
    rgba = matplotlib.colors.to_rgba_array(color)  # (n, 4)
    paper, ink = (np.array(matplotlib.colors.to_rgb(end)) for end in (DARK_PAPER, DARK_INK))
    light = rgba[:, :3].max(1, keepdims=True)
    chroma = light - rgba[:, :3].min(1, keepdims=True)  # (n, 1)
    darkest = max(matplotlib.colors.to_rgb(INK))
    whiteness = np.clip((light - darkest) / (1 - darkest), 0, 1)
    gray = paper * whiteness + ink * (1 - whiteness)
    bright = 0.35 + 0.65 * rgba[:, :3] / np.maximum(light, 0.01)
    changed = np.where(chroma < 0.2, gray, bright)
    result = np.concatenate([changed, rgba[:, 3:]], 1)
    return result[0] if len(result) == 1 else result
