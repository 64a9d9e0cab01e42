"""Codes that are drawn from Gaussians, and the halves of an autoencoder."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasapps.applications.autoencoder import build_vae, decoder_of, encoder_of
from kerasapps.blocks.autoencoder import GaussianDivergence, GaussianSample
from kerasapps.distribution import make_strategy
from kerasapps.losses import PixelCrossentropy
from kerasapps.saving import load_model

IMAGES = np.random.default_rng(0).uniform(0, 1, (8, 4, 4, 1)).astype(np.float32)


def moments(mean: float, variance: float, *shape: int) -> list:
    return [tf.fill(shape, mean), tf.fill(shape, float(np.log(variance)))]


def test_samples_have_the_mean_and_the_variance_and_inference_has_none():
    layer, given = GaussianSample(), moments(3.0, 4.0, 500, 200)
    drawn = layer(given, training=True).numpy()
    assert drawn.mean() == pytest.approx(3, abs=0.02)
    assert drawn.std() == pytest.approx(2, abs=0.02)
    np.testing.assert_array_equal(layer(given), given[0])


def test_gradients_reach_the_mean_and_the_variance():
    given = moments(1.0, 0.25, 6, 2)
    with tf.GradientTape() as tape:
        tape.watch(given)
        drawn = GaussianSample()(given, training=True)
    of_mean, of_log_variance = tape.gradient(drawn, given)
    np.testing.assert_allclose(of_mean, 1.0)
    np.testing.assert_allclose(of_log_variance, (drawn - given[0]) / 2, rtol=1e-5)


def test_divergences_by_hand():
    divergence = GaussianDivergence()
    np.testing.assert_allclose(divergence(moments(0.0, 1.0, 2, 3)), 0.0, atol=1e-6)
    np.testing.assert_allclose(divergence(moments(2.0, 1.0, 1, 3)), [[6.0]])  # three times 2**2 / 2
    np.testing.assert_allclose(divergence(moments(0.0, 4.0, 1, 1)), [[(4 - 1) / 2 - np.log(2)]], rtol=1e-6)


def vae() -> keras.Model:
    keras.utils.set_random_seed(3)
    model = build_vae(image_shape=(4, 4, 1), latent_dim=2, units=8, depth=1)
    model.compile("sgd", {"reconstruction": PixelCrossentropy(), "divergence": "mae"})
    return model


def test_a_shared_step_draws_what_one_device_would():
    targets, results = {"reconstruction": IMAGES, "divergence": np.zeros((8, 1), np.float32)}, []
    for strategy in map(make_strategy, ("none", "mirrored")):
        with strategy.scope():
            model = vae()
        loss = model.fit(IMAGES, targets, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append([*model.get_weights(), np.array(loss)])
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def test_the_state_of_the_noise_is_part_of_a_checkpoint():
    model = vae()
    (state,) = (variable for variable in model.variables if "seed" in variable.path)
    before = state.numpy().copy()
    first = model([IMAGES], training=True)["reconstruction"]
    state.assign(before)
    np.testing.assert_array_equal(model([IMAGES], training=True)["reconstruction"], first)
    assert not np.array_equal(model([IMAGES], training=True)["reconstruction"], first)


def test_the_halves_of_a_loaded_network_are_the_whole(tmp_path):
    model = vae()
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    codes = encoder_of(loaded)([IMAGES])
    np.testing.assert_array_equal(codes["code"], codes["mean"])
    decoded = decoder_of(loaded)([codes["code"]])["reconstruction"]
    np.testing.assert_allclose(decoded, model([IMAGES])["reconstruction"], atol=1e-6)
    assert len(decoder_of(loaded).weights) + len(encoder_of(loaded).weights) == len(model.weights)
