"""`bench`: every method on images whose evidence was planted, so that it is known where a network must look."""

import keras
import numpy as np
from keras import layers

from kerasapps.data.planted import PATCH, SHAPES, SIDE, Planted, plant
from kerasapps.inside.judging import after_drawing_anew, deletion, mass, pointing
from kerasapps.inside.occlusion import Fill
from kerasapps.inside.probe import Probe
from kerasapps.reports import Figure, Table
from kerasapps.runs import Options
from kerasapps.session import start
from kerasapps.settings import Count, settings_of

from ..shared.images import as_bytes, image_grid, overlay
from ..shared.training import report
from .methods import GRADIENTS, Method, Patch, occlusion_method

TRAINED, EPOCHS = 8000, 4
COVER = Patch(patch=4, stride=2)
DRAWS, RANKED = 5, 40  # of random weights, and how many images are explained by each
FILL: Fill = "mean"
NUMBERS = ("pointing", "mass", "deletion", "insertion", "rank_head", "rank_all")
SHOWN = 5


def bench(*, rows: Count = 200, options: Options = Options()) -> None:
    """Trains a network on planted evidence, and measures every method by whether it finds it.

    Args:
        rows: Test images that the methods explain.
        options: Options that every experiment shares.
    """
    run = start("Planted evidence", settings_of(locals()), experiment="inspect", workload="convolution")
    train, test = (
        plant(options.shrink(count, 64), seed=2 * options.seed + i) for i, count in enumerate((TRAINED, rows))
    )
    model = bench_network()
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit({"image": train.images}, train.labels, batch_size=64, epochs=options.shrink(EPOCHS, 1), verbose=0)
    held_out = plant(options.shrink(2000, 64), seed=2 * options.seed + 10_001)
    metrics = {"accuracy": model.evaluate({"image": held_out.images}, held_out.labels, verbose=0)[1]}
    print(f"Accuracy {100 * metrics['accuracy']:.1f} % on {len(held_out.labels):,} images.", flush=True)
    table, drawn = [], {}
    for method in (occlusion_method(COVER), *GRADIENTS):
        drawn[method.title], found = measure(method, Probe(model), test, draws=options.shrink(DRAWS, 1))
        metrics |= {f"{method.name}_{name}": value for name, value in found.items()}
        table.append([method.title, *found.values()])
    report(
        run,
        metrics,
        [bench_table(table), maps_figure(test, drawn)],
        summary=f"{len(test.labels)} images of noise with one of {len(SHAPES)} shapes, by a network with "
        f"{100 * metrics['accuracy']:.1f} % accuracy.",
        headline=("accuracy", "occlusion_pointing", "occlusion_deletion", "occlusion_rank_head"),
        table=bench_table(table),
    )


def bench_network() -> keras.Model:
    """Builds a small network with ReLU layers and max pooling, as most of those are that people look into."""
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 64, offset=-2, name="scaled")(image)
    # Without noise a network that is certain has no gradient to look at.
    x = layers.GaussianNoise(0.5, name="noise")(x)
    for i, filters in enumerate((16, 32, 32), start=1):
        x = layers.Conv2D(filters, 5 if i == 1 else 3, padding="same", name=f"conv{i}")(x)  # (B, H, W, filters)
        x = layers.Activation("relu", name=f"relu{i}")(x)
        x = layers.MaxPooling2D(name=f"pool{i}")(x) if i < 3 else x
    x = layers.GlobalMaxPooling2D(name="strongest")(x)
    return keras.Model([image], {"label": layers.Dense(len(SHAPES), activation="softmax", name="label")(x)})


def measure(method: Method, probe: Probe, test: Planted, *, draws: int) -> tuple[np.ndarray, dict[str, float]]:
    """Returns the maps of a method, and how well they show the evidence."""
    given, units = {"image": test.images}, test.labels
    maps = method.compute(probe, given, units)
    some = {"image": test.images[:RANKED]}, units[:RANKED], maps[:RANKED]
    ranks = {
        name: np.mean([after_drawing_anew(method.compute, probe, *some, head=head, seed=i) for i in range(draws)])
        for name, head in (("rank_head", True), ("rank_all", False))
    }
    found = {
        "pointing": pointing(maps, test.boxes).mean(),
        "mass": mass(maps, test.boxes).mean(),
        "deletion": deletion(probe, given, units, maps, fill=FILL).mean(),
        "insertion": deletion(probe, given, units, maps, fill=FILL, insert=True).mean(),
        **ranks,
    }
    return maps, {name: float(value) for name, value in found.items()}


def bench_table(rows: list[list]) -> Table:
    """Compares the methods."""
    chance = (PATCH / SIDE) ** 2
    caption = (
        f"Pointing: share of maps whose highest value lies in the evidence, {chance:.3f} by chance. Mass: share of the "
        "map in it. Deletion: mean probability while the most marked pixels are taken away, low is good; insertion: "
        "while they are put back, high is good. Correlations with the map after the last layer, or all of it, was "
        "drawn anew: guided backpropagation and DeconvNet point well, and yet hardly depend on the last layer."
    )
    columns = ["method", *NUMBERS[:4], "head drawn anew", "all drawn anew"]
    return Table("Where the evidence is known", columns, rows, caption, digits=2)


def maps_figure(test: Planted, drawn: dict[str, np.ndarray]) -> Figure:
    """Shows the maps of some images, a method a row, with the evidence framed in the first row."""
    shown = []
    for image, (top, left, bottom, right) in zip(test.images[:SHOWN], test.boxes[:SHOWN], strict=False):
        framed = np.repeat(as_bytes(image), 3, -1).repeat(4, 0).repeat(4, 1)
        color = np.array([217, 130, 43], np.uint8)
        for edge in (4 * top - 2, 4 * bottom):
            framed[max(0, edge) : edge + 2, max(0, 4 * left) : 4 * right] = color
        for edge in (4 * left - 2, 4 * right):
            framed[max(0, 4 * top) : 4 * bottom, max(0, edge) : edge + 2] = color
        shown.append(framed)
    count = len(shown)
    below = ["the evidence, framed", *[""] * (count - 1)]
    for title, maps in drawn.items():
        shown += [overlay(as_bytes(test.images[i]), maps[i]) for i in range(count)]
        below += [title, *[""] * (count - 1)]
    caption = "Each column is one test image with a shape and, elsewhere, its pixels in another order."
    return Figure("bench_maps", caption, image_grid(shown, below, columns=count), "The maps")
