"""What Keras computes on, which decides whether the faster implementations of these blocks are used."""

import keras


def tensorflow_on_cpu() -> bool:
    """Whether Keras computes with TensorFlow and without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
