"""From a flag to a `tf.distribute` strategy; the only place that knows how many devices there are."""

import contextlib
import functools
from typing import Literal

import tensorflow as tf

StrategyName = Literal["none", "mirrored"]

VIRTUAL_CPUS = 2


def make_strategy(name: StrategyName) -> tf.distribute.Strategy:
    """Returns the strategy in whose scope a model is built and compiled.

    Args:
        name: `none`: one device. `mirrored`: a copy of the model on each GPU, or, without a GPU, on two virtual CPU
            devices, which is slower than one and there to be tried.

    Returns:
        A strategy; for `none` TensorFlow's default one, whose scope changes nothing.
    """
    return tf.distribute.get_strategy() if name == "none" else _mirrored()


# One a process: two of them on the same devices take each other's collective operations for their own.
@functools.cache
def _mirrored() -> tf.distribute.Strategy:
    """Returns the strategy over all GPUs, or over virtual CPUs."""
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        return tf.distribute.MirroredStrategy([device.name for device in gpus])
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(split_cpu())])


def split_cpu(count: int = VIRTUAL_CPUS) -> int:
    """Splits the CPU into logical devices, as long as TensorFlow has not started; returns how many there are."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    # Raises a RuntimeError once TensorFlow runs; how many there are by then is what counts.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return len(tf.config.list_logical_devices("CPU"))


def is_distributed(strategy: tf.distribute.Strategy) -> bool:
    """Tells whether a step is shared by several replicas."""
    return strategy.num_replicas_in_sync > 1


def shard_rows(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Has several workers share the rows of a data set; sharing files, the default, fails for data in memory."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
