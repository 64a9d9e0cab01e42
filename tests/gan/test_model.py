"""The training of two networks against each other: which network a step changes, and that it can be resumed."""

import inspect
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasapps
from kerasapps import distribution
from kerasapps.data.splits import Split, Splits
from kerasapps.gan.classifier import SemiSupervisedGAN
from kerasapps.gan.losses import Rules, discriminator_loss
from kerasapps.gan.model import GAN
from kerasapps.gan.noise import Noise
from kerasapps.gan.textbook import train_alternately
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.training import fit

SHAPE = (8, 8, 1)
ROWS = 20  # batches of 8, 8 and 4
PAIRS = {
    "plain": (kerasapps.build_generator, kerasapps.build_discriminator, {"units": 8}),
    "dcgan": (kerasapps.build_dcgan_generator, kerasapps.build_dcgan_discriminator, {}),
    "resnet": (kerasapps.build_resnet_generator, kerasapps.build_resnet_discriminator, {}),
}


def networks(pair: str = "dcgan", **arguments) -> tuple[keras.Model, keras.Model]:
    """A tiny generator and discriminator; arguments that a builder does not have are for the other."""
    *builders, sizes = PAIRS[pair]
    arguments = {"image_shape": SHAPE, "filters": 4, "noise_dim": 5, **sizes, **arguments}
    return tuple(
        build(**{name: arguments[name] for name in arguments if name in inspect.signature(build).parameters})
        for build in builders
    )


def make_gan(pair: str = "dcgan", *, rules: Rules = Rules(), learning_rate: float = 1e-2, **arguments) -> GAN:
    """A compiled, tiny GAN."""
    gan = GAN(*networks(pair, **arguments), rules=rules)
    optimizers = [keras.optimizers.Adam(learning_rate, beta_1=0.5) for _ in range(2)]
    gan.compile(*optimizers)
    return gan


def rows(count: int = ROWS, seed: int = 0) -> tuple[dict, dict]:
    rng = np.random.default_rng(seed)
    images = rng.uniform(-1, 1, (count, *SHAPE)).astype(np.float32)
    return {"image": images}, {"label": (np.arange(count) % 3).astype(np.int32)}


def weights(*models: keras.Model) -> list[np.ndarray]:
    return [weight for model in models for weight in model.get_weights()]


def same(before: list[np.ndarray], after: list[np.ndarray]) -> list[bool]:
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


# --- which network a step changes


@pytest.mark.parametrize(
    ("pair", "classes"), [("plain", None), ("dcgan", 3), pytest.param("resnet", None, marks=pytest.mark.slow)]
)
def test_an_update_leaves_the_other_network_untouched(pair, classes):
    gan = make_gan(pair, num_classes=classes)

    @tf.function
    def update_discriminator(inputs, targets):
        gan._update_discriminator(inputs, targets, gan._noise())

    @tf.function
    def update_generator(inputs, targets):
        gan._update_generator(inputs["image"], gan._label(targets), gan._noise())
        gan._average_generator()

    # A whole batch, a short one, for which everything is traced again, and a whole one once more.
    for count in (8, 3, 8):
        batch = tf.nest.map_structure(tf.constant, rows(count))
        before = weights(gan.discriminator), weights(gan.generator), weights(gan.averaged)
        update_discriminator(*batch)
        assert all(same(before[1] + before[2], weights(gan.generator, gan.averaged)))
        assert not all(same(before[0], weights(gan.discriminator)))
        before = weights(gan.discriminator), weights(gan.generator), weights(gan.averaged)
        update_generator(*batch)
        assert all(same(before[0], weights(gan.discriminator)))
        assert not all(same(before[1], weights(gan.generator)))
        assert not all(same(before[2], weights(gan.averaged)))


def test_both_networks_learn_in_fit_with_a_short_last_batch():
    gan = make_gan()
    before = [weight.numpy() for weight in gan.generator.trainable_weights + gan.discriminator.trainable_weights]
    history = gan.fit(*rows(), batch_size=8, epochs=2, verbose=0, validation_data=rows(seed=1)).history
    after = [weight.numpy() for weight in gan.generator.trainable_weights + gan.discriminator.trainable_weights]
    assert not any(same(before, after))
    assert {"loss", "discriminator_loss", "generator_loss", "real_verdict", "fake_verdict"} <= history.keys()
    assert "val_real_verdict" in history
    assert np.isfinite(list(history.values())).all()


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_the_trainable_flag_makes_no_difference(part):
    results = []
    for flag in (True, False):
        keras.utils.set_random_seed(1)
        gan = make_gan("plain")
        before = weights(getattr(gan, part))
        getattr(gan, part).trainable = flag
        gan.fit(*rows(), batch_size=8, verbose=0)
        results.append(weights(gan.discriminator, gan.generator))
        assert not any(same(before, weights(getattr(gan, part))))
    assert all(same(*results))


