"""The network of the graph experiment: which graph, how it is built and trained, and what it has to beat."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

from kerasapps import distribution
from kerasapps.applications.graph_convolution import build_graph_convolution, embedding_of
from kerasapps.data.graphs import (
    Graph,
    GraphCodec,
    GraphName,
    GraphSplits,
    load_graph,
    normalized_adjacency,
    read_graph,
    split_graph,
)
from kerasapps.errors import UserError
from kerasapps.optimizers import Adam
from kerasapps.runs import Options, Run
from kerasapps.settings import Count, Positive, from_settings

from ..shared import training
from ..shared.params import build
from ..shared.runs import SavedRun, outputs_of
from ..shared.training import Trained, tell

CODEC = GraphCodec
SHOWN = (0, 1, 2, 4, 8)  # epochs whose embeddings are kept, and the last one
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of a node's score that comes from its neighbors in label propagation


@dataclass(frozen=True)
class Source:
    """Which graph.

    Args:
        data: "karate" (Zachary's karate club with four communities), "factions" (the same with the two sides of its
            quarrel), or "planted" (150 simulated nodes with features).
        edges: Your own graph in place of it: a text file with two names of nodes a line.
        nodes: Its nodes: a CSV, JSON or Parquet file with a row a node.
        node: Column of --nodes with the names.
        label: Column of --nodes with the classes, empty where they are not known.
        features: Columns of --nodes with numbers that describe them.
        labeled: Nodes of each class whose labels are trained on.
    """

    data: GraphName = "karate"
    edges: Path | None = None
    nodes: Path | None = None
    node: str = "node"
    label: str = "label"
    features: tuple[str, ...] = ()
    labeled: Count = 1

    @property
    def name(self) -> str:
        """What the graph is called."""
        return self.data if self.edges is None else self.edges.name


@dataclass(frozen=True)
class Recipe:
    """How the network is trained.

    Args:
        epochs: Epochs of ten steps, each of which sees the whole graph.
        learning_rate: Learning rate of Adam.
    """

    epochs: Count = 20
    learning_rate: Positive = 0.01


def load(source: Source, *, seed: int) -> Graph:
    """Loads the graph.

    Raises:
        UserError: If one of --edges and --nodes is given without the other.
    """
    if (source.edges is None) != (source.nodes is None):
        raise UserError("Give both --edges and --nodes, or neither.")
    if source.edges is None:
        return load_graph(source.data, seed=seed)
    columns = {"node": source.node, "label": source.label, "features": source.features}
    return read_graph(source.edges, source.nodes, **columns)


def split(source: Source, *, options: Options) -> GraphSplits:
    """Loads the graph and draws which of its labels are for training, as the options say."""
    graph = load(source, seed=options.seed)
    return split_graph(graph, labeled=source.labeled, seed=options.seed)


def graph_of(saved: SavedRun) -> Graph:
    """Loads the graph that a run was trained on."""
    return load(from_settings(Source, saved.settings), seed=from_settings(Options, saved.settings).seed)


def train_one(
    run: Run,
    *,
    source: Source,
    params: dict[str, Any],
    recipe: Recipe,
    patience: int | None = None,
    snapshots: "Snapshots | None" = None,
) -> Trained:
    """Trains one network in a run folder.

    Raises:
        UserError: If several devices are to share it: every node needs its neighbors.
    """
    if distribution.is_distributed(run.strategy):
        raise UserError("--strategy: a graph is one row, which several devices cannot share.")
    splits = split(source, options=run.options)
    tell(splits.notes)
    network = partial(make_model, sizes=splits.sizes, params=params)
    watching = () if snapshots is None else (snapshots,)
    return training.train(run, splits, network, recipe, batch_size=1, patience=patience, callbacks=watching)


def make_model(
    *, sizes: dict[str, Any], params: dict[str, Any], recipe: Recipe, steps: int = 0, jit_compile: bool = False
) -> keras.Model:
    """Builds and compiles.

    Args:
        sizes: Arguments of the builder that the data give.
        params: Further arguments of the builder.
        recipe: How it is trained.
        steps: Steps of the whole training, over which the learning rate does not change.
        jit_compile: Whether XLA compiles the step.
    """
    model = build(build_graph_convolution, params, what="this network", given=sizes)
    # Deviation: the paper also adds 5e-4 times the squared weights of the first layer to the loss.
    model.compile(
        Adam(recipe.learning_rate),
        {"label": keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")},
        weighted_metrics={"label": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model


class Snapshots(keras.callbacks.Callback):
    """Keeps what the network makes of the nodes after some epochs, for the report: those since a resume."""

    def __init__(self, inputs: dict[str, np.ndarray]):
        super().__init__()
        self.inputs = inputs
        self.embeddings: dict[int, np.ndarray] = {}  # by epoch, (n, units)

    def keep(self, epoch: int) -> None:
        """Keeps the embeddings of the nodes."""
        self.embeddings[epoch] = outputs_of(embedding_of(self.model), self.inputs)["embedding"][0]

    def on_train_begin(self, logs=None):
        """Keeps those of the weights as drawn, unless the training was resumed."""
        if not int(self.model.optimizer.iterations):
            self.keep(0)

    def on_epoch_end(self, epoch, logs=None):
        """Keeps those of the epochs that are shown, and of the last."""
        if epoch + 1 in SHOWN or epoch + 1 == self.params["epochs"]:
            self.keep(epoch + 1)


# --- baselines


def propagate_labels(splits: GraphSplits) -> np.ndarray:
    """Returns scores of the classes by the graph alone, (n, classes): labels spread along edges until they settle.

    F = (I - a S)^-1 Y with the training labels Y and the normalized adjacency S; the validation labels choose a, as
    they choose the epoch of the network.

    Reference: Zhou et al., "Learning with Local and Global Consistency", NeurIPS 2003.
    """
    graph, rows = splits.graph, splits.rows["train"]
    count = len(graph.nodes)
    known = np.zeros((count, len(graph.class_names)))
    known[rows, graph.labels[rows]] = 1
    spread = normalized_adjacency(graph.edges, count, loops=False)
    found = [np.linalg.solve(np.eye(count) - share * spread, known) for share in SHARES]
    held_out = splits.rows["validation"]
    return max(found, key=lambda scores: (scores[held_out].argmax(-1) == graph.labels[held_out]).mean())


def classify_features(splits: GraphSplits) -> np.ndarray:
    """Returns probabilities of the classes by the features alone, (n, classes): a logistic regression."""
    graph, rows = splits.graph, splits.rows["train"]
    model = LogisticRegression(max_iter=1_000).fit(graph.features[rows], graph.labels[rows])
    return model.predict_proba(graph.features)
