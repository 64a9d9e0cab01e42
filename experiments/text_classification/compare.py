"""`compare`: architectures side by side, over seeds or the folds of a cross-validation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import numpy as np

from kerasapps.formats import format_share
from kerasapps.reports import Table
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, nonempty, ranged, settings_of

from ..shared.comparing import train_variants, with_range
from ..shared.params import read_params
from ..shared.training import Trained, report
from .baseline import nb_svm_accuracy
from .network import Arch, GivenRecipe, Source, check_vectors, load, recipe_of, train_one
from .results import published, test_metrics
from .vectors import check_source


def compare(
    *,
    source: Source = Source(),
    archs: nonempty(tuple[Arch, ...]) = ("text_cnn", "lstm", "attention", "ngrams"),
    folds: ranged(int, least=0, most=100) = 0,
    seeds: Count = 1,
    params: str | None = None,
    baseline: ranged(int, least=0, most=5) = 2,
    recipe: GivenRecipe = GivenRecipe(),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Compares architectures on the test set, or on all of the data by cross-validation.

    Args:
        source: Which texts.
        archs: Which networks.
        folds: Parts of the data, each of them once the test set of a network that trains on the others; 0 for the data
            set's own test set.
        seeds: Trainings of each network, with the seeds from --seed on.
        params: Builder arguments, for every network.
        baseline: Words of the longest n-grams of NB-SVM, which the networks are compared with; 0 leaves it out.
        recipe: How each is trained; by default as suits the architecture.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    settings = settings_of(locals())
    check_vectors(source, archs)
    run = start(
        "Text classification comparison",
        settings,
        experiment="text_classification",
        workload="recurrent",
        free=["workers"],
    )
    # Before the trainings, so that an error in the data is reported once.
    check_source(source.vectors, load(source, archs[0], options=options).codec.words)
    params = read_params(params)
    results = train_variants(
        run,
        {
            variant(arch, fold): {"params": params, "arch": arch, "fold": fold}
            | asdict(recipe_of(arch, recipe, options=options))
            for arch in archs
            for fold in parts(folds)
        },
        train_one,
        measure,
        seeds=seeds,
        workers=workers,
        describe=lambda measured: f"{format_share(measured['accuracy'])} test accuracy in {measured['seconds']:.0f} s",
    )
    linear = []
    first = run.options.seed
    # On the test sets of the networks: folds are the same for every seed, other test sets may not be.
    for fold, seed in product(parts(folds), range(first, first + (1 if folds else seeds))) if baseline else []:
        splits = load(source, archs[0], options=replace(options, seed=seed), fold=fold, folds=folds)
        linear.append(nb_svm_accuracy(splits, longest=baseline))
        print(f"{variant('NB-SVM', fold)}_{seed}: {format_share(linear[-1])} test accuracy", flush=True)
    table, metrics = summarize(results, archs, folds=folds, data=source.data, fine=source.fine, linear=linear)
    over = f"{folds} folds" if folds else "the test set"
    report(
        run,
        metrics,
        [table],
        summary=f"{', '.join(archs)} on {source.data}: {over}, {seeds} seeds.",
        headline=("accuracy", "accuracy_std", "accuracy_coarse", "accuracy_baseline", "accuracy_reference"),
        table=table,
    )


def parts(folds: int) -> Sequence[int | None]:
    """Returns the folds that are a test set once, or None alone for the data set's own test set."""
    return range(folds) if folds else [None]


def variant(arch: str, fold: int | None) -> str:
    """Returns the name of a network that is trained on all folds but one."""
    return arch if fold is None else f"{arch}_fold{fold}"


def measure(trained: Trained) -> dict[str, float]:
    """Returns the test metrics of a network."""
    return test_metrics(trained.model, trained.splits)[0]


def over_parts(networks: Sequence[Sequence[Mapping[str, Any]]], name: str) -> np.ndarray:
    """Returns a metric of each fold, its mean over seeds; without folds of each seed."""
    values = np.array([[one[name] for one in seeds] for seeds in networks])  # (folds, seeds)
    return values.mean(1) if len(values) > 1 else values[0]


def summarize(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    archs: Sequence[Arch],
    *,
    folds: int,
    data: str,
    fine: bool = False,
    linear: Sequence[float] = (),
) -> tuple[Table, dict[str, float]]:
    """Returns the table and the metrics: means over folds, and their spread over folds or, without any, over seeds.

    `linear` is the accuracy of NB-SVM on each fold or seed. The plain names, such as `accuracy` and `accuracy_std`, are
    those of the first network.
    """
    rows, metrics = [], {}
    for arch in archs:
        networks = [results[variant(arch, fold)] for fold in parts(folds)]
        seconds = float(sum(np.mean([one["seconds"] for one in seeds]) for seeds in networks))
        for name, what, spent in (("accuracy", arch, seconds), ("accuracy_coarse", f"{arch}, coarse labels", None)):
            # Trainings of before, which are taken up, have not measured the coarse one.
            if not all(name in one for seeds in networks for one in seeds):
                continue
            reached = over_parts(networks, name)
            mean, std = float(reached.mean()), float(reached.std())
            if arch == archs[0]:
                metrics |= with_range(name, mean, reached) | {f"{name}_std": std}
            metrics |= with_range(f"{name}_{arch}", mean, reached) | {f"{name}_std_{arch}": std}
            rows.append([what, 100 * mean, 100 * std, spent])
        metrics[f"seconds_{arch}"] = seconds
    optimum = results[variant(archs[0], parts(folds)[0])][0].get("accuracy_reference")
    if optimum is not None:
        metrics["accuracy_reference"] = optimum
        rows.append(["best possible (Bayes)", 100 * optimum, None, None])
    if linear:
        mean, std = float(np.mean(linear)), float(np.std(linear))
        metrics |= {"accuracy_baseline": mean, "accuracy_std_baseline": std}
        rows.append(["NB-SVM", 100 * mean, 100 * std, None])
    if folds:
        metrics["folds"] = folds
    rows += [[name, figure, None, None] for name, figure in published(data, fine=fine).items()]
    of = "folds" if folds else "seeds"
    return Table("Test accuracy in percent", ["", "mean", f"std over {of}", "seconds"], rows), metrics
