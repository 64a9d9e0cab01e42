"""The perceptron experiment as a person runs it, and its neurons, rules and losses by hand."""

from pathlib import Path

import keras
import numpy as np
import polars  # noqa: F401 - sets a variable of the environment when it is first imported
import pytest

from experiments.perceptron import __main__ as experiment
from experiments.perceptron.gates import (
    GATES,
    INPUTS,
    best_of_one_neuron,
    functions_table,
    gate,
    one_neuron_can,
    outputs_of,
    xor,
)
from experiments.perceptron.lines import boundary
from experiments.perceptron.network import Recipe, make_model
from experiments.perceptron.rules import (
    GRADIENT,
    PERCEPTRON,
    UNSCALED,
    Neuron,
    cross_entropy,
    cross_entropy_of_scores,
    is_separable,
    learn,
    log_softmax,
    sigmoid,
    softmax,
    two_scores,
)
from experiments.shared import trying
from kerasapps.data.points import PointCodec, load_points
from kerasapps.errors import UserError
from tests.experiments.commands import commands, read

run, refused = commands("experiments.perceptron", experiment.train, experiment.evaluate, experiment.predict)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """One neuron that has learned who is accepted."""
    folder = tmp_path_factory.mktemp("runs") / "admissions"
    run("train", "--epochs", 6, "--out", folder)
    return folder


def test_train_draws_the_line(trained):
    metrics = read(trained, "metrics.json")
    assert metrics["accuracy"] > 0.9  # half by guessing
    assert metrics["separable"] == 1
    assert metrics["mistakes_of_perceptron_rule"] == 0
    assert metrics["mistakes_of_gradient_descent"] < 5 < 50 < metrics["mistakes_without_the_factor_x"]
    names = {file.name for file in (trained / "figures").iterdir()}
    assert names >= {"perceptron_rule.gif", "gradient_descent.gif", "probability.png", "gates.png", "xor.png"}
    html = (trained / "report.html").read_text()
    for shown in ("without the factor x", "Cross-entropy by hand", "softmax of 0 and z", "all functions of two inputs"):
        assert shown in html


def test_evaluate_and_predict(trained, capsys):
    run("evaluate", "--run", trained)
    assert f"cross-entropy {read(trained, 'metrics.json')['loss']:.3f}." in capsys.readouterr().out
    run("predict", "--run", trained, "--numbers", 9.5, 9)
    assert capsys.readouterr().out.startswith("accepted: ")
    run("predict", "--run", trained, "--numbers", 1, 2)
    assert capsys.readouterr().out.startswith("rejected: ")
    said = refused(capsys, "predict", "--run", trained, "--numbers", 3)
    assert said == "--numbers takes 2 numbers: test, grades. Received: 3"
    said = refused(capsys, "predict", "--run", trained, "--numbers", 3, "nan")
    assert said == "--numbers must be finite. Received: nan"


def test_a_network_can_be_tried_on_the_page(trained):
    asked = {"run": str(trained), "values": None}
    assert [field["label"] for field in trying.respond(asked)["fields"]] == ["test", "grades"]
    told = trying.respond(asked | {"values": {"number0": "9.5", "number1": "9"}})
    assert "accepted" in told["sections"][0]["html"]
    assert " ".join(told["command"]).endswith("--numbers 9.5 9")
    with pytest.raises(UserError, match=r"a number in each field\. Received: 9, good"):
        trying.respond(asked | {"values": {"number0": "9", "number1": "good"}})


