"""Graphs: the karate club as published, adjacency by hand, which labels are known, and your own files."""

import numpy as np
import polars  # noqa: F401 - sets a variable of the environment when it is first imported
import pytest

from kerasapps.applications.graph_convolution import build_graph_convolution
from kerasapps.data.graphs import GraphCodec, load_graph, normalized_adjacency, read_edges, read_graph, split_graph
from kerasapps.errors import DataError

NODES = "node,team,age,size\na,x,30,1\nb,x,,2\nc,y,50,3\nd,y,40,4\ne,,20,5\n"


def modularity(graph) -> float:
    adjacency = np.zeros((len(graph.nodes),) * 2)
    adjacency[tuple(graph.edges.T)] = 1
    adjacency += adjacency.T
    degrees, edges = adjacency.sum(1), adjacency.sum()
    same = graph.labels[:, None] == graph.labels
    return ((adjacency - np.outer(degrees, degrees) / edges) * same).sum() / edges


def test_the_karate_club_is_as_published():
    graph = load_graph("karate")
    degrees = np.bincount(graph.edges.ravel())
    assert (len(graph.nodes), len(graph.edges)) == (34, 78)
    assert (degrees[0], degrees[33], degrees[11]) == (16, 17, 1)
    assert modularity(graph) == pytest.approx(0.4198, abs=1e-4)  # no other partition has more
    assert np.bincount(load_graph("factions").labels).tolist() == [17, 17]


def test_the_adjacency_of_three_nodes_by_hand():
    # a - b - c: with themselves they have 2, 3 and 2 neighbors.
    adjacency = normalized_adjacency(np.array([(0, 1), (1, 2)]), 3)
    six = 6**-0.5
    np.testing.assert_allclose(adjacency, [[1 / 2, six, 0], [six, 1 / 3, six], [0, six, 1 / 2]], rtol=1e-6)


def test_layers_multiply_by_the_adjacency():
    graph = load_graph("planted")
    model = build_graph_convolution(num_features=16, num_classes=3)
    first, second = model.get_weights()
    spread = normalized_adjacency(graph.edges, len(graph.nodes))
    scores = spread @ np.maximum(spread @ graph.features @ first, 0) @ second
    expected = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    np.testing.assert_allclose(model(graph.inputs)["label"][0], expected, rtol=1e-4)


def test_a_label_belongs_to_one_set():
    splits = split_graph(load_graph("karate"), labeled=2, seed=1)
    numbers = np.concatenate(list(splits.rows.values()))
    assert sorted(numbers) == list(range(34))
    assert np.bincount(splits.graph.labels[splits.rows["train"]]).tolist() == [2, 2, 2, 2]
    for name, rows in splits.rows.items():
        inputs, targets, weights = next(iter(getattr(splits, name).batches(1)))
        assert np.flatnonzero(weights["label"][0]).tolist() == rows.tolist()
        np.testing.assert_array_equal(targets["label"][0], splits.graph.labels)
        np.testing.assert_array_equal(inputs["adjacency"], splits.graph.inputs["adjacency"])
    assert len(splits.train) == 10  # steps
    assert (split_graph(splits.graph, labeled=2, seed=2).rows["train"] != splits.rows["train"]).any()


# --- your own


@pytest.fixture
def files(tmp_path):
    """A graph of five nodes, one of which has no label."""
    edges, nodes = tmp_path / "edges.txt", tmp_path / "nodes.csv"
    nodes.write_text(NODES)
    edges.write_text("# who knows whom\nfrom,to\na,b\nb,a\nc,c\n\nd,e,2.5\n")
    return edges, nodes


def test_a_graph_is_read(files):
    graph = read_graph(*files, node="node", label="team", features=("age", "size"))
    assert (graph.nodes, graph.class_names) == (("a", "b", "c", "d", "e"), ("x", "y"))
    assert graph.edges.tolist() == [[0, 1], [3, 4]]
    assert graph.labels.tolist() == [0, 0, 1, 1, -1]
    np.testing.assert_allclose(graph.features.mean(0), 0, atol=1e-6)
    assert graph.features[1, 0] == 0  # an age that is missing is the mean
    assert "Edges from a node to itself are left out: 1." in graph.notes
    assert read_graph(*files, node="node", label="team").features.tolist() == np.eye(5).tolist()


@pytest.mark.parametrize("text", ["a b\nb c", "a\tb\nb\tc", "a;b\nb;c", '"a","b"\n"b","c"\n', "% SNAP\na b 1\nb c 1"])
def test_edges_in_any_usual_form(tmp_path, text):
    path = tmp_path / "edges"
    path.write_text(text)
    assert read_edges(path, ("a", "b", "c"))[0].tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("edges", "nodes", "message"),
    [
        ("a,b\na,z\n", NODES, "line 2: --nodes has no node 'z'"),
        ("a,b\nc\n", NODES, "line 2: an edge needs two names"),
        ("", NODES, "holds no edge"),
        ("a,b\n", NODES + "a,x,1,1\n", "must name each node once. Received: 'a' twice"),
        ("a,b\n", NODES.replace("team", "club"), "has no column team"),
        ("a,b\n", NODES.replace(",y", ",x"), "at least two classes. Received: x"),
        ("a,b\n", NODES.replace("50", "old"), "age is not a number in every row"),
    ],
)
def test_a_graph_that_is_refused(tmp_path, edges, nodes, message):
    paths = tmp_path / "edges.txt", tmp_path / "nodes.csv"
    for path, text in zip(paths, (edges, nodes), strict=True):
        path.write_text(text)
    with pytest.raises(DataError) as refused:
        read_graph(*paths, node="node", label="team", features=("age",))
    assert message in str(refused.value)


def test_too_few_labels(files):
    graph = read_graph(*files, node="node", label="team")
    with pytest.raises(DataError, match="--labeled 2: the class x has 2 nodes, and more are needed"):
        split_graph(graph, labeled=2)


def test_the_codec_comes_back_and_knows_its_graph(files):
    graph = load_graph("factions")
    codec = split_graph(graph).codec
    assert GraphCodec.from_json(codec.to_json()) == codec
    assert codec.encode(graph)["features"].shape == (1, 34, 34)
    with pytest.raises(DataError, match="knows the nodes of its own graph alone"):
        codec.encode(read_graph(*files, node="node", label="team"))
    with pytest.raises(DataError, match="other features: none"):
        codec.encode(load_graph("planted"))
    with pytest.raises(DataError, match="trained on other classes: instructor, officer"):
        codec.encode(load_graph("karate"))


def test_names_of_edges_are_composed_as_those_of_nodes(tmp_path):
    (tmp_path / "nodes.csv").write_text("node,team\nJose\u0301,x\nb,y\n")
    (tmp_path / "edges.txt").write_text("Jose\u0301 b\n")
    assert read_graph(tmp_path / "edges.txt", tmp_path / "nodes.csv", node="node", label="team").edges.tolist() == [
        [0, 1]
    ]


def test_features_without_a_number_are_refused(tmp_path):
    (tmp_path / "nodes.csv").write_text("node,team,age\na,x,inf\nb,y,\n")
    (tmp_path / "edges.txt").write_text("a b\n")
    with pytest.raises(DataError, match="column age holds no number"):
        read_graph(tmp_path / "edges.txt", tmp_path / "nodes.csv", node="node", label="team", features=("age",))
