"""Text classification: convolutions, recurrence, attention to a context vector, or averaged n-grams over words.

python -m experiments.text_classification train
python -m experiments.text_classification train --data imdb --arch lstm
python -m experiments.text_classification train --data reviews.csv --text review --label stars
python -m experiments.text_classification compare --data mr --archs text_cnn ngrams --folds 10
python -m experiments.text_classification search --arch lstm --tuner bayesian --max-trials 20
python -m experiments.text_classification evaluate --run runs/NAME
python -m experiments.text_classification predict --run runs/NAME --text "not half as dull as its title"
"""

import sys
from dataclasses import replace
from pathlib import Path

from kerasapps.data.encodings import read_text
from kerasapps.data.tables import some
from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, or_none, ranged, settings_of

from ..shared.classification import class_table
from ..shared.cli import main, print_metrics, print_table
from ..shared.params import read_params
from ..shared.runs import load_run, read_codec
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .baseline import nb_svm_accuracy
from .compare import compare
from .network import (
    BUILDERS,
    CODEC,
    Arch,
    GivenRecipe,
    Source,
    check_vectors,
    load,
    predict_labels,
    recipe_of,
    space_of,
    train_one,
)
from .pretrain import pretrain
from .results import accuracy_table, label_metrics, predictions_table, result_blocks, test_metrics
from .vectors import check_source

EXPERIMENT = "text_classification"


def train(
    *,
    source: Source = Source(),
    arch: Arch = "text_cnn",
    params: str | None = None,
    baseline: ranged(int, least=0, most=5) = 2,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a classifier and writes a run folder.

    Args:
        source: Which texts.
        arch: Which network.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"filters": 200}'.
        baseline: Words of the longest n-grams of NB-SVM, which the network is compared with; 0 leaves it out.
        recipe: How it is trained; by default as suits the architecture.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    check_vectors(source, [arch])
    recipe = recipe_of(arch, recipe, options=options)
    run = start("Text classification", settings_of(locals()), experiment=EXPERIMENT, workload=BUILDERS[arch].workload)
    params = read_params(params)
    trained = train_one(run, source=source, arch=arch, params=params, recipe=recipe, patience=patience)
    splits = trained.splits
    metrics, probabilities = test_metrics(trained.model, splits)
    if baseline:
        metrics["accuracy_baseline"] = nb_svm_accuracy(splits, longest=baseline)
    table = accuracy_table(metrics, splits, data=source.data, fine=source.fine)
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(trained.model, splits, probabilities)],
        summary=f"{arch} on {source.data}: {format_share(metrics['accuracy'])} test accuracy "
        f"({len(splits.test):,} texts, {len(splits.class_names)} classes) after {len(trained.history.rows)} epochs.",
        headline=("accuracy", "accuracy_coarse", "accuracy_baseline", "accuracy_reference", "seconds"),
        table=table,
        conclusion=f"{format_share(metrics['accuracy'])} test accuracy.",
        following={
            "Evaluate it on the test set": "evaluate --run RUN",
            "Classify a text of your own": 'predict --run RUN --text "not half as dull as its title"',
        },
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "text_cnn",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        source: Which texts.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture.
        options: Options that every experiment shares.
    """
    if not source.validation:
        raise UserError("A search chooses by validation accuracy: leave out --no-validation.")
    check_vectors(source, [arch])
    recipe = recipe_of(arch, recipe, options=options)
    settings = settings_of(locals())
    run, trials = start_search(
        "Text classification search", settings, experiment=EXPERIMENT, workload=BUILDERS[arch].workload
    )
    # Before the trials, so that an error in the data is reported once.
    splits = load(source, arch, options=options)
    check_source(source.vectors, splits.codec.words)

    def test(model):
        known = splits.encoded(read_codec(run.folder, CODEC))  # the winner's, which may know words of --vectors as well
        metrics, probabilities = test_metrics(model, known)
        return metrics, result_blocks(model, known, probabilities)

    space = space_of(arch, vectors=source.vectors is not None)
    search_and_report(run, trials, train_one, space, what=arch, test=test, notes=splits.notes)


def evaluate(*, run: Path, data: or_none(Text) = None, limit: or_none(Count) = None) -> None:
    """Prints test metrics of a trained network, class by class.

    Args:
        run: A run folder.
        data: As for `train`; its test set is used. By default what the network was trained on.
        limit: Texts at most.
    """
    saved = load_run(run, EXPERIMENT)
    source = from_settings(Source, saved.settings)
    source = source if data is None else replace(source, data=data)
    splits = load(source, saved.settings.of("arch", Arch), options=from_settings(Options, saved.settings))
    rows = slice(limit)
    # With the words and classes of the run: those of the data may have changed since.
    test = saved.codec.split(splits.texts["test"][rows], splits.labels["test"][rows])
    probabilities = predict_labels(saved.model, test)
    print_table(class_table(probabilities, test.targets["label"], saved.codec.class_names, unit="texts"))
    print_metrics(label_metrics(probabilities, test.targets["label"], saved.codec.class_names))


def predict(*, run: Path, text: tuple[str, ...] = (), file: Path | None = None) -> None:
    """Prints the most probable labels of texts.

    Args:
        run: A run folder.
        text: Texts.
        file: A file with a text a line.
    """
    texts = [*text, *(read_text(file)[0].splitlines() if file else [])]
    texts = [one for one in texts if one.strip()]
    if not texts:
        raise UserError('No text was given: predict --run DIR --text "..." or --file FILE.')
    saved = load_run(run, EXPERIMENT).in_float32()
    unknown = saved.codec.unknown(texts)
    if unknown:
        print(f"Words that the network does not know, and reads as unknown: {some(unknown)}.", file=sys.stderr)
    likely = saved.codec.decode(saved.outputs(saved.codec.encode(*texts)))
    print_table(predictions_table(texts, likely))


COMMANDS = (train, compare, search, pretrain, evaluate, predict)

if __name__ == "__main__":
    main("experiments.text_classification", *COMMANDS)
