"""What Keras computes on, which decides whether the faster implementations of these blocks are used."""

import keras


def tensorflow_on_cpu() -> bool:
    """Whether Keras computes with TensorFlow and without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")


def require_tensorflow(what: str) -> None:
    """Raises ValueError for what computes with TensorFlow alone where Keras does not.

    Example:
        >>> require_tensorflow("A GAN")
    """
    if keras.backend.backend() != "tensorflow":
        rule = "needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow before Keras is imported"
        raise ValueError(f"{what} {rule}. Received: {keras.backend.backend()}")
