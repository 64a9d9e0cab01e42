"""Training of two networks against each other: `GAN`, for `fit`, and the textbook loop over `train_on_batch`.

Reference: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import keras
import numpy as np
import tensorflow as tf

from kerasapps.applications.gan import build_gan
from kerasapps.gan.losses import WITH_TARGETS, Rules, discriminator_loss, generator_loss, shown_verdict
from kerasapps.gan.noise import Noise


@dataclass(frozen=True)
class Trained:
    """The variables that an update of each network changes.

    Keras would count variables among a model's attributes as further weights of it; it does not look into this object.
    """

    generator: list
    discriminator: list


@keras.saving.register_keras_serializable(package="kerasapps", name="Gan")  # as in models saved before it was GAN
class GAN(keras.Model):
    """A generator, its average over the steps, and a discriminator, trained by one compiled step.

    Lists of variables, made with the GAN, define which weights an update changes. Keras reads the `trainable` flag when
    it traces a step, not when it compiles, so the textbook recipe silently trains the discriminator in the generator's
    step, or never; here the flag has no effect once the GAN is made. What a training call changes besides weights
    (moving statistics, singular vectors) is restored for the network that is not being updated.

    Batches are (inputs, targets): inputs with the generator's output, such as "image" (B, H, W, C), and, for networks
    with classes, targets with "label" int32 (B,). Calling the model calls the averaged generator.

    Args:
        generator: From noise to a dict of one output; see `kerasapps.build_generator`.
        discriminator: From that output, and the class if the generator takes one, to the logit "verdict" (B, 1).
        rules: The loss and how it is trained.
        averaged: The averaged generator, with the generator's layers; made from it by default.
        seed: Seed of noise and targets.
        name: Name of the model.

    Raises:
        ValueError: If the discriminator does not take the generator's output.

    Example:
        >>> gan = GAN(build_generator(image_shape=(28, 28, 1)), build_discriminator(image_shape=(28, 28, 1)))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> gan.fit({"image": digits / 127.5 - 1}, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> gan.predict({"noise": noise})["image"]  # noise float32 (n, 64)
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        rules: Rules = Rules(),
        averaged: keras.Model | None = None,
        seed: int = 0,
        name: str = "gan",
    ):
        super().__init__(name=name)
        build_gan(generator=generator, discriminator=discriminator)  # refuses networks that do not fit
        if averaged is None:
            averaged = keras.models.clone_model(generator)
            averaged.set_weights(generator.get_weights())
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = averaged
        self.trained = Trained(list(generator.trainable_variables), list(discriminator.trainable_variables))
        self.rules = rules
        self.seed = seed
        self.sample_name = next(iter(generator.output))
        self.noise_dim = next(tensor for tensor in generator.inputs if tensor.name == "noise").shape[-1]
        self.conditional = len(generator.inputs) > 1
        names = ("loss", "discriminator_loss", "generator_loss", "real_verdict", "fake_verdict")
        self.means = {name: keras.metrics.Mean(name=name) for name in (*names, *self.more_metrics())}
        self.built = True

    def more_metrics(self) -> tuple[str, ...]:
        """Returns the names of metrics that a subclass adds."""
        return ()

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        *,
        jit_compile: bool = False,
        **settings,
    ):
        """Takes an optimizer for each network; `settings` are those of `keras.Model.compile`.

        Raises:
            ValueError: Under `mixed_float16`, which needs loss scaling (bfloat16 does not), or if a network has nothing
                to train because its `trainable` was False when the GAN was made.
        """
        if keras.config.dtype_policy().name == "mixed_float16":
            raise ValueError("`precision` must be float32 or mixed_bfloat16 for a GAN. Received: mixed_float16")
        for name, variables in vars(self.trained).items():
            if getattr(self, name).weights and not variables:
                raise ValueError(f"`{name}` must be trainable when a GAN is made of it. Received: trainable=False")
        generator_optimizer.build(self.trained.generator)
        discriminator_optimizer.build(self.trained.discriminator)
        super().compile(optimizer=generator_optimizer, jit_compile=jit_compile, **settings)
        self.discriminator_optimizer = discriminator_optimizer

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The generator's and the discriminator's optimizer, whose states an exact resume needs."""
        return [self.optimizer, self.discriminator_optimizer]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means over the epoch."""
        return list(self.means.values())

    def plain(self) -> keras.Model:
        """Returns the averaged generator, which is what calling a GAN calls."""
        return self.averaged

    def call(self, inputs, training=None):
        return self.averaged(inputs, training=training)

    @property
    def output(self):
        """Outputs of the averaged generator by name."""
        return self.averaged.output

    # --- the step

    def train_step(self, data):
        """Updates the discriminator, each time on a share of the batch, then the generator."""
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        targets = targets or {}
        real, noise = inputs[self.sample_name], self._noise()
        steps = self.rules.discriminator_steps
        share = tf.maximum(tf.shape(real)[0] // steps, 1)
        for i in range(steps):
            # A last batch that is too short for all shares starts again from its first row.
            rows = tf.range(i * share, (i + 1) * share) % tf.shape(real)[0]
            chosen, labels = (
                {name: tf.gather(array, rows) for name, array in arrays.items()} for arrays in (inputs, targets)
            )
            loss = self._update_discriminator(chosen, labels, noise)
        for _ in range(self.rules.generator_steps):
            last = self._update_generator(chosen[self.sample_name], self._label(labels), noise)
        self._average_generator()
        self._note(loss=loss + last)
        return {name: mean.result() for name, mean in self.means.items()}

    def test_step(self, data):
        """Computes losses and logits as in inference, on rows that the discriminator was not trained on."""
        inputs, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        real, label = inputs[self.sample_name], self._label(targets)
        real_verdict = self.judge(real, label, training=False)["verdict"]
        fake = self._generate(tf.shape(real)[0], label, self._noise(), training=False)
        fake_verdict = self.judge(fake, label, training=False)["verdict"]
        losses = {
            "discriminator_loss": discriminator_loss(self.rules.loss, real_verdict, fake_verdict),
            "generator_loss": generator_loss(self.rules.loss, fake_verdict),
        }
        rows = tf.shape(real)[0]
        self._note(rows, real_verdict=real_verdict, fake_verdict=fake_verdict, loss=sum(losses.values()), **losses)
        return {name: mean.result() for name, mean in self.means.items()}

    def discriminator_objective(self, inputs: dict, targets: dict, fake, noise: Noise):
        """Returns the loss of an update of the discriminator, a scalar.

        Args:
            inputs: Real rows, by name.
            targets: Their labels, by name.
            fake: As many generated rows of the same classes.
            noise: Random numbers of this step.
        """
        rules = self.rules
        label = self._label(targets)
        real, fake = self._blur(inputs[self.sample_name], noise), self._blur(fake, noise)
        count = tf.shape(real)[0]
        joint = rules.joint_batches
        if joint is None:
            joint = len(self.discriminator.weights) == len(self.trained.discriminator)
        if joint:
            labels = None if label is None else tf.concat([label, label], 0)
            logits = self.judge(tf.concat([real, fake], 0), labels, training=True)["verdict"]
            real_verdict, fake_verdict = logits[:count], logits[count:]
        else:
            real_verdict = self.judge(real, label, training=True)["verdict"]
            fake_verdict = self.judge(fake, label, training=True)["verdict"]
        self._note(real_verdict=real_verdict, fake_verdict=fake_verdict)
        soft = {}
        if rules.loss in WITH_TARGETS:
            soft = {
                "real_targets": self._targets(rules.real_labels, rules.fake_labels, count, noise),
                "fake_targets": self._targets(rules.fake_labels, rules.real_labels, count, noise),
            }
        loss = discriminator_loss(rules.loss, real_verdict, fake_verdict, **soft)
        if rules.gradient_penalty:
            share = noise.uniform(count, [1] * (len(real.shape) - 1))
            slope = self._slope(real + share * (fake - real), label)
            loss += rules.gradient_penalty * tf.reduce_mean(tf.square(slope - 1))
        if rules.r1:
            loss += rules.r1 / 2 * tf.reduce_mean(tf.square(self._slope(real, label)))
        return loss

    def generator_objective(self, fake, real, label, noise: Noise):
        """Returns the loss of an update of the generator, a scalar; `real` holds as many real rows."""
        rules = self.rules
        verdict = self.judge(self._blur(fake, noise), label, training=True)["verdict"]
        if rules.loss not in WITH_TARGETS:
            return generator_loss(rules.loss, verdict)
        targets = self._targets(rules.real_labels, rules.real_labels, tf.shape(fake)[0], noise)
        return generator_loss(rules.loss, verdict, targets)

    def judge(self, rows, label=None, *, training: bool) -> dict:
        """Returns the discriminator's outputs for rows and, if it takes them, their classes."""
        inputs = {self.sample_name: rows} | ({"label": label} if self.conditional else {})
        return self.discriminator(inputs, training=training)

    def _update_discriminator(self, inputs: dict, targets: dict, noise: Noise):
        with unchanged_statistics(self.generator):
            fake = self._generate(tf.shape(inputs[self.sample_name])[0], self._label(targets), noise, training=True)
        variables = self.trained.discriminator
        with tf.GradientTape() as tape:
            loss = self.discriminator_objective(inputs, targets, tf.stop_gradient(fake), noise)
            shared = _share(loss)
        self.discriminator_optimizer.apply(tape.gradient(shared, _values(variables)), variables)
        if self.rules.clip:
            for variable in variables:
                variable.assign(tf.clip_by_value(variable.value, -self.rules.clip, self.rules.clip))
        self._note(discriminator_loss=loss)
        return loss

    def _update_generator(self, real, label, noise: Noise):
        variables = self.trained.generator
        with tf.GradientTape() as tape, unchanged_statistics(self.discriminator):
            fake = self._generate(tf.shape(real)[0], label, noise, training=True)
            loss = self.generator_objective(fake, real, label, noise)
            shared = _share(loss)
        self.optimizer.apply(tape.gradient(shared, _values(variables)), variables)
        self._note(generator_loss=loss)
        return loss

    def _average_generator(self) -> None:
        # A shorter average at the start, so that the first weights do not last.
        done = tf.cast(self.optimizer.iterations.value, tf.float32) / self.rules.generator_steps
        kept = tf.minimum(self.rules.average, done / (done + 9))
        for average, weight in zip(self.averaged.weights, self.generator.weights, strict=True):
            # A step of gradient descent toward the weight passes over the memory twice; sums would need four passes.
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.value.handle, alpha=1 - kept, delta=average.value - weight.value
            )

    def _label(self, targets: dict):
        """Returns the classes if the networks take them."""
        return targets["label"] if self.conditional else None

    def _generate(self, count, label, noise: Noise, *, training: bool):
        inputs = {"noise": noise.normal(count, [self.noise_dim])} | ({"label": label} if self.conditional else {})
        return self.generator(inputs, training=training)[self.sample_name]

    def _noise(self) -> Noise:
        """Returns the noise of this step."""
        # The discriminator's count: the optimizer of a generator without weights does not count.
        root = tf.random.fold_in([self.seed, 0], self.discriminator_optimizer.iterations.value)
        return Noise(tf.random.fold_in(root, 0))  # folded twice, as earlier versions did for their first replica

    def _blur(self, rows, noise: Noise):
        """Adds instance noise."""
        rules = self.rules
        rows = tf.cast(rows, tf.float32)
        if not rules.instance_noise:
            return rows
        left = 1.0
        if rules.instance_noise_steps:
            updates = self.discriminator_optimizer.iterations.value
            done = tf.cast(updates, tf.float32) / rules.discriminator_steps
            left = tf.maximum(0.0, 1 - done / rules.instance_noise_steps)
        shape = tf.shape(rows)
        return rows + left * rules.instance_noise * noise.normal(shape[0], shape[1:])

    def _targets(self, usual: Sequence[float], flipped: Sequence[float], count, noise: Noise):
        """Draws targets (count, 1)."""

        def draw(ends):
            return noise.uniform(count, [1], *ends) if ends[0] < ends[1] else tf.fill([count, 1], float(ends[0]))

        targets = draw(usual)
        if self.rules.flip and usual != flipped:
            others = noise.uniform(count, [1]) < self.rules.flip
            targets = tf.where(others, draw(flipped), targets)
        return targets

    def _slope(self, rows, label):
        """Returns the norm of the gradient of the logit with respect to each row (B,)."""
        with tf.GradientTape() as tape:
            tape.watch(rows)
            verdict = tf.reduce_sum(self.judge(rows, label, training=True)["verdict"])
        gradient = tape.gradient(verdict, rows)
        # The gradient of the root is infinite at 0.
        return tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=range(1, len(rows.shape))) + 1e-12)

    def _note(self, rows=1, /, **values) -> None:
        """Adds values of this step to the means over the epoch, weighted by the number of rows."""
        for name, value in values.items():
            value = shown_verdict(self.rules.loss, value) if name.endswith("verdict") else value
            # A replica may have no row of a short last batch, whose mean would be NaN.
            self.means[name].update_state(tf.where(rows > 0, tf.reduce_mean(value), 0.0), rows)

    def get_config(self):
        networks = {name: keras.saving.serialize_keras_object(getattr(self, name)) for name in NETWORKS}
        return {"name": self.name, "seed": self.seed, "rules": asdict(self.rules), **networks}

    @classmethod
    def from_config(cls, config):
        networks = {name: keras.saving.deserialize_keras_object(config.pop(name)) for name in NETWORKS}
        # JSON turns tuples into lists.
        rules = {
            name: tuple(value) if isinstance(value, list) else value for name, value in config.pop("rules").items()
        }
        return cls(**networks, rules=Rules(**rules), **config)


