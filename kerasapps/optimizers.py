"""Adam in one pass over each weight on TensorFlow.

Keras writes Adam as a dozen operations; over a large embedding each of them reads and writes the whole table.
TensorFlow has the same update as one operation.

Reference: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

import keras


@keras.saving.register_keras_serializable(package="kerasapps")
class Adam(keras.optimizers.Adam):
    """Keras' Adam: the same arguments and variables, faster on TensorFlow.

    Results are Keras' own, but for embeddings: where a batch looks a row up twice, Keras on TensorFlow adds up the
    squares of both gradients, here and on its other backends the sum is squared.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Updates one weight and its two moments in place."""
        if keras.backend.backend() != "tensorflow":
            return super().update_step(gradient, variable, learning_rate)
        import tensorflow as tf

        gradient = tf.convert_to_tensor(gradient)  # dense, also where rows were looked up
        if self.amsgrad:
            return super().update_step(gradient, variable, learning_rate)
        index, dtype = self._get_variable_index(variable), variable.dtype
        beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
        step = tf.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.constant(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )
