"""Logic gates: neurons whose weights are set by hand, and XOR, for which one neuron is not enough."""

import itertools
from collections.abc import Sequence

import keras
import numpy as np

from kerasapps.applications.classic import build_perceptron
from kerasapps.reports import INK, Figure, Table, add_axes, new_figure

from .lines import COLORS
from .rules import Neuron, is_separable

INPUTS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)], np.float32)
AND, NAND = Neuron(np.array([1.0, 1.0]), -1.5), Neuron(np.array([-1.0, -1.0]), 1.5)
OR = Neuron(np.array([1.0, 1.0]), -0.5)
GATES = {
    "AND": AND,
    "OR: larger weights": Neuron(np.array([2.0, 2.0]), -1.5),
    "OR: bias nearer to 0": OR,
    "bias farther from 0": Neuron(np.array([1.0, 1.0]), -2.5),
    "NOT x1": Neuron(np.array([-1.0, 0.0]), 0.5),
    "NAND": NAND,
}
NAMES = {
    (0, 0, 0, 0): "never", (0, 0, 0, 1): "AND", (0, 0, 1, 1): "x1", (0, 1, 0, 1): "x2", (0, 1, 1, 0): "XOR",
    (0, 1, 1, 1): "OR", (1, 0, 0, 0): "NOR", (1, 0, 0, 1): "XNOR", (1, 0, 1, 0): "NOT x2", (1, 1, 0, 0): "NOT x1",
    (1, 1, 1, 0): "NAND", (1, 1, 1, 1): "always", (0, 0, 1, 0): "x1 AND NOT x2", (0, 1, 0, 0): "x2 AND NOT x1",
    (1, 0, 1, 1): "x1 OR NOT x2", (1, 1, 0, 1): "x2 OR NOT x1",
}  # fmt: skip
LIMITS = (-0.6, 1.6)  # of a map


def gate(*layers: Sequence[Neuron], name: str = "gate") -> keras.Model:
    """Returns neurons with these weights, layer by layer, as a network of two inputs whose activation is the step."""
    *hidden, _ = map(len, layers)
    model = build_perceptron(features=2, num_classes=2, dense_units=hidden, activation="step", output="step", name=name)
    weights = [(np.stack([one.weights for one in layer], 1), np.array([one.bias for one in layer])) for layer in layers]
    model.set_weights([array for pair in weights for array in pair])
    return model


def xor() -> keras.Model:
    """Returns XOR: what is in OR and in NAND."""
    return gate([OR, NAND], [AND], name="xor")


def outputs_of(model: keras.Model, points: np.ndarray = INPUTS) -> tuple[int, ...]:
    """Returns what a network makes of points (n, 2), 0 or 1 each."""
    return tuple(keras.ops.convert_to_numpy(model({"features": points})["label"])[:, 0].astype(int).tolist())


def one_neuron_can() -> set[tuple[int, ...]]:
    """Returns those of the 16 functions of two inputs that some line separates, of which all 16 are tried."""
    return {one for one in itertools.product((0, 1), repeat=4) if is_separable(INPUTS, np.array(one))}


def best_of_one_neuron(function: Sequence[int], possible: set[tuple[int, ...]]) -> int:
    """Returns for how many of the four inputs the best neuron is right."""
    return max(sum(a == b for a, b in zip(function, one, strict=True)) for one in possible)


# --- what the report shows


def gate_blocks() -> list[Figure | Table]:
    """Returns the gates, XOR and what one neuron can do, as figures and tables."""
    networks = {name: gate([neuron]) for name, neuron in GATES.items()} | {"XOR: two layers": xor()}
    possible = one_neuron_can()
    return [gates_figure(networks), gates_table(networks), xor_figure(), functions_table(possible)]


def gates_figure(networks: dict[str, keras.Model]) -> Figure:
    """Draws where each network is 1, and its four inputs."""
    axis = np.linspace(*LIMITS, 110, dtype=np.float32)  # none of its places lies on a line
    cells = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    shown = [name for name in networks if not name.startswith("bias")]
    figure = new_figure(9.0, 6.2)
    for i, name in enumerate(shown, start=1):
        axes = add_axes(figure, 2, 3, i, title=name, xlabel="x1", ylabel="x2")
        color_background(axes, axis, np.array(outputs_of(networks[name], cells)).reshape(len(axis), -1))
        four(axes, outputs_of(networks[name]))
    caption = (
        "Points are the four inputs, blue where the network is 1; the background shows its output elsewhere. One "
        "neuron is 1 on one side of a line, w1 x1 + w2 x2 + b = 0. For XOR the two blue points lie across from each "
        "other: no line has them alone on one side, and two layers have two lines."
    )
    return Figure("gates", caption, figure, "Logic gates", wraps=True)


