"""The textbook loop over `train_on_batch`, done right, for those who teach it; `GAN` is what trains well.

Reference: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014.
"""

from collections.abc import Iterator

import keras
import numpy as np

from kerasapps.applications.gan import build_gan


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
