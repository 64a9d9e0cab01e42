"""Captioning: an image goes in, a sentence comes out, and the report shows where the network attends for each word.

python -m experiments.captioning train
python -m experiments.captioning train --data FOLDER --base mobilenet
python -m experiments.captioning train --data FOLDER --arch gru --base runs/NAME
python -m experiments.captioning search --tuner bayesian --max-trials 20
python -m experiments.captioning evaluate --run runs/NAME --beam 5
python -m experiments.captioning caption --run runs/NAME photo.jpg
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tyro.conf import Positional

from kerasapps.applications import captioner
from kerasapps.data.image_reading import files_in
from kerasapps.decoding import Sampling
from kerasapps.errors import DataError, UserError
from kerasapps.files import printable, write_atomically
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, Weight, from_settings, or_none, ranged, settings_of

from ..shared.cli import main, print_metrics, print_table
from ..shared.images import read_inputs
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from ..shared.writing import Writing
from .attention import attention_figure, attention_to
from .describing import WRITING, describe, writer_of
from .network import (
    Arch,
    Encoder,
    GivenRecipe,
    Source,
    check_encoder,
    load,
    load_as_trained,
    monitor_of,
    recipe_of,
    size_of,
    train_one,
)
from .results import evaluate_model, score_table

EXPERIMENT = "captioning"


def train(
    *,
    source: Source = Source(),
    arch: Arch = "transformer",
    encoder: Encoder = Encoder(),
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    writing: Writing = WRITING,
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a captioner and writes a run folder.

    Args:
        source: The images and their captions.
        arch: Decoder.
        encoder: Which network encodes the images.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"attention": false}'.
        recipe: How it is trained; by default as suits the images.
        writing: How captions of the test set are written.
        patience: Stop after so many epochs without a lower validation loss; never by default.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run = start("Captioning", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    given = {"source": source, "arch": arch, "encoder": encoder, "params": read_params(params)}
    trained = train_one(run, **given, recipe=recipe, patience=patience)
    metrics, blocks = evaluate_model(trained.model, trained.splits.codec, trained.splits, writing)
    table, epochs = score_table(metrics, writing), len(trained.history.rows)
    scores = f"BLEU {metrics['bleu']:.1f}, CIDEr {metrics['cider']:.2f}"
    if "true_share" in metrics:
        scores = f"{format_share(metrics['true_share'])} of what the captions state is true, {scores}"
    finish(
        run,
        trained,
        metrics,
        [table, *blocks],
        summary=f"{arch} on {source.data}: {scores}, after {epochs} epochs.",
        headline=("true_share", "bleu", "cider", "loss", "pointing", "seconds"),
        table=table,
        conclusion=f"{scores[0].upper()}{scores[1:]}.",
        following={
            "Describe images of your own": "caption --run RUN photo.jpg",
            "Evaluate it with another beam": "evaluate --run RUN --beam 5",
        },
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "transformer",
    encoder: Encoder = Encoder(),
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    writing: Writing = WRITING,
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters by validation loss, and tests the winner once.

    Args:
        source: The images and their captions.
        arch: Decoder to search.
        encoder: Which network encodes the images.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the images.
        writing: How captions of the test set are written.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    settings = settings_of(locals())
    run, trials = start_search("Captioning search", settings, experiment=EXPERIMENT, workload="convolution")
    check_encoder(encoder)
    splits = load(source, options=options, size=size_of(encoder))  # before the trials, to report an error in it once

    def test(model):
        return evaluate_model(model, splits.codec, splits, writing)

    search_and_report(
        run,
        trials,
        train_one,
        partial(captioner.search_space, decoder=arch),
        what=arch,
        test=test,
        objective=monitor_of(recipe),
        maximize=False,
        notes=splits.notes,
    )


def evaluate(
    *,
    run: Path,
    data: or_none(Text) = None,
    captions: or_none(Path) = None,
    writing: Writing = WRITING,
    limit: or_none(Count) = None,
) -> None:
    """Prints the metrics of a trained network on the test set.

    Args:
        run: A run folder.
        data: As for `train`; its test set is used. By default what the network was trained on.
        captions: As for `train`.
        writing: How captions are written.
        limit: Images at most; by default as in the training.
    """
    saved = load_run(run, EXPERIMENT)
    source = from_settings(Source, saved.settings)
    if data is not None or captions is not None:
        source = replace(source, data=data or source.data, captions=captions)
    splits = load_as_trained(saved, source, limit=limit)
    if splits.sizes["image_shape"] != saved.codec.image_shape:
        theirs, ours = splits.sizes["image_shape"][0], saved.codec.image_shape[0]
        raise DataError(f"{source.data} has images of {theirs} pixels, and the run of {ours}.")
    metrics, _ = evaluate_model(saved.model, saved.codec, splits, writing)
    print_table(score_table(metrics, writing))
    print_metrics(metrics)


def caption(
    images: Positional[tuple[Path, ...]],
    /,
    *,
    run: Path,
    writing: Writing = WRITING,
    n_best: Count = 1,
    temperature: Weight = 0.0,
    seed: ranged(int, least=0, most=2**31 - 1) = 0,
    figure: Path | None = None,
) -> None:
    """Prints a caption for each image, after its name and a tab.

    Args:
        images: Image files, or folders of them.
        run: A run folder.
        writing: How captions are written.
        n_best: Print so many captions of each image, with their scores; at most as many as --beam.
        temperature: Draw words instead of searching: the higher, the wilder. 0 searches.
        seed: Seed of what is drawn.
        figure: A PNG file that shows for each word of the first image's caption where the network attends.
    """
    if not images:
        raise DataError("No image was given: caption --run DIR IMAGE ...")
    if n_best > 1 and (temperature or n_best > writing.beam):
        raise DataError(f"--n-best must be at most --beam, {writing.beam}, and ranks what a search finds.")
    saved = load_run(run, EXPERIMENT).in_float32()
    files, inputs = read_inputs(saved.codec, files_in(images))
    how = Sampling(temperature, seed=seed) if temperature else writing.search
    found = describe(writer_of(saved.model), saved.codec, inputs, how)
    for file, best in zip(files, found, strict=True):
        for text, score in best[:n_best]:
            print(f"{printable(file)}\t{text}" + (f"\t{score:.3f}" if n_best > 1 else ""))
    if figure:
        write_atomically(figure, first_figure(saved, inputs[:1], found[0][0][0]).png)
        print(figure)


def first_figure(saved, images, text: str):
    """Draws what a network attends to for each word of a caption.

    Raises:
        UserError: If it attends to nothing.
    """
    if "attention" not in saved.model.output:
        raise UserError("--figure shows attention, and this network was trained with none.")
    weights = attention_to(saved.model, saved.codec, images, [text])
    return attention_figure(images[0], text, saved.codec.pieces_of(text), weights[0], name="attention")


COMMANDS = (train, search, evaluate, caption)

if __name__ == "__main__":
    main("experiments.captioning", *COMMANDS)
