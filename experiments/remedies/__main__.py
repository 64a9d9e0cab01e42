"""Remedies: what is prescribed against over-fitting, under-fitting and vanishing gradients, side by side over seeds.

python -m experiments.remedies compare
python -m experiments.remedies compare --seeds 10 --only l1 l2 dropout
python -m experiments.remedies compare --wrong 0 --noise 0
python -m experiments.remedies compare --data flowers.csv --target species --rows 50
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.runs import Options, Run
from kerasapps.session import start
from kerasapps.settings import ranged, settings_of

from ..shared.cli import main, print_table
from ..shared.training import report, tell
from .data import Pool, Source, load
from .figures import part_figure
from .network import REMEDIES, TROUBLES, Name, Setup
from .results import (
    MEASURES,
    Results,
    change_table,
    changes_of,
    headline_of,
    metrics_of,
    seeds_of,
    slug,
    told,
    zeros_table,
)
from .training import TEST, Outcome, stopped_early, train_or_read


def compare(
    *,
    source: Source = Source(),
    seeds: ranged(int, least=1, most=1000) = 8,
    only: tuple[Name, ...] = (),
    options: Options = Options(),
) -> None:
    """Trains networks in trouble with and without each remedy, with several seeds, and reports what each changed.

    Args:
        source: Which data.
        seeds: Trainings of each network, with the seeds from --seed on.
        only: Remedies to compare; by default all.
        options: Options that every experiment shares.
    """
    if options.strategy != "none":
        raise UserError(f"--strategy {options.strategy} has no effect here: the networks are too small to share.")
    if options.precision == "auto":  # bfloat16 would save little time here, and the small differences are what counts
        options = replace(options, precision="float32")
    # One thread for an operation, as for recurrent networks: waiting for a second one takes longer than the work.
    run = start("Remedies", settings_of(locals()), experiment="remedies", workload="recurrent")
    pool = load(source, options=options)
    tell(pool.notes)
    setups = {title: options.shrunk(setup, epochs=2) for title, setup in setups_of(only or tuple(REMEDIES)).items()}
    results, interrupted = train_setups(run, setups, pool, [options.seed + i for i in range(options.shrink(seeds, 2))])
    summary = (
        f"{seeds_of(results)} seeds, each with {pool.rows} training rows of {source.data}, of which "
        f"{format_share(source.wrong)} have a wrong label, and {pool.noise} columns of noise next to "
        f"{pool.features.shape[1] - pool.noise} others; {len(pool.test[1]):,} test rows."
    )
    write(run, pool, results, summary + " Interrupted: this is what was trained." * interrupted)


def setups_of(names: Sequence[str]) -> dict[str, Setup]:
    """Returns the setups that a comparison of these remedies needs, by title, each after those without it."""
    setups: dict[str, Setup] = {}
    for remedy in (remedy for name, remedy in REMEDIES.items() if name in names):
        setups |= {title: TROUBLES[title] for title in remedy.against} | {remedy.title: remedy.setup}
    return setups


def train_setups(run: Run, setups: Mapping[str, Setup], pool: Pool, seeds: Sequence[int]) -> tuple[Results, bool]:
    """Trains each setup with each seed; returns what was finished, and whether Ctrl-C ended it."""
    results: dict[str, list[Outcome]] = {}
    trained: dict[Setup, list[Outcome]] = {}
    try:
        for title, setup in setups.items():
            whole = replace(setup, patience=None)  # a training that stops early is the beginning of one that does not
            if whole not in trained:
                trained[whole] = train_or_read(run.path("outcomes", f"{slug(title)}.npz"), whole, pool, seeds)
            results[title] = [stopped_early(one, setup.patience) for one in trained[whole]]
            reached = [one.accuracies[one.epoch, TEST] for one in results[title]]
            print(f"{title}: {format_share(sum(reached) / len(seeds))} mean test accuracy", flush=True)
    except KeyboardInterrupt:
        if not any(changes_of(part, results) for part in MEASURES):
            raise
        return results, True
    return results, False


def write(run: Run, pool: Pool, results: Results, summary: str) -> None:
    """Writes the report: of each part curves, table and sentence."""
    blocks, metrics, headline = [], metrics_of(results), []
    for part in MEASURES:
        if changes_of(part, results):
            blocks += [part_figure(part, results), change_table(part, results)]
            print_table(change_table(part, results, most=1))
            print(f"{told(part, results)}\n")
            headline += headline_of(part, results)
            if part == "over-fitting":
                zeros, found = zeros_table(results, noise=pool.noise)
                blocks.append(zeros)
                metrics |= found
    following = {
        "See it with more certainty": "compare --seeds 30",
        "See it where less is wrong with the data": "compare --wrong 0 --noise 0",
    }
    report(run, metrics, blocks, summary=" ".join([summary, *pool.notes]), headline=headline, following=following)


COMMANDS = (compare,)

if __name__ == "__main__":
    main("experiments.remedies", *COMMANDS)