def color_background(axes, axis: np.ndarray, values: np.ndarray) -> None:
    """Colors the background by outputs 0 and 1, (n, n), at the places of `axis` (n,)."""
    axes.contourf(axis, axis, values, levels=[-0.5, 0.5, 1.5], colors=[f"{color}30" for color in COLORS])
    axes.grid(visible=False)


def four(axes, outputs: Sequence[int], points: np.ndarray = INPUTS) -> None:
    """Draws the inputs in the colors of their outputs."""
    axes.scatter(*points.T, s=70, color=[COLORS[one] for one in outputs], zorder=3)
    axes.set(xlim=LIMITS, ylim=LIMITS, aspect="equal", xticks=[0, 1], yticks=[0, 1])


def gates_table(networks: dict[str, keras.Model]) -> Table:
    """Lists weights and outputs."""
    rows = []
    for name, model in networks.items():
        neuron = GATES.get(name)
        weights = [None] * 3 if neuron is None else [f"{one:g}" for one in (*neuron.weights, neuron.bias)]
        rows.append([name, *weights, *map(str, outputs_of(model))])
    caption = (
        "A neuron is 1 if w1 x1 + w2 x2 + b is at least 0. From AND to OR either both weights grow, or the bias comes "
        "nearer to 0: the course notes call that lower, and mean its size. A bias of -2.5 is lower too, and then no "
        "input is enough. Two layers: AND of OR and NAND."
    )
    columns = ["gate", "w1", "w2", "b", *(f"{a:g}, {b:g}" for a, b in INPUTS)]
    return Table("The weights of the gates, and what they make of the four inputs", columns, rows, caption)


def xor_figure() -> Figure:
    """Draws the two layers of XOR: the inputs with the lines of both hidden neurons, and what they make of them."""
    hidden = np.stack([outputs_of(gate([one])) for one in (OR, NAND)], 1)
    panels = (
        ("first layer: OR and NAND", ("x1", "x2"), INPUTS, {"OR": (OR, "#3a9169"), "NAND": (NAND, "#7a5ea8")}),
        ("second layer: AND of them", ("OR", "NAND"), hidden, {"AND": (AND, INK)}),
    )
    figure, ends = new_figure(7.0, 3.4), np.array(LIMITS)
    for i, (title, (x, y), points, neurons) in enumerate(panels, start=1):
        axes = add_axes(figure, 1, 2, i, title=title, xlabel=x, ylabel=y)
        for name, (neuron, color) in neurons.items():
            axes.plot(ends, -(neuron.weights[0] * ends + neuron.bias) / neuron.weights[1], color=color, label=name)
        axes.legend(frameon=False, loc="lower left", fontsize=9)
        four(axes, (0, 1, 1, 0), points)
    caption = (
        "The first layer moves the points: both inputs of XOR that are 1 (blue) come to lie at 1, 1, and one line is "
        "enough for the second layer."
    )
    return Figure("xor", caption, figure, "XOR: two lines, then one", wraps=True)


def functions_table(possible: set[tuple[int, ...]]) -> Table:
    """Lists all functions of two inputs and how many of the four cases the best neuron gets right."""
    every = sorted(itertools.product((0, 1), repeat=4), key=lambda one: (one in possible, one))
    rows = [[NAMES[one], *map(str, one), best_of_one_neuron(one, possible)] for one in every]
    caption = (
        f"For each of the 16 a linear program looks for a line that separates its ones from its zeros, and finds one "
        f"for {len(possible)}. For XOR and its opposite there is none: the best neuron is right on three of four."
    )
    columns = ["function", *(f"{a:g}, {b:g}" for a, b in INPUTS), "right with one neuron"]
    return Table("What one neuron can do: all functions of two inputs", columns, rows, caption)
