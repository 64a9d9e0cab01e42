"""Style transfer: the content of one image painted in the style of others, after Gatys et al.

python -m experiments.style_transfer run
python -m experiments.style_transfer run --content a.jpg --style b.jpg --out c.png --size 512
python -m experiments.style_transfer sweep --rows style_weight=1,10,100 --columns start=content,noise
python -m experiments.style_transfer reconstruct --content a.jpg --style b.jpg
python -m experiments.style_transfer search --max-trials 10
python -m experiments.style_transfer train-features --data cifar10
"""

from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np

from kerasapps.data.pictures import Photo, encode_picture
from kerasapps.errors import UserError
from kerasapps.runs import Options, Run, write_atomically
from kerasapps.session import start
from kerasapps.settings import Count, Text, option, or_none, settings_of

from ..shared.cli import main
from ..shared.image_options import check_folder, split_out
from ..shared.optimizing import result_figure, way_figure
from ..shared.params import read_params
from ..shared.training import report
from .features import train_features
from .network import Canvas, paint, prepare
from .options import (
    Painting,
    as_option,
    objective_of,
    painting_of,
    with_params,
)
from .results import (
    TERMS,
    loss_figure,
    sheet_figure,
    sources_figure,
    summary_of,
)
from .search import search

PNG = ".png"
FREE = ["max_memory"]  # a painting that ran out of memory is resumed with less


