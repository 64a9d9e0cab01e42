"""What several workers gain and a search loses: the formulas at points that can be worked out by hand."""

from dataclasses import replace

import keras
import pytest

from benchmarks import scaling
from benchmarks import scaling_model as paper
from benchmarks.scaling_model import Cluster, Network, Policy
from benchmarks.scaling_networks import LEAST, count_step_flops, count_traffic
from kerasapps import build_lenet5
from kerasapps.blocks.normalization import BatchNormalization
from kerasapps.blocks.recurrent import LSTM

NETWORK = Network(
    name="toy",
    rows=64,
    parameters=250_000,
    reduced=1e6,
    gathered=0.0,
    tables=0.0,
    statistics=0.0,
    reductions=1,
    gathers=0,
    barriers=0,
    flops=1e9,
    fixed=0.01,
    per_row=0.001,
)
WORDS = replace(NETWORK, reduced=0.0, gathered=1e4, reductions=0, gathers=3)
PERFECT = Cluster(gigabits=float("inf"), latency=0.0)
SLOW = Cluster(gigabits=8e-3, latency=1e-3)  # a megabyte a second


@pytest.mark.parametrize("network", [NETWORK, WORDS])
@pytest.mark.parametrize("scaling", ["weak", "strong"])
def test_one_worker_sends_nothing_and_loses_nothing(network, scaling):
    assert paper.sent_bytes(network, network.rows, 1) == 0
    assert paper.efficiency(network, 1, SLOW, scaling) == (1, 1)


def test_two_workers_send_the_gradient_once_and_many_nearly_twice():
    assert paper.ring_bytes(1e6, 2) == 1e6
    assert paper.ring_bytes(1e6, 4) == 1.5e6
    assert paper.ring_bytes(1e6, 1000) == pytest.approx(2e6, rel=2e-3)
    assert paper.sent_bytes(NETWORK, 64, 2) == 1e6


def test_looked_up_rows_go_to_every_other_worker():
    assert paper.sent_bytes(WORDS, 64, 2) == 64 * 1e4
    assert paper.sent_bytes(WORDS, 64, 8) == 7 * 64 * 1e4


@pytest.mark.parametrize("workers", [2, 8, 64])
def test_a_perfect_network_costs_nothing_but_the_fixed_part_of_small_batches(workers):
    assert paper.efficiency(NETWORK, workers, PERFECT, "weak") == pytest.approx((1, 1))
    assert paper.efficiency(replace(NETWORK, fixed=0.0), workers, PERFECT, "strong") == pytest.approx((1, 1))
    alone, shared = 0.01 + 0.064, 0.01 + 0.064 / workers
    assert paper.efficiency(NETWORK, workers, PERFECT, "strong")[0] == pytest.approx(alone / workers / shared)


def test_a_step_by_hand():
    # Computed in 0.074 s; 1.5 MB at a megabyte a second, and 3 hops there and 3 back of a millisecond.
    slow, fast = paper.step_seconds(NETWORK, 64, 4, SLOW)
    assert slow == pytest.approx(0.074 + 1.5 + 0.006)
    assert fast == pytest.approx(1.506)
    normalised = replace(NETWORK, statistics=1000.0, barriers=10)
    slower, faster = paper.step_seconds(normalised, 64, 4, SLOW)
    assert slower - slow == pytest.approx(0.0015 + 0.06)
    assert faster - fast == pytest.approx(slower - slow)  # nothing can be computed beside


def test_a_faster_device_does_not_shorten_the_loop():
    cluster = replace(PERFECT, speed_up=10, loop=0.004)
    assert paper.compute_seconds(NETWORK, 64, cluster) == pytest.approx(0.004 + 0.070 / 10)


def test_more_workers_than_rows_is_no_prediction():
    assert paper.efficiency(NETWORK, 64, SLOW, "strong") is not None
    assert paper.efficiency(NETWORK, 65, SLOW, "strong") is None


@pytest.mark.parametrize("gigabits", [0.1, 1.0, 10.0])
def test_the_least_batch_is_where_the_target_is_reached(gigabits):
    cluster = Cluster(gigabits)
    rows = paper.least_rows(NETWORK, 8, cluster)
    assert rows > 1
    reached, missed = (paper.efficiency(replace(NETWORK, rows=n), 8, cluster, "weak")[0] for n in (rows, rows - 1))
    assert reached >= 0.9 > missed


def test_no_batch_is_large_enough_where_rows_are_sent_more_slowly_than_computed():
    assert paper.least_rows(WORDS, 8, SLOW) is None
    assert paper.least_rows(WORDS, 8, PERFECT) == 1


POLICIES = [Policy("again", False, 1), Policy("checkpoints", True, 1), Policy("driver", True, 1, driver=True)]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_search_without_failures_loses_nothing(policy):
    loss = paper.simulate(policy, seed=0, hours=2, trials=50, workers=8, rate=0)
    assert (loss.trials, loss.compute, loss.duration) == pytest.approx((0, 0, 0))


