"""`index.html`: all runs of a folder on one page, with their curves, metrics and settings next to each other."""

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kerasapps.files import write_atomically
from kerasapps.formats import format_duration, format_metric, format_number, is_share, label_of
from kerasapps.records import EFFORT, PLACE, Record, text
from kerasapps.reports import render

# More than this many runs of one kind, the newest ones, are not compared; so many are shown before anyone chooses.
MOST, SHOWN = 24, 5
COLORS = 8  # the page's own, --run0 to --run7
CHARTS, METRICS = 4, 8
POINTS = 120  # of a curve; more cannot be told apart
WIDTH, HEIGHT = 400, 240  # of a chart
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 26  # its margins
# Columns of a history that count or measure the image, and are no result.
COUNTED = ("epoch", "step", "height", "width")


@dataclass(frozen=True)
class Line:
    """A curve: `number` of the run, as the page counts them, its `color`, whether `dashed`, and its points."""

    number: int
    color: int
    dashed: bool
    xs: Sequence[float]
    ys: Sequence[float]


def write_index(root: Path, records: Sequence[Record]) -> Path:
    """Writes index.html into the folder whose runs `records` are, and returns its path."""
    path = root / "index.html"
    write_atomically(path, render_index(root, records))
    return path


def render_index(root: Path, records: Sequence[Record]) -> str:
    """Returns the page, with everything inside it.

    Args:
        root: The folder that the page will be in.
        records: Its runs, the newest first, as `kerasapps.records.read_runs` returns them.
    """
    numbers = {record.name: number for number, record in enumerate(records)}
    inside: dict[str, list[Record]] = {}
    for record in records:
        inside.setdefault(record.parent, []).append(record)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in inside.get("", []):
        if record.state != "damaged":
            groups.setdefault((record.experiment, record.title), []).append(record)
    # What can be compared comes first.
    kinds = sorted(groups.items(), key=lambda kind: len(kind[1]) < 2)
    sections = [_section(root, title, runs, inside, numbers) for (_, title), runs in kinds]
    compared = {one["number"] for section in sections for one in section["runs"]}
    shown = {one["number"] for section in sections for one in section["runs"] if one["shown"]}
    return render(
        "index",
        folder=text(root),
        rows=[
            _row(root, record, numbers) | {"inside": counted(record, inside.get(record.name, []))}
            for record in inside.get("", [])
        ],
        compared=compared,
        shown=shown,
        damaged=[record for record in records if record.state == "damaged"],
        experiments=sorted({record.experiment for record in inside.get("", []) if record.experiment}),
        sections=sections,
        most=MOST,
    )


def _row(root: Path, record: Record, numbers: Mapping[str, int]) -> dict[str, Any]:
    """Returns what the table shows of a run."""
    return {
        "number": numbers[record.name],
        "record": record,
        "link": link(root, record),
        "results": [(label_of(name), format_metric(name, value)) for name, value in record.headline.items()],
        "first": next(iter(record.headline.values()), None),
        "time": format_duration(record.seconds),
    }


def _section(
    root: Path, title: str, runs: list[Record], inside: Mapping[str, list[Record]], numbers: Mapping[str, int]
) -> dict[str, Any]:
    """Returns what the page shows of the runs of one kind: curves, what they reached and how they differ."""
    chosen = runs[:MOST]
    # Smoke runs only tried whether everything runs; they are shown where there is nothing else.
    first = sorted(chosen, key=lambda run: (run.is_smoke, not run.metrics))[:SHOWN]
    columns = [
        {
            "number": numbers[run.name],
            "color": i % COLORS,
            "record": run,
            "link": link(root, run),
            "shown": run in first,
        }
        for i, run in enumerate(chosen)
    ]
    return {
        "title": title,
        "experiment": chosen[0].experiment,
        "left_out": len(runs) - len(chosen),
        "runs": columns,
        "charts": [chart for metric in _charted(chosen) if (chart := _chart(metric, columns))],
        "metrics": _metric_rows(chosen),
        "settings": _setting_rows(chosen, shown=first),
        "parts": [_parts(root, run, inside[run.name]) for run in runs if run.name in inside],
    }


