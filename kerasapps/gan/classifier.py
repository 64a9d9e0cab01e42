"""Semi-supervised classification by a GAN: the discriminator predicts classes, the generator matches its features.

References: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, sections 3.1 and 5; for the entropy
Grandvalet and Bengio, "Semi-supervised Learning by Entropy Minimization", NeurIPS 2004, and in a GAN Dai et al., "Good
Semi-supervised Learning That Requires a Bad GAN", NeurIPS 2017.
"""

import keras
import tensorflow as tf

from kerasapps.gan.losses import cross_entropy
from kerasapps.gan.model import GAN
from kerasapps.gan.noise import Noise
from kerasapps.gan.rows import read_batch


@keras.saving.register_keras_serializable(package="kerasapps", name="SemiSupervisedGan")
class SemiSupervisedGAN(GAN):
    """A GAN whose discriminator, built with `classifies`, learns classes from a few labeled and many unlabeled rows.

    Batches hold "image" (B, H, W, C), unlabeled, "labelled_image" of the same shape, and the target "label" int32 (B,),
    the classes of the latter. In evaluation "label" is the class of "image". The `loss` of `Rules` is not used: that of
    the discriminator is cross-entropy, that of the generator the distance between mean features. An `entropy` above 0
    also rewards certainty about the classes of unlabeled rows.

    Example:
        >>> generator = build_dcgan_generator(image_shape=(28, 28, 1), filters=8)
        >>> discriminator = build_dcgan_discriminator(image_shape=(28, 28, 1), num_classes=10, classifies=True)
        >>> gan = SemiSupervisedGAN(generator, discriminator)
    """

    def more_metrics(self) -> tuple[str, ...]:
        """Returns the name of the accuracy."""
        return ("accuracy",)

    def __init__(self, generator: keras.Model, discriminator: keras.Model, **settings):
        super().__init__(generator, discriminator, **settings)
        outputs = getattr(self.discriminator, "output", None)
        outputs = outputs if isinstance(outputs, dict) else {}
        if self.conditional or not {"label", "features"} <= outputs.keys():
            raise ValueError(
                '`discriminator` must have the outputs "verdict", "label" and "features", as with `classifies`, and no '
                f"input for the class. Received: outputs {', '.join(outputs) or 'without names'}"
            )

    def row_names(self) -> tuple[str, ...]:
        """Returns the names of unlabeled and labeled rows."""
        return (self.sample_name, f"labelled_{self.sample_name}")

    def _batch(self, data) -> tuple[dict, dict]:
        return read_batch(data, names=self.row_names(), shape=self.sample_shape, labels=True)

    def discriminator_objective(self, inputs: dict, targets: dict, fake, noise: Noise):
        """Returns the cross-entropy of the labeled rows' classes plus that of real against generated rows."""
        if f"labelled_{self.sample_name}" not in inputs:
            names = " and ".join(f'"{name}"' for name in self.row_names())
            raise ValueError(f"`x` must hold {names}. Received: {', '.join(inputs)}")
        real = self.judge(self._blur(inputs[self.sample_name], noise), training=True)
        real_verdict = real["verdict"]
        fake_verdict = self.judge(self._blur(fake, noise), training=True)["verdict"]
        scores = self.judge(self._blur(inputs[f"labelled_{self.sample_name}"], noise), training=True)["label"]
        self._note(real_verdict=real_verdict, fake_verdict=fake_verdict, accuracy=_correct(targets["label"], scores))
        classes = keras.losses.sparse_categorical_crossentropy(targets["label"], scores, from_logits=True)
        reality = cross_entropy(1.0, real_verdict) + cross_entropy(0.0, fake_verdict)
        loss = tf.reduce_mean(classes) + tf.reduce_mean(reality) / 2
        if self.rules.entropy:
            logs = tf.nn.log_softmax(real["label"])  # (B, K)
            loss += self.rules.entropy * tf.reduce_mean(tf.reduce_sum(-tf.exp(logs) * logs, axis=-1))
        return loss

    def generator_objective(self, fake, real, label, noise: Noise):
        """Returns the squared distance between the mean features of generated and real rows."""
        means = [
            tf.reduce_mean(self.judge(self._blur(rows, noise), training=True)["features"], axis=0)
            for rows in (real, fake)
        ]  # (F,) each
        return tf.reduce_mean(tf.square(means[0] - means[1]))

    def test_step(self, data):
        """Classifies as in inference; the loss is the cross-entropy of the classes."""
        inputs, targets = self._batch(data)
        outputs = self.judge(inputs[self.sample_name], training=False)
        loss = keras.losses.sparse_categorical_crossentropy(targets["label"], outputs["label"], from_logits=True)
        # The mean is over rows, not over batches, of which the last may be short.
        rows = tf.ones_like(loss)
        self.means["accuracy"].update_state(_correct(targets["label"], outputs["label"]), rows)
        self.means["loss"].update_state(loss, rows)
        return {name: self.means[name].result() for name in ("loss", "accuracy")}


def _correct(labels, scores):
    """Returns 1 for each row whose class has the highest score and 0 for the others, float32 (B,)."""
    return tf.cast(tf.equal(tf.cast(labels, tf.int64), tf.argmax(scores, -1)), tf.float32)
