"""Graphs whose nodes belong to classes, few of which are known: the karate club, a simulated graph, or your own.

A graph is one row: its nodes are the second axis, and weights say which of them have a label to train on.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from kerasapps.data import karate
from kerasapps.data.encodings import read_text
from kerasapps.data.splits import Split, Splits
from kerasapps.data.tables import as_floats, open_table, read_names, read_numbers, shown, some
from kerasapps.data.words import composed
from kerasapps.errors import DataError
from kerasapps.files import regular_file, user_path

GraphName = Literal["karate", "factions", "planted"]
SETS = ("train", "validation", "test")
VALIDATION = 0.2  # of the nodes whose labels are known and not trained on
STEPS = 10  # in an epoch, each over the whole graph
MOST_NODES = 10_000  # whose adjacency is a dense matrix of 400 MB
# The simulated graph: classes, nodes of each, chance of an edge within and between classes, features.
GROUPS, GROUP, WITHIN, BETWEEN, FEATURES = 3, 50, 0.08, 0.02, 16


@dataclass(frozen=True)
class Graph:
    """A graph with labels.

    Args:
        nodes: Names of the nodes.
        edges: Pairs of nodes by number, int (E, 2), without direction.
        labels: Class of each node by number, int32 (n,), -1 where it is not known.
        class_names: Names of the classes.
        features: Float32 (n, F); of a graph that has none, F is n and each node has a feature of its own.
        feature_names: Names of the features; empty for a graph that has none.
        notes: What to know about it, a sentence each.
    """

    nodes: tuple[str, ...]
    edges: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    features: np.ndarray
    feature_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @functools.cached_property
    def inputs(self) -> dict[str, np.ndarray]:
        """Inputs of a network: "features" float32 (1, n, F) and "adjacency" float32 (1, n, n)."""
        adjacency = normalized_adjacency(self.edges, len(self.nodes))
        return {"features": self.features[None], "adjacency": adjacency[None]}


@dataclass(frozen=True)
class GraphCodec:
    """What a saved network does not hold.

    Args:
        class_names: Names of the classes.
        feature_names: Names of the features; empty if each node has one of its own.
        nodes: Names of the nodes where each has a feature of its own; empty otherwise.
    """

    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    nodes: tuple[str, ...]

    def encode(self, graph: Graph) -> dict[str, np.ndarray]:
        """Returns the inputs of a network for a graph.

        Raises:
            DataError: If it has other classes or features than the network knows, or other nodes where it knows nodes
                alone.
        """
        if graph.feature_names != self.feature_names:
            names = ", ".join(self.feature_names) or "none"
            raise DataError(f"The network was trained on a graph with other features: {names}.")
        if not self.feature_names and graph.nodes != self.nodes:
            raise DataError("The network knows the nodes of its own graph alone: that has no features.")
        if graph.class_names != self.class_names:
            raise DataError(f"The network was trained on other classes: {', '.join(self.class_names)}.")
        return graph.inputs

    def outputs(self) -> dict[str, int]:
        """Returns the width of each output."""
        return {"label": len(self.class_names)}

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs."""
        return {name: list(values) for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "GraphCodec":
        """Returns the codec that `to_json` described."""
        return cls(**{name: tuple(content[name]) for name in ("class_names", "feature_names", "nodes")})


@dataclass(frozen=True, kw_only=True)
class GraphSplits(Splits):
    """Splits with the graph.

    Args:
        graph: The graph.
        rows: By set, the numbers of its nodes whose labels belong to it, ascending.
    """

    graph: Graph
    rows: dict[str, np.ndarray]


def normalized_adjacency(edges: np.ndarray, count: int, *, loops: bool = True) -> np.ndarray:
    """Returns D^(-1/2) (A + I) D^(-1/2), float32 (n, n): A holds the edges, D the degrees in A + I.

    Args:
        edges: Pairs of nodes by number, int (E, 2), without direction.
        count: Number of nodes.
        loops: Whether each node is its own neighbor; otherwise it is A alone that is normalized.
    """
    adjacency = loops * np.eye(count, dtype=np.float32)
    adjacency[edges[:, 0], edges[:, 1]] = adjacency[edges[:, 1], edges[:, 0]] = 1
    scale = np.maximum(adjacency.sum(1), 1) ** -0.5  # a node without neighbors stays without
    return adjacency * scale * scale[:, None]


def split_graph(graph: Graph, *, labeled: int = 1, seed: int = 0) -> GraphSplits:
    """Draws which labels are for training, for validation and for the test.

    An epoch is ten steps, each of which sees the whole graph; what it learns from are the labels of the training nodes.

    Args:
        graph: The graph.
        labeled: Nodes of each class to train on.
        seed: Seed of the choice.

    Raises:
        DataError: If a class has no more nodes than are to be trained on, or nothing is left for the test.
    """
    rng, train = np.random.default_rng(seed), []
    for number, name in enumerate(graph.class_names):
        members = np.flatnonzero(graph.labels == number)
        if len(members) <= labeled:
            raise DataError(f"--labeled {labeled}: the class {name} has {len(members)} nodes, and more are needed.")
        train.append(rng.permutation(members)[:labeled])
    train = np.concatenate(train)
    rest = rng.permutation(np.setdiff1d(np.flatnonzero(graph.labels >= 0), train))
    held_out = max(1, round(VALIDATION * len(rest)))
    if held_out == len(rest):
        raise DataError("Too few labels are known: none is left for the test.")
    rows = dict(zip(SETS, (train, rest[:held_out], rest[held_out:]), strict=True))
    rows = {name: np.sort(numbers) for name, numbers in rows.items()}
    given = {name: tf.constant(array) for name, array in graph.inputs.items()}

    def read(inputs):
        """Returns the graph once for each row, which is always the same."""
        return {name: tf.repeat(array, tf.shape(inputs["graph"])[0], 0) for name, array in given.items()}

    def split(name: str, copies: int) -> Split:
        weights = np.zeros(len(graph.nodes), np.float32)
        weights[rows[name]] = 1
        labels, weights = (np.repeat(array[None], copies, 0) for array in (np.maximum(graph.labels, 0), weights))
        return Split({"graph": np.zeros(copies, np.int32)}, {"label": labels}, weights={"label": weights}, read=read)

    return GraphSplits(
        *(split(name, STEPS if name == "train" else 1) for name in SETS),
        sizes={"num_features": graph.features.shape[1], "num_classes": len(graph.class_names)},
        codec=GraphCodec(graph.class_names, graph.feature_names, () if graph.feature_names else graph.nodes),
        notes=graph.notes,
        graph=graph,
        rows=rows,
    )


def load_graph(data: GraphName = "karate", *, seed: int = 0) -> Graph:
    """Returns an embedded graph: the karate club with its communities or factions, or a simulated one with features."""
    if data == "planted":
        return plant_graph(seed=seed)
    groups = {"karate": karate.COMMUNITIES, "factions": karate.FACTIONS}[data]
    classes = {member: i for i, members in enumerate(groups.values()) for member in members}
    edges = np.array([(a - 1, b - 1) for a, others in karate.MET.items() for b in others])
    labels = np.array([classes[member] for member in karate.MEMBERS], np.int32)
    return Graph(
        tuple(map(str, karate.MEMBERS)), edges, labels, tuple(groups), np.eye(len(karate.MEMBERS), dtype=np.float32)
    )


def plant_graph(*, seed: int) -> Graph:
    """Draws a graph with groups whose nodes have more edges and weakly similar features (a stochastic block model)."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(GROUPS, dtype=np.int32), GROUP)
    chances = np.where(labels[:, None] == labels, WITHIN, BETWEEN)
    edges = np.argwhere(np.triu(rng.random(chances.shape) < chances, 1))
    centers = rng.normal(size=(GROUPS, FEATURES))
    features = (0.5 * centers[labels] + rng.normal(size=(len(labels), FEATURES))).astype(np.float32)
    nodes = tuple(f"node{i}" for i in range(len(labels)))
    classes = tuple(f"group {i}" for i in range(1, GROUPS + 1))
    return Graph(nodes, edges, labels, classes, features, tuple(f"feature{i}" for i in range(FEATURES)))


# --- your own


def read_graph(edges: Path, nodes: Path, *, node: str, label: str, features: Sequence[str] = ()) -> Graph:
    """Reads a graph from a list of edges and a table of nodes.

    Args:
        edges: A text file with an edge a line: two names of nodes, separated by a comma, a semicolon, a tab or blanks.
        nodes: A CSV, JSON or Parquet file with a row a node.
        node: Its column with the names of the nodes.
        label: Its column with their classes, empty where they are not known.
        features: Its columns with numbers that describe them, which are scaled; without any, each node is only itself.

    Raises:
        DataError: If a file cannot be read, a node has no row or two, or fewer than two classes are known.
    """
    table = open_table(str(nodes), embedded=f"{', '.join(GraphName.__args__)}, which --data takes,")
    columns = table.columns([node, label, *features])
    names = read_names(columns[node]).values
    if names.null_count() or names.n_unique() < len(names):
        twice = names.filter(names.is_duplicated())
        what = f"{shown(twice[0])} twice" if len(twice) and twice[0] is not None else "a row without a name"
        raise DataError(f"{nodes}: the column {node} must name each node once. Received: {what}.")
    if len(names) > MOST_NODES:
        raise DataError(f"{nodes}: {len(names):,} nodes are more than the {MOST_NODES:,} that fit into memory.")
    classes = read_names(columns[label]).values
    known = tuple(sorted(classes.drop_nulls().unique().to_list()))
    if len(known) < 2:
        raise DataError(
            f"{nodes}: the column {label} must hold at least two classes. Received: {some(known) or 'none'}."
        )
    numbers = {name: i for i, name in enumerate(known)}
    every = tuple(names.to_list())
    found, notes = read_edges(user_path(str(edges)), every)
    described = np.eye(len(every), dtype=np.float32)
    if features:
        read = [read_numbers(columns[name], table=table, rows=np.arange(len(every))) for name in features]
        described = np.stack([as_floats(one) for one in read], 1)
        for name, values in zip(features, described.T, strict=True):
            if np.isnan(values).all():
                raise DataError(f"{nodes}: the column {name} holds no number.")
        described = standardized(described)
    labels = np.array([numbers.get(one, -1) for one in classes.to_list()], np.int32)
    said = f"{len(every):,} nodes, {len(found):,} edges, {(labels >= 0).sum():,} labels: {some(known)}."
    return Graph(every, found, labels, known, described, tuple(features), (*table.notes, *notes, said))


def standardized(features: np.ndarray) -> np.ndarray:
    """Scales features over all nodes to mean 0 and deviation 1; what is missing becomes 0.

    The network sees the features of all nodes in training, so those of the test nodes may count as well.
    """
    mean, deviation = np.nanmean(features, 0), np.nanstd(features, 0)
    return np.nan_to_num((features - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)


def read_edges(path: Path, nodes: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads edges between nodes by name, each once; returns them by number, int (E, 2), and what to know about them.

    Blank lines, and those that begin with # or %, are none. So is a first line that names columns.

    Raises:
        DataError: If a line has not two names, or a name is not that of a node.
    """
    regular_file(path)
    text, notes = read_text(path)
    numbers, pairs, loops = {name: i for i, name in enumerate(nodes)}, set(), 0
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), start=1)]
    lines = [(i, line) for i, line in lines if line and line[0] not in "#%"]
    for position, (i, line) in enumerate(lines):
        separator = next((one for one in (",", ";", "\t") if one in line), None)
        pair = [composed(name.strip().strip('"')) for name in line.split(separator)][:2]
        if len(pair) < 2:
            raise DataError(f"{path}, line {i}: an edge needs two names. Received: {shown(line)}.")
        unknown = [name for name in pair if name not in numbers]
        if unknown and (position or len(unknown) < 2):
            raise DataError(f"{path}, line {i}: --nodes has no node {shown(unknown[0])}.")
        if not unknown:
            a, b = sorted(numbers[name] for name in pair)
            loops += a == b
            pairs |= {(a, b)} if a != b else set()
    if not pairs:
        raise DataError(f"{path} holds no edge between two nodes.")
    said = (f"Edges from a node to itself are left out: {loops:,}.",) if loops else ()
    return np.array(sorted(pairs)), (*notes, *said)
