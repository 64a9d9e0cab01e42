"""The remedies as a person compares them, and what they are measured by."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import polars
import pytest
import tensorflow as tf

from experiments.remedies import __main__ as experiment
from experiments.remedies import training
from experiments.remedies.data import Source, load
from experiments.remedies.network import REMEDIES, TROUBLES, Setup
from experiments.remedies.results import TEST_LOSS, change_table, changes_of, metrics_of, told, trouble, zeros_of
from experiments.remedies.training import TRAIN, Outcome, Trainer, gradient_norms, stopped_early, train_all
from experiments.shared.comparing import mean_interval
from kerasapps.runs import Options
from tests.experiments.commands import commands, read

run, refused = commands("experiments.remedies", experiment.compare)


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Path:
    """A comparison of one remedy of each kind."""
    folder = tmp_path_factory.mktemp("runs") / "remedies"
    run("compare", "--seeds", 2, "--only", "early_stopping", "l1", "decay", "residual", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def pool():
    return load(Source(rows=64, noise=8, wrong=0.1), options=Options(limit=200))


def test_the_report_has_three_parts(compared):
    html = (compared / "report.html").read_text()
    for shown in ("Over-fitting", "Under-fitting", "Vanishing gradients", "What L1 selects", "steps that decay"):
        assert shown in html
    for name in ("over-fitting", "under-fitting", "vanishing_gradients"):
        assert (compared / "figures" / f"{name}.png").is_file()


def test_what_was_measured_is_in_the_metrics(compared):
    metrics = read(compared, "metrics.json")
    # L1 spares the columns that mean something, and no weight is 0 without it.
    assert metrics["zero_share_no_remedy"] == metrics["noise_zero_share_no_remedy"] == 0
    assert 0.5 < metrics["zero_share_l1"] < metrics["noise_zero_share_l1"]
    # A network of 12 sigmoid layers learns nothing; each of its layers added to its input, it does.
    assert metrics["change_residual_against_sigmoid_training_loss"] < -0.5
    assert metrics["change_residual_against_sigmoid_first_gradient"] > 3
    assert {"change_decay_against_small_steps_training_loss", "change_decay_against_large_steps_training_loss_low"} <= {
        *metrics
    }


def test_what_was_trained_before_an_interruption_is_not_trained_again(tmp_path, monkeypatch):
    options = ("compare", "--only", "momentum", "wider", "--smoke", "--out", tmp_path / "run")
    trained = []

    def train(setup, *others, most=2):
        if len(trained) == most:
            raise KeyboardInterrupt
        trained.append(setup.units)
        return train_all(setup, *others)

    monkeypatch.setattr(training, "train_all", train)
    run(*options)
    before = read(tmp_path / "run", "metrics.json")
    assert "accuracy_wider" not in before
    monkeypatch.setattr(training, "train_all", partial(train, most=3))
    run(*options, "--resume")
    after = read(tmp_path / "run", "metrics.json")
    assert trained == [6, 6, 64]  # small steps, momentum; after the interruption only what was missing
    assert "accuracy_wider" in after
    name = "change_momentum_against_small_steps_training_loss"
    assert after[name] == before[name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "dropuot"), "dropuot"),
        (("--target", "digit"), "--target names a column of a table, and digits are images. Received: digit"),
        (("--rows", 1000), "--rows 1000 is more than half of the"),
        (("--data", "nowhere.csv"), "nowhere.csv is neither adult, posts nor a file"),
        (("--data", "digit"), "digit is neither digits, adult, posts nor a file that ends in .csv"),
        (("--data", "posts"), "--target age is a number, and the networks predict classes: try age=classes."),
        (("--wrong", 1.0), "--wrong must be in [0, 1)"),
        (("--strategy", "mirrored"), "--strategy mirrored has no effect here"),
    ],
)
def test_one_clear_sentence(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, "compare", *arguments, "--out", tmp_path / "run")


def test_a_table_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    size = rng.normal(size=120)
    table = {
        "size": size,
        "kind": np.where(size > 0, "a", "b"),
        "good": np.where(size + rng.normal(size=120) > 0, 1, 0),
    }
    polars.DataFrame(table).write_csv(tmp_path / "own.csv")
    options = ("--data", tmp_path / "own.csv", "--target", "good=classes", "--rows", 20, "--only", "wider", "--smoke")
    run("compare", *options, "--out", tmp_path / "run")
    assert "accuracy_wider" in read(tmp_path / "run", "metrics.json")


# --- the data


def test_columns_of_noise_wrong_labels_and_sets_without_a_common_row(pool):
    sets = pool.draw(3)
    assert pool.features.shape[1] == 64 + 8
    deviations = pool.features.std(0)
    assert np.isclose(deviations[64:].mean(), deviations[:64].mean(), rtol=0.1)
    places = {row.tobytes(): label for row, label in zip(pool.features, pool.labels, strict=True)}
    true = [places[row.tobytes()] for row in sets.train[0]]
    assert (sets.train[1] != true).sum() == round(0.1 * 64)
    assert [places[row.tobytes()] for row in sets.validation[0]] == sets.validation[1].tolist()
    rows = [{row.tobytes() for row in part[0]} for part in (sets.train, sets.validation, sets.test)]
    assert len(set.union(*rows)) == sum(map(len, rows))


# --- training


def test_a_training_is_that_of_fit_whatever_was_trained_before(pool):
    setup = Setup(depth=2, units=8, dropout=0.3, l1=1e-3, epochs=2)
    trainer = Trainer(setup, pool)
    sets = pool.draw(1)
    trainer.train(pool.draw(0), 0)
    again = trainer.train(sets, 1)
    np.testing.assert_array_equal(again.losses, train_all(setup, pool, [1])[0].losses)

    plain = Trainer(replace(setup, dropout=0.0, epochs=1), pool)
    outcome = plain.train(sets, 5)
    model = plain.network()
    plain.begin(5)
    model.set_weights(plain.model.get_weights())
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    order = np.random.default_rng([5, 3]).permutation(64)
    model.fit(sets.train[0][order], sets.train[1][order], batch_size=32, shuffle=False, epochs=1, verbose=0)
    np.testing.assert_allclose(outcome.kernel, model.get_layer("hidden1").kernel, atol=1e-5)


def test_the_best_of_several_starts_is_kept_and_none_is_that_of_one_start(pool):
    setup = Setup(depth=1, units=4, epochs=2)
    (one,), (best,) = (train_all(replace(setup, starts=starts), pool, [1]) for starts in (1, 2))
    trainer = Trainer(setup, pool)
    fresh = [trainer.train(pool.draw(1), 1 + (i << 16)).losses for i in (1, 2)]
    np.testing.assert_array_equal(best.losses, min(fresh, key=lambda losses: losses[-1, TRAIN]))
    assert not np.isin(one.losses, fresh).any()
    assert (one.steps, best.steps) == (4, 8)


def test_a_network_that_explodes_counts_as_guessing_and_clipping_holds_it(pool):
    setup = replace(TROUBLES["exploding"], epochs=3)
    exploded, clipped = (train_all(replace(setup, clip=clip), pool, [0])[0] for clip in (None, 1.0))
    assert (exploded.diverged, clipped.diverged) == (True, False)
    np.testing.assert_allclose(exploded.losses[-1], np.log(10), rtol=1e-6)
    assert "as 1 of 1 trainings diverged (NaN weights)" in trouble("exploding", [exploded], gradient=False)


def network(pool, setup: Setup, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return setup.network(features=pool.features.shape[1], num_classes=pool.num_classes)


def test_gradient_norms_are_those_of_a_tape(pool):
    features, labels = pool.draw(0).train
    model = network(pool, Setup(depth=3, units=8, activation="tanh"))
    kernels = [weight for weight in model.trainable_weights if weight.name == "kernel"]
    with tf.GradientTape() as tape:
        x = features
        for i in (1, 2, 3):
            x = tf.tanh(tf.matmul(x, model.get_layer(f"hidden{i}").kernel))  # biases begin at 0
        logits = tf.matmul(x, model.get_layer("label").kernel)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    found = tape.gradient(loss, [kernel.value for kernel in kernels])
    expected = [np.linalg.norm(gradient) for gradient in found]
    np.testing.assert_allclose(gradient_norms(model, features, labels), expected, rtol=1e-4)


def test_gradients_vanish_with_sigmoid_and_not_with_relu_or_residual(pool):
    features, labels = pool.draw(0).train

    def norms(setup: Setup) -> np.ndarray:
        return gradient_norms(network(pool, setup), features, labels)

    sigmoid, residual = norms(TROUBLES["sigmoid"]), norms(REMEDIES["residual"].setup)
    relu = norms(REMEDIES["initialization"].setup)
    assert len(sigmoid) == 13
    assert sigmoid[0] < 1e-4 * sigmoid[-1]
    assert relu[0] > 1e3 * sigmoid[0]
    assert residual[0] > 1e3 * sigmoid[0]


def test_norms_leave_the_statistics_of_batch_normalization_alone(pool):
    model = network(pool, Setup(depth=1, units=4, batch_norm=True))
    before = model.get_weights()
    gradient_norms(model, *pool.draw(0).train)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_two_layers_drop_the_same_units(pool):
    trainer = Trainer(Setup(depth=2, units=64, dropout=0.5), pool)
    trainer.begin(0)
    first, second = (one for one in trainer.model.layers if isinstance(one, keras.layers.Dropout))
    ones = np.ones((32, 64), np.float32)
    for _ in range(3):
        kept = [np.asarray(layer(ones, training=True)) > 0 for layer in (first, second)]
        assert 0.4 < (kept[0] == kept[1]).mean() < 0.6


# --- what is told of it


def outcome(*losses: float, accuracy: float = 0.5, steps: int = 30) -> Outcome:
    """A training with one loss on all three sets."""
    table = np.repeat(np.array(losses)[:, None], 3, 1)
    return Outcome(table, np.full_like(table, accuracy), np.array([1e-6, 1.0]), np.ones((3, 2)), len(losses) - 1, steps)


@pytest.mark.parametrize(
    ("losses", "patience", "epoch", "steps"),
    [
        ((5, 4, 3, 4, 5, 2), 2, 2, 40),  # stops before it would fall again
        ((5, 4, 3, 4, 5, 2), 3, 5, 50),
        ((5, 4, 3), 1, 2, 20),
        ((1, 2, 3), 1, 0, 10),
    ],
)
def test_early_stopping_keeps_the_epoch_of_the_lowest_validation_loss(losses, patience, epoch, steps):
    found = stopped_early(outcome(*losses, steps=10 * (len(losses) - 1)), patience)
    assert (found.epoch, found.steps) == (epoch, steps)


def test_an_interval_from_known_numbers():
    mean, low, high = mean_interval([1, 2, 3, 4, 5])
    assert mean == 3
    assert (low, high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-4)  # 2.7764 * 1.5811 / 5**0.5
    assert mean_interval([2.0]) == (2.0, None, None)


def test_changes_are_paired_and_only_those_that_are_sure_are_told():
    without, noise = np.array([1.0, 2.0, 3.0]), np.array([0.01, 0.0, -0.01])
    results = {
        "no remedy": [outcome(9.0, value) for value in without],
        "L2": [outcome(9.0, value) for value in without - 0.5 + noise],
        "dropout": [outcome(9.0, value) for value in without + 0.25 + noise],
        "L1": [outcome(9.0, value) for value in without + np.array([1, -1, 0.1])],
    }
    changes = {change.name: change for change in changes_of("over-fitting", results)}
    l2 = changes["l2"].intervals["test_loss"]
    assert (l2.mean, l2.low, l2.high) == pytest.approx((-0.5, -0.5 - 0.02484, -0.5 + 0.02484), abs=1e-4)
    assert [changes[name].helped(TEST_LOSS) for name in ("l2", "dropout", "l1")] == [True, False, None]
    assert told("over-fitting", results) == (
        "“no remedy” ends with a training loss of 2.0 and a test loss of 2.0. Test loss: lower with L2 (-0.500); "
        "higher with dropout (+0.250); no change that 3 seeds can tell from chance with L1."
    )
    assert metrics_of(results)["change_l2_against_no_remedy_test_loss_high"] == pytest.approx(l2.high)
    table = change_table("over-fitting", results)
    assert table.rows[0][:4] == ["no remedy", None, "2.000", None]
    assert ["L2", "no remedy", "1.500", "-0.500 (-0.525 to -0.475)"] in [row[:4] for row in table.rows]


def test_zeros_are_counted():
    kernel = np.array([[0.5, 0.0], [0.0, 0.0], [0.0, -1.2], [0.0, 0.0], [1e-9, 0.0]])
    found = zeros_of(kernel, noise=3)
    assert (found["zero_share"], found["noise_zero_share"]) == pytest.approx((3 / 4, 4 / 6))  # 1e-9 is not 0
    assert (found["columns_off"], found["noise_columns_off"]) == (1, 1)
    assert found["length"] == pytest.approx(1.3)
