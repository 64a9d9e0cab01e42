"""What a network costs: its floating-point operations, and how many rows a second it answers."""

import statistics
import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

# Operations whose work the profiler takes for nothing: loops hide their body, calls their function.
UNCOUNTED = {"While", "StatelessWhile", "If", "StatelessIf", "PartitionedCall", "StatefulPartitionedCall", "Einsum"}
WARM_UP = 2
REPEATS = 15
FEWEST = 3  # of a network so slow that the time is up before that
SECONDS = 5.0


def count_flops(model: keras.Model) -> int:
    """Counts the floating-point operations of one row's way through a network, as in inference.

    A multiplication and an addition are two. Convolutions, dense layers, biases, pooling (a comparison is one), batch
    normalization, sums and softmax count; ReLU and changes of shape do not.

    Args:
        model: A functional model; nested ones count too.

    Raises:
        ValueError: If an input has no fixed shape, or the graph has an operation that cannot be counted, such as the
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
    logger.setLevel("ERROR")  # the profiler itself calls what it warns is deprecated
    try:
        known = profiler.profile(graph, cmd="op", options=options.with_empty_output().build()).total_float_ops
    finally:
        logger.setLevel(level)
    # TensorFlow has no number for it: in inference, one factor and one summand for each element.
    normalized = [operation.outputs[0] for operation in graph.get_operations() if operation.type == "FusedBatchNormV3"]
    return known + sum(2 * tensor.shape.num_elements() for tensor in normalized)


def measure_speed(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> float:
    """Measures how many rows a second a network answers, its results brought back from the device.

    Args:
        model: The network.
        inputs: One batch of its inputs, each of n rows.

    Returns:
        Rows a second, from the median over several equal batches after two that are not timed.
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
    """Returns the graph of one row, flat: functions are inlined."""
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(f"`model` must have inputs of fixed shape. Received: {tensor.name} {tensor.shape}")
    eager = tf.config.functions_run_eagerly()
    graph = tf.__internal__.FuncGraph("count_flops")
    # Grouped convolutions are functions of their own, and the profiler does not look into these.
    tf.config.run_functions_eagerly(True)
    try:
        with graph.as_default():
            row = tf.nest.map_structure(lambda t: tf.compat.v1.placeholder(t.dtype, (1, *t.shape[1:])), model.input)
            model(row, training=False)
    finally:
        tf.config.run_functions_eagerly(eager)
    return graph
