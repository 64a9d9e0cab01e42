"""What each remedy changed, by how much and how sure that is: tables, sentences and metrics."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasapps.reports import Table

from ..shared.comparing import Interval, mean_interval, with_range
from .network import REMEDIES, Part
from .training import TEST, TRAIN, Outcome

Results = Mapping[str, Sequence[Outcome]]  # title of a setup to the outcome of each seed


@dataclass(frozen=True)
class Measure:
    """What is measured of a training.

    Args:
        name: What it is called in metrics.
        title: What it is called in the report.
        of: Its value.
        sign: 1 where more of it is better, else -1.
        digits: After the point.
    """

    name: str
    title: str
    of: Callable[[Outcome], float]
    sign: int
    digits: int = 3


def at_end(table: str, which: int) -> Callable[[Outcome], float]:
    """Returns a function to what was measured on a set in the epoch that is kept."""
    return lambda outcome: float(getattr(outcome, table)[outcome.epoch, which])


def percent(of: Callable[[Outcome], float]) -> Callable[[Outcome], float]:
    """Returns a function to a share in percent."""
    return lambda outcome: 100 * of(outcome)


def first_gradient(outcome: Outcome) -> float:
    """Returns the logarithm to base 10 of the norm of the gradient at the first layer before the training."""
    return float(np.log10(max(outcome.norms[0], np.finfo(np.float32).tiny)))


TEST_LOSS = Measure("test_loss", "test loss", at_end("losses", TEST), -1)
TRAINING_LOSS = Measure("training_loss", "training loss", at_end("losses", TRAIN), -1)
TEST_ACCURACY = Measure("test_accuracy", "accuracy, %", percent(at_end("accuracies", TEST)), 1, digits=1)
GRADIENT = Measure("first_gradient", "log10 of the first gradient", first_gradient, 1, digits=1)
MEASURES: Mapping[Part, Sequence[Measure]] = {  # the first says whether a remedy helped
    "over-fitting": (TEST_LOSS, TEST_ACCURACY),
    "under-fitting": (TRAINING_LOSS, TEST_ACCURACY),
    "vanishing gradients": (TRAINING_LOSS, GRADIENT, TEST_ACCURACY),
}


@dataclass(frozen=True)
class Change:
    """What a remedy changed, over the seeds.

    Args:
        name: Of the remedy, as --only has it.
        against: Title of the setup without it.
        intervals: Mean of the paired differences and its interval, by the name of the measure.
    """

    name: str
    against: str
    intervals: Mapping[str, Interval]

    def helped(self, measure: Measure) -> bool | None:
        """Tells whether it made a measure better; None where the seeds do not tell."""
        found = self.intervals[measure.name]
        if found.low is None or found.low <= 0 <= found.high:
            return None
        return found.mean * measure.sign > 0


def changes_of(part: Part, results: Results) -> list[Change]:
    """Compares each remedy with the same seeds without it."""
    found = []
    for name, remedy in REMEDIES.items():
        for against in remedy.against:
            if remedy.part == part and {remedy.title, against} <= results.keys():
                pairs = list(zip(results[remedy.title], results[against], strict=True))
                intervals = {
                    measure.name: mean_interval([measure.of(one) - measure.of(other) for one, other in pairs])
                    for measure in MEASURES[part]
                }
                found.append(Change(name, against, intervals))
    return found


def change_table(part: Part, results: Results, *, most: int = 3) -> Table:
    """Returns a row a setup: what it reached, and what a remedy changed, in at most so many measures."""
    measures, changes = MEASURES[part][:most], changes_of(part, results)
    columns = ["", "against", *(column for one in measures for column in (one.title, "change"))]
    rows: list[list] = []
    for title in troubles_of(changes):
        rows.append([title, None, *(cell for one in measures for cell in (mean_of(one, results[title]), None))])
    for change in changes:
        row = [REMEDIES[change.name].title, change.against]
        for one in measures:
            row += [mean_of(one, results[row[0]]), written(change.intervals[one.name], one.digits)]
        rows.append(row)
    steps = [round(np.mean([one.steps for one in results[row[0]]])) for row in rows]
    if len(set(steps)) > 1:
        columns, rows = [*columns, "steps"], [[*row, count] for row, count in zip(rows, steps, strict=True)]
    caption = (
        f"Means over {seeds_of(results)} seeds at the epoch that is kept; the accuracy is that of the test set. A "
        "change is the mean of the paired differences from the same seeds without the remedy, with its 95 % interval "
        "by Student's t: for other training sets and initial weights, on this test set, each change by itself."
    )
    return Table(f"{part[:1].upper()}{part[1:]}: what each remedy changed", columns, rows, caption)


def troubles_of(changes: Sequence[Change]) -> list[str]:
    """Returns the titles of the networks without a remedy, but for those that are a remedy themselves."""
    remedies = {REMEDIES[change.name].title for change in changes}
    return [title for title in dict.fromkeys(change.against for change in changes) if title not in remedies]


def mean_of(measure: Measure, outcomes: Sequence[Outcome]) -> str:
    """Returns the mean over the seeds, written."""
    return f"{np.mean([measure.of(one) for one in outcomes]):.{measure.digits}f}"


def written(interval: Interval, digits: int) -> str:
    """Returns a change with its interval: "-0.41 (-0.53 to -0.29)"."""
    text = f"{interval.mean:+.{digits}f}"
    return text if interval.low is None else f"{text} ({interval.low:+.{digits}f} to {interval.high:+.{digits}f})"


def told(part: Part, results: Results) -> str:
    """Returns in sentences where the trouble is, and which remedies helped, which did harm, and which is not known."""
    measure, changes = MEASURES[part][0], changes_of(part, results)
    sentences = [trouble(title, results[title], gradient=GRADIENT in MEASURES[part]) for title in troubles_of(changes)]
    better, worse = ("lower", "higher") if measure.sign < 0 else ("higher", "lower")
    ways = {True: better, False: worse, None: f"no change that {seeds_of(results)} seeds can tell from chance"}
    clauses = []
    for helped, way in ways.items():
        found = [change for change in changes if change.helped(measure) is helped]
        found.sort(key=lambda change: -abs(change.intervals[measure.name].mean))
        if found:
            clauses.append(f"{way} with {listed([named(change, measure, helped) for change in found])}")
    return " ".join([*sentences, f"{measure.title[:1].upper()}{measure.title[1:]}: {'; '.join(clauses)}."])


def trouble(title: str, outcomes: Sequence[Outcome], *, gradient: bool) -> str:
    """Returns in a sentence how a network without a remedy ends, and how large its gradients were when it began."""
    training, test = (np.mean([measure.of(one) for one in outcomes]) for measure in (TRAINING_LOSS, TEST_LOSS))
    text = f"“{title}” ends with a training loss of {training:#.2g} and a test loss of {test:#.2g}"
    diverged = sum(one.diverged for one in outcomes)
    if diverged:
        text += f", as {diverged} of {len(outcomes)} trainings diverged (NaN weights)"
    if gradient:
        first, last = (np.median([one.norms[i] for one in outcomes]) for i in (0, -1))
        text += f"; its gradient begins with a norm of {first:.0e} at the first layer and {last:.0e} at the last"
    return f"{text}."


def named(change: Change, measure: Measure, helped: bool | None) -> str:
    """Returns a remedy with what it changed, where that is no chance, and against what, where there are several."""
    remedy, notes = REMEDIES[change.name], []
    if helped is not None:
        notes.append(f"{change.intervals[measure.name].mean:+.{measure.digits}f}")
    if len(remedy.against) > 1:
        notes.append(f"against {change.against}")
    return f"{remedy.title} ({' '.join(notes)})" if notes else remedy.title


def seeds_of(results: Results) -> int:
    """Returns the number of seeds."""
    return len(next(iter(results.values())))


def headline_of(part: Part, results: Results) -> list[str]:
    """Returns the accuracies without and with the remedy that changed the first measure the most for the better."""
    measure = MEASURES[part][0]
    best = max(changes_of(part, results), key=lambda one: measure.sign * one.intervals[measure.name].mean)
    return [f"accuracy_{slug(best.against)}", f"accuracy_{best.name}"]


def listed(names: Sequence[str]) -> str:
    """Returns "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def metrics_of(results: Results) -> dict[str, float]:
    """Returns accuracies with their range over the seeds, and each change with its interval."""
    names = {remedy.title: name for name, remedy in REMEDIES.items()}
    metrics: dict[str, float] = {}
    for title, outcomes in results.items():
        values = [at_end("accuracies", TEST)(one) for one in outcomes]
        metrics |= with_range(f"accuracy_{names.get(title, slug(title))}", float(np.mean(values)), values)
    for part in MEASURES:
        for change in changes_of(part, results):
            for measure, interval in change.intervals.items():
                name = f"change_{change.name}_against_{slug(change.against)}_{measure}"
                metrics[name] = interval.mean
                if interval.low is not None:
                    metrics |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return metrics