def test_checkpoints_and_retries_save_what_they_should():
    readings = {
        policy.name: [paper.simulate(policy, seed=seed, hours=24, trials=200) for seed in range(5)]
        for policy in [Policy("lost", False, 0), *POLICIES]
    }
    compute = {name: sum(loss.compute for loss in losses) / 5 for name, losses in readings.items()}
    lost = {name: sum(loss.trials for loss in losses) / 5 for name, losses in readings.items()}
    # Of 24 hours at 1 % an hour 21.3 % of the trials do not see the end; of a second chance a second time.
    assert lost["lost"] == pytest.approx(200 * 0.2134, rel=0.15)
    assert lost["again"] == pytest.approx(200 * 0.2134**2, rel=0.4)
    assert lost["checkpoints"] < lost["again"]
    assert compute["checkpoints"] < compute["again"] / 2
    assert readings["driver"][0].duration > readings["checkpoints"][0].duration


def test_bytes_of_a_step_are_those_of_the_gradients():
    def make():
        model = build_lenet5(image_shape=(32, 32, 1), num_classes=10)
        model.compile(keras.optimizers.SGD(), {"label": "sparse_categorical_crossentropy"})
        return model

    batch = {"image": keras.ops.zeros((4, 32, 32, 1))}, {"label": keras.ops.zeros((4,), "int32")}
    traffic = count_traffic(make, batch)
    assert traffic["parameters"] == make().count_params()
    assert traffic["reduced"] == 4 * traffic["parameters"]
    assert traffic["gathered"] == traffic["statistics"] == 0
    assert traffic["reductions"] == 1


def test_rows_of_embeddings_and_statistics_are_counted_apart():

    def make():
        words = keras.Input((5,), dtype="int32", name="words")
        x = keras.layers.Embedding(100, 8)(words)  # (B, 5, 8)
        x = keras.layers.Flatten()(BatchNormalization()(x[:, :, None]))
        model = keras.Model({"words": words}, {"label": keras.layers.Dense(1)(x)})
        model.compile(keras.optimizers.SGD(), {"label": "mse"})
        return model

    batch = {"words": keras.ops.zeros((6, 5), "int32")}, {"label": keras.ops.zeros((6, 1))}
    traffic = count_traffic(make, batch)
    assert traffic["gathered"] == 5 * (8 * 4 + 4)  # a row of the batch: five vectors and their numbers
    assert traffic["tables"] == 100 * 8 * 4
    assert traffic["reduced"] == 4 * (8 + 8 + 40 + 1)
    assert traffic["statistics"] >= 4 * (8 + 8 + 1)
    assert traffic["barriers"] == 2


def compiled(inputs, answer):
    model = keras.Model(inputs, {"answer": answer})
    model.compile(keras.optimizers.SGD(), {"answer": "mse"})
    return model


def test_flops_of_dense_layers_and_an_lstm_there_and_back():
    x = keras.Input((4,), name="x")
    model = compiled({"x": x}, keras.layers.Dense(2)(keras.layers.Dense(8)(x)))
    batch = {"x": keras.ops.zeros((5, 4))}, {"answer": keras.ops.zeros((5, 2))}
    # There, back to the weights, and back to the inputs but for those of the network.
    assert count_step_flops(model, batch) == 2 * 5 * (2 * (4 * 8 + 8 * 2) + 8 * 2)

    words = keras.Input((7, 4), name="words")
    model = compiled({"words": words}, LSTM(3)(words))
    batch = {"words": keras.ops.zeros((5, 7, 4))}, {"answer": keras.ops.zeros((5, 3))}
    assert count_step_flops(model, batch) == 3 * 2 * 5 * 7 * (4 + 3) * (4 * 3)


def test_flops_of_convolutions_there_and_back():
    image = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same")(image)  # (B, 6, 6, 4)
    x = keras.layers.SeparableConv2D(5, 3, padding="same")(x)  # (B, 6, 6, 5)
    model = compiled({"image": image}, keras.layers.Conv2DTranspose(2, 2, strides=2)(x))  # (B, 12, 12, 2)
    batch = {"image": keras.ops.zeros((2, 6, 6, 3))}, {"answer": keras.ops.zeros((2, 12, 12, 2))}
    first = 2 * 2 * 36 * 9 * 3 * 4
    others = 2 * 2 * 36 * (9 * 4 + 4 * 5 + 4 * 5 * 2)
    assert count_step_flops(model, batch) == 3 * (first + others)


def test_the_fixed_part_of_a_step_follows_from_two_batches():
    traffic = {name: 0 for name in Network.__dataclass_fields__ if name not in ("name", "fixed", "per_row")}
    toy = traffic | {"rows": 64, "smaller_rows": 8, "step": [0.074] * 3, "smaller": [0.018] * 3}
    least = traffic | {"rows": 8, "smaller_rows": 1, "step": [0.002] * 3, "smaller": [0.002] * 3}
    (network,), loop = scaling.networks_of({"networks": {"toy": toy, LEAST: least}})
    assert (network.fixed, network.per_row, loop) == pytest.approx((0.01, 0.001, 0.002))
