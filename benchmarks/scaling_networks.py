"""The networks of benchmarks/scaling.py as their experiments train them: what a step sends, computes and takes.

Texts and prices are the experiments' simulated data. Images are noise in the shape of CIFAR-10, or of MNIST where the
recipe is for digits: what they show makes no difference to the time.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import get_args
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from benchmarks.scaling_model import spread
from experiments.gan import network as gan_network
from experiments.gan import points as gan_points
from experiments.image_classification import network as image_network
from experiments.price import network as price_network
from experiments.profile import network as profile_network
from experiments.qa import network as qa_network
from kerasapps import distribution, runtime
from kerasapps.complexity import UNCOUNTED
from kerasapps.data.augmentation import picture_augment
from kerasapps.data.gaussians import load_gaussians, ring
from kerasapps.data.prices import BRANCHES
from kerasapps.data.splits import Split
from kerasapps.gan.model import GAN
from kerasapps.optimizers import optimizers_of
from kerasapps.runs import Options

STEPS = 1000  # of a training on paper, over which its learning rate changes
CLASSES = 10
SMALLER = 8  # how many times fewer rows the second batch has, from which the fixed part of a step follows
ROUNDS = 3
WARM_UP = 3


@dataclass(frozen=True)
class Case:
    """How a compiled network is made, what it reads, and the rows of its default batch."""

    make: Callable[[], keras.Model]
    split: Split
    rows: int


def question_answering(arch: str) -> Case:
    """Returns a network of the question-answering experiment, on its simulated stories."""
    recipe = qa_network.recipe_of(arch, options=Options())
    splits = qa_network.load(qa_network.Source(), arch, options=Options())

    def make():
        return qa_network.make_model(arch=arch, sizes=splits.sizes, params={}, recipe=recipe, steps=STEPS)

    return Case(make, splits.train, recipe.batch_size)


def classifier(arch: str) -> Case:
    """Returns a network of the image-classification experiment, as for CIFAR-10."""
    recipe = image_network.recipe_of(arch, "cifar10", image_network.GivenRecipe(), options=Options())
    sizes = {"image_shape": (recipe.size, recipe.size, 3), "num_classes": CLASSES}

    def make():
        return image_network.make_model(arch=arch, params={}, recipe=recipe, steps=STEPS, jit_compile=False, **sizes)

    augment = picture_augment(flip=recipe.flip, shift=recipe.shift, erase=recipe.erase)
    return Case(make, noise(sizes, 2 * recipe.batch_size, augment=augment), recipe.batch_size)


def images_gan(arch: str, data: str, image_shape: tuple[int, int, int]) -> Case:
    """Returns a pair of the GAN experiment."""
    recipe = gan_network.recipe_of(arch, data, gan_network.GivenRecipe(), options=Options())
    sizes = {"image_shape": image_shape, "num_classes": CLASSES}

    def make():
        return gan_network.make_model(arch=arch, params={}, recipe=recipe, seed=0, jit_compile=False, **sizes)

    rows = recipe.batch_size * recipe.discriminator_steps
    return Case(make, gan_network.scaled(noise(sizes, 2 * rows)), rows)


def points_gan() -> Case:
    """Returns the pair for points in the plane."""
    recipe = gan_network.recipe_of("points", gan_points.POINTS, gan_network.GivenRecipe(), options=Options())

    def make():
        return gan_points.make_model(params={}, recipe=recipe, seed=0, jit_compile=False)

    return Case(make, load_gaussians(ring()).train, recipe.batch_size * recipe.discriminator_steps)


def profile(params: dict | None) -> Case:
    """Returns the profile network on simulated posts, as its experiment trains it or with other arguments."""
    recipe = profile_network.recipe_of("posts", options=Options())
    splits = profile_network.load(profile_network.Source(), options=Options())
    params = profile_network.params_of("posts") if params is None else params

    def make():
        return profile_network.make_model(sizes=splits.sizes, params=params, recipe=recipe, steps=STEPS)

    # The shortest text that the convolutions can read depends on the arguments.
    return Case(make, profile_network.pad_split(splits.train, make()), recipe.batch_size)


def price() -> Case:
    """Returns the price network on simulated garments."""
    recipe = price_network.Recipe()
    splits = price_network.load(price_network.Source(), BRANCHES, options=Options())

    def make():
        return price_network.make_model(sizes=splits.sizes, params={}, recipe=recipe, steps=STEPS)

    return Case(make, splits.train, recipe.batch_size)


def least() -> Case:
    """Returns a network of two weights: what its step takes is Keras' loop."""

    def make():
        number = keras.Input((1,), name="number")
        model = keras.Model({"number": number}, {"answer": keras.layers.Dense(1, name="answer")(number)})
        model.compile(keras.optimizers.SGD(), {"answer": "mse"}, jit_compile=False)
        return model

    column = np.zeros((1000, 1), np.float32)
    return Case(make, Split({"number": column}, {"answer": column}), SMALLER)


