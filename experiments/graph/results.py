"""What the graph experiment measures: test accuracy next to the graph alone and the features alone, and as figures."""

from collections.abc import Mapping

import numpy as np

from kerasapps.data.graphs import Graph, GraphSplits
from kerasapps.formats import format_share
from kerasapps.reports import INK, KEEP, Block, Figure, Table, add_axes, new_figure, plain

from ..shared.classification import class_table, classification_metrics, confusion_figure, likeliest
from .network import Snapshots, classify_features, propagate_labels

NETWORK, PROPAGATION, REGRESSION = "graph convolution", "label propagation", "logistic regression"
LARGEST = "largest class"
COLORS = ("#2563a8", "#d9822b", "#3a9169", "#b5485d", "#7a5ea8", "#6b7280", "#b59f3b", "#4aa3b5", "#c56fb0", "#8a5a3b")
MOST_DRAWN = 400  # nodes; more would be a ball
NAMED = 60  # nodes up to which their names are drawn
ROUNDS = 300  # of the layout


def accuracies(splits: GraphSplits, probabilities: np.ndarray) -> dict[str, float]:
    """Returns the test accuracy of the network and of what it has to beat."""
    graph, rows = splits.graph, splits.rows["test"]
    truth = graph.labels[rows]
    known = graph.labels[graph.labels >= 0]
    found = {NETWORK: probabilities, PROPAGATION: propagate_labels(splits), REGRESSION: classify_features(splits)}
    result = {name: float((scores[rows].argmax(-1) == truth).mean()) for name, scores in found.items()}
    return result | {LARGEST: float((truth == np.bincount(known).argmax()).mean())}


