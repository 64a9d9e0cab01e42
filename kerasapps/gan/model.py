"""Training of two networks against each other: `GAN`, whose `fit` takes images.

Reference: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import keras
import numpy as np
import tensorflow as tf

from kerasapps.blocks.arguments import check_at_least, refusal
from kerasapps.blocks.backend import require_tensorflow
from kerasapps.gan.losses import WITH_TARGETS, Rules, discriminator_loss, generator_loss, shown_verdict
from kerasapps.gan.networks import LABEL, NOISE, VERDICT, call_named, range_of, roles_of
from kerasapps.gan.noise import Noise
from kerasapps.gan.rows import named, read_batch, warn_of_values


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

    `fit`, `evaluate` and `train_on_batch` take images, and for networks with classes labels, int32 (B,), each as an
    array, a list or a dict ({"image": ...}, {"label": ...}), or both as a `tf.data.Dataset` of batches. The images have
    the values that the generator can make, -1 to 1 for those of this package; `fit` warns of others. Calling the model
    calls the averaged generator.

    A GAN saved by `save` and loaded by `kerasapps.load_model(path, compile=True)` resumes its training with the states
    of both optimizers; loaded without `compile=True` it has to be compiled again, and its optimizers start afresh.

    Args:
        generator: From noise, and the class if there are any, to the images; see `kerasapps.build_generator`. Any
            functional or Sequential model that begins with `keras.Input` will do. The class is the input named "label",
            or else the one of an integer dtype.
        discriminator: From the images, and the class if it takes one, to the logit of being real (B, 1), without a
            sigmoid. If it has several outputs, the logit is called "verdict".
        rules: The loss and how it is trained.
        averaged: The averaged generator, with the generator's layers; made from it by default.
        seed: Seed of noise and targets, from 0 to 2**31 - 1.
        name: Name of the model.

    Raises:
        ValueError: If the discriminator does not take the generator's output or ends in an activation, a network is not
            functional or Sequential, or Keras does not compute with TensorFlow.

    Example:
        >>> gan = GAN(build_generator(image_shape=(28, 28, 1)), build_discriminator(image_shape=(28, 28, 1)))
        >>> gan.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
        >>> gan.fit(digits / 127.5 - 1, epochs=2)  # digits float32 (n, 28, 28, 1), values 0 to 255
        >>> gan.sample(16)  # float32 (16, 28, 28, 1)
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
        require_tensorflow("A GAN")
        super().__init__(name=name)
        if not isinstance(rules, Rules):
            raise refusal("be of the class Rules, such as Rules(loss='hinge')", rules=rules)
        if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**31:
            raise refusal("be a whole number from 0 to 2**31 - 1", seed=seed)
        self.roles = roles_of(generator, discriminator)
        if averaged is None:
            averaged = keras.models.clone_model(generator)
            averaged.set_weights(generator.get_weights())
        shapes = [[weight.shape for weight in getattr(network, "weights", [])] for network in (generator, averaged)]
        if shapes[0] != shapes[1]:
            raise refusal("have the layers of `generator`", averaged=getattr(averaged, "name", averaged))
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = averaged
        self.trained = Trained(list(generator.trainable_variables), list(discriminator.trainable_variables))
        self.rules = rules
        self.seed = int(seed)
        self.sample_name = self.roles.sample
        self.sample_shape = tuple(generator.outputs[0].shape[1:])
        self.noise_shape = tuple(generator.inputs[self.roles.generator.index(NOISE)].shape[1:])
        self.conditional = LABEL in self.roles.generator
        self.looked = False  # whether `fit` has looked at the values of its first images
        names = ("loss", "discriminator_loss", "generator_loss", "real_verdict", "fake_verdict")
        self.means = {name: keras.metrics.Mean(name=name) for name in (*names, *self.more_metrics())}
        self.built = True

    def more_metrics(self) -> tuple[str, ...]:
        """Returns the names of metrics that a subclass adds."""
        return ()

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer | str,
        discriminator_optimizer: keras.optimizers.Optimizer | str,
        *,
        jit_compile: bool = False,
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
    ):
        """Takes an optimizer for each network, or its name; the loss is that of `rules`.

        Args:
            generator_optimizer: Optimizer of the generator.
            discriminator_optimizer: Another one, of the discriminator.
            jit_compile: As in `keras.Model.compile`, like the two below.
            steps_per_execution: Steps in a call of the compiled function.
            run_eagerly: Whether to run each operation at once, to debug.

        Raises:
            ValueError: If an optimizer is none, both are the same, under `mixed_float16`, which needs loss scaling
                (bfloat16 does not), or if a network has nothing to train because its `trainable` was False when the GAN
                was made.
        """
        if keras.config.dtype_policy().name == "mixed_float16":
            raise ValueError("`precision` must be float32 or mixed_bfloat16 for a GAN. Received: mixed_float16")
        for name, variables in vars(self.trained).items():
            if getattr(self, name).weights and not variables:
                raise ValueError(f"`{name}` must be trainable when a GAN is made of it. Received: trainable=False")
        both = {"generator_optimizer": generator_optimizer, "discriminator_optimizer": discriminator_optimizer}
        optimizers = [_optimizer(name, given) for name, given in both.items()]
        if optimizers[0] is optimizers[1]:
            raise ValueError(
                "`generator_optimizer` and `discriminator_optimizer` must be two optimizers, as each keeps the state "
                f"of one network. Received: one {type(optimizers[0]).__name__} for both"
            )
        for optimizer, variables in zip(optimizers, vars(self.trained).values(), strict=True):
            optimizer.build(variables)
        super().compile(
            optimizer=optimizers[0],
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        self.discriminator_optimizer = optimizers[1]

    def get_compile_config(self):
        if not self.compiled:
            return {}
        names = ("generator_optimizer", "discriminator_optimizer")
        config = {
            name: keras.saving.serialize_keras_object(one) for name, one in zip(names, self.optimizers, strict=True)
        }
        return config | {"jit_compile": self.jit_compile, "steps_per_execution": self.steps_per_execution}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, y=None, *arguments, **settings):
        """Trains as `keras.Model.fit` does, whose arguments it takes.

        The values of the first images are looked at once: data from 0 to 255 is a warning where the generator ends in a
        tanh, as it would never learn to make them.
        """
        if not self.looked:
            self.looked = True
            warn_of_values(x, self.row_names(), range_of(self.generator))
        return super().fit(x, y, *arguments, **settings)

    def sample(self, count: int, *, labels=None, seed: int = 0, batch_size: int = 256) -> np.ndarray:
        """Draws samples from the averaged generator.

        Args:
            count: How many, at least 1.
            labels: Their classes, whole numbers (count,), or one for all; for networks with classes.
            seed: Decides which; the first ones are the same whatever `count` is.
            batch_size: How many at a time.

        Returns:
            The samples, float32 (count, ...), images with values from -1 to 1.

        Raises:
            ValueError: If the networks have classes and `labels` are missing or not as many as `count`.
        """
        check_at_least(1, count=count, batch_size=batch_size)
        values = {NOISE: np.random.default_rng(seed).standard_normal((count, *self.noise_shape), dtype=np.float32)}
        if self.conditional:
            if labels is None or np.shape(labels) not in [(), (count,)]:
                raise refusal(f"be one class or {count}, as the networks take one", labels=labels)
            values[LABEL] = np.broadcast_to(np.asarray(labels, np.int32), (count,))
        given = [values[role] for role in (NOISE, LABEL) if role in values]
        made = self.predict(given, batch_size=batch_size, verbose=0)
        return np.asarray(keras.tree.flatten(made)[0])

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
        if isinstance(inputs, Mapping):
            return self.averaged(inputs, training=training)
        return call_named(self.averaged, self.roles.generator, named(inputs, (NOISE, LABEL)), training=training)

    @property
    def output(self):
        """Outputs of the averaged generator by name."""
        return self.averaged.output

    # --- the step

    def train_step(self, data):
        """Updates the discriminator, each time on a share of the batch, then the generator."""
        inputs, targets = self._batch(data)
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
        inputs, targets = self._batch(data)
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
        values = {self.sample_name: rows, LABEL: label}
        outputs = call_named(self.discriminator, self.roles.discriminator, values, training=training)
        if not isinstance(outputs, Mapping) or VERDICT not in outputs:
            outputs = {VERDICT: keras.tree.flatten(outputs)[0]}  # of a network that has no other
        return outputs | {VERDICT: tf.cast(outputs[VERDICT], tf.float32)}

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

    def row_names(self) -> tuple[str, ...]:
        """Returns the names of what a batch holds, in the order in which a list gives them."""
        return (self.sample_name, LABEL)

    def _batch(self, data) -> tuple[dict, dict]:
        return read_batch(data, names=self.row_names(), shape=self.sample_shape, labels=self.conditional)

    def _label(self, targets: dict):
        """Returns the classes if the networks take them."""
        return targets[LABEL] if self.conditional else None

    def _generate(self, count, label, noise: Noise, *, training: bool):
        values = {NOISE: noise.normal(count, self.noise_shape), LABEL: label}
        made = call_named(self.generator, self.roles.generator, values, training=training)
        return keras.tree.flatten(made)[0]

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


def _optimizer(name: str, given) -> keras.optimizers.Optimizer:
    """Returns an optimizer, also by its name."""
    try:
        optimizer = keras.optimizers.get(given)
    except (ValueError, TypeError):
        optimizer = None
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise refusal('be a Keras optimizer or its name, such as "adam"', **{name: given})
    return optimizer


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
