"""The cost of a network: its floating-point operations, and the rows that it processes in a second."""

import statistics
import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

# Operations that the profiler counts as free: loops hide their body, calls their function.
UNCOUNTED = {"While", "StatelessWhile", "If", "StatelessIf", "PartitionedCall", "StatefulPartitionedCall", "Einsum"}
WARM_UP = 2
REPEATS = 15
FEWEST = 3  # repeats of a network so slow that the time is up early
SECONDS = 5.0


def count_flops(model: keras.Model) -> int:
    """Counts the floating-point operations of the inference of one row.

    A multiplication and an addition are two. Convolutions, dense layers, biases, pooling (a comparison is one), batch
    normalization, sums and softmax count; ReLU and changes of shape do not.

    Args:
        model: A functional model; nested ones count too.

    Raises:
        ValueError: If an input has no fixed shape, or the graph holds an operation that cannot be counted, such as the
            loop of a recurrent layer.
    """
    graph = _graph(model)
    hidden = UNCOUNTED & {operation.type for operation in graph.get_operations()}
    if hidden:
        raise ValueError(f"`model` must have no {', '.join(sorted(UNCOUNTED))}. Received: {', '.join(sorted(hidden))}")
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # the profiler itself calls deprecated functions
    try:
        known = profiler.profile(graph, cmd="op", options=options.with_empty_output().build()).total_float_ops
    finally:
        logger.setLevel(level)
    # Not counted by TensorFlow: in inference one product and one sum for each element.
    normalized = [operation.outputs[0] for operation in graph.get_operations() if operation.type == "FusedBatchNormV3"]
    return known + sum(2 * tensor.shape.num_elements() for tensor in normalized)


def measure_speed(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> float:
    """Measures how many rows a network processes in a second, until its outputs are back from the device.

    Args:
        model: The network.
        inputs: One batch of inputs, each of n rows.

    Returns:
        Rows per second, from the median over several equal batches after two that are not timed.
    """
    compiled = tf.function(lambda batch: model(batch, training=False), jit_compile=model.compiled and model.jit_compile)
    batch = {name: tf.constant(array) for name, array in inputs.items()}
    seconds: list[float] = []
    for i in range(WARM_UP + REPEATS):
        start = time.perf_counter()
        for output in tf.nest.flatten(compiled(batch)):
            output.numpy()
        if i >= WARM_UP:
            seconds.append(time.perf_counter() - start)
        if len(seconds) >= FEWEST and sum(seconds) > SECONDS:
            break
    return len(next(iter(batch.values()))) / statistics.median(seconds)


def _graph(model: keras.Model) -> tf.Graph:
    """Returns the graph of one row, with all functions inlined."""
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(f"`model` must have inputs of fixed shape. Received: {tensor.name} {tensor.shape}")
    eager = tf.config.functions_run_eagerly()
    graph = tf.__internal__.FuncGraph("count_flops")
    # Grouped convolutions would be separate functions, which the profiler does not count.
    tf.config.run_functions_eagerly(True)
    try:
        with graph.as_default():
            row = tf.nest.map_structure(lambda t: tf.compat.v1.placeholder(t.dtype, (1, *t.shape[1:])), model.input)
            model(row, training=False)
    finally:
        tf.config.run_functions_eagerly(eager)
    return graph
