"""Graph: classes of the nodes of a graph, from a few labels, by a graph convolutional network.

python -m experiments.graph train
python -m experiments.graph train --edges edges.csv --nodes nodes.csv --label team --features age size
python -m experiments.graph compare --seeds 10
python -m experiments.graph search --max-trials 10
python -m experiments.graph evaluate --run runs/NAME
python -m experiments.graph predict 9 10 31 --run runs/NAME
"""

import shlex
from pathlib import Path

import tyro

from kerasapps.applications.graph_convolution import search_space
from kerasapps.data.graphs import GraphSplits
from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import SavedRun, load_run, outputs_of
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .compare import compare
from .network import Recipe, Snapshots, Source, graph_of, split, train_one
from .results import predictions_table, result_blocks, test_metrics

EXPERIMENT = "graph"


def train(
    *,
    source: Source = Source(),
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains one network and writes a run folder.

    Args:
        source: Which graph.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"units": 32}'.
        recipe: How it is trained.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2)
    run = start("Graph", settings_of(locals()), experiment=EXPERIMENT, workload="matmul")
    inputs = split(source, options=options).graph.inputs
    snapshots = Snapshots(inputs)
    given = {"source": source, "params": read_params(params), "recipe": recipe, "patience": patience}
    trained = train_one(run, **given, snapshots=snapshots)
    probabilities = outputs_of(trained.model, inputs)["label"][0]
    metrics, table = test_metrics(trained.splits, probabilities)
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(trained.splits, probabilities, snapshots)],
        summary=f"A graph convolutional network on {source.name}: {len(probabilities):,} nodes, "
        f"{len(trained.splits.graph.edges):,} edges, {metrics['train_rows']} labels to learn from.",
        headline=("accuracy", "label_propagation_accuracy", "features_accuracy", "seconds"),
        table=table,
        conclusion=f"{format_share(metrics['accuracy'])} test accuracy.",
        following={
            "Evaluate it on the test nodes": "evaluate --run RUN",
            "Predict classes of nodes": f"predict --run RUN {shlex.quote(trained.splits.graph.nodes[-1])}",
        },
    )


def search(
    *,
    source: Source = Source(),
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation nodes, and tests the winner once.

    Args:
        source: Which graph.
        trials: How configurations are tried.
        recipe: How each is trained.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=2)
    run, trials = start_search("Graph search", settings_of(locals()), experiment=EXPERIMENT, workload="matmul")
    splits = split(source, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, table = test_metrics(splits, outputs_of(model, splits.graph.inputs)["label"][0])
        return metrics, [table]

    search_and_report(
        run, trials, train_one, search_space, what="the network", test=test, objective="loss", maximize=False
    )


def evaluate(*, run: Path) -> None:
    """Prints test accuracy of a trained network, next to what it has to beat.

    Args:
        run: A run folder.
    """
    saved = load_run(run, EXPERIMENT)
    splits = splits_of(saved)
    print_table(test_metrics(splits, outputs_of(saved.model, saved.codec.encode(splits.graph))["label"][0])[1])


def predict(nodes: tyro.conf.Positional[tuple[str, ...]], /, *, run: Path) -> None:
    """Prints the likeliest class of nodes.

    Args:
        nodes: Names of nodes of the graph that the network was trained on; all by default.
        run: A run folder.
    """
    saved = load_run(run, EXPERIMENT).in_float32()
    graph = graph_of(saved)
    unknown = [name for name in nodes if name not in graph.nodes]
    if unknown:
        raise UserError(f"The graph has no node {unknown[0]}.")
    probabilities = outputs_of(saved.model, saved.codec.encode(graph))["label"][0]
    print_table(predictions_table(graph, probabilities, [graph.nodes.index(name) for name in nodes or graph.nodes]))


def splits_of(saved: SavedRun) -> GraphSplits:
    """Loads the graph that a run was trained on, with the same labels for the test."""
    return split(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))


COMMANDS = (train, compare, search, evaluate, predict)

if __name__ == "__main__":
    main("experiments.graph", *COMMANDS)
