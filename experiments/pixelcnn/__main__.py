"""PixelCNN: the exact probability of an image, pixel by pixel, and images that are drawn by it.

python -m experiments.pixelcnn train
python -m experiments.pixelcnn train --data mnist
python -m experiments.pixelcnn train --arch plain
python -m experiments.pixelcnn search --tuner bayesian --max-trials 20
python -m experiments.pixelcnn evaluate --run runs/NAME
python -m experiments.pixelcnn sample --run runs/NAME --n 64 --out grid.png
python -m experiments.pixelcnn sample --run runs/NAME --image half.png --out completed.png
"""

from pathlib import Path

import numpy as np

from kerasapps.applications.pixelcnn import search_space
from kerasapps.runs import Options, write_atomically
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, ranged, settings_of

from ..shared.cli import main, print_table
from ..shared.image_classifier import options_of
from ..shared.images import png, tile
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .network import Arch, GivenRecipe, Source, load, recipe_of, saved_splits, train_on, train_one, usual_params
from .results import bound_of, likelihoods, result_blocks
from .sampling import blank, draw

EXPERIMENT = "pixelcnn"


def train(
    *,
    source: Source = Source(),
    arch: Arch = "gated",
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    compare: Path | None = None,
    options: Options = Options(),
) -> None:
    """Trains a density model of images and writes a run folder.

    Args:
        source: Which images.
        arch: Which network: gated, with two stacks that see all pixels before, or plain, a stack of square masked
            windows with a blind spot.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"depth": 8}'.
        recipe: How it is trained; by default as suits the data.
        patience: Stop after so many epochs without a lower validation loss; never by default.
        compare: A run of `experiments.autoencoder` with --binary on the same data set in the same size, whose bound is
            shown next to the exact figure; it takes two levels.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run = start("PixelCNN", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    given = usual_params(source.data) | read_params(params)
    splits = load(source, options=options)
    bound = bound_of(compare, splits, data=source.data, options=options)
    trained = train_on(run, splits, arch=arch, params=given, recipe=recipe, patience=patience)
    metrics, table, nats = likelihoods(trained.model, splits, data=source.data, bound=bound)
    finish(
        run,
        trained,
        metrics,
        result_blocks(trained, metrics, table, nats, params=given, options=options),
        summary=f"{arch} PixelCNN on {source.data}: {metrics['bits_per_pixel']:.3f} bits a pixel of the test images, "
        f"{metrics['nats']:.2f} nats an image, after {len(trained.history.rows)} epochs.",
        headline=("bits_per_pixel", "bits_per_pixel_histogram", "nats", "seconds"),
        table=table,
        draw_curves=False,
        following={
            "Draw images with it": "sample --run RUN --n 64 --out grid.png",
            "Complete an image of your own": "sample --run RUN --image FILE --out completed.png",
            "Evaluate it on the test set": "evaluate --run RUN",
        },
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "gated",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters by validation loss, and tests the winner once.

    Args:
        source: Which images.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the data.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run, trials = start_search("PixelCNN search", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    splits = load(source, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, *shown, _ = likelihoods(model, splits, data=source.data)
        return metrics, shown

    search_and_report(
        run,
        trials,
        train_one,
        search_space,
        what=f"the {arch} PixelCNN",
        test=test,
        objective="loss",
        maximize=False,
        notes=splits.notes,
    )


def evaluate(*, run: Path, compare: Path | None = None, limit: or_none(Count) = None) -> None:
    """Prints what the test images cost under a trained network.

    Args:
        run: A run folder.
        compare: As for `train`.
        limit: Images at most; by default as many as the run was limited to.
    """
    saved = load_run(run, EXPERIMENT)
    splits, data = saved_splits(saved, limit), from_settings(Source, saved.settings).data
    bound = bound_of(compare, splits, data=data, options=options_of(saved, limit))
    print_table(likelihoods(saved.model, splits, data=data, bound=bound)[1])


def sample(
    *,
    run: Path,
    n: ranged(int, least=1, most=10_000) = 36,
    image: Path | None = None,
    temperature: ranged(float, above=0, most=1_000) = 1.0,
    seed: ranged(int, least=0, most=2**31 - 1) = 0,
    out: Path = Path("samples.png"),
) -> None:
    """Draws images from a trained network, pixel by pixel, and writes them into one PNG file.

    Args:
        run: A run folder.
        n: How many images.
        image: An image file whose upper half they all begin with.
        temperature: 1 draws from the network's own distribution; less draws likelier images.
        seed: Seed of what is drawn.
        out: The PNG file.
    """
    saved = load_run(run, EXPERIMENT).in_float32()
    begun, first = blank(saved.model, n), 0
    if image is not None:
        begun = saved.codec.encode([image])["image"].repeat(n, 0)
        first = begun.shape[1] // 2 * int(np.prod(begun.shape[2:]))
    drawn = draw(saved.model, begun, first=first, seed=seed, temperature=temperature)
    write_atomically(out, png(tile(saved.codec.decode(drawn), columns=max(1, round(np.sqrt(n))))))
    print(out)


COMMANDS = (train, search, evaluate, sample)

if __name__ == "__main__":
    main("experiments.pixelcnn", *COMMANDS)
