"""From what the members of all parts predict to one network."""

from collections.abc import Mapping

import keras
import numpy as np

from kerasapps import saving
from kerasapps.applications.ensemble import build_ensemble
from kerasapps.runs import Run
from kerasapps.superlearner import Weights

from ..shared.runs import write_codec
from .judging import Evidence, weigh
from .learning import Learned, Way, inner_predictions
from .network import Data, truth_of


def evidence_of(data: Data, learned: Mapping[str, Learned]) -> Evidence:
    """Returns what members predict of rows that they have not seen, by the cross-validation of all rows."""
    rows, folds, predictions = inner_predictions(learned)
    failed: dict[str, str] = {}
    for name, one in learned.items():
        if not name.startswith("outer"):
            failed = one.failed | failed
    final = learned["all"]
    return Evidence(
        truth=truth_of(data.train, data.output)[rows],
        predictions=predictions,
        groups=data.groups[rows],
        folds=folds,
        test_truth=truth_of(data.test, data.output),
        test={name: np.asarray(one, np.float64) for name, one in final.predictions.items()},
        failed=failed,
        seconds=final.seconds,
    )


def join(run: Run, data: Data, evidence: Evidence, method: Way) -> tuple[keras.Model, Weights]:
    """Weighs the members that were trained on all rows, joins them in one network, and saves it with its codec."""
    weights = weigh(evidence, method)
    counted = [name for name, weight in weights.values.items() if weight > 0]
    folder = run.folder / "all" / "members"
    model = one_network({name: saving.load_model(folder / name / "model.keras") for name in counted}, weights)
    run.save(model)
    write_codec(run, data.codec)
    return model, weights


def one_network(members: Mapping[str, keras.Model], weights: Weights) -> keras.Model:
    """Joins members in one network; their names begin with "member_", so that none is that of an input or output."""
    return build_ensemble(
        members={f"member_{name}": model for name, model in members.items()},
        weights={f"member_{name}": weights.values[name] for name in members},
        sharpness=weights.sharpness,
    )


def weights_in(model: keras.Model, output: str) -> Weights:
    """Returns the weights that an ensemble has for an output, read from its graph."""
    names = [layer.name.removeprefix("member_") for layer in model.layers if isinstance(layer, keras.Model)]
    shares = np.asarray(model.get_layer(f"{output}_weights").get_weights()[0], np.float64).ravel()
    logarithmic = f"{output}_logarithms" in {layer.name for layer in model.layers}
    values = dict(zip(names, (shares / shares.sum()).tolist(), strict=True))
    return Weights(values, sharpness=float(shares.sum()) if logarithmic else None)