def run(
    *,
    painting: Painting = Painting(),
    params: str | None = None,
    save_every: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Paints one image and writes a run folder; --out may name an image, the folder is then its name without suffix.

    Args:
        painting: What is painted, and how.
        params: A best.json written by `search`, or JSON such as '{"style_weight": 30}'; it overrides the options.
        save_every: Keep the image of every so many steps under steps/.
        options: Options that every experiment shares.
    """
    painting = painting_of(with_params(painting, read_params(params)), options=options)
    options, file = split_out(options, side=painting.size)
    held = open_run("Style transfer", painting=painting, options=options)
    canvas = prepare(painting, seed=options.seed)
    outcome = paint(held, canvas, save_every=save_every)
    if outcome.interrupted:
        print("Interrupted: the best so far is kept; --resume continues.")
    suffix = file.suffix.lower() if file else PNG
    data = encode_picture(replace(canvas.content, pixels=outcome.image), suffix)
    result = held.path(f"result{suffix}")
    for path in (result, file) if file else (result,):
        write_atomically(path, data)
    metrics = {f"{name}_loss": outcome.best[name] for name in TERMS}
    metrics |= {"steps": outcome.rows[-1]["step"], "seconds": outcome.seconds}
    report(
        held,
        metrics,
        [sources_figure(canvas, outcome), result_figure(outcome), way_figure(outcome), loss_figure(outcome.rows)],
        summary=summary_of(painting, outcome),
        headline=("total_loss", "steps", "seconds"),
        conclusion=str(file or result),
    )


def sweep(
    *,
    rows: Text = "style_weight=1,10,100",
    columns: Text = "start=content,noise",
    painting: Painting = Painting(size=256),
    options: Options = Options(),
) -> None:
    """Paints one image for each pair of values of two options, and shows them on a contact sheet.

    Args:
        rows: OPTION=VALUE,VALUE,... of any option of a painting.
        columns: The same of another.
        painting: All other options.
        options: Options that every experiment shares.
    """
    check_folder(options)
    painting = painting_of(painting, options=options)
    (down, values), (across, others) = read_axis(rows), read_axis(columns)
    if down == across:
        raise UserError(f"--rows and --columns must name two options. Received: {down} twice")
    # All of them before the first is painted, so that a wrong one is refused at once.
    cells = {
        (i, j): painting_of(replace(painting, **{down: value, across: other}), options=options)
        for i, value in enumerate(values, start=1)
        for j, other in enumerate(others, start=1)
    }
    held = open_run("Style transfer sweep", painting=painting, rows=rows, columns=columns, options=options)
    images, below, metrics = [], [], {}
    for (i, j), given in cells.items():
        name, labels = f"{i}_{j}", [show(down, values[i - 1]), show(across, others[j - 1])]
        image, loss = paint_part(held, f"cell_{name}", prepare(given, seed=options.seed))
        images.append(image)
        below.append("\n".join([*labels, f"loss {loss:.3g}"]))
        metrics[f"total_loss_{name}"] = loss
        print(f"{', '.join(labels)}: loss {loss:.4g}", flush=True)
    caption = f"Rows: {down.replace('_', ' ')}. Columns: {across.replace('_', ' ')}."
    sheet = sheet_figure(images, below, columns=len(others), name="sheet", caption=caption)
    summary = f"{len(images)} paintings that differ in {down} and {across}."
    report(held, metrics, [sheet], summary=summary, headline=())


def reconstruct(*, painting: Painting = Painting(size=256, colors="free"), options: Options = Options()) -> None:
    """Paints from noise what each layer represents: the content by itself, the style by itself and all before it.

    Args:
        painting: The layers are its --style-layers, in the order of the network; --start has no effect.
        options: Options that every experiment shares.
    """
    check_folder(options)
    painting = painting_of(painting, options=options)
    held = open_run("Style reconstruction", painting=painting, options=options)
    weights = objective_of(painting).style_layers
    names = sorted(weights)
    base = replace(painting, start="noise")
    images, metrics = [], {}
    for i, name in enumerate(names, start=1):
        style_layers = tuple(f"{layer}={weights[layer]}" for layer in names[:i])
        jobs = {
            "content": replace(base, content_layers=(name,), style_weight=0.0, content_weight=1.0),
            "style": replace(base, style_layers=style_layers, style_weight=1.0, content_weight=0.0),
        }
        for kind, given in jobs.items():
            image, loss = paint_part(held, f"{kind}_{name}", prepare(given, seed=options.seed))
            images.append(image)
            metrics[f"{kind}_loss_{name}"] = loss
            print(f"{kind} {name}: loss {loss:.4g}", flush=True)
    ordered, below = images[0::2] + images[1::2], [*names, *(f"to {name}" for name in names)]
    caption = "From noise. Top: the content, from one layer. Bottom: the style, from all layers up to that one."
    sheet = sheet_figure(ordered, below, columns=len(names), name="reconstructions", caption=caption)
    report(held, metrics, [sheet], summary="Content and style, layer by layer.", headline=())


def open_run(title: str, **settings) -> Run:
    """Opens the run folder of a painting, or of several."""
    return start(title, settings_of(settings), experiment="style_transfer", workload="convolution", free=FREE)


def paint_part(held: Run, name: str, canvas: Canvas) -> tuple[np.ndarray, float]:
    """Paints inside the folder of a larger job, resuming what is there; returns image and loss."""
    part = held.part(name, asdict(canvas.painting))
    outcome = paint(part, canvas)
    if outcome.interrupted:
        raise UserError(f"Interrupted. Continue with --resume --out {held.folder}: finished images are kept.")
    write_atomically(part.path("result.png"), encode_picture(Photo(outcome.image), PNG))
    return outcome.image, outcome.best["total"]


def read_axis(text: str) -> tuple[str, list]:
    """Reads OPTION=VALUE,VALUE,... into a name and values of the option's type.

    Raises:
        UserError: If there is no such option, or a value does not fit.
    """
    name, _, values = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if name not in {field.name for field in fields(Painting)}:
        raise UserError(f"There is no option {option(name)} of a painting. Received: {text}")
    if not values:
        raise UserError(f"An axis is OPTION=VALUE,VALUE,... Received: {text}")
    return name, [as_option(name, value.strip()) for value in values.split(",")]


def show(name: str, value) -> str:
    """Returns an option as a label."""
    value = "+".join(str(part) for part in value) if isinstance(value, tuple) else value
    value = value.name if isinstance(value, Path) else value
    return f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"


COMMANDS = (run, sweep, reconstruct, search, train_features)

if __name__ == "__main__":
    main("experiments.style_transfer", *COMMANDS)
