"""Perceptron: one neuron, by hand and in Keras, logic gates, and the line between two classes as it moves.

python -m experiments.perceptron train
python -m experiments.perceptron train --numbers test grades rank
python -m experiments.perceptron train --overlap 0.2
python -m experiments.perceptron train --data students.csv --target passed --params '{"dense_units": [4]}'
python -m experiments.perceptron evaluate --run runs/NAME
python -m experiments.perceptron predict --run runs/NAME --numbers 7.5 6
"""

from pathlib import Path

from kerasapps.data.points import ADMISSIONS
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, Finite, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.training import finish
from .gates import gate_blocks
from .network import Recipe, Source, classes_of, splits_of, train_one
from .results import evaluate_model, network_figure, rule_blocks


def train(
    *,
    source: Source = Source(),
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains one neuron, by hand and in Keras, or a small network, and writes a run folder.

    Args:
        source: Which points.
        params: Builder arguments, as JSON or a file: '{"dense_units": [4], "activation": "tanh"}' has a hidden layer.
        recipe: How it is trained.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = options.shrunk(recipe, epochs=3)
    run = start("Perceptron", settings_of(locals()), experiment="perceptron", workload="recurrent")  # tiny steps
    trained = train_one(run, source=source, params=read_params(params), recipe=recipe, patience=patience)
    codec = trained.splits.codec
    metrics, table = evaluate_model(trained.model, trained.splits)
    found, rules = rule_blocks(trained.splits, recipe, seed=options.seed)
    gates = gate_blocks() if source.data == ADMISSIONS else []
    finish(
        run,
        trained,
        metrics | found,
        [table, network_figure(trained.model, trained.splits), *rules, *gates],
        summary=f"{'A network' if trained.model.count_params() > len(codec.numbers) + 1 else 'One neuron'} in Keras, "
        f"and one by hand, on {source.data}: {' and '.join(codec.numbers)} decide between "
        f"{' and '.join(codec.class_names)}.",
        headline=("accuracy", *(name for name in found if name.startswith("mistakes")), "seconds"),
        table=table,
        following={"Evaluate it on the test set": "evaluate --run RUN"},
    )


def evaluate(*, run: Path) -> None:
    """Prints test metrics of a trained network.

    Args:
        run: A run folder.
    """
    saved = load_run(run, "perceptron")
    metrics, table = evaluate_model(saved.model, splits_of(saved))
    print_table(table)
    print(f"{format_share(metrics['accuracy'])} test accuracy, cross-entropy {metrics['loss']:.3f}.")


def predict(*, run: Path, numbers: tuple[Finite, ...]) -> None:
    """Predicts the class of one point.

    Args:
        run: A run folder.
        numbers: Its numbers, in the order of the columns of the run.
    """
    classes = classes_of(load_run(run, "perceptron").in_float32(), numbers)
    print(", ".join(f"{name}: {format_share(share)}" for name, share in classes.items()))


COMMANDS = (train, evaluate, predict)

if __name__ == "__main__":
    main("experiments.perceptron", *COMMANDS)
