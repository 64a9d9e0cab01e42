"""How likely images are to a variational autoencoder: evidence lower bound and log-likelihood, in nats an image."""

from collections.abc import Iterator

import keras
import numpy as np
from scipy.special import logsumexp

from kerasapps.applications.autoencoder import RECONSTRUCTION, decoder_of, encoder_of
from kerasapps.data.splits import Split

CHUNK = 1024  # images at a time
SMALLEST = 1e-7  # what the loss takes a probability of zero for


def outputs_in_chunks(network: keras.Model, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs of one half of an autoencoder by name; `predict` takes longer to begin than these take."""
    chunks = [network([rows[i : i + CHUNK]], training=False) for i in range(0, len(rows), CHUNK)]
    return {name: np.concatenate([keras.ops.convert_to_numpy(chunk[name]) for chunk in chunks]) for name in chunks[0]}


def pixel_nats(images: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the cross-entropy of each image, summed over its pixels: (n, H, W, C) twice -> float64 (n,)."""
    ones = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return -(images * np.log(ones) + (1 - images) * np.log1p(-ones)).reshape(len(images), -1).sum(1)


def drawn_codes(moments: dict[str, np.ndarray], *, samples: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields codes of all images, float32 (n, Z), as often as wanted, and the noise that they were made of."""
    rng, deviation = np.random.default_rng(seed), np.exp(0.5 * moments["log_variance"])
    for _ in range(samples):
        noise = rng.standard_normal(deviation.shape, dtype=np.float32)
        yield moments["mean"] + deviation * noise, noise


def log_weights(model: keras.Model, images: np.ndarray, *, samples: int, seed: int) -> np.ndarray:
    """Returns log p(x, z) - log q(z | x) of codes z that are drawn from q, for each image x: float64 (n, samples)."""
    decoder, moments = decoder_of(model), outputs_in_chunks(encoder_of(model), images)
    columns = []
    for codes, noise in drawn_codes(moments, samples=samples, seed=seed):
        nats = pixel_nats(images, outputs_in_chunks(decoder, codes)[RECONSTRUCTION])
        # Of both Gaussians without log(2 pi) / 2 for each number, which cancels.
        prior = -0.5 * np.square(codes, dtype=np.float64).sum(1)
        posterior = -0.5 * (np.square(noise, dtype=np.float64) + moments["log_variance"]).sum(1)
        columns.append(prior - posterior - nats)
    return np.stack(columns, 1)


def likelihood_metrics(model: keras.Model, images: np.ndarray, *, samples: int, seed: int) -> dict[str, float]:
    """Returns `elbo` and `log_likelihood`, means over the images, from the same drawn codes.

    The likelihood is estimated by importance sampling. The logarithm of a mean is at least the mean of the logarithms,
    so that it is never below the bound; with more samples it rises toward the true value.

    Reference: Burda et al., "Importance Weighted Autoencoders", ICLR 2016, theorem 1.
    """
    weights = log_weights(model, images, samples=samples, seed=seed)
    likelihoods = logsumexp(weights, axis=1) - np.log(samples)  # (n,)
    return {"elbo": float(weights.mean()), "log_likelihood": float(likelihoods.mean())}


class SampledValidation(keras.callbacks.Callback):
    """Computes the losses of the validation set with codes that are drawn, as in training.

    Keras computes them at the mean of each code, where they are lower than the bound that is trained.
    """

    def __init__(self, split: Split, *, seed: int, beta: float):
        super().__init__()
        self.images = split.inputs["image"]
        self.seed = seed
        self.beta = beta

    def on_epoch_end(self, epoch, logs=None):
        """Replaces the losses in the logs, of which `val_loss` decides which epoch is best."""
        decoder, moments = decoder_of(self.model), outputs_in_chunks(encoder_of(self.model), self.images)
        # The same noise after every epoch, or chance would decide which one is best.
        ((codes, _),) = drawn_codes(moments, samples=1, seed=self.seed)
        nats = pixel_nats(self.images, outputs_in_chunks(decoder, codes)[RECONSTRUCTION]).mean()
        divergences = self.model.get_layer("divergence")([moments["mean"], moments["log_variance"]])  # (n, 1)
        divergence = float(keras.ops.mean(divergences))
        logs["val_reconstruction_loss"], logs["val_divergence_loss"] = float(nats), divergence
        logs["val_loss"] = float(nats + self.beta * divergence)