def noise(sizes: dict, count: int, *, augment=None) -> Split:
    """Returns random images and classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *sizes["image_shape"]), dtype=np.uint8)
    return Split({"image": images}, {"label": rng.integers(0, CLASSES, count).astype(np.int32)}, augment=augment)


LEAST = "Keras' loop"
CASES: dict[str, tuple[runtime.Workload, Callable[[], Case]]] = {
    **{f"qa, {arch}": ("recurrent", partial(question_answering, arch)) for arch in get_args(qa_network.Arch)},
    **{f"images, {arch}": ("convolution", partial(classifier, arch)) for arch in get_args(image_network.Arch)},
    "GAN, DCGAN, digits": ("convolution", lambda: images_gan("dcgan", "digits", (16, 16, 1))),
    "GAN, DCGAN, 64 px": ("convolution", lambda: images_gan("dcgan", "images", (64, 64, 3))),
    "GAN, residual, 32 px": ("convolution", lambda: images_gan("resnet", "images", (32, 32, 3))),
    "GAN, lectures, 28 px": ("convolution", lambda: images_gan("lectures", "mnist", (28, 28, 1))),
    "GAN, points": ("matmul", points_gan),
    "profile, posts": ("matmul", lambda: profile(None)),
    "profile, lectures": ("matmul", lambda: profile({})),
    "price": ("convolution", price),
    LEAST: ("matmul", least),
}


def count_traffic(make: Callable[[], keras.Model], batch: tuple) -> dict[str, float]:
    """Traces a step under a mirrored strategy, runs it if need be, and adds up what its replicas would exchange.

    Args:
        make: Returns a compiled model.
        batch: What a replica gets: inputs, targets and possibly weights.

    Returns:
        Of `benchmarks.scaling_model.Network`: parameters, reduced, gathered, tables, statistics, reductions,
        gathers, barriers.
    """
    rows = len(keras.tree.flatten(batch[1])[0])
    strategy = distribution.make_strategy("mirrored")
    traffic = dict.fromkeys(("reduced", "gathered", "tables", "statistics", "reductions", "gathers", "barriers"), 0)
    unknown: list[tf.IndexedSlices] = []
    all_reduce = tf.distribute.ReplicaContext.all_reduce
    all_gather = tf.distribute.ReplicaContext.all_gather

    def note(size: int) -> None:
        traffic["gathered"] += float(size) / rows

    def listen_to_statistics(context, value, axis, options=None):
        if tf.get_static_value(context.replica_id_in_sync_group) == 0:
            # Its gradient is an exchange too, whose shape is not always known while a step is traced.
            traffic["statistics"] += 2 * value.shape.num_elements() * value.dtype.size
            traffic["barriers"] += 2
        return all_gather(context, value, axis, options)

    def listen(context, operation, value, options=None):
        # Optimizers give a list; the gradient of what batch normalisation gathers is a tuple.
        if tf.get_static_value(context.replica_id_in_sync_group) == 0 and isinstance(value, list):
            arrays = tf.nest.flatten(value)
            tables = [array for array in arrays if isinstance(array, tf.IndexedSlices)]
            whole = [array for array in arrays if not isinstance(array, tf.IndexedSlices)]
            traffic["reduced"] += sum(array.shape.num_elements() * array.dtype.size for array in whole)
            traffic["reductions"] += bool(whole)  # TensorFlow packs them into one
            for table in tables:
                size = table.values.shape[-1] * table.values.dtype.size + table.indices.dtype.size
                looked_up = table.indices.shape.num_elements()
                if looked_up is None:  # of distinct words: how many is known when the step runs
                    unknown.append(table)
                    tf.numpy_function(lambda count, size=size: note(count * size), [tf.size(table.indices)], [])
                else:
                    note(looked_up * size)
                whole_table = math.prod(tf.get_static_value(table.dense_shape).tolist())
                traffic["tables"] += whole_table * table.values.dtype.size
                traffic["gathers"] += 3  # how many, vectors, numbers
        return all_reduce(context, operation, value, options)

    with strategy.scope():
        model = make()
        for optimizer in optimizers_of(model):
            if not optimizer.built:
                optimizer.build(model.trainable_variables)
        model._symbolic_build(data_batch=batch)  # metrics, as `fit` does: a traced step may make no variables
    step = tf.function(lambda: strategy.run(model.train_step, args=(batch,)))
    context = tf.distribute.ReplicaContext
    gathers = mock.patch.object(context, "all_gather", listen_to_statistics)
    with mock.patch.object(context, "all_reduce", listen), gathers:
        step.get_concrete_function()
    if unknown:
        step()
    trained = [model.trained.generator, model.trained.discriminator] if isinstance(model, GAN) else []
    variables = [variable for part in trained for variable in part] or model.trainable_variables
    return {"parameters": sum(math.prod(variable.shape) for variable in variables), **traffic}


def count_step_flops(model: keras.Model, batch: tuple) -> int:
    """Runs a step operation by operation and adds up its products: matrices, convolutions, LSTMs, there and back.

    A multiplication and an addition are two. What has no products (normalisation, activations, updates) is left out.
    The gradient of what a convolution takes counts, also where that is the picture.
    """
    total = 0

    def listen(kind, inputs, attributes, outputs, op_name=None, graph=None):
        nonlocal total
        settings = dict(zip(attributes[::2], attributes[1::2], strict=True))
        total += products(tf.compat.as_str(kind), [x.shape for x in inputs], [x.shape for x in outputs], settings)

    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    op_callbacks.add_op_callback(listen)
    try:
        model.train_step(batch)
    finally:
        op_callbacks.remove_op_callback(listen)
        tf.config.run_functions_eagerly(eager)
    return total


def products(kind: str, inputs: list[tf.TensorShape], outputs: list[tf.TensorShape], settings: dict) -> int:
    """Returns the floating-point operations of one operation, from the shapes that it takes and gives."""
    if kind == "MatMul":
        return 2 * outputs[0].num_elements() * inputs[0][0 if settings["transpose_a"] else 1]
    if kind.startswith("BatchMatMul"):
        return 2 * outputs[0].num_elements() * inputs[0][-2 if settings["adj_x"] else -1]
    if kind in ("BlockLSTM", "BlockLSTMGrad"):
        words, gates = inputs[1], inputs[4]
        return (2 if kind == "BlockLSTM" else 4) * words[0] * words[1] * gates.num_elements()
    if "Conv2D" in kind or kind.startswith("Depthwise"):
        back, of_kernel = "Backprop" in kind, "BackpropFilter" in kind
        kernel = outputs[0] if of_kernel else inputs[1]
        positions = inputs[2] if back else outputs[0]
        taps = kernel[:2] if "Depthwise" in kind else kernel[:3]
        return 2 * positions.num_elements() * taps.num_elements()
    if kind in UNCOUNTED:
        raise ValueError(f"`kind` must not hide products. Received: kind={kind}")
    return 0


def count(case: Case) -> dict[str, float]:
    """Returns what a step of the default batch sends and computes."""
    batch = next(iter(case.split.epochs(case.rows, seed=0, first=0, last=1)))
    traffic = count_traffic(case.make, batch)
    return traffic | {"flops": count_step_flops(case.make(), batch), "rows": case.rows}


def measure(case: Case, *, seconds: float) -> dict[str, object]:
    """Returns the seconds of a step in `fit` with the default batch and with a smaller one: median, least, most.

    Args:
        case: The network.
        seconds: How long a reading takes; there are three of each, in turn.
    """
    model = case.make()
    smaller = max(1, case.rows // SMALLER)
    readings: dict[int, list[float]] = {case.rows: [], smaller: []}
    for _ in range(ROUNDS):
        for rows, medians in readings.items():
            times: list[float] = []

            def tick(batch, logs, times=times):
                times.append(time.perf_counter())
                if len(times) > 2 * WARM_UP and times[-1] - times[WARM_UP] > seconds:
                    model.stop_training = True

            batches = case.split.epochs(rows, seed=0, first=0, last=10**6)
            clock = keras.callbacks.LambdaCallback(on_train_batch_end=tick)
            model.fit(batches, steps_per_epoch=10**6, shuffle=False, verbose=0, callbacks=[clock])
            medians.append(float(np.median(np.diff(times[WARM_UP:]))))
    return {"step": spread(readings[case.rows]), "smaller_rows": smaller, "smaller": spread(readings[smaller])}


def worker(job: str, name: str, seconds: float) -> None:
    """Counts or measures one network and prints a line of JSON."""
    kind, make_case = CASES[name]
    if job == "count":
        distribution.split_cpu()
        print(json.dumps(count(make_case())))
        return
    runtime.set_devices(kind)
    precision = runtime.set_precision("auto", workload=kind)
    print(json.dumps(measure(make_case(), seconds=seconds) | {"precision": precision}))


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], float(sys.argv[3]))