@pytest.mark.parametrize("part", ["generator", "discriminator"])
def test_a_network_that_was_never_trainable_is_refused(part):
    pair = dict(zip(("generator", "discriminator"), networks("plain"), strict=True))
    pair[part].trainable = False
    with pytest.raises(ValueError, match=f"`{part}` must be trainable when a GAN is made of it"):
        GAN(**pair).compile(keras.optimizers.Adam(), keras.optimizers.Adam())


def test_k_updates_of_the_discriminator_have_shares_of_the_batch_of_their_own():
    seen = []

    class Watching(GAN):
        def discriminator_objective(self, inputs, targets, fake, noise):
            seen.append(inputs["image"].numpy()[:, 0, 0, 0])
            return super().discriminator_objective(inputs, targets, fake, noise)

    gan = Watching(*networks(), rules=Rules(discriminator_steps=3, generator_steps=2))
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=True)
    inputs, targets = rows(9)
    inputs["image"][:, 0, 0, 0] = np.arange(9)
    gan.train_on_batch(inputs, targets)
    assert [part.tolist() for part in seen] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert int(gan.discriminator_optimizer.iterations) == 3
    assert int(gan.optimizer.iterations) == 2
    seen.clear()
    gan.train_on_batch({"image": inputs["image"][:2]}, {"label": targets["label"][:2]})
    assert [part.tolist() for part in seen] == [[0], [1], [0]]


def test_the_average_follows_the_generator():
    gan = make_gan("plain", rules=Rules(average=0.5))
    first = gan.averaged.get_weights()
    assert all(same(first, gan.generator.get_weights()))
    gan.train_on_batch(*rows(8))
    done = 1.0
    kept = min(0.5, done / (done + 9))
    for before, now, average in zip(first, gan.generator.get_weights(), gan.averaged.get_weights(), strict=True):
        np.testing.assert_allclose(average, kept * before + (1 - kept) * now, atol=1e-6)


# --- as fit has it


def test_several_steps_in_one_call():
    results = []
    for steps in (1, 2):
        keras.utils.set_random_seed(1)
        gan = GAN(*networks("plain"))
        gan.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), steps_per_execution=steps)
        gan.fit(*rows(16), batch_size=8, epochs=2, shuffle=False, verbose=0)
        results.append(weights(gan))
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


class Still(GAN):
    """A GAN whose noise follows from the number of a row, so that two replicas can be compared with one."""

    def _generate(self, count, label, noise, *, training):
        first = tf.distribute.get_replica_context().replica_id_in_sync_group * count
        rows = tf.cast(first + tf.range(count), tf.float32)[:, None]
        noise = tf.sin(rows * tf.range(1.0, self.noise_shape[0] + 1))
        return self.generator({"noise": noise}, training=training)[self.sample_name]


@pytest.mark.parametrize(
    ("pair", "rules"),
    [
        ("plain", Rules(r1=1.0, generator_steps=2)),
        ("dcgan", Rules(generator_steps=2)),  # normalized by the whole batch
        pytest.param("resnet", Rules(loss="hinge"), marks=pytest.mark.slow),
    ],
)
def test_two_replicas_do_what_one_does(pair, rules):
    results = []
    for name in ("none", "mirrored"):
        keras.utils.set_random_seed(1)
        strategy = distribution.make_strategy(name)
        with strategy.scope():
            generator, discriminator = networks(pair, dropout=0.0, noise=0.0)
            gan = Still(generator, discriminator, rules=rules)
            gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        data = tf.data.Dataset.from_tensor_slices(rows(16)).batch(8)
        gan.fit(distribution.shard_rows(data), epochs=2, shuffle=False, verbose=0)
        results.append(weights(gan))
    for average in gan.averaged.weights:
        first, second = strategy.experimental_local_results(average.value)
        np.testing.assert_array_equal(first, second)
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-5)


