"""Every method on every network of this package that takes images, loaded from a file, frozen, and in bfloat16."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest

from kerasapps import load_model
from kerasapps.inside import gradients
from kerasapps.inside.judging import judge
from kerasapps.inside.networks import convolutions, layers_of, outputs_of, spatial_layers
from kerasapps.inside.occlusion import occlusion_map
from kerasapps.inside.probe import Probe
from tests.contract import CONTRACTS, sampled

ROWS = [row for row in CONTRACTS if any(array.ndim == 4 and array.shape[-1] in (1, 3) for array in row.inputs.values())]
METHODS = {
    "gradient": gradients.saliency,
    "gradient_input": gradients.gradient_times_input,
    "smooth_grad": lambda *given: gradients.smooth_grad(*given, samples=2),
    "integrated": lambda *given: gradients.integrated_gradients(*given, steps=4),
    "occlusion": lambda probe, inputs, units: occlusion_map(probe, inputs, units, patch=16, stride=16),
}
RECTIFIED = {"guided": gradients.guided, "deconvnet": gradients.deconvnet}
# What has another nonlinearity than ReLU and max pooling.
OTHERS = ("build_discriminator", "dcgan_discriminator", "build_gan", "lenet5", "multimodal_price", "captioner")
OTHERS += ("build_ensemble", "build_vae", "capsule", "pixelcnn", "classifier-moments")


@pytest.mark.parametrize("contract", sampled(ROWS))
def test_every_method(contract):
    model = contract.builder(**contract.arguments)
    probe = Probe(model, output=sorted(outputs_of(model))[0])
    inputs = {name: array[:2] for name, array in contract.inputs.items()}
    images, units = inputs[probe.image], [0, probe.width() - 1]
    methods = dict(METHODS)
    if spatial_layers(model) and str(contract) != "build_vae":  # whose divergence depends on none of them
        methods["grad_cam"] = gradients.grad_cam
    for method in methods.values():
        maps = method(probe, inputs, units)
        assert maps.shape == images.shape[:3]
        assert np.isfinite(maps).all()
    for method in RECTIFIED.values():
        refused = any(name in str(contract) for name in OTHERS) and "plain" not in str(contract)
        with (
            pytest.raises(ValueError, match="are defined for ReLU and max pooling alone") if refused else nullcontext()
        ):
            assert np.isfinite(method(probe, inputs, units)).all()
    assert layers_of(model)
    for kernel in convolutions(model).values():
        assert kernel.ndim == 4


def test_there_are_many():
    assert len(ROWS) >= 26


@pytest.fixture(scope="module")
def row():
    return next(row for row in ROWS if str(row) == "build_residual_classifier")


def test_a_loaded_and_frozen_network_gives_the_same_maps(row, tmp_path):
    model = row.builder(**row.arguments)
    inputs, units = {"image": row.inputs["image"][:2]}, [0, 1]
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    loaded.trainable = False
    for method in (gradients.saliency, gradients.grad_cam, gradients.guided, gradients.deconvnet):
        expected = method(Probe(model), inputs, units)
        np.testing.assert_allclose(method(Probe(loaded), inputs, units), expected, atol=1e-5 * np.abs(expected).max())


def test_bfloat16(row):
    policy = keras.config.dtype_policy()
    inputs, units = {"image": row.inputs["image"][:2]}, [0, 1]
    try:
        model = row.builder(**row.arguments)
        keras.config.set_dtype_policy("mixed_bfloat16")
        half = row.builder(**row.arguments)
    finally:
        keras.config.set_dtype_policy(policy)
    half.set_weights(model.get_weights())
    for method in (gradients.saliency, gradients.deconvnet):
        whole, short = (method(Probe(one), inputs, units) for one in (model, half))
        assert np.corrcoef(whole.ravel(), short.ravel())[0, 1] > 0.98


def test_several_inputs_and_heads():
    image, size = keras.Input((8, 8, 1), name="image"), keras.Input((2,), name="size")
    x = keras.layers.Flatten()(keras.layers.Conv2D(3, 3, activation="relu", name="conv")(image))
    x = keras.layers.Concatenate()([x, size])
    heads = {
        "kind": keras.layers.Dense(3, activation="softmax", name="kind")(x),
        "price": keras.layers.Dense(1, name="price")(x),
    }
    model = keras.Model([image, size], heads)
    inputs = {"image": np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype("f"), "size": np.ones((3, 2), "f")}
    with pytest.raises(ValueError, match="`output` must be one of kind, price"):
        Probe(model)
    probe = Probe(model, output="price")
    maps = gradients.guided(probe, inputs, [0, 0, 0])
    assert maps.shape == (3, 8, 8)
    assert set(judge(gradients.saliency, probe, inputs, [0] * 3, maps)) == {
        *("deletion", "insertion", "rank_head", "rank_all")
    }


def test_a_network_without_names():
    image = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.SeparableConv2D(4, 3, activation="relu")(image))
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("f")
    probe = Probe(model)
    for method in (gradients.saliency, gradients.grad_cam, gradients.deconvnet):
        assert method(probe, {probe.image: images}, [0, 1]).shape == (2, 8, 8)
    sequential = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    assert Probe(sequential).gradient({Probe(sequential).image: images}, [0, 1])[1].shape == images.shape
