"""Tagging: one label for each step of a sequence, such as names in a text, or a classifier's outputs put in context.

python -m experiments.tagging train
python -m experiments.tagging train --data context
python -m experiments.tagging train --data train.txt --validation valid.txt --test test.txt --word 0 --tag -1
python -m experiments.tagging search --tuner bayesian --max-trials 20
python -m experiments.tagging evaluate --run runs/NAME
python -m experiments.tagging predict --run runs/NAME --text "today Lincoln Bank praised Victoria Ford ."
"""

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kerasapps.applications.sequence_tagger import search_space
from kerasapps.data.columns import Columns, Steps, read_columns
from kerasapps.data.encodings import read_text
from kerasapps.data.tables import some
from kerasapps.data.words import tokenize
from kerasapps.errors import UserError
from kerasapps.files import regular_file
from kerasapps.formats import format_metric, format_share, label_of
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import SavedRun, load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .network import Recipe, Source, load, predict_tags, tags_of, train_one
from .results import kinds_table, tag_metrics, test_metrics

EXPERIMENT = "tagging"


def train(
    *,
    source: Source = Source(),
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a tagger and writes a run folder.

    Args:
        source: Which sequences.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"bidirectional": false}'.
        recipe: How it is trained.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2, batch_size=16)
    run = start("Tagging", settings_of(locals()), experiment=EXPERIMENT, workload="recurrent")
    trained = train_one(run, source=source, params=read_params(params), recipe=recipe, patience=patience)
    metrics, table, blocks = test_metrics(trained.model, trained.splits)
    following = {"Evaluate it on the test set": "evaluate --run RUN"}
    if not trained.splits.codec.feature_names:
        text = " ".join(trained.splits.sequences["test"][0].steps)
        following["Tag a text of your own"] = f"predict --run RUN --text {shlex.quote(text)}"
    finish(
        run,
        trained,
        metrics,
        [table, *blocks],
        summary=f"A tag for each step of {source.data}: {format_share(metrics['accuracy'])} test accuracy "
        f"({len(trained.splits.test):,} sequences, {len(trained.splits.codec.tag_names)} tags).",
        headline=("accuracy", "accuracy_reference", "accuracy_filtering", "accuracy_baseline", "f1", "seconds"),
        table=table,
        conclusion=f"{format_share(metrics['accuracy'])} test accuracy.",
        following=following,
    )


def search(
    *,
    source: Source = Source(),
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        source: Which sequences.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2, batch_size=16)
    run, trials = start_search("Tagging search", settings_of(locals()), experiment=EXPERIMENT, workload="recurrent")
    splits = load(source, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, table, blocks = test_metrics(model, splits)
        return metrics, [table, *blocks]

    space = partial(search_space, words=not splits.codec.feature_names)
    search_and_report(run, trials, train_one, space, what="the tagger", test=test, notes=splits.notes)


def evaluate(*, run: Path, data: or_none(Text) = None, limit: or_none(Count) = None) -> None:
    """Prints test metrics of a trained tagger, tag by tag.

    Args:
        run: A run folder.
        data: A file to test on, all of it, with the columns that training had; by default the test set of the run.
        limit: Sequences at most.
    """
    saved = load_run(run, EXPERIMENT)
    source = from_settings(Source, saved.settings)
    if data is None:
        sequences = load(source, options=from_settings(Options, saved.settings)).sequences["test"]
    else:
        whole, _ = read_columns(data, columns_of(saved))
        sequences = [part for one in whole for part in one.pieces(source.longest)]
    sequences = sequences[:limit]
    # With the words and tags of the run: those of the data may have changed since.
    predicted = tags_of(predict_tags(saved.model, saved.codec.split(sequences)), saved.codec.tag_names)
    truth = [one.tags for one in sequences]
    print_table(kinds_table(truth, predicted))
    for name, value in tag_metrics(truth, predicted).items():
        print(f"{label_of(name):<10}{format_metric(name, value)}")


def predict(*, run: Path, text: tuple[str, ...] = (), file: Path | None = None, columns: Path | None = None) -> None:
    """Prints each step with its tag, a line each, and a blank line between sequences.

    Args:
        run: A run folder.
        text: Sentences.
        file: A file with a sentence a line.
        columns: A file with a step a line and blank lines between sequences, as for `train`; tags are not read.
    """
    if not (text or file or columns):
        raise UserError('Nothing was given: predict --run DIR --text "...", --file FILE or --columns FILE.')
    saved = load_run(run, EXPERIMENT).in_float32()
    sequences = read(saved, text, file, columns)
    if not saved.codec.feature_names:
        unknown = saved.codec.unknown(sequences)
        if unknown:
            print(f"Unknown, as not in the training set or too rare there: {some(unknown)}.", file=sys.stderr)
    outputs = saved.outputs(saved.codec.encode(*sequences))
    tags = saved.codec.decode(outputs, [len(one) for one in sequences])
    tagged = zip(map(saved.codec.shown, sequences), tags, strict=True)
    print("\n\n".join("\n".join(map("\t".join, zip(*one, strict=True))) for one in tagged))


def read(saved: SavedRun, text: Sequence[str], file: Path | None, columns: Path | None) -> list[Steps]:
    """Returns the sequences that were given.

    Raises:
        UserError: If there are none, or the network reads numbers and not words.
    """
    if saved.codec.feature_names and (text or file):
        raise UserError(f"{saved.folder} reads {len(saved.codec.feature_names)} numbers a step: give --columns FILE.")
    lines = [*text, *(read_text(regular_file(file))[0].splitlines() if file else [])]
    sequences: list[Steps] = [words for words in (tokenize(line, "cased") for line in lines) if words]
    if columns:
        sequences += [one.steps for one in read_columns(columns, columns_of(saved, tags=False))[0]]
    if not sequences:
        raise UserError("There is no word to tag.")
    return sequences


def columns_of(saved: SavedRun, *, tags: bool = True) -> Columns:
    """Returns the columns that a network was trained on; for simulated numbers, the first ones in their order."""
    given = from_settings(Source, saved.settings).columns
    simulated = saved.codec.feature_names and not given.numbers
    numbers = tuple(range(len(saved.codec.feature_names))) if simulated else given.numbers
    return Columns(given.word, given.tag if tags else None, numbers)


COMMANDS = (train, search, evaluate, predict)

if __name__ == "__main__":
    main("experiments.tagging", *COMMANDS)
