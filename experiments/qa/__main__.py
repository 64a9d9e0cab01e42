"""Question answering: a memory network, and the two-input network of the lectures, on stories and bAbI.

python -m experiments.qa train --data stories --baseline lstm
python -m experiments.qa train --data babi --tasks 1 2 3
python -m experiments.qa search --arch lstm --tuner bayesian --max-trials 20
python -m experiments.qa evaluate --run runs/qa --data babi
python -m experiments.qa predict --run runs/qa --story story.txt --question "Where is Nora?"
python -m experiments.qa babi --out runs/babi
"""

import sys
from dataclasses import asdict
from pathlib import Path

from experiments.qa.babi import babi
from experiments.qa.network import (
    Arch,
    form_of,
    read_vocabulary,
    recipe_of,
    space_of,
    train_and_test,
    train_network,
)
from experiments.qa.results import evaluate_model, kinds_table, pick, read_questions, text_of
from experiments.shared.cli import main, print_table
from experiments.shared.searching import finish_trial, options_of, search_and_report, start_search, trial_options
from kerasapps.data.babi import Question, tokenize
from kerasapps.data.question_answering import encode, load_stories, read_story, read_test_questions
from kerasapps.reports import Readings, curves
from kerasapps.runs import Options, load_model, read_config, read_json, write_json
from kerasapps.search.options import Trials
from kerasapps.session import start

ALL_TASKS = tuple(range(1, 21))
SHOWN_STORIES = 3


def train(
    *,
    data: str = "stories",
    tasks: tuple[int, ...] = ALL_TASKS,
    arch: Arch = "memory",
    baseline: Arch | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    patience: int | None = None,
    params: Path | None = None,
    options: Options = Options(),
) -> None:
    """Trains one network for all kinds of question in DATA, and writes a run folder.

    Args:
        data: "stories" (simulated), "babi", "babi-10k", or a file or folder in the bAbI format.
        tasks: bAbI tasks to train on, together.
        arch: A memory network, or the two-input network with one of four encoders.
        baseline: A second network to train and show beside the first.
        epochs: Passes over the training part; by architecture. A resumed run may have more, but then the learning
            rate of the memory network, which falls over all of them, jumps.
        batch_size: Questions in a step, over all devices; by architecture.
        learning_rate: Of Adam at its highest; by architecture.
        patience: Stop after so many passes without a better one; by default never.
        params: A best.json written by `search`.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    given = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    recipe = recipe_of(arch, smoke=options.smoke, **given)
    run = start("Question answering", settings | asdict(recipe), workload="recurrent")
    shared = {"data": data, "tasks": tasks, "patience": patience}
    print(f"Network: {arch}", flush=True)
    first = train_and_test(run, arch, recipe, params=read_json(params) if params else {}, **shared)
    networks = {arch: first}
    if baseline and not first.history.interrupted:
        print(f"Baseline: {baseline}", flush=True)
        recipe = recipe_of(baseline, smoke=options.smoke, **given)
        part = run.part("baseline", {"arch": baseline, "baseline": None, "params": None} | asdict(recipe))
        networks[f"{baseline}, baseline"] = train_and_test(part, baseline, recipe, params={}, **shared)
    interrupted = any(network.history.interrupted for network in networks.values())
    if interrupted:
        print("Interrupted: what there is was evaluated and is saved.")

    metrics = {"seconds": first.history.seconds}
    for network, suffix in zip(networks.values(), ("", "_baseline"), strict=False):
        metrics |= {f"{name}{suffix}": value for name, value in network.metrics.items()}
    table = kinds_table({name: network.by_kind for name, network in networks.items()})
    readings = read_questions(first.model, first.splits.vocabulary, pick(first.splits.questions["test"]))
    legend = "The darker a cell, the more that hop looked at the sentence. " if arch == "memory" else ""
    shown = Readings(
        "What it read, what it answered, what it looked at",
        f"Test questions. {legend}Bold sentences hold the answer.",
        readings,
    )
    drawn = [
        curves(network.history.rows, best_epoch=network.history.best_epoch, name=f"curves_{i}", network=name)
        for i, (name, network) in enumerate(networks.items())
        if network.history.rows
    ]
    right, kinds = metrics["accuracy"], len(first.by_kind)
    summary = f"One network ({arch}) for {kinds} kinds of question, right on {right:.1%} of the test questions."
    if interrupted:
        summary += f" Interrupted: the weights are those of epoch {first.history.best_epoch}."
    headline = [name for name in ("accuracy", "accuracy_baseline", "loss", "seconds") if name in metrics]
    run.finish(metrics, summary=summary, headline=headline, blocks=[table, shown, *drawn])
    print_table(table)
    for reading in readings[:SHOWN_STORIES]:
        print(f"\n{text_of(reading)}")
    print(f"\nRight on {right:.1%} of the test questions. Report: {run.folder / 'report.html'}")


def search(
    *,
    data: str = "stories",
    tasks: tuple[int, ...] = ALL_TASKS,
    arch: Arch = "lstm",
    trials: Trials = Trials(),
    epochs: int | None = None,
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation part, and tests the winner once.

    Args:
        data: As for `train`.
        tasks: bAbI tasks to train on, together.
        arch: Network to search in.
        trials: How configurations are tried.
        epochs: Passes of a trial over the training part; by architecture. Hyperband gives it to the survivors.
        options: Options that every experiment shares.
    """
    epochs = recipe_of(arch, smoke=options.smoke, epochs=epochs).epochs
    run, trials = start_search("Question answering search", locals(), workload="recurrent")

    def test(folder: Path):
        model, vocabulary = load_model(folder), read_vocabulary(folder)
        questions = read_test_questions(data, tasks=tasks, seed=options.seed, limit=options.rows, trained_on=data)
        write_json(run.path("vocabulary.json"), read_json(folder / "vocabulary.json"))
        return model, evaluate_model(model, encode(questions, vocabulary), questions)[0], []

    search_and_report(
        run,
        trial,
        space_of(arch),
        what=arch,
        arguments={"data": data, "tasks": tasks, "arch": arch, "shared": trial_options(run)},
        trials=trials,
        epochs=epochs,
        test=test,
    )


