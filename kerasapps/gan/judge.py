"""Networks whose features say how close generated images are to real ones: a classifier of these images, or VGG."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from kerasapps.applications.residual_classifier import build_residual_classifier
from kerasapps.applications.style_transfer import build_style_taps
from kerasapps.blocks.style import MEAN_BGR
from kerasapps.taps import feature_taps

# Colors and strokes, and what they form; each is averaged over the image.
PLAIN_LAYERS = ("block2_conv2", "block3_conv3")


@dataclass(frozen=True)
class Judge:
    """A network and its last features: uint8 (n, H, W, C) -> features (n, F), probabilities (n, classes).

    For images without classes there are no probabilities: (n, 0).
    """

    taps: keras.Model

    @property
    def has_classes(self) -> bool:
        """Whether it is a classifier."""
        return "label" in self.taps.output

    def __call__(self, images: np.ndarray, batch_size: int = 256) -> tuple[np.ndarray, np.ndarray]:
        """Returns features and probabilities of images, uint8."""
        outputs = self.taps.predict({"image": images.astype(np.float32)}, batch_size=batch_size, verbose=0)
        features = np.asarray(outputs["features"], np.float32)
        return features, np.asarray(outputs["label"], np.float32) if self.has_classes else np.empty((len(features), 0))


def as_judge(model: keras.Model) -> Judge:
    """Makes a network with "features", and with "label" if it is a classifier, a judge."""
    known = {layer.name for layer in model.layers}
    return Judge(feature_taps(model, [name for name in ("features", "label") if name in known]))


def build_judge(*, image_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """Builds the classifier that is to judge images of these classes: a residual network of 8 layers."""
    arguments = {"depth": 8, "filters": (16, 32, 64), "image_shape": image_shape, "num_classes": num_classes}
    return build_residual_classifier(**arguments)


def build_plain_judge(images: np.ndarray) -> keras.Model:
    """Builds a network that was not trained on these images: image (B, H, W, C), 0 to 255 -> "features" (B, 192).

    Args:
        images: Training images, uint8 (n, H, W, C): on them each feature has mean 0 and standard deviation 1.
    """
    image = keras.Input(images.shape[1:], name="image")  # (B, H, W, C)
    colors = layers.Concatenate(name="colors")([image] * 3) if images.shape[-1] == 1 else image  # (B, H, W, 3)
    centered = layers.Rescaling(1.0, [-mean for mean in reversed(MEAN_BGR)], name="centered")(colors)
    taps = build_style_taps(network="compact", weights="trained", pooling="max", layers=PLAIN_LAYERS)
    first = taps.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])  # of red, green and blue; VGG takes blue first
    means = [
        layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_mean")(activation)
        for name, activation in taps({"image": centered}).items()
    ]
    raw = layers.Concatenate(dtype="float32", name="raw")(means)  # (B, F)
    seen = keras.Model(image, raw).predict(images.astype(np.float32), batch_size=256, verbose=0)
    variance = np.maximum(seen.var(0), 0.01 * seen.var(0).mean())  # of a feature that is the same in all images
    standard = layers.Normalization(mean=seen.mean(0), variance=variance, dtype="float32", name="features")(raw)
    return keras.Model({"image": image}, {"features": standard}, name="judge")
