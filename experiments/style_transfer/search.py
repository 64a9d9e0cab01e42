"""`search` of the style-transfer experiment: weights, layer and pooling, scored by a network that did not paint."""

from typing import Any

import numpy as np
import tensorflow as tf

from kerasapps.blocks.style import preprocess
from kerasapps.data.pictures import Photo, encode_picture, read_picture
from kerasapps.errors import UserError
from kerasapps.reports import Block
from kerasapps.runs import Options, write_atomically
from kerasapps.search.options import Trials
from kerasapps.search.report import search_blocks
from kerasapps.session import start
from kerasapps.settings import from_settings, settings_of
from kerasapps.styling import Objective
from kerasapps.styling.loop import resize
from kerasapps.styling.objective import StyleLoss

from ..shared.image_options import check_folder
from ..shared.searching import conclude, find_with_board, start_search
from ..shared.training import settings_for
from .network import Canvas, build_taps, paint, prepare
from .options import Painting, painting_of, with_params
from .results import sheet_figure

OBJECTIVE = "distance"
SCORER = 1_000_003  # added to the seed: the network that scores must not be the one that painted
SCORED = (
    "The score is the distance of the image to content and style by a random network of another seed: the content loss "
    "as a share of that of the styles themselves, plus the style loss as a share of that of the content itself. "
    "Either image unchanged scores 1; lower is better."
)
SHOWN = 8


def search_space(hp) -> dict[str, Any]:
    """Returns options of a painting; each default is what a painting has without a search."""
    return {
        "style_weight": hp.Float("style_weight", 0.1, 1000.0, sampling="log", default=Objective().style_weight),
        "tv_weight": hp.Float("tv_weight", 0.01, 100.0, sampling="log", default=Objective().tv_weight),
        "content_layer": hp.Choice(
            "content_layer", ["block3_conv2", "block4_conv2", "block5_conv1"], default="block4_conv2"
        ),
        "pooling": hp.Choice("pooling", ["max", "average", "l2"], default="average"),
    }


def search(
    *,
    painting: Painting = Painting(size=256),
    trials: Trials = Trials(max_trials=10),
    options: Options = Options(),
) -> None:
    """Searches for the weights, the content layer and the pooling that keep most of content and style at once.

    Args:
        painting: All other options.
        trials: How configurations are tried.
        options: Options that every experiment shares.
    """
    check_folder(options)
    painting = painting_of(painting, options=options)
    settings = settings_of({"painting": painting, "trials": trials, "options": options})
    run, trials = start_search("Style transfer search", settings, experiment="style_transfer", workload="convolution")
    result = find_with_board(
        run,
        trial,
        search_space,
        arguments={"settings": settings_for(run)},
        trials=trials,
        epochs=painting.steps,
        objective=OBJECTIVE,
        maximize=False,
    )
    shown = sorted((one for one in result.trials if one.score is not None), key=lambda one: one.score)[:SHOWN]
    files = [run.folder / "trials" / one.name / "result.png" for one in shown]
    images = [read_picture(file, size=None, channels=3) for file in files]
    below = [f"{one.name}: {one.score:.3f}" for one in shown]
    caption = "The images of the best trials, the best first."
    sheet: Block = sheet_figure(images, below, columns=4, name="images", caption=caption)
    summary = f"{len(result.trials)} ways to paint one image by {trials.tuner} search."
    blocks = [sheet, *search_blocks(result, folder=run.folder, scored=SCORED)]
    conclude(run, result, blocks, summary=summary, metrics={})


def trial(*, params: dict, folder: str, epochs: int, settings: dict) -> dict:
    """Paints one image for the search, in a separate process."""
    settings = settings | {"out": folder}
    options = from_settings(Options, settings)
    given = with_params(from_settings(Painting, settings), params | {"steps": epochs})
    run = start(
        "Style transfer trial",
        {"painting": given, "options": options},
        experiment="style_transfer",
        workload="convolution",
        free=["steps"],
    )
    canvas = prepare(given, seed=options.seed)
    outcome = paint(run, canvas)
    if outcome.interrupted:
        raise UserError("Interrupted.")
    write_atomically(run.path("result.png"), encode_picture(Photo(outcome.image), ".png"))
    score = distance(canvas, outcome.image, seed=options.seed + SCORER)
    run.finish({OBJECTIVE: score})
    return {"score": score}


def distance(canvas: Canvas, image: np.ndarray, *, seed: int) -> float:
    """Returns how far an image is from content and style; see `SCORED`."""
    objective = Objective(tv_weight=0.0)
    taps = build_taps(Painting(), objective, seed=seed)
    shape = image.shape[:2]
    styles = [preprocess(resize(style, shape))[None] for style in canvas.arguments["styles"]]
    weights = canvas.arguments["style_weights"] or [1.0] * len(styles)
    loss = StyleLoss(taps, objective, weights)
    content = preprocess(resize(canvas.shown, shape))[None]
    loss.aim(content, styles, None)

    def losses(x: tf.Tensor) -> tuple[float, float]:
        found = loss(x)[2]
        return float(found["content"]), float(found["style"])

    content_loss, style_loss = losses(preprocess(tf.cast(image, tf.float32))[None])
    of_styles = np.average([losses(style)[0] for style in styles], weights=weights)
    return float(content_loss / of_styles + style_loss / losses(content)[1])
