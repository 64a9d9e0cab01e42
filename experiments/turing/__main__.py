"""Copying: a neural Turing machine learns an algorithm, and copies sequences longer than any it was trained on.

python -m experiments.turing train
python -m experiments.turing train --bits 4 --longest 20 --params '{"slots": 64}'
python -m experiments.turing search --max-trials 10
python -m experiments.turing evaluate --run runs/NAME --lengths 10 20 40
"""

from pathlib import Path
from typing import Literal

from kerasapps.applications.neural_turing_machine import search_space
from kerasapps.data.copying import beyond
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, nonempty, or_none, ranged, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .network import Recipe, Source, errors_by_length, train_one, units_like
from .results import NAMES, evaluate_networks, length_table, test_metrics

EXPERIMENT = "turing"
Lengths = nonempty(tuple[ranged(int, least=1, most=10_000), ...])


def train(
    *,
    source: Source = Source(),
    baseline: Literal["lstm", "none"] = "lstm",
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a neural Turing machine and an LSTM of the same size, and writes a run folder.

    Args:
        source: Which sequences.
        baseline: A second network to train and to compare with the first, or none.
        params: Builder arguments of the machine: a best.json written by `search`, or JSON such as '{"slots": 64}'.
        recipe: How both are trained.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2)
    run = start("Copying", settings_of(locals()), experiment=EXPERIMENT, workload="recurrent")
    shared = {"source": source, "recipe": recipe, "patience": patience}
    networks = {"turing": train_one(run, params=read_params(params), **shared)}
    machine = networks["turing"]
    if baseline == "lstm" and not machine.history.interrupted:
        units = units_like(machine.model)
        print(f"Baseline: an LSTM with {units} units, which has as many weights", flush=True)
        part = run.part("baseline", {"baseline": "none", "params": None})
        networks["lstm"] = train_one(part, arch="lstm", params={"units": units}, **shared)
    metrics, table, blocks = evaluate_networks(networks, source, seed=options.seed)
    finish(
        run,
        machine,
        metrics,
        blocks,
        summary=f"A neural Turing machine that was trained to copy sequences of up to {source.longest} steps copies "
        f"{format_share(metrics['accuracy'])} of the bits of longer ones, up to {beyond(source.longest)} steps.",
        headline=("accuracy", "accuracy_baseline", "sequence_accuracy", "solved_length", "seconds"),
        table=table,
        draw_curves=False,  # one figure has those of both networks
        conclusion=f"{format_share(metrics['accuracy'])} of the bits are copied correctly in sequences longer than any "
        "in training.",
        interrupted=any(one.history.interrupted for one in networks.values()),
        networks={NAMES[arch]: one.model for arch, one in networks.items()},
        following={"Try it on other lengths": "evaluate --run RUN --lengths 10 20 40"},
    )


def search(
    *,
    source: Source = Source(),
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the machine's hyperparameters by validation loss, and tests the winner once.

    Args:
        source: Which sequences.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2)
    run, trials = start_search("Copying search", settings_of(locals()), experiment=EXPERIMENT, workload="recurrent")
    search_and_report(
        run,
        trials,
        train_one,
        search_space,
        what="the neural Turing machine",
        test=lambda model: test_metrics(model, source, seed=options.seed),
        objective="loss",
        maximize=False,
    )


def evaluate(*, run: Path, lengths: Lengths = (10, 15, 20, 30), seed: ranged(int, least=0) = 0) -> None:
    """Prints the errors of a trained network on new sequences.

    Args:
        run: A run folder, or the folder baseline/ in one.
        lengths: Steps of the sequences.
        seed: Seed of their bits.
    """
    saved = load_run(run, EXPERIMENT)
    bits = from_settings(Source, saved.settings).bits
    arch = "turing" if saved.model.name == "neural_turing_machine" else "lstm"
    errors = errors_by_length(saved.model, lengths, bits=bits, seed=seed)
    print_table(length_table({arch: errors}, bits=bits, lengths=lengths))


COMMANDS = (train, search, evaluate)

if __name__ == "__main__":
    main("experiments.turing", *COMMANDS)