def _metric_rows(runs: Sequence[Record]) -> list[tuple[str, list[str]]]:
    """Returns name and values of the metrics that most of the runs have, then what they took."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    most = [name for name in names if 2 * sum(name in run.metrics for run in runs) >= len(runs)]
    results = [name for name in most if not EFFORT.match(name)][:METRICS]
    rows = [(label_of(name), [format_metric(name, run.metrics.get(name)) for run in runs]) for name in results]
    if "parameters" in most:
        rows.append(("parameters", [format_metric("parameters", run.metrics.get("parameters")) for run in runs]))
    return [
        *rows,
        ("epochs", [format_number(run.epochs) for run in runs]),
        ("time", [format_duration(run.seconds) for run in runs]),
    ]


def _setting_rows(runs: Sequence[Record], *, shown: Sequence[Record]) -> list[tuple[str, list[str], bool]]:
    """Returns option, values, and whether the runs that are shown differ in it; options that all share are left out."""
    names = dict.fromkeys(name for run in runs for name in run.settings if name not in PLACE)
    rows = []
    for name in names:
        values = [setting(run.settings.get(name)) for run in runs]
        if len(set(values)) > 1:
            differs = len({setting(run.settings.get(name)) for run in shown}) > 1
            rows.append((f"--{text(name).replace('_', '-')}", values, differs))
    return rows


def _parts(root: Path, run: Record, inside: Sequence[Record]) -> dict[str, Any]:
    """Returns what is inside a run: the trials of a search, the networks of a comparison; each with what is its own."""
    rows = []
    for one in sorted(inside, key=lambda one: one.name):
        own = {name: value for name, value in one.settings.items() if name not in PLACE}
        own = {name: value for name, value in own.items() if value != run.settings.get(name) and name != "precision"}
        params = own.pop("params", None)
        own = params | own if isinstance(params, dict) else own
        rows.append(
            {
                "name": text(one.folder.relative_to(run.folder)),
                "link": link(root, one),
                "record": one,
                "results": [(label_of(name), format_metric(name, value)) for name, value in one.headline.items()],
                "first": next(iter(one.headline.values()), None),
                "time": format_duration(one.seconds),
                "own": [(text(name), setting(value)) for name, value in own.items()],
            }
        )
    return {"run": run, "counted": counted(run, inside), "rows": rows}


def counted(run: Record, inside: Sequence[Record]) -> str:
    """Returns how much is inside a run, such as "12 trials"."""
    if not inside:
        return ""
    trials = all(one.folder.parent == run.folder / "trials" for one in inside)
    what = "trial" if trials else "network"
    return f"{len(inside)} {what}{'s' if len(inside) > 1 else ''}"


# --- charts


def _charted(runs: Sequence[Record]) -> list[str]:
    """Returns the metrics to draw: loss, those that the reports lead with, and others while there is room."""
    names = dict.fromkeys(name for run in runs for row in run.history[:1] for name in row if name not in COUNTED)
    both = [name for name in names if f"val_{name}" in names]
    both += [name for name in (one.removeprefix("val_") for one in names if one.startswith("val_")) if name not in both]
    headline = {name.removeprefix("val_") for run in runs for name in run.headline}
    return sorted(both or names, key=lambda name: (name != "loss", name not in headline))[:CHARTS]


def _chart(metric: str, columns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Returns a chart of a metric over the epochs, validation solid and training dashed; None without a number."""
    lines: list[Line] = []
    for column in columns:
        rows = column["record"].history
        for name in (metric, f"val_{metric}"):
            pairs = [(_x(row, i), row.get(name, math.nan)) for i, row in enumerate(rows, start=1)]
            pairs = [pair for pair in pairs if math.isfinite(pair[1])]
            if pairs:
                dashed = name == metric and f"val_{metric}" in rows[0]
                lines.append(Line(column["number"], column["color"], dashed, *zip(*_thinned(pairs), strict=True)))
    if not lines:
        return None
    low, high = _range([y for line in lines for y in line.ys])
    left, right = min(line.xs[0] for line in lines), max(line.xs[-1] for line in lines)
    across, up = _scale(left, right, LEFT, WIDTH - RIGHT), _scale(low, high, HEIGHT - BOTTOM, TOP)
    return {
        "title": label_of(metric),
        "dashed": any(line.dashed for line in lines),
        "x": "step" if any("step" in row for column in columns for row in column["record"].history[:1]) else "epoch",
        "lines": [
            line | {"points": " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)}
            for line, points in ((vars(one), zip(one.xs, one.ys, strict=True)) for one in lines)
        ],
        "ys": [
            (f"{up(tick):.1f}", f"{100 * tick:g} %" if is_share(metric) else f"{tick:g}")
            for tick in _ticks(low, high, 5)
        ],
        "xs": [(f"{across(tick):.1f}", f"{tick:g}") for tick in _ticks(left, right, 6) if tick.is_integer()],
        "size": (WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM),
    }


def _x(row: Mapping[str, float], i: int) -> float:
    return next((row[name] for name in ("epoch", "step") if math.isfinite(row.get(name, math.nan))), float(i))


def _thinned(pairs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns so many points of a curve, first and last among them."""
    if len(pairs) <= POINTS:
        return pairs
    return [pairs[round(i * (len(pairs) - 1) / (POINTS - 1))] for i in range(POINTS)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Returns limits of an axis; a loss that explodes would flatten all other curves, so far outliers are cut off."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[-1]
    if len(ordered) >= 8:
        first, _, third = statistics.quantiles(ordered, n=4)
        reach = 6 * (third - first)
        low, high = max(low, first - reach), min(high, third + reach)
    if low == high:
        return low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def _scale(low: float, high: float, start: float, end: float):
    """Returns a function from [low, high] to [start, end]."""
    return lambda value: start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Returns at most so many round numbers, about, from low to high."""
    if high <= low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(one * power for one in (1, 2, 5, 10) if (high - low) / (one * power) <= most)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


# --- text


def setting(value: Any) -> str:
    """Returns an option's value as text."""
    if value is None:
        return format_number(None)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        first = value[0] if value and isinstance(value[0], int) else 0
        if len(value) > 4 and value == list(range(first, first + len(value))):
            return f"{first} to {value[-1]}"
        return ", ".join(map(setting, value)) or format_number(None)
    return f"{value:.4g}" if isinstance(value, float) else text(json.dumps(value))


def link(root: Path, record: Record) -> str | None:
    """Returns the address of a run's report as seen from the folder of the page; None if it has none."""
    if record.report is None:
        return None
    # A name may hold any bytes, and a colon would make it an address of its own.
    return quote(os.fsencode(record.report.relative_to(root)))
