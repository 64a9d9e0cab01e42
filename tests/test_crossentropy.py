"""Cross-entropy with a smoothed target, against numbers by hand."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from kerasapps import Adam, SmoothedCrossentropy

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_smoothing_by_hand(shape):
    labels = np.array([0, 2]).reshape(shape)
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])  # 0.3 of it spread over three classes
    expected = -(targets * np.log(PROBABILITIES)).sum(-1).mean()
    assert float(SmoothedCrossentropy(0.3)(labels, PROBABILITIES)) == pytest.approx(expected, rel=1e-5)


def test_without_smoothing_it_is_the_cross_entropy_also_of_many_classes_in_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    labels = np.array([511, 299])  # bfloat16 would round these
    probabilities = keras.ops.softmax(np.random.default_rng(0).normal(size=(2, 512)).astype(np.float32))
    plain = keras.losses.SparseCategoricalCrossentropy()(labels, probabilities)
    assert float(SmoothedCrossentropy(0.0)(labels, probabilities)) == pytest.approx(float(plain), rel=1e-5)


def test_it_comes_back_from_its_config():
    loss = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(SmoothedCrossentropy(0.3)))
    assert loss.smoothing == 0.3


def test_a_compiled_network_opens_where_only_the_package_is_imported(tmp_path):
    image = keras.Input((3,), name="image")
    model = keras.Model({"image": image}, {"label": keras.layers.Softmax(name="label")(image)})
    model.compile(Adam(), {"label": SmoothedCrossentropy(0.1)})
    model.save(tmp_path / "model.keras")
    code = "import sys, keras, kerasapps; print(keras.models.load_model(sys.argv[1]).loss['label'].smoothing)"
    opened = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.keras"], capture_output=True, text=True, check=True
    )
    assert opened.stdout == "0.1\n"
