"""Ensembles: what several models predict, pooled by weights that are learned on rows none of them has seen.

python -m experiments.ensemble train
python -m experiments.ensemble train --data adult --library logistic,forest,boosting --folds 10
python -m experiments.ensemble train --data prices.csv --target price --group seller --outer-folds 5
python -m experiments.ensemble combine --runs runs/ONE runs/TWO runs/THREE
python -m experiments.ensemble distill --run runs/NAME
python -m experiments.ensemble evaluate --run runs/NAME
python -m experiments.ensemble predict --run runs/NAME --files digit.png
"""

from pathlib import Path

import numpy as np

from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.runs import load_run
from ..shared.training import tell
from .combining import combine
from .distilling import distill
from .judging import cross_fitted, outer_risks, risk_metrics
from .learning import EXPERIMENT, Learning, learn_all
from .members import library_of
from .network import Source, load, predict_split, truth_of
from .reporting import FOLLOWING, report_ensemble
from .results import predictions_table, score_table
from .using import inputs_of, load_learned
from .weighing import evidence_of, join


def train(
    *,
    source: Source = Source(),
    learning: Learning = Learning(),
    workers: Count = 2,
    options: Options = Options(),
) -> None:
    """Trains members on the folds of a cross-validation, learns how much each counts, and trains them on all rows.

    Args:
        source: Which data.
        learning: What learns, and how it is weighed.
        workers: Trainings at a time, one thread each if more than one.
        options: Options that every experiment shares.
    """
    learning = learning.shrunk(options)
    settings = settings_of(locals())
    run = start("Ensemble", settings, experiment=EXPERIMENT, workload="convolution", free=["workers"])
    data = load(source, options=options)
    library_of(learning.library, data)  # refused before anything is trained
    tell(data.notes)
    learned = learn_all(run, data, learning, workers=workers)
    evidence = evidence_of(data, learned)
    model, weights = join(run, data, evidence, learning.method)
    truth = truth_of(data.train, data.output)
    risks = {"cv": cross_fitted(evidence, learning.method)}
    risks |= outer_risks(learned, truth, data.groups, learning.method)
    report_ensemble(
        run,
        model,
        predict_split(model, data.test, data.output),
        evidence,
        weights,
        test=data.test,
        class_names=data.class_names,
        what=f"{len(evidence.members)} members on {source.data}, {len(data.train):,} rows",
        notes=data.notes,
        train_rows=len(data.train),
        more=risk_metrics(evidence.loss, risks),
        following=FOLLOWING,
    )


def evaluate(*, run: Path, limit: or_none(Count) = None) -> None:
    """Prints test metrics of an ensemble and of its members, on the test set of the data they were trained on.

    Args:
        run: A run folder of `train`.
        limit: Rows of the test set at most.
    """
    saved = load_learned(run, f"its metrics are in {run / 'metrics.json'}")
    data = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))
    test = data.test.take(np.arange(len(data.test))[:limit])
    print_table(score_table(saved.model, test, data.output))


def predict(*, run: Path, files: tuple[Path, ...] = (), row: tuple[str, ...] = (), text: tuple[str, ...] = ()) -> None:
    """Prints what an ensemble predicts for images, for a row of a table, or for texts.

    Args:
        run: A run folder.
        files: Image files.
        row: What is known of a row, such as age=39 education=HS-grad; what is not given counts as unknown.
        text: Texts.
    """
    saved = load_run(run, EXPERIMENT).in_float32()
    inputs, names = inputs_of(saved.codec, files=files, row=row, text=text)
    outputs = saved.outputs(inputs)
    print_table(predictions_table(names, saved.codec.decode(outputs)))


COMMANDS = (train, combine, distill, evaluate, predict)

if __name__ == "__main__":
    main("experiments.ensemble", *COMMANDS)