def slug(title: str) -> str:
    """Returns a title as part of a metric's name."""
    return "_".join(title.replace(",", "").lower().split())


def zeros_of(kernel: np.ndarray, *, noise: int) -> dict[str, float]:
    """Counts what is exactly 0 in the weights of the first layer, (F, units).

    Args:
        kernel: The weights.
        noise: Columns of noise, which are the last.
    """
    parts = {"": kernel[: len(kernel) - noise], "noise_": kernel[len(kernel) - noise :]}
    counts = {"length": float(np.linalg.norm(kernel))}
    for name, part in parts.items():
        counts[f"{name}zero_share"] = float((part == 0).mean()) if part.size else 0.0
        counts[f"{name}columns_off"] = float((part == 0).all(1).sum())  # a column without a weight has no effect
    return counts


def zeros_table(results: Results, *, noise: int) -> tuple[Table | None, dict[str, float]]:
    """Compares the first layers of a network with L1, L2 and neither, and returns the numbers as metrics."""
    rows, metrics = [], {}
    for title in ("no remedy", "L1", "L2"):
        if title in results:
            found = [zeros_of(one.kernel, noise=noise) for one in results[title]]
            means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
            metrics |= {f"{name}_{slug(title)}": value for name, value in means.items()}
            shares = [f"{100 * means[f'{name}zero_share']:.1f}" for name in ("", "noise_")]
            off = [f"{means[f'{name}columns_off']:.1f}" for name in ("", "noise_")]
            rows.append([title, shares[0], off[0], shares[1], off[1], f"{means['length']:.1f}"])
    known = len(results["no remedy"][0].kernel) - noise
    columns = ["", "weights at 0, %", f"columns off, of {known}"]
    columns += ["noise: weights at 0, %", f"noise: columns off, of {noise}", "length"]
    caption = (
        "The first layer after the training, means over the seeds. L1 is a soft threshold after each step, by which a "
        "weight can be at exactly 0; a column is off where all its weights are. Length: root of the sum of squares."
    )
    return (Table("What L1 selects", columns, rows, caption) if len(rows) > 1 else None), metrics
