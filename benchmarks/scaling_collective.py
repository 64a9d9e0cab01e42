"""Counts the bytes that a real all-reduce sends, to put beside the formula of benchmarks/scaling_model.py.

Workers are processes on this machine that reach each other over the loopback device, which counts what passes. Linux
only.
"""

import json
import os
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scaling_model import gather_bytes, ring_bytes, spread

WORKERS = (2, 4)
STEPS, ROUNDS = 20, 5
LIMIT = 180  # seconds
DEPTH = 20  # of the residual network whose gradients are added up
LOOKED_UP, VECTOR = 4096, 64  # rows of an embedding, numbers in each


def check(workers: int) -> list[dict[str, object]]:
    """Starts workers and returns, for whole gradients and for rows of an embedding, what each of them sent in a step.

    Returns:
        For each: `what`, `workers`, `formula` bytes, `measured` bytes (median, least, most) and `gigabits`, the speed
        of the exchange in Gbit/s.
    """
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {
            "TF_CONFIG": json.dumps(task),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.scaling_collective"],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=Path(__file__).parents[1],
            )
        )
    try:
        text = processes[0].stdout.readline()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    if not text:
        sys.exit(f"{workers} workers failed; what they said is above.")
    return json.loads(text)


def work() -> None:
    """Is one worker; the first one prints what all of them sent."""
    import tensorflow as tf

    from kerasapps import build_residual_classifier

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    workers = strategy.num_replicas_in_sync
    model = build_residual_classifier(image_shape=(32, 32, 3), num_classes=10, depth=DEPTH)
    whole = [tf.random.normal(weight.shape) for weight in model.trainable_variables]
    table = tf.IndexedSlices(
        tf.random.normal((LOOKED_UP, VECTOR)), tf.range(LOOKED_UP), tf.constant([LOOKED_UP, VECTOR])
    )
    size = sum(array.shape.num_elements() for array in whole) * 4
    cases = {
        f"gradients of ResNet-{DEPTH}": (whole, ring_bytes(size, workers)),
        "looked-up rows": ([table], gather_bytes(LOOKED_UP * (VECTOR + 1) * 4, workers)),
    }
    records = []
    for what, (gradients, formula) in cases.items():
        step = tf.function(partial(strategy.run, add_up, args=(gradients,)))
        for _ in range(STEPS):
            step()
        sent, seconds = [], []
        for _ in range(ROUNDS):
            before, start = loopback_bytes(), time.perf_counter()
            for _ in range(STEPS):
                step()
            seconds.append((time.perf_counter() - start) / STEPS)
            sent.append((loopback_bytes() - before) / STEPS / workers)
        speed = formula * 8 / 1e9 / float(np.median(seconds))
        records.append(
            {"what": what, "workers": workers, "formula": formula, "measured": spread(sent), "gigabits": speed}
        )
    if strategy.cluster_resolver.task_id == 0:
        print(json.dumps(records), flush=True)
    time.sleep(LIMIT)  # whoever leaves first breaks the others' connections; the parent ends all


def add_up(gradients):
    """Adds up the gradients of all replicas, as an optimizer does."""
    import tensorflow as tf

    # As computed on the replica: where the arrays come from has no device.
    gradients = tf.nest.map_structure(tf.identity, gradients, expand_composites=True)
    reduced = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    return [tf.reduce_sum(tf.convert_to_tensor(array)) for array in reduced]


def loopback_bytes() -> int:
    """Returns how many bytes have passed the loopback device."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[0])
    raise OSError("/proc/net/dev names no loopback device.")


if __name__ == "__main__":
    work()
