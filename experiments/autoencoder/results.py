"""What the autoencoder experiment measures: errors, likelihood, samples, anomalies; and the report."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.decomposition import PCA

from kerasapps.applications.autoencoder import CODE, RECONSTRUCTION, decoder_of, encoder_of
from kerasapps.data.image_reading import files_in
from kerasapps.gan.judge import Judge
from kerasapps.reports import Block, Figure, Table
from kerasapps.runs import Options, Run

from ..shared.images import as_bytes, read_inputs, sheet_figure
from ..shared.judging import STANDARD_IMAGES, Judged, make_judge, rows_at_random, samples_scored, score_with_floor
from ..shared.training import Trained, finish
from .figures import (
    Plane,
    anomaly_figure,
    codes_figure,
    grid_figure,
    interpolation_figure,
    reconstructions_figure,
)
from .likelihood import likelihood_metrics, outputs_in_chunks
from .network import ARCHITECTURES, Arch, PixelSplits, Recipe, ReconstructionCodec, Source, pixels_of, train_on

SHOWN = 24
PAIRS = 6  # of interpolations
SAMPLES = 128  # codes of an image from which its likelihood is estimated
DRAWN = 96  # samples shown
UNUSUAL = 0.95  # share of the test images with a smaller error than one that is called unusual
PUBLISHED = ["published: VAE of one layer of codes, Burda et al. 2016", None, None, -86.76]


def reconstructed(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns reconstructions of images, both float32 (n, H, W, C) from 0 to 1."""
    return model.predict({"image": images}, batch_size=256, verbose=0)[RECONSTRUCTION]


def errors_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Returns the mean squared error of each image's reconstruction, (n,)."""
    return squared_errors(images, reconstructed(model, images))


