"""Autoencoders: images squeezed into short codes, by plain and variational networks; new images, and anomalies.

python -m experiments.autoencoder train
python -m experiments.autoencoder train --arch dense --data mnist
python -m experiments.autoencoder train --data mnist --binary --params '{"latent_dim": 16}'
python -m experiments.autoencoder train --data my_images/ --arch convolutional_vae --anomalies odd_images/
python -m experiments.autoencoder search --tuner bayesian --max-trials 20
python -m experiments.autoencoder evaluate --run runs/NAME
python -m experiments.autoencoder predict --run runs/NAME digit.png --figure reconstructed.png
"""

from pathlib import Path

import numpy as np
import tyro

from kerasapps.applications.autoencoder import RECONSTRUCTION
from kerasapps.errors import UserError
from kerasapps.formats import label_of
from kerasapps.reports import Table
from kerasapps.runs import Options, write_atomically
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, settings_of

from ..shared.cli import main, print_metrics, print_table
from ..shared.image_classifier import options_of, warn_of_changes
from ..shared.images import as_bytes, png, tile
from ..shared.judging import load_judge
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from .network import (
    ARCHITECTURES,
    Arch,
    GivenRecipe,
    Source,
    build_network,
    load,
    params_of,
    recipe_of,
    settled,
    train_on,
    train_one,
)
from .results import (
    evaluate_model,
    read_pixels,
    report_run,
    result_blocks,
    score_samples,
    squared_errors,
    stand_out,
)

EXPERIMENT = "autoencoder"


def train(
    *,
    source: Source = Source(),
    arch: Arch = "vae",
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains an autoencoder and writes a run folder.

    Args:
        source: Which images.
        arch: Which network: linear, as good as principal components at its best; dense or convolutional; or one of
            these as a variational autoencoder (vae), which can draw new images.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"latent_dim": 8}'. By default
            variational codes of the digits have 2 numbers.
        recipe: How it is trained; by default 120 epochs on the digits.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    source, recipe = settled(source), recipe_of(arch, source.data, recipe, options=options)
    run = start("Autoencoder", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    given = params_of(arch, source.data, params)
    splits = load(source, arch, options=options)
    build_network(arch, given, image_shape=splits.sizes["image_shape"])  # refuses what does not fit before training
    trained = train_on(run, splits, arch=arch, params=given, recipe=recipe, patience=patience)
    report_run(run, trained, source=source, arch=arch, params=given, recipe=recipe)


def search(
    *,
    source: Source = Source(),
    arch: Arch = "vae",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters for the lowest loss on the validation set, and tests the winner once.

    Args:
        source: Which images; anomalies are for `train`.
        arch: Network to search in, any but linear.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    if ARCHITECTURES[arch].space is None:
        raise UserError(f"--arch {arch} has nothing to search: principal components are its optimum.")
    source, recipe = settled(source), recipe_of(arch, source.data, recipe, options=options)
    settings = settings_of(locals())
    run, trials = start_search("Autoencoder search", settings, experiment=EXPERIMENT, workload="convolution")
    splits = load(source, arch, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, table = evaluate_model(model, splits, arch=arch, source=source, options=options)
        return metrics, [table, *result_blocks(model, splits, arch=arch, seed=options.seed)]

    search_and_report(
        run,
        trials,
        train_one,
        ARCHITECTURES[arch].space,
        what=arch,
        test=test,
        objective="loss",
        maximize=False,
        notes=splits.notes,
    )


def evaluate(*, run: Path, anomalies: Path | None = None, limit: or_none(Count) = None) -> None:
    """Prints test metrics of a trained network.

    Args:
        run: A run folder.
        anomalies: Folder of images; also how well their reconstruction errors stand out from those of the test set.
        limit: Images at most; by default as many as the run was limited to.
    """
    saved = load_run(run, EXPERIMENT)
    source, arch = from_settings(Source, saved.settings), saved.settings.of("arch", Arch)
    options = options_of(saved, limit)
    splits = load(source, arch, options=options, values=saved.codec.values)
    warn_of_changes(saved, splits)
    metrics, table = evaluate_model(saved.model, splits, arch=arch, source=source, options=options)
    tables = [table]
    if (run / "judge" / "model.keras").exists():
        scores, shown = score_samples(saved.model, load_judge(run), splits, options=options)
        metrics, tables = metrics | scores, [table, shown]
    if anomalies:
        found = stand_out(saved.model, saved.codec, splits, anomalies, source, seed=options.seed)
        metrics["anomaly_auc"] = found[1]
    for one in tables:
        print_table(one)
    print_metrics({label_of(name): value for name, value in metrics.items()})


def predict(images: tyro.conf.Positional[tuple[Path, ...]], /, *, run: Path, figure: Path | None = None) -> None:
    """Reconstructs images, and reports which are unusual.

    Args:
        images: Image files, or folders of them.
        run: A run folder.
        figure: A PNG file to show the images in, above their reconstructions.
    """
    if not images:
        raise UserError("No image was given: predict --run DIR IMAGE ...")
    saved = load_run(run, EXPERIMENT).in_float32()
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    usual = saved.metric("unusual_error")
    files, pixels = read_pixels(saved.codec, images, source, seed=options.seed)
    outputs = saved.outputs({"image": pixels})[RECONSTRUCTION]
    errors = squared_errors(pixels, outputs)
    rows = [[str(file), 1000 * errors[i], "unusual" if errors[i] > usual else ""] for i, file in enumerate(files)]
    caption = f"Mean squared error of a pixel, in thousandths. Above {1000 * usual:.2f} are 5 % of the test images."
    print_table(Table("Reconstruction error", ["image", "error", ""], rows, caption, digits=2))
    if figure:
        both = as_bytes(255 * np.concatenate([pixels, outputs]))
        write_atomically(figure, png(tile(both, columns=len(pixels))))
        print(figure)


COMMANDS = (train, search, evaluate, predict)

if __name__ == "__main__":
    main("experiments.autoencoder", *COMMANDS)
