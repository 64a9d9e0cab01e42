"""`GAN` as Keras users type it: data in every form, networks of their own, loaded models, and what is refused."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kerasapps
from kerasapps.gan.classifier import SemiSupervisedGAN
from kerasapps.gan.losses import Rules
from kerasapps.gan.model import GAN

rng = np.random.default_rng(0)


# Keras itself warns of its own default for a data set; nothing else may.
quiet = pytest.mark.filterwarnings("error::UserWarning", "ignore:`shuffle=True` was passed:UserWarning")
IMAGES = rng.uniform(-1, 1, (12, 8, 8, 1)).astype(np.float32)
LABELS = (np.arange(12) % 3).astype(np.int32)


def pair(**arguments) -> tuple[keras.Model, keras.Model]:
    """The smallest networks of the package."""
    sizes = {"image_shape": (8, 8, 1), "filters": 2, "units": 4, "dropout": 0.0, **arguments}
    return kerasapps.build_generator(noise_dim=5, **sizes), kerasapps.build_discriminator(noise=0.0, **sizes)


def own_generator(activation: str = "tanh", shape=(8, 8, 1)) -> keras.Model:
    size = int(np.prod(shape))
    return keras.Sequential([keras.Input((5,)), layers.Dense(size, activation=activation), layers.Reshape(shape)])


def own_discriminator(*more, shape=(8, 8, 1), **head) -> keras.Model:
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(1, **head), *more])


def own_conditional(*, named: bool, shape: tuple = ()) -> tuple[keras.Model, keras.Model]:
    """Functional networks whose inputs are lists, in an order of their own, with or without names."""
    names = {"label": {"name": "label"}, "image": {"name": "drawing"}} if named else {"label": {}, "image": {}}
    label = keras.Input(shape, dtype="float32" if named else "int32", **names["label"])
    noise = keras.Input((5,))
    vector = layers.Flatten()(layers.Reshape((1, 4))(layers.Embedding(3, 4)(label)))
    image = layers.Reshape((8, 8, 1))(layers.Dense(64)(layers.Concatenate()([noise, vector])))
    generator = keras.Model([label, noise], layers.Activation("tanh")(image))
    label = keras.Input(shape, dtype="float32" if named else "int32", **names["label"])
    image = keras.Input((8, 8, 1), **names["image"])
    vector = layers.Flatten()(layers.Reshape((1, 4))(layers.Embedding(3, 4)(label)))
    logit = layers.Dense(1)(layers.Concatenate()([layers.Flatten()(image), vector]))
    return generator, keras.Model([image, label], [logit])


def compiled(*networks, eager: bool = True, **settings) -> GAN:
    """A GAN that runs each operation at once: to trace these steps would take longer than to compute them."""
    gan = GAN(*networks, **settings)
    gan.compile("adam", "adam", run_eagerly=eager)
    return gan


@pytest.fixture(scope="module")
def plain() -> GAN:
    return compiled(*pair())


@pytest.fixture(scope="module")
def conditional() -> GAN:
    return compiled(*pair(num_classes=3))


def batches(*parts) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0]).batch(6)


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return IMAGES[6 * i : 6 * i + 6], LABELS[6 * i : 6 * i + 6]


RIGHT = {
    "array": (IMAGES,),
    "list": ([IMAGES],),
    "dict": ({"image": IMAGES},),
    "float64": (IMAGES.astype(np.float64),),
    "tensor": (tf.constant(IMAGES),),
    "data set": (batches(IMAGES),),
    "data set of tuples": (tf.data.Dataset.from_tensor_slices((IMAGES,)).batch(6),),
    "data set of dicts": (batches({"image": IMAGES}),),
    "labels": (IMAGES, LABELS),
    "column of labels": (IMAGES, LABELS[:, None].astype(np.int64)),
    "list of labels": ([IMAGES], [LABELS]),
    "list of both": ([IMAGES, LABELS],),
    "dicts": ({"image": IMAGES}, {"label": LABELS}),
    "labels as an input": ({"image": IMAGES, "label": LABELS},),
    "data set with labels": (batches(IMAGES, LABELS),),
    "data set of two dicts": (batches({"image": IMAGES}, {"label": LABELS}),),
    "PyDataset": (Sequence(),),
}
WITH_LABELS = [*RIGHT][[*RIGHT].index("labels") :]


@quiet
@pytest.mark.parametrize("form", RIGHT)
def test_fit_and_evaluate_take_data_in_every_form(plain, conditional, form):
    gan, data = conditional if form in WITH_LABELS else plain, RIGHT[form]
    validation = data[0] if len(data) == 1 else data
    history = gan.fit(*data, verbose=0, validation_data=validation).history
    assert np.isfinite(history["loss"] + history["val_real_verdict"]).all()


def test_labels_are_no_harm_to_networks_without_classes(plain):
    assert np.isfinite(plain.evaluate(IMAGES, LABELS, verbose=0)).all()


def test_labels_reach_the_networks_whatever_form_they_come_in(conditional):
    forms = [RIGHT[form] for form in WITH_LABELS if "data set" not in form and form != "PyDataset"]
    verdicts = {conditional.evaluate(*data, verbose=0, return_dict=True)["real_verdict"] for data in forms}
    assert len(verdicts) == 1
    assert conditional.evaluate(IMAGES, 2 - LABELS, verbose=0, return_dict=True)["real_verdict"] not in verdicts


@quiet
@pytest.mark.parametrize(
    "networks",
    [
        lambda: (own_generator(), own_discriminator()),
        lambda: (own_generator(), pair()[1]),
        lambda: (pair()[0], own_discriminator()),
        lambda: own_conditional(named=True),
        lambda: own_conditional(named=False),
        lambda: own_conditional(named=True, shape=(1,)),
    ],
    ids=["Sequential", "own generator", "own discriminator", "named", "by dtype", "column"],
)
def test_networks_of_your_own_train_save_and_sample(networks, tmp_path):
    gan = compiled(*networks())
    before = [weight.numpy() for weight in gan.weights]
    gan.fit(IMAGES, LABELS, batch_size=6, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, gan.weights, strict=True))
    gan.save(tmp_path / "gan.keras")
    loaded = kerasapps.load_model(tmp_path / "gan.keras")
    labels = {"labels": 1} if gan.conditional else {}
    samples = gan.sample(3, **labels)
    assert samples.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(loaded.sample(3, **labels), samples, atol=1e-6)
    np.testing.assert_allclose(gan.sample(2, **labels), samples[:2], atol=1e-6)
    assert not np.allclose(gan.sample(3, seed=1, **labels), samples)
    if gan.conditional:
        assert not np.allclose(gan.sample(3, labels=[1, 2, 0]), samples)


def test_a_loaded_gan_resumes_with_the_states_of_both_optimizers(tmp_path):
    def train(gan):
        gan.fit(IMAGES, batch_size=4, shuffle=False, verbose=0)
        return [*gan.weights, *(variable for one in gan.optimizers for variable in one.variables)]

    gan = compiled(*pair(), rules=Rules(generator_steps=2), eager=False)
    train(gan)
    gan.save(tmp_path / "gan.keras")
    loaded = kerasapps.load_model(tmp_path / "gan.keras", compile=True)
    for whole, resumed in zip(train(gan), train(loaded), strict=True):
        np.testing.assert_allclose(resumed, whole, atol=1e-6)
    again = kerasapps.load_model(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="compile"):
        again.fit(IMAGES, verbose=0)
    again.compile("sgd", "rmsprop")
    train(again)


@pytest.mark.parametrize("data", [IMAGES * 127.5 + 127.5, (IMAGES * 100).astype(np.uint8), IMAGES * np.nan])
@pytest.mark.parametrize("form", ["array", "data set"])
def test_values_that_the_generator_cannot_make_are_a_warning_once(data, form):
    gan = compiled(own_generator(), own_discriminator())
    with pytest.warns(UserWarning, match=r"`x` should have values from -1 to 1.*x / 127\.5 - 1") as caught:
        gan.fit(data if form == "array" else batches(data), verbose=0)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gan.fit(data, verbose=0)


@quiet
@pytest.mark.parametrize(("activation", "data"), [("linear", 9 * IMAGES), ("sigmoid", abs(IMAGES)), ("tanh", IMAGES)])
def test_values_that_it_can_make_are_not(activation, data):
    compiled(own_generator(activation), own_discriminator()).fit(data, verbose=0)


class Own(keras.Model):
    def call(self, inputs):
        return inputs


def two_inputs(first: str, second: str, shape=(2,)) -> keras.Model:
    ends = [keras.Input((5,), name=first), keras.Input(shape, name=second)]
    return keras.Model(ends, layers.Reshape((8, 8, 1))(layers.Dense(64)(layers.Concatenate()(ends))))


REFUSED_NETWORKS = {
    "no generator": (lambda: (None, own_discriminator()), "`generator` must be a functional or Sequential model"),
    "a layer": (lambda: (own_generator(), layers.Dense(1)), "`discriminator` must be a functional or Sequential model"),
    "without Input": (lambda: (keras.Sequential([layers.Dense(4)]), own_discriminator()), "begins with keras.Input"),
    "a class": (lambda: (Own(), own_discriminator()), "`generator` must be a functional or Sequential model"),
    "exchanged": (lambda: (own_discriminator(), own_generator()), "`discriminator` must"),
    "other size": (
        lambda: (own_generator(shape=(4, 4, 1)), own_discriminator()),
        "must take the outputs of `generator`",
    ),
    "label only below": (lambda: (own_generator(), own_conditional(named=True)[1]), "must take the outputs of"),
    "sigmoid": (lambda: (own_generator(), own_discriminator(activation="sigmoid")), "end in a logit, without an"),
    "sigmoid layer": (
        lambda: (own_generator(), own_discriminator(layers.Activation("sigmoid"))),
        "Received: activation='sigmoid'",
    ),
    "no logit": (lambda: (own_generator(), own_discriminator(layers.Dense(2))), "the logit (None, 1) of being real"),
    "two of noise": (lambda: (two_inputs("noise", "more"), own_discriminator()), "`generator` must have one input, or"),
    "one-hot": (lambda: (two_inputs("noise", "label"), own_discriminator()), "of the shape () or (1,)"),
}


@pytest.mark.parametrize("case", REFUSED_NETWORKS)
def test_networks_that_do_not_fit_are_refused_in_a_sentence(case):
    networks, message = REFUSED_NETWORKS[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        GAN(*networks())
    assert "\n" not in str(error.value)
    assert "Received: " in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": "hinge"}, "`rules` must be of the class Rules"),
        ({"seed": -1}, "`seed` must be a whole number from 0"),
        ({"seed": 0.5}, "`seed` must be a whole number from 0"),
        ({"averaged": "no"}, "`averaged` must have the layers of `generator`"),
    ],
)
def test_arguments_that_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GAN(own_generator(), own_discriminator(), **arguments)


one = keras.optimizers.Adam()


@pytest.mark.parametrize(
    ("optimizers", "message"),
    [
        (("adm", "adam"), "`generator_optimizer` must be a Keras optimizer or its name"),
        (("adam", None), "`discriminator_optimizer` must be a Keras optimizer or its name"),
        ((one, one), "must be two optimizers"),
    ],
)
def test_optimizers_that_are_refused(optimizers, message):
    with pytest.raises(ValueError, match=message):
        GAN(own_generator(), own_discriminator()).compile(*optimizers)


@pytest.mark.parametrize(
    ("classes", "data", "settings", "message"),
    [
        (False, ({"picture": IMAGES},), {}, '`x` must hold "image". Received: picture'),
        (False, (IMAGES[..., 0],), {}, "`x` must have the shape (n, 8, 8, 1). Received: image of the shape (12, 8, 8)"),
        (False, (batches(IMAGES).unbatch(),), {}, "`x` must have the shape (n, 8, 8, 1). Received: image of the shape"),
        (False, (IMAGES[:, :4],), {}, "`x` must have the shape (n, 8, 8, 1)"),
        (False, (IMAGES, LABELS), {"sample_weight": np.ones(12)}, "`sample_weight` and `class_weight` must be None"),
        (True, (IMAGES,), {}, "`y` must be the class of each row, whole numbers (n,). Received: None"),
        (True, (IMAGES, np.eye(3)[LABELS]), {}, "`y` must be the class of each row, whole numbers (n,). Received: the"),
    ],
)
def test_data_that_are_refused(plain, conditional, classes, data, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        (conditional if classes else plain).fit(*data, **settings, verbose=0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("labels", [None, [1, 2], [[1], [2], [0]]])
def test_samples_of_no_class_are_refused(conditional, labels):
    with pytest.raises(ValueError, match="`labels` must be one class or 3"):
        conditional.sample(3, labels=labels)


def test_a_semi_supervised_gan_says_what_it_needs():
    with pytest.raises(ValueError, match='must have the outputs "verdict", "label" and "features"'):
        SemiSupervisedGAN(own_generator(), own_discriminator())
    gan = SemiSupervisedGAN(own_generator(), classifier())
    gan.compile("adam", "adam", run_eagerly=True)
    with pytest.raises(ValueError, match='`x` must hold "image" and "labelled_image"'):
        gan.fit(IMAGES, LABELS, verbose=0)
    gan.fit([IMAGES, IMAGES], LABELS, verbose=0)
    assert 0 <= gan.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)["accuracy"] <= 1


def classifier() -> keras.Model:
    return kerasapps.build_discriminator(image_shape=(8, 8, 1), filters=2, units=4, num_classes=3, classifies=True)


@pytest.mark.parametrize(
    ("what", "call"),
    [("A GAN", lambda: GAN(None, None)), ("Style transfer", lambda: kerasapps.stylize(None, [], taps=None))],
)
def test_another_backend_is_refused_in_a_sentence(monkeypatch, what, call):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=f"^{what} needs Keras on TensorFlow: set KERAS_BACKEND=.* Received: jax$"):
        call()