def test_an_evaluation_counts_rows_however_they_are_shared():
    results = []
    for name in ("none", "mirrored"):
        keras.utils.set_random_seed(1)
        strategy = distribution.make_strategy(name)
        with strategy.scope():
            generator, discriminator = networks("plain", dropout=0.0, noise=0.0)
            gan = Still(generator, discriminator)
            gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        data = Split(*rows(11)).batches(8)
        results.append(gan.evaluate(distribution.shard_rows(data), return_dict=True, verbose=0))
    verdicts = gan.judge(rows(11)[0]["image"], training=False)["verdict"].numpy()
    for result in results:  # of 8 and 3 rows at a time, the latter 2 and 1 on two replicas
        assert result["real_verdict"] == pytest.approx(np.mean(1 / (1 + np.exp(-verdicts))), abs=1e-6)
        assert np.isfinite(list(result.values())).all()


def test_replicas_draw_different_noise():
    strategy = distribution.make_strategy("mirrored")
    with strategy.scope():
        gan = make_gan("plain")
        drawn = strategy.run(lambda: gan._generate(2, None, gan._noise(), training=False))
    first, second = strategy.experimental_local_results(drawn)
    assert np.abs(first - second).max() > 1e-3


def train(folder, *, epochs: int, resume: bool = False, rules: Rules = Rules()):
    """Trains in a run folder."""
    run = start(
        "gan", {"options": Options(out=folder, resume=resume, seed=3), "epochs": epochs}, workload="convolution"
    )
    splits = Splits(Split(*rows(20)), Split(*rows(8, seed=1)), Split(*rows(8, seed=2)), sizes={})
    gan = make_gan("plain", rules=rules)
    fit(gan, splits, run, epochs=epochs, batch_size=8, monitor="loss")
    run.close()
    return gan, run


def test_a_resumed_training_ends_where_it_would_have_ended(tmp_path):
    rules = Rules(real_labels=(0.7, 1.2), flip=0.1, instance_noise=0.1, generator_steps=2)
    train(tmp_path / "whole", epochs=3, rules=rules)
    train(tmp_path / "parts", epochs=1, rules=rules)
    keras.utils.set_random_seed(77)
    train(tmp_path / "parts", epochs=3, resume=True, rules=rules)
    whole, parts = (np.load(tmp_path / name / "checkpoints" / "last.npz") for name in ("whole", "parts"))
    assert len(whole.files) == len(parts.files) > 30
    for name in set(whole.files) - {"state"}:
        np.testing.assert_array_equal(whole[name], parts[name])


