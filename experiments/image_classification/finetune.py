"""`finetune` and its search: a trained network learns the classes of a folder, compared with one from scratch."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasapps.bases import Base, ends_of_stages, load_base
from kerasapps.formats import format_share
from kerasapps.runs import Options, Run
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import settings_of

from ..shared.classification import classification_metrics
from ..shared.image_classifier import keep_codec
from ..shared.images import augmentation_figure, predict_probabilities
from ..shared.params import read_params
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish, tell
from .results import evaluate_model, result_blocks
from .transfer import Transferred, from_scratch, train_one, transfer
from .transfer_options import Foundation, GivenTransferRecipe, Source, TransferRecipe, load, settled
from .transfer_results import WAYS, nearest_figure, rate_figure, shots_figure, shots_table, summarize

EXPERIMENT = "image_classification"


@dataclass(frozen=True)
class Draw:
    """One draw of the training images, and the test accuracy of each way to learn from them."""

    shots: int | None
    accuracy: dict[str, float]  # by `WAYS`
    kept: Transferred | None  # of the draw whose network is kept


def finetune(
    *,
    source: Source = Source(),
    foundation: Foundation = Foundation(),
    params: str | None = None,
    recipe: GivenTransferRecipe = GivenTransferRecipe(),
    options: Options = Options(),
) -> None:
    """Trains a new head on a trained network, then the network itself, and compares that with training from scratch.

    Args:
        source: Which images.
        foundation: The trained network.
        params: Layer, rates and arguments of the builder: a best.json written by `finetune-search`, or JSON such as
            '{"dense_units": [128]}'.
        recipe: How it is trained; by default as suits the base and the data.
        options: Options that every experiment shares.
    """
    source, recipe = settled(source, foundation, recipe, options=options)
    run = start("Transfer learning", settings_of(locals()), experiment=EXPERIMENT, workload="convolution")
    params = read_params(params)
    base = load_base(foundation.base, weights=foundation.weights, size=recipe.size)
    draws = []
    for draw in all_draws(run, base, source=source, foundation=foundation, params=params, recipe=recipe):
        draws.append(draw)
        if draw.kept is not None and draw.kept.interrupted:
            break
    report(run, base, draws, source=source, foundation=foundation, recipe=recipe)


def all_draws(
    run: Run,
    base: Base,
    *,
    source: Source,
    foundation: Foundation,
    params: dict[str, Any],
    recipe: TransferRecipe,
) -> Iterator[Draw]:
    """Yields the draws, that of the network to keep at last."""
    numbers = tuple(dict.fromkeys(source.shots)) or (None,)
    order = [(shots, draw) for shots in numbers for draw in range(source.draws)]
    order.append(order.pop(order.index((numbers[-1], 0))))
    how = {"foundation": foundation, "params": params, "recipe": recipe}
    for shots, draw in order:
        splits = load(source, recipe, options=run.options, shots=shots, draw=draw, channels=base.channels)
        last = (shots, draw) == order[-1]
        part = run if last else run.part(f"draws/{shots or 'all'}_{draw}", {"shots": shots and [shots]})
        if last:
            keep_codec(run, splits)
        accuracy = {}
        labels = splits.test.targets["label"]
        if recipe.baseline_epochs:
            scratch = from_scratch(part, base, splits, **how)
            accuracy["scratch"] = accuracy_of(predict_probabilities(scratch.model, splits.test), labels)
            if scratch.history.interrupted:
                raise KeyboardInterrupt
        done = transfer(part, base, splits, **how)
        accuracy["frozen"] = accuracy_of(done.frozen, labels)
        accuracy["finetuned"] = accuracy_of(done.probabilities, labels)
        told = ", ".join(f"{WAYS[way]} {format_share(share)}" for way, share in accuracy.items())
        print(f"{f'{shots} images a class' if shots else 'all images'}, draw {draw + 1}: {told}", flush=True)
        yield Draw(shots, accuracy, done if last or done.interrupted else None)


def accuracy_of(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of rows whose most probable class is the true one."""
    return classification_metrics(probabilities, labels)["accuracy"]


