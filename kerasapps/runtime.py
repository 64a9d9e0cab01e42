"""What a computation runs on: devices, precision, XLA, seeds."""

import contextlib
import os
import platform
import statistics
import time
from importlib import metadata
from typing import Literal, get_args

import keras
import tensorflow as tf

from kerasapps.errors import UserError
from kerasapps.workers.hardware import cores

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
PRECISIONS = get_args(Precision)
# "recurrent" has steps alone, "lstm" the fused LSTM over long sequences, with products over all steps.
Workload = Literal["convolution", "matmul", "recurrent", "lstm"]
STEPWISE = "recurrent", "lstm"

# bfloat16 must win by this much before `auto` gives up digits for it.
WORTHWHILE_SPEEDUP = 1.2


def set_seed(seed: int, *, deterministic: bool = False) -> None:
    """Seeds Python, NumPy and Keras.

    On the CPU this alone makes two runs equal to the bit; on a GPU some sums are added up in varying order.

    Args:
        seed: Any whole number from 0 to 2**31 - 1.
        deterministic: Also have every TensorFlow op add up in the same order, on a GPU at some cost of speed.

    Raises:
        UserError: If `seed` is out of range.
    """
    if not 0 <= seed < 2**31:
        raise UserError(f"--seed must be between 0 and {2**31 - 1}. Received: {seed}")
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def set_devices(workload: Workload) -> None:
    """Settles GPU memory and CPU threads, as long as TensorFlow has not started.

    GPU memory is taken as it is needed, so that a search and its trials can share a device. On a CPU each operation of
    a recurrent network gets one thread: a step is too small to share, waiting for the other thread takes longer than
    the work. Branches still run side by side. A few texts that any network writes token by token are recurrent work.
    """
    gpus = tf.config.get_visible_devices("GPU")
    # Too late is not wrong, only slower: whoever imports the builders may have started TensorFlow.
    with contextlib.suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        if workload in STEPWISE and not gpus:
            tf.config.threading.set_intra_op_parallelism_threads(1)


def set_precision(precision: Precision, *, workload: Workload) -> str:
    """Sets Keras' dtype policy and returns its name.

    Weights stay float32 under the mixed policies; softmax heads, losses and Gram-like sums are float32 in every
    builder, whatever the policy.

    Args:
        precision: A policy, or `auto`: bfloat16 where this machine computes in it and a short measurement of the kind
            of work that `workload` does finds it faster, else float32.
        workload: What the network mostly does. Small recurrent steps gain nothing from fewer digits.

    Returns:
        `float32`, `mixed_bfloat16` or `mixed_float16`.
    """
    if precision == "auto":
        faster = has_bfloat16() and bfloat16_speedup(workload) > WORTHWHILE_SPEEDUP
        precision = "mixed_bfloat16" if faster else "float32"
    keras.config.set_dtype_policy(precision)
    return precision


def has_bfloat16() -> bool:
    """Tells whether the GPU, or without one the processor, computes in bfloat16."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        return capability >= (8, 0)
    flags = _cpu_info("flags") or _cpu_info("Features")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags.split()))


def bfloat16_speedup(workload: Workload) -> float:
    """Measures, in a fraction of a second, how many times faster bfloat16 is for work of one kind."""

    def convolution(x):
        return tf.nn.conv2d(x, tf.ones((3, 3, 64, 64), x.dtype), 1, "SAME")

    def matmul(x):
        return x @ x

    def recurrent(x):
        for _ in range(20):
            x = tf.tanh(x @ tf.ones((64, 64), x.dtype))
        return x

    work = {"convolution": convolution, "matmul": matmul, "recurrent": recurrent, "lstm": matmul}[workload]
    shape = {convolution: (16, 32, 32, 64), matmul: (1024, 1024), recurrent: (128, 64)}[work]
    compiled = tf.function(work)
    inputs = [tf.ones(shape, dtype) * 1e-3 for dtype in (tf.float32, tf.bfloat16)]

    def seconds(x) -> float:
        start = time.perf_counter()
        compiled(x).numpy()
        return time.perf_counter() - start

    for x in inputs:
        seconds(x)  # traced here, timed below
    # Pairs, because these machines are shared and single readings wander.
    return statistics.median(seconds(inputs[0]) / seconds(inputs[1]) for _ in range(7))


def use_xla(*, workload: Workload, distributed: bool) -> bool:
    """Decides `jit_compile` for `Model.compile`.

    XLA pays on a GPU. On the CPU it makes convolutions 2.5 times slower and recurrent loops slower too, and under a
    `tf.distribute` strategy it fails.
    """
    return bool(tf.config.get_visible_devices("GPU")) and workload not in STEPWISE and not distributed


def machine() -> dict[str, str | int]:
    """Describes where a result comes from: host, processor, devices and versions."""
    packages = ("tensorflow", "keras", "keras-tuner", "numpy")
    return {
        "host": platform.node(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _cpu_info("model name") or platform.processor() or platform.machine(),
        "cores": cores(),
        "intra_op_threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "devices": ", ".join(device_names()),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def gpu_ids() -> list[str]:
    """Names the GPUs as CUDA_VISIBLE_DEVICES does; asking takes none of their memory."""
    count = len(tf.config.get_visible_devices("GPU"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return visible[:count] if len(visible) >= count and visible[0] else [str(i) for i in range(count)]


def device_names() -> list[str]:
    """Names the devices: GPUs by model, or else the logical CPUs."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in gpus]
    return [device.name for device in tf.config.list_logical_devices("CPU")]


def _cpu_info(field: str) -> str:
    """Returns one field of Linux's processor description, or nothing elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")
    except OSError:
        return ""