def test_metrics(splits: GraphSplits, probabilities: np.ndarray) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test nodes, and a table of the network next to what it has to beat.

    Args:
        splits: The graph, and which nodes are for the test.
        probabilities: Of all nodes, (n, classes).
    """
    reached = accuracies(splits, probabilities)
    rows = splits.rows["test"]
    metrics = classification_metrics(probabilities[rows], splits.graph.labels[rows])
    metrics |= {"accuracy_guess": reached[LARGEST], "label_propagation_accuracy": reached[PROPAGATION]}
    metrics |= {"features_accuracy": reached[REGRESSION]}
    metrics |= {f"{name}_rows": len(numbers) for name, numbers in splits.rows.items()}
    return metrics, accuracy_table(reached, splits)


def accuracy_table(reached: Mapping[str, float], splits: GraphSplits) -> Table:
    """Returns one row a method."""
    sees = {NETWORK: "edges and features", PROPAGATION: "edges", REGRESSION: "features", LARGEST: "neither"}
    cells = [[name, sees[name], format_share(share)] for name, share in reached.items()]
    sizes = {name: len(rows) for name, rows in splits.rows.items()}
    caption = (
        f"Accuracy on {sizes['test']} nodes. All learn from the labels of {sizes['train']} nodes; those of "
        f"{sizes['validation']} choose the epoch of the network and how far label propagation spreads."
    )
    if not splits.graph.feature_names:
        caption += " These nodes have no features but their names, from which nothing follows for other nodes."
    return Table("Test nodes", ["", "sees", "accuracy"], cells, caption)


def result_blocks(splits: GraphSplits, probabilities: np.ndarray, snapshots: Snapshots) -> list[Block | None]:
    """Returns what the report shows."""
    graph, rows = splits.graph, splits.rows["test"]
    truth, names = graph.labels[rows], graph.class_names
    return [
        graph_figure(splits, probabilities.argmax(-1)) if len(graph.nodes) <= MOST_DRAWN else None,
        embedding_figure(splits, snapshots.embeddings) if snapshots.embeddings else None,
        confusion_figure(probabilities[rows], truth, names, unit="nodes"),
        class_table(probabilities[rows], truth, names, unit="nodes"),
    ]


def predictions_table(graph: Graph, probabilities: np.ndarray, numbers: list[int]) -> Table:
    """Returns the likeliest class of some nodes next to the true one."""
    rows = []
    for i in numbers:
        name, probability = likeliest(probabilities[i], graph.class_names, 1)[0]
        truth = graph.class_names[graph.labels[i]] if graph.labels[i] >= 0 else "not known"
        rows.append([graph.nodes[i], name, format_share(probability), truth])
    return Table("Predictions", ["node", "predicted", "probability", "true"], rows)


def graph_figure(splits: GraphSplits, predicted: np.ndarray) -> Figure:
    """Draws the graph twice, its nodes colored by their true and by their predicted class."""
    graph, places = splits.graph, layout(splits.graph)
    wrong = (graph.labels >= 0) & (graph.labels != predicted)
    wrong[splits.rows["train"]] = False
    figure = new_figure(width=9.0, height=4.6)
    for i, (title, classes) in enumerate({"true": graph.labels, "predicted": predicted}.items(), start=1):
        axes = add_axes(figure, 1, 2, i, title=title)
        axes.set_axis_off()
        axes.set_aspect("equal")
        lines = places[graph.edges]  # (E, 2, 2)
        axes.plot(lines[..., 0].T, lines[..., 1].T, color="#9aa1ab", linewidth=0.6, alpha=0.6, zorder=1)
        draw_nodes(axes, places, classes, splits, rings=wrong if title == "predicted" else None)
        if i == 1:
            for number, name in enumerate(graph.class_names[: len(COLORS)]):
                axes.scatter([], [], color=COLORS[number], label=plain(name))
            axes.legend(frameon=False, loc="upper left", fontsize=8, borderaxespad=0)
    caption = (
        f"Squares are the {len(splits.rows['train'])} nodes whose labels the network was given. A ring marks a wrong "
        f"prediction: {wrong.sum()} of {(graph.labels >= 0).sum() - len(splits.rows['train'])} others."
    )
    return Figure("graph", caption, figure, "The graph", wraps=True)


def draw_nodes(axes, places: np.ndarray, classes: np.ndarray, splits: GraphSplits, *, rings=None, size: int = 130):
    """Draws nodes in the colors of their classes, gray where there is none, the training nodes as squares."""
    count = len(places)
    named = count <= NAMED and size > 50
    size = size if count <= NAMED else size // 4
    colors = np.array([*COLORS, "#c3c8cf"])[np.where(classes < 0, -1, classes % len(COLORS))]
    given = np.isin(np.arange(count), splits.rows["train"])
    for marker, inside in (("o", ~given), ("s", given)):
        axes.scatter(*places[inside].T, s=size, c=colors[inside], marker=marker, linewidths=0, zorder=2, gid=KEEP)
    if rings is not None and rings.any():
        axes.scatter(*places[rings].T, s=2.2 * size, facecolors="none", edgecolors=INK, linewidths=1.4, zorder=3)
    for place, name in zip(places, splits.graph.nodes, strict=True) if named else ():
        style = {"ha": "center", "va": "center", "fontsize": 6.5, "color": "white", "gid": KEEP, "zorder": 4}
        axes.text(*place, plain(name), **style)


def embedding_figure(splits: GraphSplits, embeddings: Mapping[int, np.ndarray]) -> Figure:
    """Draws the embeddings of the nodes after some epochs, all in the plane in which the last ones differ most."""
    last = list(embeddings.values())[-1]
    plane = np.linalg.svd(last - last.mean(0), full_matrices=False)[2][:2].T  # (units, 2)
    columns = 3
    figure = new_figure(width=9.0, height=3.0 * -(-len(embeddings) // columns))
    for i, (epoch, values) in enumerate(embeddings.items(), start=1):
        title = "as drawn" if epoch == 0 else f"epoch {epoch}"
        axes = add_axes(figure, -(-len(embeddings) // columns), columns, i, title=title)
        axes.set(xticks=[], yticks=[])
        places = (values - values.mean(0)) @ plane
        draw_nodes(axes, np.pad(places, [(0, 0), (0, 2 - places.shape[1])]), splits.graph.labels, splits, size=40)
    caption = (
        "Hidden features of the nodes in two dimensions, colored by the true class; squares are the nodes whose labels "
        "the network was given. Before the first step they show what mixing neighbors does without any training."
    )
    return Figure("embeddings", caption, figure, "Embeddings while it learns", wraps=True)


def layout(graph: Graph, *, seed: int = 0) -> np.ndarray:
    """Returns places of the nodes in the plane, (n, 2): all push each other away, edges pull their ends together.

    Reference: Fruchterman and Reingold, "Graph Drawing by Force-Directed Placement", 1991.
    """
    count = len(graph.nodes)
    places = np.random.default_rng(seed).normal(size=(count, 2))
    ends = np.concatenate([graph.edges, graph.edges[:, ::-1]])
    best = count**-0.5  # distance at which a pair of neighbors rests
    for step in np.linspace(0.1, 0.002, ROUNDS):
        away = places[:, None] - places  # (n, n, 2)
        distances = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-3)
        force = (away * (best / distances) ** 2).sum(1)
        pull = places[ends[:, 1]] - places[ends[:, 0]]
        np.add.at(force, ends[:, 0], pull * np.linalg.norm(pull, axis=-1, keepdims=True) / best)
        force -= places  # keeps parts without an edge between them in the figure
        length = np.maximum(np.linalg.norm(force, axis=-1, keepdims=True), 1e-9)
        places += force / length * np.minimum(length, step)
    return places
