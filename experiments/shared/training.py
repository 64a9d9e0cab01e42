"""What every `train` does: open the run, train in the strategy's scope, report."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kerasapps import distribution, training
from kerasapps.data.splits import Splits
from kerasapps.networks import Network
from kerasapps.reports import Block, Command, Table, curves
from kerasapps.runs import Run
from kerasapps.training import History

from .cli import print_table
from .runs import write_codec


@dataclass(frozen=True)
class Trained:
    """A network after its training, and the data that it was trained on."""

    model: keras.Model
    history: History
    splits: Splits


def train(
    run: Run,
    splits: Splits,
    make_model: Callable[..., keras.Model],
    recipe: Any,
    *,
    batch_size: int | None = None,
    prepare: Callable[[Splits, keras.Model], Splits] | None = None,
    monitor: str = "val_loss",
    maximize: bool = False,
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Trains one network in a run folder and saves it, with the codec of the data if they have one.

    Args:
        run: The run folder.
        splits: The data.
        make_model: Called in the strategy's scope as `make_model(recipe=..., steps=..., jit_compile=...)`; `steps` are
            those of the whole training, over which a learning rate changes. Returns a compiled model.
        recipe: How it is trained, with `epochs` over the training set and `batch_size` rows in a step.
        batch_size: Rows in a step, if not the recipe's.
        prepare: Returns the data as this network takes them, such as padded to its shortest text.
        monitor: Metric that decides which epoch is best.
        maximize: Whether high values of it are good.
        patience: Stop after so many epochs without a better one; never by default.
        callbacks: Further callbacks without state of their own.
    """
    if splits.codec is not None:
        write_codec(run, splits.codec)
    batch_size, distributed = batch_size or recipe.batch_size, distribution.is_distributed(run.strategy)
    steps = recipe.epochs * splits.train.steps(batch_size, drop_remainder=distributed)
    with run.strategy.scope():
        model = make_model(recipe=recipe, steps=steps, jit_compile=run.jit_compile)
    warn_of_other_epochs(run, model, recipe.epochs)
    if prepare is not None:
        splits = prepare(splits, model)
    history = training.fit(
        model,
        splits,
        run,
        epochs=recipe.epochs,
        batch_size=batch_size,
        monitor=monitor,
        maximize=maximize,
        patience=patience,
        callbacks=callbacks,
    )
    if history.interrupted:
        print("Interrupted: the best epoch so far is evaluated and saved.", flush=True)
    return Trained(model, history, splits)


def warn_of_other_epochs(run: Run, model: keras.Model, epochs: int) -> None:
    """Warns if a resumed run has another number of epochs, over which its learning rate changes."""
    before = (run.resumed or {}).get("epochs") or epochs  # None: as many as suit the network
    schedules = keras.optimizers.schedules.LearningRateSchedule
    if before != epochs and isinstance(getattr(model.optimizer, "_learning_rate", None), schedules):
        print(
            f"The run was started with --epochs {before}: its learning rate continues as if --epochs {epochs} had been "
            "planned, so the epochs before ran at a different rate.",
            flush=True,
        )


def tell(notes: Sequence[str]) -> None:
    """Prints what a person should know about the data."""
    for note in notes:
        print(note, flush=True)


def finish(
    run: Run,
    trained: Trained,
    metrics: Mapping[str, float],
    blocks: Sequence[Block | None],
    *,
    summary: str,
    headline: Sequence[str],
    table: Table | None = None,
    conclusion: str = "",
    interrupted: bool | None = None,
    draw_curves: bool = True,
    networks: Mapping[str, keras.Model] | None = None,
    following: Mapping[str, str] | None = None,
) -> None:
    """Writes metrics and report, and prints how it went.

    Args:
        run: The run folder.
        trained: The network, its history and its data.
        metrics: Name to number; time, epochs and parameters are added.
        blocks: Sections of the report after the learning curves, None for one that there is none of.
        summary: One or two sentences for the head of the report; notes on the data follow.
        headline: Names of the metrics to show large, those that there are.
        table: What to print.
        conclusion: A sentence to print last.
        interrupted: Whether Ctrl-C ended it, where the history alone does not say.
        draw_curves: Whether to draw training and validation metrics over the epochs.
        networks: Whose layers to list, by title; the trained one by default.
        following: As for `report`.
    """
    history = trained.history
    sets = {name: getattr(trained.splits, name) for name in ("train", "validation", "test")}
    metrics = {
        "seconds": history.seconds,
        "epochs": len(history.rows),
        "parameters": trained.model.count_params(),
        **{f"{name}_rows": len(split) for name, split in sets.items() if split is not None},
        **metrics,
    }
    if history.interrupted if interrupted is None else interrupted:
        summary += f" Interrupted: the weights are those of epoch {history.best_epoch}."
    sections = [
        curves(history.rows, best_epoch=history.best_epoch) if draw_curves and history.rows else None,
        *blocks,
        *(Network(title, model) for title, model in (networks or {"Network": trained.model}).items()),
    ]
    report(
        run,
        metrics,
        sections,
        summary=" ".join([summary, *trained.splits.notes]),
        headline=headline,
        table=table,
        conclusion=conclusion,
        following=following,
    )


def report(
    run: Run,
    metrics: Mapping[str, float],
    blocks: Sequence[Block | None],
    *,
    summary: str,
    headline: Sequence[str],
    table: Table | None = None,
    conclusion: str = "",
    following: Mapping[str, str] | None = None,
) -> None:
    """Writes metrics and report of anything that ran, and prints table, conclusion, and where the report is.

    `following` are commands of the experiment that may come next: what each is for, to the command with its options, in
    which RUN stands for the run folder.
    """
    run.finish(
        dict(metrics),
        summary=summary,
        headline=[name for name in headline if name in metrics],
        blocks=[block for block in blocks if block is not None],
        commands=next_commands(run, following or {}),
    )
    if table is not None:
        print_table(table)
    print(f"{conclusion}\nReport: {run.folder / 'report.html'}".strip())


def next_commands(run: Run, following: Mapping[str, str]) -> list[Command]:
    """Returns what a person may type after a run, started as the run was: `following`, and how to continue it."""
    begun, folder = shlex.split(run.config["command"]), str(run.folder)
    # "python -m experiments.qa train ..." or "kerasapps qa train ..."; a test's own command is neither.
    count = 3 if begun[1:2] == ["-m"] else 2
    if run.config["experiment"] not in {begun[count - 1], begun[count - 1].rpartition(".")[2]}:
        begun, count = ["python", "-m", f"experiments.{run.config['experiment']}"], 3
    program = shlex.join(begun[:count])
    # Once: a text of the data may have the word as well.
    lines = [
        Command(what, f"{program} {line.replace('RUN', shlex.quote(folder), 1)}") for what, line in following.items()
    ]
    if len(begun) > count:
        options = [one for one in begun[count:] if one != "--resume" and not one.startswith("--out=")]
        if "--out" in options:
            del options[options.index("--out") : options.index("--out") + 2]
        resumed = shlex.join([*begun[:count], *options, "--resume", "--out", folder])
        lines.append(Command("Resume it after an interruption", resumed))
    return lines


def settings_for(run: Run, **changes: Any) -> dict[str, Any]:
    """Returns the settings of a run, its precision as measured, for networks that separate processes train."""
    return run.config["settings"] | {"precision": run.config["precision"], "resume": True} | changes
