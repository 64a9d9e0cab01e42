"""What the report of an ensemble shows: risks and weights, errors that go together, calibration, disagreement."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasapps.data.splits import Split
from kerasapps.formats import format_share
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure
from kerasapps.superlearner import Method, Weights, combined, fit_weights, risk, row_losses

from ..shared.classification import calibration_error, calibration_figure, shorten
from ..shared.images import image_grid, stored_images
from .judging import Evidence, scores
from .network import predict_split, truth_of
from .weighing import weights_in

DISAGREEMENTS = 12
LOSSES = {"log_loss": "log loss", "mse": "squared error"}
BAR, CHOSEN, SOFT = "#9aa9bd", "#2563a8", "#6b7280"


def risk_table(evidence: Evidence, weights: Weights, prediction: np.ndarray, rivals: Mapping[str, np.ndarray]) -> Table:
    """Lists the risk of each member with its standard error, its weight, and its score on the test set."""
    classes, loss = evidence.loss == "log_loss", LOSSES[evidence.loss]
    before = "cross-validated" if evidence.folds is not None else "validation"
    columns = ["", "weight", f"{before} {loss}", "± standard error", f"test {loss}"]
    columns += ["test accuracy"] if classes else ["test mean absolute error"]
    columns += ["seconds"] if evidence.seconds else []

    def tested(found: np.ndarray) -> list[float]:
        score = scores(found, evidence.test_truth)
        return [score[evidence.loss], score["accuracy"] if classes else score["mae"]]

    rows = []
    for name, found in evidence.predictions.items():
        if not np.isfinite(found).all():
            rows.append([name, 0.0, None, None, None, None])
        else:
            known = risk(found, evidence.truth, groups=evidence.groups)
            rows.append([name, weights.values[name], known.mean, known.error, *tested(evidence.test[name])])
        rows[-1] += [round(evidence.seconds.get(name, 0))] if evidence.seconds else []
    rows.sort(key=lambda row: (row[2] is None, row[2]))
    known = risk(weights.pooled(evidence.predictions), evidence.truth, groups=evidence.groups)
    blank = [None] * bool(evidence.seconds)
    rows.insert(0, ["the ensemble", None, known.mean, known.error, *tested(prediction), *blank])
    names = {"mean": "mean of all members", "discrete": "member chosen before", "oracle": "best possible weights"}
    for key, name in names.items():
        rows.append([name, None, None, None, *tested(rivals[key]), *blank])
    caption = (
        "Weights are fitted on predictions of rows that a member has not seen. The first risk of the ensemble is on "
        "the same rows, and therefore a little low. The best possible weights are fitted on the test set, as none can."
    )
    return Table("Members and ensemble", columns, rows, caption, digits=4 if evidence.loss == "log_loss" else 3)


def result_blocks(
    evidence: Evidence, weights: Weights, prediction: np.ndarray, split: Split, names: Sequence[str]
) -> list[Block | None]:
    """Returns the figures and tables of a report, after the table of risks."""
    return [
        risk_figure(evidence, weights, prediction),
        size_figure(evidence, "convex" if weights.sharpness is None else "log_linear"),
        correlation_figure(evidence),
        calibration_block(evidence, prediction) if names else None,
        disagreements(evidence, weights, prediction, split, names),
    ]


def risk_figure(evidence: Evidence, weights: Weights, prediction: np.ndarray) -> Figure:
    """Draws the risk of each member with two standard errors, and its weight."""
    members = [name for name in evidence.predictions if np.isfinite(evidence.predictions[name]).all()]
    risks = {name: risk(evidence.test[name], evidence.test_truth) for name in members}
    risks["the ensemble"] = risk(prediction, evidence.test_truth)
    order = sorted(risks, key=lambda name: -risks[name].mean)
    places, figure = np.arange(len(order)), new_figure(9.0, 1.3 + 0.34 * len(order))
    axes = add_axes(figure, 1, 2, 1, xlabel=f"test {LOSSES[evidence.loss]}")
    for place, name in zip(places, order, strict=True):
        color = CHOSEN if name == "the ensemble" else SOFT
        bar = None if np.isnan(risks[name].error) else 2 * risks[name].error
        axes.errorbar(risks[name].mean, place, xerr=bar, fmt="o", color=color, capsize=3)
    axes.set_yticks(places, [shorten(name) for name in order])
    axes.set_ylim(-0.6, len(order) - 0.4)
    lowest, highest = (end(one.mean for one in risks.values()) for end in (min, max))
    if lowest > 0 and highest > 10 * lowest:
        axes.set_xscale("log")
    other = add_axes(figure, 1, 2, 2, xlabel="weight")
    shares = [1.0 if name == "the ensemble" else weights.values[name] for name in order]
    kept = [(place, share) for place, share, name in zip(places, shares, order, strict=True) if name != "the ensemble"]
    other.barh(*zip(*kept, strict=True), color=BAR, height=0.6)
    for place, share in kept:
        other.text(share, place, f" {share:.2f}" if share else " 0", va="center", fontsize=9)
    other.set_yticks(places, [""] * len(order))
    other.set(ylim=axes.get_ylim(), xlim=(0, max(share for _, share in kept) * 1.18))
    caption = "On the left each member's loss on the test set with two standard errors, on the right its weight."
    return Figure("risks", caption, figure, "Risks and weights")


def by_risk(evidence: Evidence) -> list[str]:
    """Returns the members in the order of their risk on rows that they have not seen."""
    risks = {name: risk(evidence.predictions[name], evidence.truth).mean for name in evidence.members}
    return sorted(risks, key=risks.get)


def size_figure(evidence: Evidence, way: Method) -> Figure | None:
    """Draws the loss of ensembles of the best members, one to all of them, next to the mean of these."""
    order = by_risk(evidence)
    if len(order) < 2:
        return None
    lines: dict[str, list[float]] = {"weighted": [], "mean": []}
    for count in range(1, len(order) + 1):
        names = order[:count]
        found = fit_weights({name: evidence.predictions[name] for name in names}, evidence.truth, method=way)
        lines["weighted"].append(risk(found.pooled(evidence.test), evidence.test_truth).mean)
        alike = dict.fromkeys(names, 1 / count)
        lines["mean"].append(risk(combined(evidence.test, alike), evidence.test_truth).mean)
    figure = new_figure()
    axes = add_axes(figure, xlabel="members", ylabel=f"test {LOSSES[evidence.loss]}")
    for name, values in lines.items():
        axes.plot(range(1, len(order) + 1), values, marker="o", label=name)
    axes.set_xticks(range(1, len(order) + 1), [f"{i}\n+ {shorten(name, 12)}" for i, name in enumerate(order, 1)])
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(frameon=False)
    caption = "Members are added in the order of their risk on rows that they have not seen, the best first."
    return Figure("size", caption, figure, "Loss by the number of members")


def correlation_figure(evidence: Evidence) -> Figure | None:
    """Draws how much the losses of two members rise and fall together, row by row."""
    order = by_risk(evidence)
    losses = [row_losses(evidence.predictions[name], evidence.truth) for name in order]
    kept = [(name, found) for name, found in zip(order, losses, strict=True) if np.std(found) > 0]
    if len(kept) < 2:
        return None
    names, found = zip(*kept, strict=True)
    table = np.corrcoef(found)
    many = len(names)
    figure = new_figure(min(9.0, 2.6 + 0.8 * many), 1.4 + 0.45 * many)
    axes = add_axes(figure)
    axes.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    axes.grid(visible=False)
    labels = [shorten(name, 14) for name in names]
    axes.set_xticks(range(many), labels, rotation=30 if many > 4 else 0, fontsize=9)
    axes.set_yticks(range(many), labels, fontsize=9)
    if many <= 12:
        for (i, j), value in np.ndenumerate(table):
            color = "white" if abs(value) > 0.6 else "#1c2430"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=9, color=color, gid="keep")
    caption = "The less the losses of two members go together, the more their mean gains over both."
    return Figure("correlation", caption, figure, "Correlation of the members' losses")


def calibration_block(evidence: Evidence, prediction: np.ndarray) -> Figure:
    """Draws the calibration of the ensemble, and of the member that was the best before the test set was seen."""
    best = by_risk(evidence)[:1]
    others = {name: evidence.test[name] for name in best}
    return calibration_figure(prediction, evidence.test_truth, name="the ensemble", others=others)


def calibration_metrics(evidence: Evidence, prediction: np.ndarray) -> dict[str, float]:
    """Returns the calibration error of the ensemble, and of the best member before the test set was seen."""
    found = {"calibration_error": calibration_error(prediction, evidence.test_truth)}
    for name in by_risk(evidence)[:1]:
        found["calibration_error_discrete"] = calibration_error(evidence.test[name], evidence.test_truth)
    return found


def disagreements(
    evidence: Evidence, weights: Weights, prediction: np.ndarray, split: Split, names: Sequence[str]
) -> Block | None:
    """Shows the test rows on which the members with weight differ most: images, or what each predicts."""
    members = [name for name in evidence.members if weights.values[name] > 0]
    if len(members) < 2:
        return None
    found = np.stack([evidence.test[name] for name in members])  # (members, n, classes) or (members, n)
    spread = found.std(0)
    spread = spread.sum(1) if spread.ndim == 2 else spread
    rows = np.argsort(-spread, kind="stable")[:DISAGREEMENTS]
    truth = evidence.test_truth[rows]
    if names and "image" in split.inputs:
        images = list(stored_images(split, rows))
        below = []
        for row, true in zip(rows, truth, strict=True):
            votes = [shorten(names[int(one[row].argmax())], 9) for one in found]
            final = shorten(names[int(prediction[row].argmax())], 9)
            below.append(f"{final}, truly {shorten(names[true], 9)}\n{', '.join(votes[:3])}\n{', '.join(votes[3:6])}")
        figure = image_grid(images, below, columns=6)
        caption = (
            f"The test images on which the members differ most: what the ensemble predicts and the truth, then what "
            f"{', '.join(members[:6])} predict."
        )
        return Figure("disagreements", caption, figure, "Where the members differ most")

    def said(value) -> str:
        return names[int(value.argmax())] + f" {value.max():.2f}" if names else f"{value:.4g}"

    table = []
    for row, true in zip(rows, truth, strict=True):
        votes = [said(one[row]) for one in (prediction, *found)]
        table.append([f"row {row}", names[int(true)] if names else f"{true:.4g}", *votes])
    return Table("Where the members differ most", ["test row", "truth", "ensemble", *members], table)


def score_table(model: keras.Model, split: Split, output: str) -> Table:
    """Lists the metrics of an ensemble and of each of its members that counts, on some rows."""
    truth = truth_of(split, output)
    members = {layer.name: layer for layer in model.layers if isinstance(layer, keras.Model)}
    shares = weights_in(model, output).values.values()
    rows, columns = [], []
    for name, network, share in (("the ensemble", model, None), *zip(members, members.values(), shares, strict=True)):
        # A member is a part of the graph, whose outputs have no names.
        named = network if name == "the ensemble" else keras.Model(network.inputs, {output: network.outputs[0]})
        found = scores(predict_split(named, split, output), truth)
        columns = [*found]
        rows.append([name.removeprefix("member_"), share, *found.values()])
    return Table(f"{len(truth):,} test rows", ["", "weight", *columns], rows, digits=4)


def predictions_table(names: Sequence[str], decoded: Sequence[Mapping[str, float]]) -> Table:
    """Lists rows with their most probable classes, or with their numbers."""
    rows = []
    for name, found in zip(names, decoded, strict=True):
        first = [f"{key} {format_share(value)}" if len(found) > 1 else value for key, value in found.items()][:3]
        rows.append([name, *first])
    width = max(map(len, rows), default=1) - 1
    columns = ["first", "second", "third"][:width] if width > 1 else [next(iter(decoded[0]))]
    return Table("", ["", *columns], rows, digits=3)
