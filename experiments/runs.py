"""Lists the runs of a folder, and writes an index.html that shows them next to each other.

python -m experiments.runs
python -m experiments.runs runs/ --experiment qa --sort accuracy
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rich.box
import rich.cells
import rich.console
import rich.table
import rich.text
import tyro

from kerasapps.errors import UserError
from kerasapps.files import user_path
from kerasapps.formats import format_duration, format_metric, label_of
from kerasapps.index import write_index
from kerasapps.records import Record, read_runs, text

from .shared import tool

COLUMNS: dict[str, Callable[[Record], Any]] = {
    "name": lambda run: run.name,
    "experiment": lambda run: run.experiment,
    "data": lambda run: run.data,
    "state": lambda run: run.state,
    "epochs": lambda run: run.epochs,
    "time": lambda run: run.seconds,
    "started": lambda run: run.started,
}
HEADINGS = ("run", "experiment", "data", "state", "result", "epochs", "time", "started")
LEFT_OUT = ("data", "epochs", "time", "experiment")  # in this order, on a terminal that is too narrow
LONGEST_NAME, GAP, WIDE = 40, 2, 200  # characters; wide is what is not printed to a terminal
WORDS = ("name", "experiment", "data", "state")  # from A to Z; all else from the newest, the longest, the highest


def runs(
    folder: tyro.conf.Positional[Path] = Path("runs"),
    /,
    *,
    experiment: str | None = None,
    sort: str = "started",
    reverse: bool = False,
    inside: bool = False,
) -> None:
    """Lists the runs below FOLDER, and writes FOLDER/index.html with their curves, metrics and options side by side.

    Args:
        folder: Where the runs are.
        experiment: List the runs of this experiment alone, such as qa.
        sort: What to sort by: name, experiment, data, state, epochs, time, started, or a metric such as accuracy. Words
            from A to Z, numbers from the highest, dates from the newest.
        reverse: Sort the other way round.
        inside: Also list what is inside a run, such as the trials of a search.
    """
    folder = user_path(folder)
    records = read_runs(folder)
    if not records:
        raise UserError(f"There is no run in {text(folder)}: `train` of any experiment makes one.")
    path = write_index(folder, records)
    chosen = [one for one in records if (inside or not one.parent) and experiment in (None, one.experiment)]
    if not chosen:
        known = ", ".join(sorted({one.experiment for one in records if one.experiment}))
        raise UserError(f"There is no run of {experiment} in {text(folder)}; there are runs of {known}.")
    print_runs(sorted_by(chosen, sort, reverse=reverse), records)
    for problem in (one.problem for one in records if one.problem):
        print(problem)
    print(text(path))


def sorted_by(records: Sequence[Record], key: str, *, reverse: bool) -> list[Record]:
    """Returns runs by a column or a metric; those that lack it come last.

    Raises:
        UserError: If there is neither.
    """
    value = COLUMNS.get(key, lambda run: run.metrics.get(key))
    known = [one for one in records if value(one) not in (None, "")]
    if key not in COLUMNS and not known:
        metrics = sorted({name for one in records for name in one.headline})
        raise UserError(
            f"--sort must be one of {', '.join(COLUMNS)}, or a metric such as {', '.join(metrics)}. Received: {key}"
        )
    known.sort(key=value, reverse=(key not in WORDS) != reverse)
    return known + [one for one in records if value(one) in (None, "")]


def print_runs(shown: Sequence[Record], records: Sequence[Record]) -> None:
    """Prints a table of runs; a narrow terminal leaves columns out rather than breaking each."""
    inside = Counter(one.parent for one in records)
    rows = []
    for one in shown:
        name = f"{one.name} (+{inside[one.name]})" if inside[one.name] else one.name
        state = f"{one.state}, smoke" if one.is_smoke else one.state
        result = "\n".join(
            f"{label_of(metric)} {format_metric(metric, value)}" for metric, value in one.headline.items()
        )
        epochs = "" if one.epochs is None else f"{one.epochs:,}"
        rows.append(
            [name, one.experiment, one.data, state, result, epochs, format_duration(one.seconds), one.started[:16]]
        )
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = WIDE
    kept = list(range(len(HEADINGS)))
    widths = [max(rich.cells.cell_len(line) for row in [HEADINGS, *rows] for line in row[i].split("\n")) for i in kept]
    widths[0] = min(widths[0], LONGEST_NAME)
    for heading in LEFT_OUT:
        if sum(widths[i] + GAP for i in kept) > console.width:
            kept.remove(HEADINGS.index(heading))
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for i in kept:
        justify = "right" if HEADINGS[i] in ("epochs", "time") else "left"
        table.add_column(HEADINGS[i], justify=justify, overflow="fold", no_wrap=i > 0, max_width=widths[i])
    for row in rows:
        table.add_row(*(rich.text.Text(row[i]) for i in kept))
    console.print(table)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command and exits with its status.

    Args:
        args: The arguments; those of the process by default.
    """
    tool.main(runs, __spec__.name, args)


if __name__ == "__main__":
    main()
