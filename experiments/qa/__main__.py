"""Question answering: memory networks, and two-input networks of text and question, on stories and bAbI.

python -m experiments.qa train --data stories --baseline lstm
python -m experiments.qa train --data babi --tasks 1 2 3
python -m experiments.qa search --arch lstm --tuner bayesian --max-trials 20
python -m experiments.qa evaluate --run runs/NAME --data babi
python -m experiments.qa predict --run runs/NAME --story story.txt --question "Where is Nora?"
python -m experiments.qa babi --out runs/babi
"""

import sys
from pathlib import Path

from kerasapps.data.question_answering import ask, read_story, read_test_questions
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .babi import babi
from .network import (
    Arch,
    GivenRecipe,
    Source,
    Tasks,
    load,
    recipe_of,
    space_of,
    train_networks,
    train_one,
)
from .results import (
    baseline_curves,
    evaluate_model,
    kinds_table,
    pick,
    printed,
    read_questions,
    readings_block,
    test_metrics,
    text_of,
)

FOLLOWING = {
    "Evaluate it on the test set": "evaluate --run RUN",
    "Ask about a story of your own": 'predict --run RUN --story story.txt --question "Where is Nora?"',
}


def train(
    *,
    source: Source = Source(),
    arch: Arch = "memory",
    baseline: Arch | None = None,
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains one network for all kinds of question in DATA, and writes a run folder.

    Args:
        source: Which questions.
        arch: A memory network, or a two-input network with one of four encoders.
        baseline: A second network to train and to compare with the first.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"dropout": 0.2}'.
        recipe: How it is trained; by default as suits the architecture.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    settings = settings_of(locals() | {"recipe": recipe_of(arch, recipe, options=options)})
    run = start("Question answering", settings, experiment="qa", workload="recurrent")
    networks = train_networks(
        run,
        source=source,
        arch=arch,
        baseline=baseline,
        params=read_params(params),
        given=recipe,
        patience=patience,
    )
    first = networks[arch]
    metrics, table = test_metrics(networks)
    readings = read_questions(first.model, first.splits.codec, pick(first.splits.questions["test"]))
    finish(
        run,
        first,
        metrics,
        [*baseline_curves(networks), table, readings_block(readings)],
        summary=f"One network ({arch}) for {len(table.rows) - 1} kinds of question of {source.data}: "
        f"{format_share(metrics['accuracy'])} test accuracy ({len(first.splits.test):,} questions).",
        headline=("accuracy", "accuracy_baseline", "loss", "seconds"),
        table=table,
        conclusion=printed(readings, metrics),
        interrupted=any(one.history.interrupted for one in networks.values()),
        networks={f"Network: {name}": one.model for name, one in networks.items()},
        following=FOLLOWING,
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "lstm",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        source: Which questions.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture. Under Hyperband --epochs are those of the
            longest trials.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, recipe, options=options)
    run, trials = start_search(
        "Question answering search", settings_of(locals()), experiment="qa", workload="recurrent"
    )
    splits = load(source, arch, options=options)  # before the trials, so that an error in the data is reported once
    search_and_report(
        run,
        trials,
        train_one,
        space_of(arch),
        what=arch,
        test=lambda model: (evaluate_model(model, splits.test, splits.questions["test"])[0], []),
    )


def evaluate(
    *, run: Path, data: or_none(Text) = None, tasks: or_none(Tasks) = None, limit: or_none(Count) = None
) -> None:
    """Prints the test accuracy of a trained network by kind of question, next to published figures for bAbI.

    Args:
        run: A run folder.
        data: As for `train`; its test set is used. By default what the network was trained on.
        tasks: bAbI tasks to answer; by default those that the network was trained on.
        limit: Questions at most.
    """
    saved = load_run(run, "qa")
    source = from_settings(Source, saved.settings)
    questions = read_test_questions(
        data or source.data,
        tasks=tasks or source.tasks,
        seed=from_settings(Options, saved.settings).seed,
        limit=limit,
        trained_on=source.data,
    )
    tested, by_kind = evaluate_model(saved.model, saved.codec.split(questions), questions)
    print_table(kinds_table({saved.model.name: by_kind}))
    print(f"{format_share(tested['accuracy'])} test accuracy ({len(questions):,} questions).")


def predict(*, run: Path, story: Path, question: Text) -> None:
    """Answers a question about a story and shows which sentences the network attends to.

    Args:
        run: A run folder.
        story: A text file, one sentence a line.
        question: The question.
    """
    saved = load_run(run, "qa").in_float32()
    sentences, notes = read_story(story)
    asked = ask(sentences, question)
    notes += saved.codec.left_out(asked)
    unknown = saved.codec.unknown(asked)
    if unknown:
        notes.append(f"Not in the training stories, and therefore unknown: {', '.join(unknown)}.")
    for note in notes:
        print(note, file=sys.stderr)
    print(text_of(read_questions(saved.model, saved.codec, [asked])[0]))


COMMANDS = (train, search, evaluate, predict, babi)

if __name__ == "__main__":
    main("experiments.qa", *COMMANDS)