def squared_errors(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the mean squared difference of each pair, (n,)."""
    return np.square(images - others).reshape(len(images), -1).mean(1)


def error_metrics(
    model: keras.Model, splits: PixelSplits, errors: np.ndarray, *, binary: bool, seed: int
) -> dict[str, float]:
    """Returns the test error, next to that of as many principal components and of the mean image."""
    # Drawn as the test images are: components of grays would be of another kind of images.
    train = pixels_of(splits.grays["train"], binary=binary, seed=(seed, 0))
    train, test = (images.reshape(len(images), -1) for images in (train, splits.test.inputs["image"]))
    count = min(model.get_layer(CODE).output.shape[-1], *train.shape)
    components = PCA(count, random_state=0).fit(train)
    return {
        "reconstruction_error": float(errors.mean()),
        "reconstruction_error_pca": float(
            squared_errors(test, components.inverse_transform(components.transform(test))).mean()
        ),
        "reconstruction_error_guess": float(squared_errors(test, train.mean(0)).mean()),
        "unusual_error": float(np.quantile(errors, UNUSUAL)),
    }


def evaluate_model(
    model: keras.Model, splits: PixelSplits, *, arch: Arch, source: Source, options: Options
) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test set that need no other network, and their table."""
    images, numbers = splits.test.inputs["image"], model.get_layer(CODE).output.shape[-1]
    metrics = error_metrics(model, splits, errors_of(model, images), binary=source.binary, seed=options.seed)
    rows = [
        [name, 1000 * metrics[f"reconstruction_error{suffix}"], None, None]
        for name, suffix in ((arch, ""), (f"{numbers} principal components", "_pca"), ("mean image", "_guess"))
    ]
    columns = ["", "reconstruction error", "ELBO", "log-likelihood"]
    caption = "The error is the mean square of a pixel's, in thousandths, where black is 0 and white 1."
    if not ARCHITECTURES[arch].variational:
        return metrics, Table("Test set", columns[:2], [row[:2] for row in rows], caption, digits=2)
    samples = options.shrink(SAMPLES, 8)
    metrics |= likelihood_metrics(model, images, samples=samples, seed=options.seed)
    rows[0][2:] = metrics["elbo"], metrics["log_likelihood"]
    kind = "0 or 1, drawn once with the gray as probability" if source.binary else "grays from 0 to 1"
    caption += (
        " The ELBO is the sum of reconstruction and divergence loss with the opposite sign, in nats an image, of "
        f"independent pixels, {kind}; a bound of the log-likelihood, which is estimated from {samples} codes an image. "
    )
    if not source.binary:
        caption += "Of grays both are cross-entropies, which compare with no published figure; see --binary."
    elif source.data == "mnist":
        rows.append(PUBLISHED)
        caption += f"The published network was trained on 60,000 images. {' '.join(splits.notes)}"
    return metrics, Table("Test set", columns, rows, caption, digits=2)


def decoded(decoder: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Returns the images that a decoder makes of codes, uint8 (n, H, W, C)."""
    return as_bytes(255 * outputs_in_chunks(decoder, codes)[RECONSTRUCTION])


def result_blocks(model: keras.Model, splits: PixelSplits, *, arch: Arch, seed: int) -> list[Block]:
    """Returns what the report shows of a trained network."""
    images, labels = splits.test.inputs["image"], splits.labels["test"]
    decode = partial(decoded, decoder_of(model))
    codes = outputs_in_chunks(encoder_of(model), images)[CODE]
    rows = np.random.default_rng(seed).permutation(len(images))
    shown, pairs = rows[: min(SHOWN, len(rows))], rows[: 2 * min(PAIRS, len(rows) // 2)]
    plane = Plane.of(codes, standard=ARCHITECTURES[arch].variational)
    return [
        reconstructions_figure(
            as_bytes(255 * images[shown]), as_bytes(255 * reconstructed(model, images[shown])), numbers=codes.shape[1]
        ),
        codes_figure(plane, codes, labels, splits.class_names),
        grid_figure(plane, decode),
        interpolation_figure(as_bytes(255 * images[pairs]), codes[pairs], decode),
    ]


def drawn(model: keras.Model, count: int, *, seed: int) -> np.ndarray:
    """Draws new images, uint8 (count, H, W, C), from codes of the standard normal distribution."""
    shape = (count, model.get_layer(CODE).output.shape[-1])
    return decoded(decoder_of(model), np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def score_samples(
    model: keras.Model, judge: Judge, splits: PixelSplits, *, options: Options
) -> tuple[dict[str, float], Table]:
    """Returns the scores of new images, as those of GANs, and their table."""
    train, test = splits.grays["train"], splits.grays["test"]
    rows = rows_at_random(len(test))
    real = Judged.of(judge, test[rows], splits.labels["test"][rows])
    fake = drawn(model, samples_scored(real, options), seed=options.seed + 1)
    return score_with_floor(judge, real, fake, train[rows_at_random(len(train), len(fake))])


def samples_of(run: Run, trained: Trained, *, data: str) -> tuple[dict[str, float], list[Block]]:
    """Returns scores of new images and shows some; trains the judge for it."""
    splits, seed, train = trained.splits, run.options.seed, trained.splits.grays["train"]
    plain = None if splits.class_names else train[rows_at_random(len(train), STANDARD_IMAGES)]
    judge = make_judge(run, data, side=splits.sizes["image_shape"][0], plain=plain)
    metrics, table = score_samples(trained.model, judge, splits, options=run.options)
    caption = f"What the decoder makes of {DRAWN} random codes of the standard normal distribution."
    figure = sheet_figure(drawn(trained.model, DRAWN, seed=seed + 1), columns=12)
    return metrics, [Figure("samples", caption, figure), table]


def read_pixels(
    codec: ReconstructionCodec, paths: Sequence[Path], source: Source, *, seed: int
) -> tuple[list[Path], np.ndarray]:
    """Reads image files, or folders of them, as a network takes them; returns the files as well."""
    files, pixels = read_inputs(codec, files_in(paths))
    return files, pixels_of(as_bytes(255 * pixels), binary=source.binary, seed=seed)


def stand_out(
    model: keras.Model, codec: ReconstructionCodec, splits: PixelSplits, folder: Path, source: Source, *, seed: int
) -> tuple[Figure, float]:
    """Returns how well images of a folder stand out from the test set: ROC curve, and area under it."""
    _, images = read_pixels(codec, [folder], source, seed=seed)
    what = f"errors on the {len(images):,} images of {folder.name} and on the {len(splits.test):,} of the test set"
    return anomaly_figure(errors_of(model, splits.test.inputs["image"]), errors_of(model, images), what=what)


def held_out(
    run: Run, splits: PixelSplits, *, source: Source, arch: Arch, params: dict[str, Any], recipe: Recipe
) -> tuple[Figure, float]:
    """Returns the same for a class that a second network, in the folder anomaly/ of the run, is trained without.

    Raises:
        KeyboardInterrupt: If its training is interrupted.
    """
    print(f"Training a second network, without the class {source.anomaly}, which is to stand out:", flush=True)
    label = splits.class_names.index(source.anomaly)
    part = run.part("anomaly", {})
    trained = train_on(part, splits.without(label), arch=arch, params=params, recipe=recipe)
    if trained.history.interrupted:
        raise KeyboardInterrupt
    errors, odd = errors_of(trained.model, splits.test.inputs["image"]), splits.labels["test"] == label
    what = (
        f"a second network is trained without the class {source.anomaly}; errors on the {odd.sum():,} test images of "
        f"it and on the {(~odd).sum():,} others"
    )
    return anomaly_figure(errors[~odd], errors[odd], what=what)


def report_run(
    run: Run, trained: Trained, *, source: Source, arch: Arch, params: dict[str, Any], recipe: Recipe
) -> None:
    """Evaluates and reports a network; what needs another network comes last, and is left out after Ctrl-C."""
    model, splits, history = trained.model, trained.splits, trained.history
    metrics, table = evaluate_model(model, splits, arch=arch, source=source, options=run.options)
    blocks = [table, *result_blocks(model, splits, arch=arch, seed=run.options.seed)]
    interrupted = history.interrupted
    try:
        if ARCHITECTURES[arch].variational and not interrupted:
            scores, more = samples_of(run, trained, data=source.data)
            metrics, blocks = metrics | scores, blocks + more
        if source.anomalies and not interrupted:
            codec, seed = ReconstructionCodec.of(splits), run.options.seed
            figure, metrics["anomaly_auc"] = stand_out(model, codec, splits, source.anomalies, source, seed=seed)
            blocks.append(figure)
        elif source.anomaly and not interrupted:
            figure, metrics["anomaly_auc"] = held_out(
                run, splits, source=source, arch=arch, params=params, recipe=recipe
            )
            blocks.append(figure)
    except KeyboardInterrupt:
        interrupted = True
        print("Interrupted: the report is without what was not trained, which --resume starts again.")
    finish(
        run,
        trained,
        metrics,
        blocks,
        summary=f"{arch} on {source.data}: {model.get_layer(CODE).output.shape[-1]} numbers in place of "
        f"{splits.grays['test'][0].size:,}, after {len(history.rows)} epochs over {len(splits.train):,} images.",
        headline=("reconstruction_error", "elbo", "log_likelihood", "frechet_distance", "anomaly_auc", "seconds"),
        table=table,
        interrupted=interrupted,
        following={
            "Evaluate it on the test set": "evaluate --run RUN",
            "Reconstruct images of your own": "predict --run RUN a.png b.png --figure reconstructed.png",
        },
    )