def test_a_saved_gan_generates_the_same(tmp_path):
    gan = make_gan(num_classes=3, rules=Rules(r1=2.0))
    gan.fit(*rows(8), verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.models.load_model(tmp_path / "gan.keras", compile=False)
    assert loaded.rules == gan.rules
    noise = {"noise": np.ones((3, 5), np.float32), "label": np.arange(3, dtype=np.int32)}
    np.testing.assert_allclose(loaded(noise)["image"], gan(noise)["image"], atol=1e-6)


def test_half_precision_without_loss_scaling_is_refused():
    keras.config.set_dtype_policy("mixed_float16")
    with pytest.raises(ValueError, match="must be float32 or mixed_bfloat16"):
        make_gan()


def test_bfloat16_trains():
    keras.config.set_dtype_policy("mixed_bfloat16")
    gan = make_gan("resnet", rules=Rules(loss="hinge", r1=0.1))
    assert np.isfinite(gan.train_on_batch(*rows(8))).all()


# --- every loss


@pytest.mark.parametrize(
    "rules",
    [
        Rules(loss="minimax"),
        Rules(real_labels=(0.7, 1.2), fake_labels=(0.0, 0.3), flip=0.05, generator_steps=2),
        Rules(loss="least_squares", joint_batches=True, instance_noise=0.1, instance_noise_steps=10),
        Rules(loss="hinge", r1=1.0),
        Rules(loss="wasserstein", clip=0.01, discriminator_steps=2),
        Rules(loss="wasserstein", gradient_penalty=10.0, discriminator_steps=2),
    ],
    ids=lambda rules: rules.loss,
)
def test_every_loss_trains(rules):
    gan = make_gan("plain", rules=rules, num_classes=3, spectral=rules.loss == "hinge")
    before = weights(gan.generator)
    history = gan.fit(*rows(), batch_size=8, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert not all(same(before, weights(gan.generator)))
    if rules.clip:
        assert max(np.abs(w).max() for w in gan.discriminator.get_weights()) <= rules.clip + 1e-9


def test_targets_are_drawn_from_their_ranges_and_flipped():
    gan = make_gan("plain", rules=Rules(real_labels=(0.7, 1.2), fake_labels=(0.0, 0.3), flip=0.2))
    targets = gan._targets(gan.rules.real_labels, gan.rules.fake_labels, 10_000, gan._noise()).numpy()
    flipped = targets <= 0.3
    assert flipped.mean() == pytest.approx(0.2, abs=0.02)
    assert targets[~flipped].min() == pytest.approx(0.7, abs=0.01)
    assert targets[~flipped].max() == pytest.approx(1.2, abs=0.01)
    assert targets[flipped].min() == pytest.approx(0.0, abs=0.01)


def test_instance_noise_fades():
    gan = make_gan("plain", rules=Rules(instance_noise=1.0, instance_noise_steps=10, discriminator_steps=2))
    zeros = tf.zeros((1000, 2))
    for steps, expected in ((0, 1.0), (5, 0.5), (10, 0.0), (20, 0.0)):
        gan.discriminator_optimizer.iterations.assign(2 * steps)
        assert np.std(gan._blur(zeros, gan._noise())) == pytest.approx(expected, abs=0.05)


def test_penalties_are_what_they_say():
    gan = make_gan("plain", dropout=0.0, noise=0.0)
    images = tf.constant(rows(4)[0]["image"])
    with tf.GradientTape() as tape:
        tape.watch(images)
        verdict = gan.judge(images, training=False)["verdict"]
    expected = np.sqrt(np.square(tape.gradient(verdict, images)).sum((1, 2, 3)))
    np.testing.assert_allclose(gan._slope(images, None), expected, rtol=1e-4)

    def objective(**penalty):
        gan.rules = Rules(**penalty)
        # Where the generated images are the real ones, so are all between them.
        return float(gan.discriminator_objective({"image": images}, {}, images, gan._noise()))

    plain = objective()
    assert objective(r1=3.0) - plain == pytest.approx(3 / 2 * np.mean(expected**2), rel=1e-3)
    assert objective(gradient_penalty=10.0) - plain == pytest.approx(10 * np.mean((expected - 1) ** 2), rel=1e-3)


@pytest.mark.parametrize(
    ("pair", "more", "joint", "calls", "agrees"),
    [
        ("plain", {}, None, 1, True),
        ("plain", {"num_classes": 3}, None, 1, True),
        ("plain", {}, False, 2, True),
        ("plain", {"spectral": True}, None, 2, True),
        ("dcgan", {}, None, 2, True),
        ("dcgan", {}, True, 1, False),
    ],
)
def test_batches_are_joined_only_where_it_makes_no_difference_or_is_asked_for(pair, more, joint, calls, agrees):
    gan = make_gan(pair, rules=Rules(joint_batches=joint), dropout=0.0, noise=0.0, **more)
    inputs, targets = rows(6)
    real, fake, label = inputs["image"], 0.1 * rows(6, seed=1)[0]["image"], gan._label(targets)
    before = weights(gan.discriminator)
    verdicts = [gan.judge(images, label, training=True)["verdict"] for images in (real, fake)]
    apart = float(discriminator_loss("non_saturating", *verdicts))
    gan.discriminator.set_weights(before)
    judged = []
    usual = gan.judge
    gan.judge = lambda *arguments, **keywords: judged.append(1) or usual(*arguments, **keywords)
    real, fake = tf.constant(real), tf.constant(fake)
    objective = float(gan.discriminator_objective({"image": real}, targets, fake, gan._noise()))
    assert len(judged) == calls
    assert (objective == pytest.approx(apart, rel=1e-5)) is agrees


# --- semi-supervised


def semi_rows(count: int = ROWS) -> tuple[dict, dict]:
    inputs, targets = rows(count)
    return inputs | {"labelled_image": rows(count, seed=5)[0]["image"]}, targets


def test_the_classifier_learns_its_labels():
    generator = networks("plain")[0]
    discriminator = kerasapps.build_discriminator(
        image_shape=SHAPE, num_classes=3, classifies=True, units=32, filters=8, dropout=0.0, noise=0.0
    )
    gan = SemiSupervisedGAN(generator, discriminator)
    gan.compile(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2))
    inputs, targets = semi_rows()
    gan.fit(inputs, targets, epochs=30, batch_size=8, verbose=0)
    result = gan.evaluate({"image": inputs["labelled_image"]}, targets, verbose=0, return_dict=True, batch_size=8)
    assert result["accuracy"] > 0.9  # a guess is right on a third


def test_the_entropy_of_rows_without_labels_by_hand():
    def objective(entropy: float) -> tuple[float, float]:
        keras.utils.set_random_seed(0)
        generator = networks("plain")[0]
        discriminator = kerasapps.build_discriminator(
            image_shape=SHAPE, num_classes=3, classifies=True, units=32, filters=8, dropout=0.0, noise=0.0
        )
        gan = SemiSupervisedGAN(generator, discriminator, rules=Rules(entropy=entropy))
        inputs, targets = semi_rows()
        scores = discriminator({"image": inputs["image"]})["label"]
        p = keras.ops.convert_to_numpy(keras.ops.softmax(scores))
        noise = Noise(tf.constant([0, 1]))
        loss = gan.discriminator_objective(inputs, targets, tf.constant(inputs["labelled_image"]), noise)
        return float(loss), float(-(p * np.log(p)).sum(-1).mean())

    (plain, _), (loss, expected) = objective(0.0), objective(2.0)
    assert loss - plain == pytest.approx(2 * expected, rel=1e-4)


# --- the textbook loop


def test_the_textbook_loop_trains_each_network_in_its_turn():
    generator, discriminator = networks("plain")
    images = rows()[0]["image"]
    loop = train_alternately(generator, discriminator, images, steps=3, batch_size=8)
    before = weights(generator), weights(discriminator)
    losses = next(loop)
    assert losses.keys() == {"real", "fake", "generator"}
    after = weights(generator), weights(discriminator)
    assert not any(same(before[0], after[0]))
    assert not any(same(before[1], after[1]))
    list(loop)


def test_the_textbook_loop_leaves_the_other_network_untouched_with_a_shorter_batch_too():
    generator, discriminator = networks("plain")
    images = rows()[0]["image"]
    for batch_size in (8, 3):
        before = weights(discriminator)
        # No update of the discriminator: what changes it would be the generator's.
        list(train_alternately(generator, discriminator, images, steps=2, batch_size=batch_size, discriminator_steps=0))
        assert all(same(before, weights(discriminator)))
        before = weights(generator)
        list(train_alternately(generator, discriminator, images, steps=2, batch_size=batch_size, generator_steps=0))
        assert all(same(before, weights(generator)))


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
def test_the_textbooks_recipe_is_wrong_in_keras_3():
    # Why `GAN` exists: a flag set between two calls of `compile` is read when a step is traced, not before.
    generator, discriminator = networks("plain")
    combined = kerasapps.build_gan(generator=generator, discriminator=discriminator)
    loss = {"verdict": keras.losses.BinaryCrossentropy(from_logits=True)}
    discriminator.compile(keras.optimizers.Adam(), loss)
    discriminator.trainable = False
    combined.compile(keras.optimizers.Adam(), loss)
    before = weights(discriminator)
    discriminator.train_on_batch(rows(8)[0], {"verdict": np.ones((8, 1), np.float32)})
    assert all(same(before, weights(discriminator)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "wgan"}, "`loss` must be one of"),
        ({"loss": "wasserstein"}, "`loss` 'wasserstein' needs `clip` or `gradient_penalty`"),
        ({"loss": "hinge", "flip": 0.1}, "`loss` 'hinge' has no labels"),
        ({"flip": 1.0}, "`flip` must be in"),
        ({"average": 1.0}, "`average` must be in"),
        ({"r1": -1.0}, "`r1` must be at least 0"),
        ({"discriminator_steps": 0}, "`discriminator_steps` must be at least 1. Received: discriminator_steps=0"),
        ({"generator_steps": 1.5}, "`generator_steps` must be a whole number. Received: generator_steps=1.5"),
        ({"real_labels": 0.9}, "`real_labels` must be two numbers, the smaller first. Received: real_labels=0.9"),
        ({"real_labels": (1.2, 0.7)}, "`real_labels` must be two numbers, the smaller first"),
        ({"real_labels": (1.0, 1.4)}, "must have different means from 0 to 1 where `loss` is 'non_saturating'"),
        ({"fake_labels": (1.0, 1.0)}, "must have different means from 0 to 1 where `loss` is 'non_saturating'"),
    ],
)
def test_rules_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match="Received") as error:
        replace(Rules(), **change)
    assert message in str(error.value)


def test_networks_that_do_not_fit():
    generator, _ = networks("plain")
    _, conditional = networks("plain", num_classes=3)
    with pytest.raises(ValueError, match="`discriminator` must take the outputs of `generator`"):
        GAN(generator, conditional)
