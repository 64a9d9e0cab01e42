"""What image classification reports: test metrics, published results and costs."""

import keras
import numpy as np
import pytest

from experiments.image_classification import results
from kerasapps.data.images import load_images


def test_the_accuracy_with_mirrored_images_is_that_of_the_mean_of_both():
    splits = load_images("digits", size=8, limit=20)
    image = keras.Input((8, 8, 1), name="image")
    flat = keras.layers.Flatten(name="flat")(keras.layers.Rescaling(1 / 255, name="scale")(image))
    model = keras.Model({"image": image}, {"label": keras.layers.Dense(10, "softmax", name="label")(flat)})
    metrics, probabilities = results.evaluate_model(model, splits, flip=True)
    images, labels = splits.test.inputs["image"], splits.test.targets["label"]
    plain, mirrored = (model.predict({"image": pixels}, verbose=0)["label"] for pixels in (images, images[:, :, ::-1]))
    np.testing.assert_allclose(probabilities, plain, atol=1e-6)
    assert metrics["accuracy"] == (plain.argmax(-1) == labels).mean()
    assert metrics["accuracy_flip"] == ((plain + mirrored).argmax(-1) == labels).mean() != metrics["accuracy"]
    assert "accuracy_flip" not in results.evaluate_model(model, splits, flip=False)[0]


def test_published_results_are_shown_around_ours():
    table = results.published_table("mnist", 0.991, network="lenet5", note="on other images")
    assert [row[0] for row in table.rows] == ["LeNet-5, training images distorted", "lenet5", "LeNet-5"]
    assert table.rows[1][1] == pytest.approx(99.1)
    assert table.caption == "on other images"
    assert results.published_table("my/folder", 0.9) is None
    for data in results.PUBLISHED:
        assert all(50 < row[1] <= 100 for row in results.published_table(data, 0.9).rows)


def test_costs_are_shown_in_round_numbers():
    sizes = {"parameters": 39_146, "flops": 91_234_567, "file_bytes": 999_600}
    table = results.complexity_table("separable", **sizes, training=1234.5, caption="On two cores.")
    assert table.rows == [["separable", "39,146", "91.2 M", "1 MB", "1,234", None]]
    assert table.caption.endswith("On two cores.")
    assert len(table.columns) == len(table.rows[0])