def test_a_table_of_your_own_a_plane_and_a_hidden_layer(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = [f"{a:.2f};{b:.2f};{c:.2f};{'yes' if a > b else 'no'}" for a, b, c in rng.normal(size=(60, 3))]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["a;b;c;right", *lines]))
    layers = '{"dense_units": [3], "activation": "tanh"}'
    options = ("--data", file, "--target", "right", "--params", layers)
    run("train", *options, "--epochs", 2, "--batch-size", 8, "--out", tmp_path / "run")
    metrics = read(tmp_path / "run", "metrics.json")
    assert metrics["parameters"] == 4 * 3 + 4
    assert "Logic gates" not in (tmp_path / "run" / "report.html").read_text()  # they are not about these data
    assert "The plane moves" in (tmp_path / "run" / "report.html").read_text()
    run("predict", "--run", tmp_path / "run", "--numbers", 1, -1, 0)
    assert "yes: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "nowhere.csv"), "nowhere.csv is neither admissions nor a file"),
        (("--numbers", "test", "size"), "--numbers takes two or all of test, grades, rank, each once."),
        (("--overlap", 1), "--overlap must be in [0, 1)."),
        (("--params", '{"output": "step"}'), "--params: a network of points does not take output; it takes activation"),
        (("--params", '{"image_shape": [8, 8, 1]}'), "does not take image_shape"),
        (("--epochs", 0), "--epochs must be at least 1."),
    ],
)
def test_train_refuses(tmp_path, capsys, options, message):
    assert message in refused(capsys, "train", *options, "--out", tmp_path / "run")


# --- gates


def test_gates_by_hand():
    found = {name: outputs_of(gate([neuron])) for name, neuron in GATES.items()}
    assert found == {
        "AND": (0, 0, 0, 1),
        "OR: larger weights": (0, 1, 1, 1),
        "OR: bias nearer to 0": (0, 1, 1, 1),
        "bias farther from 0": (0, 0, 0, 0),
        "NOT x1": (1, 1, 0, 0),
        "NAND": (1, 1, 1, 0),
    }


def test_xor_takes_two_layers():
    assert outputs_of(xor()) == (0, 1, 1, 0)
    possible = one_neuron_can()
    assert len(possible) == 14
    assert best_of_one_neuron((0, 1, 1, 0), possible) == 3
    # Without the linear program: weights of all signs and sizes, and no bias gives all four.
    weights = np.random.default_rng(0).normal(size=(20_000, 3)) * [1, 1, 2]
    found = {tuple(row) for row in (INPUTS @ weights[:, :2].T + weights[:, 2] >= 0).T.astype(int).tolist()}
    assert found == possible
    assert [row[0] for row in functions_table(possible).rows if row[-1] < 4] == ["XOR", "XNOR"]


# --- probabilities and losses


def test_sigmoid_and_softmax_by_hand():
    assert sigmoid(0.0) == pytest.approx(0.5)
    assert sigmoid(np.log(3)) == pytest.approx(0.75)  # 3 / (1 + 3)
    np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [0.125, 0.25, 0.625])
    scores = np.array([-800.0, -2.0, 0.5, 800.0])
    np.testing.assert_allclose(softmax(two_scores(scores))[:, 1], sigmoid(scores))


def test_cross_entropy_by_hand():
    # 1 with 0.8, 1 with 0.5, 0 with 0.9: the probabilities of what happened are 0.8, 0.5 and 0.1.
    losses = cross_entropy(np.array([0.8, 0.5, 0.9]), np.array([1, 1, 0]))
    np.testing.assert_allclose(losses, [0.22314355, 0.69314718, 2.30258509])
    assert losses.sum() == pytest.approx(-np.log(0.8 * 0.5 * 0.1))
    # Keras' mean over the three.
    expected = keras.losses.BinaryCrossentropy()(np.array([[1], [1], [0]]), np.array([[0.8], [0.5], [0.9]]))
    assert losses.mean() == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_from_scores_is_log_softmax_and_negative_log_likelihood():
    scores, labels = np.log([[1.0, 2.0, 5.0], [6.0, 2.0, 2.0]]), np.array([2, 1])
    np.testing.assert_allclose(log_softmax(scores), np.log([[0.125, 0.25, 0.625], [0.6, 0.2, 0.2]]))
    losses = cross_entropy_of_scores(scores, labels)
    np.testing.assert_allclose(losses, [0.47000363, 1.60943791])  # -ln 0.625, -ln 0.2
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    np.testing.assert_allclose(losses, keras_loss(labels, scores.astype(np.float32)), rtol=1e-5)
    # Where the probability has been rounded to 0 or 1, only the scores still know.
    assert cross_entropy(sigmoid(np.array([800.0])), np.array([0])) == [np.inf]
    assert cross_entropy_of_scores(np.array([[0.0, 800.0]]), np.array([0])) == [800.0]


# --- rules