def evaluate(
    *, run: Path, data: str | None = None, tasks: tuple[int, ...] | None = None, limit: int | None = None
) -> None:
    """Prints the accuracy of a trained network by kind of question, beside published figures for bAbI.

    Args:
        run: A run folder.
        data: As for `train`; its test part is used. By default what it was trained on.
        tasks: bAbI tasks to answer; by default those it was trained on.
        limit: Questions at most.
    """
    model, vocabulary = load_model(run), read_vocabulary(run)
    settings = read_config(run)["settings"]
    data, tasks = data or settings["data"], tasks or settings["tasks"]
    questions = read_test_questions(data, tasks=tasks, seed=settings["seed"], limit=limit, trained_on=settings["data"])
    tested, by_kind = evaluate_model(model, encode(questions, vocabulary), questions)
    print_table(kinds_table({model.name: by_kind}))
    print(f"Right on {tested['accuracy']:.1%} of {len(questions)} questions.")


def predict(*, run: Path, story: Path, question: str) -> None:
    """Answers a question about a story and shows what the network looked at.

    Args:
        run: A run folder.
        story: A text file, one sentence a line.
        question: The question.
    """
    model, vocabulary = load_model(run), read_vocabulary(run)
    sentences, texts = read_story(story)
    words = tokenize(question)
    unknown = vocabulary.unknown([*words, *(word for sentence in sentences for word in sentence)])
    if unknown:
        print(f"Not in the training stories, so the network cannot know: {', '.join(unknown)}.", file=sys.stderr)
    asked = Question(tuple(sentences), words, "", (), "asked", 0, tuple(texts), question)
    print(text_of(read_questions(model, vocabulary, [asked])[0]))


def trial(*, params: dict, folder: str, epochs: int, data: str, tasks: list[int], arch: Arch, shared: dict) -> dict:
    """Trains one configuration for the search, in a process of its own; the test part is not touched."""
    options = options_of(folder, shared)
    settings = {"params": params, "epochs": epochs, "data": data, "tasks": tasks, "arch": arch, "options": options}
    run = start("Question answering trial", settings, workload="recurrent")
    splits = load_stories(data, form=form_of(arch), tasks=tasks, seed=options.seed, limit=options.limit)
    recipe = recipe_of(arch, epochs=epochs)
    _, history = train_network(run, splits, arch=arch, recipe=recipe, params=params)
    return finish_trial(run, history)


if __name__ == "__main__":
    main("experiments.qa", train, search, evaluate, predict, babi)
