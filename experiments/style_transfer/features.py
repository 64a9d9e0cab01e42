"""`train-features`: a compact VGG of our own, for style transfer without a download."""

import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from kerasapps.applications.style_transfer import NETWORKS, Weights, convolution_shapes
from kerasapps.applications.vgg import build_vgg
from kerasapps.blocks.conv import EPSILON
from kerasapps.blocks.style import MEAN_BGR
from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.runs import Options, write_atomically, write_json
from kerasapps.session import start
from kerasapps.settings import Text, settings_of

from ..shared import image_classifier
from ..shared.image_classifier import ADAM, GivenRecipe, settle_recipe
from ..shared.image_options import check_folder
from ..shared.training import finish

NETWORK = "compact"
RECIPE = replace(ADAM, epochs=30, optimizer="sgd", learning_rate=0.05, weight_decay=5e-3)


def train_features(
    *,
    data: Text = "cifar10",
    recipe: GivenRecipe = GivenRecipe(),
    weights: Path = Path("compact.h5"),
    options: Options = Options(),
) -> None:
    """Trains the compact network to classify images, and writes its convolutions for `run --network compact`.

    Args:
        data: A data set or folder of images with classes, as for image classification.
        recipe: How it is trained; by default as the features in the package were.
        weights: The .h5 file to write, in half precision; a .json file next to it records where it comes from.
        options: Options that every experiment shares.
    """
    check_folder(options)
    if weights.suffix != ".h5":
        raise UserError(f"--weights must end in .h5. Received: {weights}")
    if not weights.parent.is_dir():
        raise UserError(f"--weights {weights} cannot be written: there is no folder {weights.parent}.")
    if weights.exists() and not options.resume:
        raise UserError(f"{weights} exists already. Choose another --weights.")
    recipe = settle_recipe(RECIPE, recipe, data=data, options=options)
    run = start("Style features", settings_of(locals()), experiment="style_transfer", workload="convolution")
    splits = image_classifier.load(data, recipe, options=options)
    if splits.sizes["image_shape"][-1] != 3:
        raise UserError(f"--data {data} is gray: features for style transfer need red, green and blue.")
    params = {"depth": 16, "filters": NETWORKS[NETWORK][1], "dense_units": (256,), "batch_norm": True, "dropout": 0.3}
    trained = image_classifier.train(run, splits, partial(build_vgg, **params, **splits.sizes), recipe)
    model = trained.model
    batches = splits.test.batches(recipe.batch_size, replicas=run.strategy.num_replicas_in_sync)
    metrics = model.evaluate(batches, return_dict=True, verbose=0)
    folded = fold(model)
    numbers = sum(kernel.size + bias.size for kernel, bias in folded.values())
    card = {
        "network": f"VGG-16 at half its width, {numbers:,} numbers",
        "data": data,
        "accuracy": metrics["accuracy"],
        "command": run.config["command"],
        "precision": "float16",
    }
    if run.is_chief:
        write_atomically(weights, encode(folded))
        write_json(weights.with_suffix(".json"), card)
    finish(
        run,
        trained,
        metrics,
        [],
        summary=f"Features for style transfer from {data}.",
        headline=("accuracy", "seconds"),
        conclusion=f"{format_share(metrics['accuracy'])} test accuracy.\n{weights}",
    )


def fold(model) -> Weights:
    """Returns kernels and biases that do what convolutions, their normalization and the scaling of colors do.

    The classifier takes red, green and blue divided by 127.5 less 1; style transfer blue, green and red less a mean.
    """
    result = {}
    for layer in convolution_shapes(NETWORK):
        kernel, bias = (np.asarray(value, np.float64) for value in model.get_layer(layer).get_weights())
        gamma, beta, mean, variance = (
            np.asarray(value, np.float64) for value in model.get_layer(layer.replace("conv", "bn")).get_weights()
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        kernel, bias = kernel * scale, (bias - mean) * scale + beta
        if layer == "block1_conv1":
            shift = np.array(MEAN_BGR) / 127.5 - 1
            kernel = kernel[:, :, ::-1]
            bias = bias + np.einsum("hwcf,c->f", kernel, shift)
            kernel = kernel / 127.5
        result[layer] = kernel, bias
    return result


def encode(weights: Weights) -> bytes:
    """Returns an .h5 file in the layout of `keras.applications`, in half precision."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, (kernel, bias) in weights.items():
            group = file.create_group(f"{layer}/{layer}")
            group.create_dataset("kernel:0", data=kernel.astype(np.float16))
            group.create_dataset("bias:0", data=bias.astype(np.float16))
    return buffer.getvalue()
