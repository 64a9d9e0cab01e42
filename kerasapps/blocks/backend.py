"""What Keras computes on, which decides whether the faster implementations of these blocks are used."""

import keras

# Part of the names of the functions in which Keras runs the steps of `fit`, `evaluate` and `predict`.
KERAS_STEP = "step_on_"


def tensorflow_on_cpu() -> bool:
    """Whether Keras computes with TensorFlow and without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")


def kernels_run(*, training: bool = False) -> bool:
    """Whether what is computed or traced now will run on this CPU by TensorFlow's own kernels.

    XLA lacks some of them. So do ONNX and LiteRT, and a graph that is traced for inference by anyone but Keras may be
    on its way into such a file; TensorFlow does not say.
    """
    if not tensorflow_on_cpu():
        return False
    import tensorflow as tf
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

    graph = tf.compat.v1.get_default_graph()
    if GraphOrParentsInXlaContext(graph):
        return False
    return training or tf.executing_eagerly() or any(KERAS_STEP in name for name in _names(graph))


def _names(graph):
    """Yields the names of the functions that are being traced, from the innermost on."""
    while hasattr(graph, "outer_graph"):
        yield graph.name
        graph = graph.outer_graph


def require_tensorflow(what: str) -> None:
    """Raises ValueError for what computes with TensorFlow alone where Keras does not.

    Example:
        >>> require_tensorflow("A GAN")
    """
    if keras.backend.backend() != "tensorflow":
        rule = "needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported"
        raise ValueError(f"{what} {rule}. Received: {keras.backend.backend()}")
