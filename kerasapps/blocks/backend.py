"""What Keras computes on, as far as the faster ways of these blocks depend on it."""

import keras


def tensorflow_on_cpu() -> bool:
    """Tells whether Keras computes with TensorFlow and without a GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")
