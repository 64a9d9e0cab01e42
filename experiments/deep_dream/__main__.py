"""Deep Dream: an image is changed until a network sees in it more of what it sees already.

python -m experiments.deep_dream run
python -m experiments.deep_dream run --content sky.jpg --layers block4_conv2 block5_conv1=2 --out dream.png
python -m experiments.deep_dream run --content sky.jpg --guide flowers.jpg --zoom 60
"""

from collections.abc import Sequence
from dataclasses import replace

from kerasapps.data.pictures import encode_picture
from kerasapps.reports import Animation, Figure, add_axes, new_figure
from kerasapps.runs import Options, write_atomically
from kerasapps.session import start
from kerasapps.settings import Count, or_none, settings_of

from ..shared.cli import main
from ..shared.image_options import split_out
from ..shared.optimizing import Outcome, grid_of, result_figure, thumbnail, way_figure
from ..shared.training import report
from .network import LAYERS, Dreaming, Prepared, dreaming_of, optimize, prepare, zoom_frames

FREE = ["max_memory"]  # a dream that ran out of memory is resumed with less


def run(*, dreaming: Dreaming = Dreaming(), save_every: or_none(Count) = None, options: Options = Options()) -> None:
    """Dreams over one image; --out may name an image file, and the run folder is then its name without the suffix.

    Args:
        dreaming: What is dreamt over which image, and by which network.
        save_every: Keep the image of every so many steps under steps/.
        options: Options that every experiment shares.
    """
    dreaming = dreaming_of(dreaming, options=options)
    options, file = split_out(options, side=dreaming.size or 1)
    settings = settings_of({"dreaming": dreaming, "save_every": save_every, "options": options})
    held = start("Deep Dream", settings, experiment="deep_dream", workload="convolution", free=FREE)
    prepared = prepare(dreaming, seed=options.seed)
    outcome = optimize(held, prepared, save_every=save_every)
    if outcome.interrupted:
        print("Interrupted: the best so far is kept; --resume continues.")
    suffix = file.suffix.lower() if file else ".png"
    data = encode_picture(replace(prepared.photo, pixels=outcome.image), suffix)
    result = held.path(f"result{suffix}")
    for path in (result, file) if file else (result,):
        write_atomically(path, data)
    rows = outcome.rows
    metrics = {
        "objective": outcome.best["objective"],
        "objective_start": rows[0]["objective"],
        "steps": rows[-1]["step"],
        "seconds": outcome.seconds,
    }
    blocks = [result_figure(outcome), sources_figure(prepared, outcome), way_figure(outcome), objective_figure(rows)]
    if dreaming.zoom and not outcome.interrupted:
        frames = zoom_frames(prepared, outcome.image, dreaming.zoom)
        caption = f"{dreaming.zoom} frames, each a little larger than the one before and dreamt over again."
        blocks.append(Animation("zoom", caption, frames, seconds=max(2.0, dreaming.zoom / 12)))
    report(
        held,
        metrics,
        blocks,
        summary=summary_of(dreaming, outcome),
        headline=("objective", "steps", "seconds"),
        conclusion=str(file or result),
    )


def summary_of(dreaming: Dreaming, outcome: Outcome) -> str:
    """Returns the sentences that the report begins with."""
    height, width = outcome.image.shape[:2]
    name = dreaming.content.name if dreaming.content else "an embedded photograph"
    layers = ", ".join(dreaming.layers or LAYERS)
    summary = f"{name}, {width} x {height} pixels, as {dreaming.network} dreams it, by {layers}."
    return f"{summary} Interrupted: this is the best so far." if outcome.interrupted else summary


def sources_figure(prepared: Prepared, outcome: Outcome) -> Figure:
    """Shows image and result side by side."""
    images = [thumbnail(prepared.image), thumbnail(outcome.image)]
    drawn = grid_of(images, ["the image", "the dream"], columns=2)
    return Figure("sources", "The dream next to the image that it began with.", drawn, "Before and after")


def objective_figure(rows: Sequence[dict]) -> Figure:
    """Draws the objective over the steps; it falls where the image grows and gets its detail back."""
    figure = new_figure()
    axes = add_axes(figure, xlabel="step", ylabel="objective")
    axes.plot([row["step"] for row in rows], [row["objective"] for row in rows])
    caption = "Weighed mean of squared activations. It falls where the image grows and gets its detail back."
    return Figure("objective", caption, figure)


COMMANDS = (run,)

if __name__ == "__main__":
    main("experiments.deep_dream", *COMMANDS)