NETWORKS = ("generator", "discriminator", "averaged")


@contextlib.contextmanager
def unchanged_statistics(network: keras.Model) -> Iterator[None]:
    """Restores, at the end, what training calls have changed in a network besides its weights.

    The states of its random generators are not restored, or dropout would always drop the same features.
    """
    before = [(variable, tf.identity(variable.value)) for variable in network.non_trainable_weights]
    yield
    for variable, value in before:
        variable.assign(value)


def _share(loss):
    """Returns the share of the loss that a replica minimizes: the gradients of all replicas are summed."""
    return loss / tf.distribute.get_strategy().num_replicas_in_sync


def _values(variables: Sequence) -> list:
    return [variable.value for variable in variables]


def train_alternately(
    generator: keras.Model,
    discriminator: keras.Model,
    images: np.ndarray,
    *,
    steps: int,
    batch_size: int = 64,
    discriminator_steps: int = 1,
    generator_steps: int = 2,
    learning_rate: float = 2e-4,
    seed: int = 0,
) -> Iterator[dict[str, float]]:
    """Trains as the course notes do, by `train_on_batch` on both networks and the combined model; for teaching.

    The notes set `trainable = False` between two calls of `compile`. Keras 3 reads the flag whenever it traces a step,
    and would train the discriminator in the generator's step, or never. Here the flag is set before every call, so
    that whatever is traced then, also for a shorter batch, is right.

    Args:
        generator: From "noise" to "image"; trained in place.
        discriminator: From "image" to "verdict"; trained in place.
        images: Images, float32 (n, H, W, C), values -1 to 1.
        steps: Number of steps of the whole training.
        batch_size: Number of images in a batch.
        discriminator_steps: Updates of the discriminator in a step, each on real and then on generated images.
        generator_steps: Updates of the generator in a step.
        learning_rate: Of Adam, whose beta_1 is 0.5.
        seed: Seed of noise, labels and the order of the images.

    Yields:
        After each step the losses: "real", "fake" and "generator".
    """
    rng = np.random.default_rng(seed)
    combined = build_gan(generator=generator, discriminator=discriminator)
    noise_dim = generator.inputs[0].shape[-1]
    for model in (discriminator, combined):
        loss = {"verdict": keras.losses.BinaryCrossentropy(from_logits=True)}
        model.compile(keras.optimizers.Adam(learning_rate, beta_1=0.5), loss, jit_compile=False)

    def labels(low: float, high: float) -> dict[str, np.ndarray]:
        return {"verdict": rng.uniform(low, high, (batch_size, 1)).astype(np.float32)}

    def noise() -> dict[str, np.ndarray]:
        return {"noise": rng.normal(size=(batch_size, noise_dim)).astype(np.float32)}

    for _ in range(steps):
        losses = {}
        discriminator.trainable = True
        for _ in range(discriminator_steps):
            real = images[rng.integers(0, len(images), batch_size)]
            fake = generator.predict(noise(), batch_size=batch_size, verbose=0)["image"]
            losses["real"] = float(discriminator.train_on_batch({"image": real}, labels(0.7, 1.2)))
            losses["fake"] = float(discriminator.train_on_batch({"image": fake}, labels(0.0, 0.3)))
        discriminator.trainable = False
        for _ in range(generator_steps):
            losses["generator"] = float(combined.train_on_batch(noise(), labels(0.7, 1.2)))
        discriminator.trainable = True
        yield losses
