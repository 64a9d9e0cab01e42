import keras
import pytest
import tensorflow as tf

from kerasapps import distribution, runtime
from kerasapps.errors import UserError


def test_a_policy_that_is_asked_for_is_set():
    assert runtime.set_precision("mixed_bfloat16", workload="convolution") == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("hardware", "speedup", "expected"),
    [(True, 1.8, "mixed_bfloat16"), (True, 1.0, "float32"), (False, 9.0, "float32")],
)
def test_auto_takes_bfloat16_where_it_is_there_and_faster(monkeypatch, hardware, speedup, expected):
    monkeypatch.setattr(runtime, "has_bfloat16", lambda: hardware)
    monkeypatch.setattr(runtime, "bfloat16_speedup", lambda network: speedup)
    assert runtime.set_precision("auto", workload="matmul") == expected


def test_the_measurement_measures():
    assert 0.05 < runtime.bfloat16_speedup("recurrent") < 20


def test_xla_is_off_on_a_cpu():
    assert not runtime.use_xla(workload="convolution", distributed=False)


def test_xla_is_on_where_it_pays(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: ["GPU:0"])
    assert runtime.use_xla(workload="convolution", distributed=False)
    assert not runtime.use_xla(workload="convolution", distributed=True)
    assert not runtime.use_xla(workload="recurrent", distributed=False)


def test_a_seed_repeats():
    def drawn():
        runtime.set_seed(5)
        return keras.layers.Dense(3, kernel_initializer="normal")(tf.ones((1, 2))).numpy().tolist()

    assert drawn() == drawn()


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range(seed):
    with pytest.raises(UserError, match="--seed must be between 0 and"):
        runtime.set_seed(seed)


def test_the_machine_is_described():
    machine = runtime.machine()
    assert machine["tensorflow"] == tf.__version__
    assert machine["cores"] >= 1
    assert "CPU" in machine["devices"]


def test_strategies():
    assert distribution.make_strategy("none").num_replicas_in_sync == 1
    mirrored = distribution.make_strategy("mirrored")
    assert mirrored.num_replicas_in_sync == 2
    assert distribution.is_distributed(mirrored)
    assert distribution.make_strategy("mirrored") is mirrored