def report(
    run: Run,
    base: Base,
    draws: list[Draw],
    *,
    source: Source,
    foundation: Foundation,
    recipe: TransferRecipe,
) -> None:
    """Writes model, metrics and report."""
    kept = draws[-1].kept
    trained, splits = kept.trained, kept.trained.splits
    run.save(trained.model)
    tested, probabilities = evaluate_model(trained.model, splits, flip=recipe.flip)
    rows = [(draw.shots, draw.accuracy) for draw in draws]
    metrics = {"seconds": time.perf_counter() - run.started} | tested | summarize(rows)
    table = shots_table(rows)
    ways = {"accuracy_frozen": "frozen", "accuracy": "fine-tuned", "accuracy_baseline": "from scratch"}
    said = ", ".join(f"{way} {format_share(metrics[name])}" for name, way in ways.items() if name in metrics)
    finish(
        run,
        trained,
        metrics,
        [
            table,
            shots_figure(rows),
            *result_blocks(splits, probabilities, data=source.data, network="finetune", whole=False),
            nearest_figure(trained.model, splits),
            augmentation_figure(splits.train, run.options.seed),
            rate_figure(kept, recipe, freeze=foundation.freeze),
        ],
        summary=f"{foundation.base} on {source.data}, {len(splits.train):,} training images: {said}.",
        headline=("accuracy", "accuracy_frozen", "accuracy_baseline", "seconds"),
        table=table,
        conclusion=f"Test accuracy: {said}.",
        following={
            "Evaluate it on the test set": "evaluate --run RUN",
            "Classify images of your own": "predict --run RUN cat.jpg dog.png",
        },
        interrupted=kept.interrupted,
    )


def finetune_search(
    *,
    source: Source = Source(),
    foundation: Foundation = Foundation(),
    trials: Trials = Trials(),
    recipe: GivenTransferRecipe = GivenTransferRecipe(),
    options: Options = Options(),
) -> None:
    """Searches layer, head and learning rates on the validation set, and tests the winner once.

    Args:
        source: Which images; of several numbers of --shots the last.
        foundation: The trained network; --layer is the first that is tried.
        trials: How configurations are tried.
        recipe: How each is trained; its rates are the first that are tried.
        options: Options that every experiment shares.
    """
    source, recipe = settled(source, foundation, recipe, options=options)
    run, trials = start_search(
        "Transfer learning search", settings_of(locals()), experiment=EXPERIMENT, workload="convolution"
    )
    base = load_base(foundation.base, weights=foundation.weights, size=recipe.size)
    shots = source.shots[-1] if source.shots else None
    splits = load(source, recipe, options=options, shots=shots, draw=0, channels=base.channels)
    tell(splits.notes)

    def test(model):
        metrics, probabilities = evaluate_model(model, splits, flip=recipe.flip)
        return metrics, result_blocks(splits, probabilities, data=source.data, network="finetune", whole=False)

    def space(hp) -> dict[str, Any]:
        layers = ends_of_stages(base)
        first = foundation.layer or base.layer or layers[-1]
        layers = layers if first in layers else (*layers, first)
        poolings = list(dict.fromkeys(["average", "max", "moments", "grid", base.pooling]))
        return {
            "layer": hp.Choice("layer", [*layers], default=first),
            "pooling": hp.Choice("pooling", poolings, default=base.pooling),
            "dense_units": [units] if (units := hp.Choice("dense_units", [0, 64, 256], default=0)) else [],
            "dropout": hp.Float("dropout", 0.0, 0.7, step=0.1, default=0.5),
            "head_rate": hp.Float("head_rate", 3e-4, 3e-2, sampling="log", default=recipe.head_rate),
            "learning_rate": hp.Float("learning_rate", 1e-5, 3e-3, sampling="log", default=recipe.learning_rate),
        }

    search_and_report(run, trials, train_one, space, what=f"a head on {foundation.base}", test=test, notes=splits.notes)