def test_one_step_of_each_rule_by_hand():
    neuron, point = Neuron(np.array([1.0, -2.0]), 0.5), np.array([2.0, 3.0])  # score -3.5
    moved = PERCEPTRON.apply(neuron, point, 1, rate=0.1)
    np.testing.assert_allclose([*moved.weights, moved.bias], [1.2, -1.7, 0.6])
    moved = UNSCALED.apply(neuron, point, 1, rate=0.1)
    np.testing.assert_allclose([*moved.weights, moved.bias], [1.1, -1.9, 0.6])
    right = PERCEPTRON.apply(neuron, point, 0, rate=0.1)  # it is classified correctly
    np.testing.assert_array_equal([*right.weights, right.bias], [1.0, -2.0, 0.5])
    error = 0.1 * (1 - 1 / (1 + np.exp(3.5)))
    moved = GRADIENT.apply(neuron, point, 1, rate=0.1)
    np.testing.assert_allclose([*moved.weights, moved.bias], [1 + 2 * error, -2 + 3 * error, 0.5 + error])


def test_gradient_descent_by_hand_is_that_of_keras():
    splits = load_points()
    points, labels = splits.train.inputs["features"][:10], splits.train.targets["label"][:10]
    model = make_model(sizes=splits.sizes, params={}, recipe=Recipe(learning_rate=0.3), jit_compile=False)
    kernel, bias = model.get_weights()
    neuron = Neuron(kernel[:, 0].astype(float), float(bias[0]))
    for point, label in zip(points, labels, strict=True):
        neuron = GRADIENT.apply(neuron, point, label[0], rate=0.3)
    model.fit(points, labels, batch_size=1, epochs=1, shuffle=False, verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose([*kernel[:, 0], *bias], [*neuron.weights, neuron.bias], rtol=1e-4)


def test_the_perceptron_rule_ends_and_that_without_the_factor_cannot():
    # It adds the same to both weights: the difference of these two scores stays, and so does their order.
    points, labels = np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, 0.0])
    ends = []
    for seed in range(20):
        start = learn(points, labels, UNSCALED, rate=0.1, epochs=200, seed=seed)
        first = start.path[0].scores(points)
        ends.append(start.mistakes[-1] == 0)
        assert ends[-1] <= bool(first[0] > first[1])
        right = learn(points, labels, PERCEPTRON, rate=0.1, epochs=200, seed=seed)
        assert right.mistakes[-1] == 0
        assert right.updates < 50
    assert 5 < sum(ends) < 15  # by chance


def test_no_rule_separates_what_no_line_can():
    points, labels = 2 * INPUTS - 1.0, np.array([0.0, 1.0, 1.0, 0.0])
    assert not is_separable(points, labels)
    assert is_separable(points, np.array([0.0, 1.0, 1.0, 1.0]))
    learned = learn(points, labels, PERCEPTRON, rate=0.1, epochs=100, seed=0)
    assert min(learned.mistakes) >= 1
    assert len(learned.mistakes) == 101


# --- the line


def test_the_line_and_the_plane_within_limits():
    def codec(*scales: tuple[float, float]) -> PointCodec:
        return PointCodec({f"x{i}": scale for i, scale in enumerate(scales)}, {}, "y", ("a", "b"))

    # (x - 5) / 2 + (y - 1) = 0 from x = 3, y = 2 to x = 7, y = 0
    found = boundary(Neuron(np.array([1.0, 1.0]), 0.0), codec((5, 2), (1, 1)), np.array([[2, 8], [0, 2]]))
    np.testing.assert_allclose(sorted(found.tolist()), [[3, 2], [7, 0]])
    away = boundary(Neuron(np.array([1.0, 1.0]), 99.0), codec((5, 2), (1, 1)), np.array([[2, 8], [0, 2]]))
    assert away.shape == (0, 2)
    # x + y + z = 1.5 cuts a cube in a regular hexagon: neighbors are half of a diagonal apart.
    plane = boundary(Neuron(np.ones(3), -1.5), codec(*[(0, 1)] * 3), np.array([[0, 1]] * 3))
    np.testing.assert_allclose(np.linalg.norm(plane - np.roll(plane, 1, 0), axis=1), [0.5**0.5] * 6)
