"""What the copy task measures: wrong bits by length, next to an LSTM, and where its heads attend."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasapps.applications.neural_turing_machine import addressing_of
from kerasapps.data.copying import beyond, draw_copies
from kerasapps.formats import format_share
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure
from kerasapps.training import History

from ..shared.runs import outputs_of
from ..shared.training import Trained
from .network import TRIES, Source, errors_by_length

SOLVED = 0.99  # share of the bits of a length
FARTHEST = 3  # times the longest training sequence: how long sequences are tried
NAMES = {"turing": "Turing machine", "lstm": "LSTM"}
Errors = Mapping[int, np.ndarray]  # by length, wrong bits of each sequence


def evaluate_networks(
    networks: Mapping[str, Trained], source: Source, *, seed: int
) -> tuple[dict[str, float], Table, list[Block]]:
    """Returns metrics, a table by length and what the report shows, of the machine and perhaps an LSTM."""
    models = {arch: one.model for arch, one in networks.items()}
    lengths = range(1, FARTHEST * source.longest + 1)
    errors = {arch: errors_by_length(model, lengths, bits=source.bits, seed=seed) for arch, model in models.items()}
    metrics = copy_metrics(errors, bits=source.bits, longest=source.longest)
    shown = [source.longest, beyond(source.longest), 2 * source.longest]
    table = length_table(errors, bits=source.bits, lengths=[*shown, FARTHEST * source.longest])
    blocks = [
        loss_figure({arch: one.history for arch, one in networks.items()}, rows=len(networks["turing"].splits.train)),
        table,
        length_figure(errors, bits=source.bits, longest=source.longest),
        copies_figure(models, bits=source.bits, lengths=shown, seed=seed),
        heads_figure(models["turing"], bits=source.bits, length=shown[1], seed=seed),
    ]
    return metrics, table, blocks


def test_metrics(model: keras.Model, source: Source, *, seed: int) -> tuple[dict[str, float], list[Block]]:
    """Returns metrics and a table of the machine alone."""
    lengths = range(1, beyond(source.longest) + 1)
    errors = {"turing": errors_by_length(model, lengths, bits=source.bits, seed=seed)}
    table = length_table(errors, bits=source.bits, lengths=[source.longest, beyond(source.longest)])
    return copy_metrics(errors, bits=source.bits, longest=source.longest), [table]


def shares_right(errors: Errors, *, bits: int) -> dict[int, float]:
    """Returns by length the share of bits that are right."""
    return {length: 1 - float(wrong.mean()) / (length * bits) for length, wrong in errors.items()}


def copy_metrics(errors: Mapping[str, Errors], *, bits: int, longest: int) -> dict[str, float]:
    """Returns the metrics of the lengths between training and one and a half times as long, the first network's plain.

    Args:
        errors: By network, the machine first, wrong bits by length.
        bits: Bits of a step.
        longest: Steps of the longest training sequence.
    """
    unseen = range(longest + 1, beyond(longest) + 1)
    metrics = {"accuracy_guess": 0.5, "test_rows": len(unseen) * TRIES}
    for (_, found), end in zip(errors.items(), ("", "_baseline"), strict=False):
        wrong = [found[length] for length in unseen]
        right = shares_right(found, bits=bits)
        failed = [length for length, share in right.items() if share < SOLVED]
        metrics |= {
            f"accuracy{end}": 1 - sum(one.sum() for one in wrong) / (bits * TRIES * sum(unseen)),
            f"sequence_accuracy{end}": float(np.mean([one == 0 for one in wrong])),
            f"trained_accuracy{end}": float(np.mean([right[length] for length in range(1, longest + 1)])),
            f"solved_length{end}": min(failed, default=max(found) + 1) - 1,
        }
    return metrics


def length_table(errors: Mapping[str, Errors], *, bits: int, lengths: Sequence[int]) -> Table:
    """Returns the wrong bits of a sequence, and how many sequences have none, at some lengths."""
    names = [NAMES[arch] for arch in errors]
    columns = ["steps", "bits", *(f"wrong, {name}" for name in names), *(f"no error, {name}" for name in names)]
    rows = []
    for length in lengths:
        wrong = [found[length] for found in errors.values()]
        whole = [format_share(float((one == 0).mean())) for one in wrong]
        rows.append([str(length), str(length * bits), *(float(one.mean()) for one in wrong), *whole])
    caption = f"Means over {TRIES} new sequences of each length. Guessing gets half of the bits wrong."
    return Table("Copies by length", columns, rows, caption, digits=2)


def length_figure(errors: Mapping[str, Errors], *, bits: int, longest: int) -> Figure:
    """Draws the wrong bits of a sequence over its length."""
    figure = new_figure(width=6.0)  # no wider: a phone shows it whole
    axes = add_axes(figure, xlabel="steps of the sequence", ylabel="wrong bits of a copy")
    lengths = np.array(list(next(iter(errors.values()))))
    axes.axvspan(0.5, longest + 0.5, color="#9aa1ab", alpha=0.15, linewidth=0)
    axes.plot(lengths, lengths * bits / 2, color="#9aa1ab", linestyle=":", label="guessing")
    for arch, found in errors.items():
        axes.plot(lengths, [one.mean() for one in found.values()], marker=".", label=NAMES[arch])
    axes.set_xlim(0.5, lengths.max() + 0.5)
    axes.legend(frameon=False)
    caption = (
        f"Trained on the gray lengths, up to {longest} steps. Where copying is learned, longer sequences have few more "
        "mistakes. An LSTM has its state alone to remember with, which is soon full."
    )
    return Figure("lengths", caption, figure, "Longer than in training")


def loss_figure(histories: Mapping[str, History], *, rows: int) -> Figure:
    """Draws the validation loss of the networks over the training sequences that they have seen."""
    figure = new_figure(width=6.0)  # no wider: a phone shows it whole
    axes = add_axes(figure, xlabel="training sequences", ylabel="nats a bit", yscale="log")
    for arch, history in histories.items():
        losses = [row["val_loss"] for row in history.rows]
        axes.plot(rows * np.arange(1, len(losses) + 1), losses, label=NAMES[arch])
    axes.axhline(np.log(2), color="#9aa1ab", linestyle=":", label="guessing")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(frameon=False)
    caption = (
        "Cross-entropy of the validation set. Where the machine learns, it is near guessing until it has found where "
        "to write and where to read; then its loss falls steeply. Spikes are steps after which the heads attend "
        "elsewhere for a while."
    )
    return Figure("learning", caption, figure, "How they learn")


def copies_figure(models: Mapping[str, keras.Model], *, bits: int, lengths: Sequence[int], seed: int) -> Figure:
    """Shows what is to be written and what each network writes, for a sequence of each length."""
    figure = new_figure(9.0, 1.5 * (len(models) + 1))
    for column, length in enumerate(lengths, start=1):
        drawn = draw_copies([length], bits=bits, rng=np.random.default_rng([seed, 2, length]))
        copies = {"to copy": drawn.targets["bits"]}
        copies |= {NAMES[arch]: outputs_of(model, drawn.inputs)["bits"] for arch, model in models.items()}
        for row, (name, copy) in enumerate(copies.items()):
            title = f"{length} steps" if row == 0 else ""
            axes = add_axes(figure, len(copies), len(lengths), row * len(lengths) + column, title=title)
            show_bits(axes, copy[0, length + 1 :])
            if column == 1:
                axes.set_ylabel(name)
    caption = "One column a step, one row a bit; light is 0, dark is 1, and what is between is uncertain."
    return Figure("copies", caption, figure, "Copies")


def heads_figure(model: keras.Model, *, bits: int, length: int, seed: int) -> Figure:
    """Shows input and output of the machine over time, and where its heads attend."""
    drawn = draw_copies([length], bits=bits, rng=np.random.default_rng([seed, 2, length]))
    weights = outputs_of(addressing_of(model), drawn.inputs)
    panels = {
        "input": drawn.inputs["sequence"],
        "output": outputs_of(model, drawn.inputs)["bits"] * (np.arange(2 * length + 1) > length)[:, None],
        "slot, write head": weights["write"],
        "slot, read head": weights["read"],
    }
    figure = new_figure(9.0, 8.0)
    grid = figure.add_gridspec(4, 1, height_ratios=[1, 1, 2, 2])
    for i, (name, values) in enumerate(panels.items()):
        axes = add_axes(figure, grid[i], ylabel=name)
        show_bits(axes, values[0])
        if i >= 2:
            axes.set_yticks([0, values.shape[-1] - 1])
    axes.set_xlabel("step")
    axes.set_xticks(range(0, 2 * length + 1, 5))
    caption = (
        f"A sequence of {length} steps: read, the delimiter (the last row of the input), then written. The darker a "
        "slot, the more of it is written or read. Where copying is learned there are two diagonals: each step goes to "
        "a slot of its own, and the read head visits them in the same order."
    )
    return Figure("heads", caption, figure, "Where the heads attend")


def show_bits(axes, values: np.ndarray) -> None:
    """Shows numbers in [0, 1], (T, rows), with time to the right."""
    axes.imshow(values.T, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
