"""Looking inside a trained network: filters, activations, occlusion, saliency, what activates a unit, embeddings.

python -m experiments.inspect                                  # everything, of the newest run of images
python -m experiments.inspect saliency --run runs/NAME cat.jpg --output label=3
python -m experiments.inspect filters --run compact --layer style_taps/block1_conv1
python -m experiments.inspect filter photo.jpg --kernel sobel_y --out edges.png
python -m experiments.inspect bench                            # every method on planted evidence
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import tyro

from kerasapps.errors import UserError
from kerasapps.inside.gradients import completeness_error
from kerasapps.inside.maximal import Ascent
from kerasapps.inside.networks import convolutions, spatial_layers
from kerasapps.inside.occlusion import Fill
from kerasapps.runs import Options, Run
from kerasapps.session import start
from kerasapps.settings import Count, or_none, ranged, settings_of

from ..shared.cli import main
from ..shared.highlighting import text_block
from ..shared.runs import SavedRun
from ..shared.training import report
from .bench import bench
from .filtering import filter
from .layers import (
    LEAST_EMBEDDED,
    MOST_UNITS,
    activations_figure,
    embedding_blocks,
    filters_figure,
    first_convolution,
    known_layer,
    layer_table,
    maximal_blocks,
    strongest_units,
)
from .methods import (
    COLUMNS,
    GRADIENTS,
    Method,
    Patch,
    judged,
    judgement_table,
    method_figure,
    occlusion_method,
    position_figure,
)
from .subject import Opened, Subject, View, open_subject, saved_run, view
from .texts import text_run

Images = tyro.conf.Positional[tuple[Path, ...]]


def tour(images: Images = (), /, *, subject: Subject = Subject(), options: Options = Options()) -> None:
    """Shows everything on one page; the command that is meant where none is named.

    Args:
        images: Image files or folders; by default some of the data of the run.
        subject: Which network is looked into, and at what.
        options: Options that every experiment shares.
    """
    run, opened, seen = begin("Inside a network", images, subject, options)
    model = opened.model
    deepest = spatial_layers(model)[-1:]
    blocks = [filters_figure(opened, first_convolution(opened, None))] if convolutions(model) else []
    if deepest:
        names = list(dict.fromkeys([spatial_layers(model)[len(spatial_layers(model)) // 3], *deepest]))
        blocks += [activations_figure(seen, name) for name in names]
    maps, metrics = map_blocks(run, seen, (occlusion_method(Patch()), *GRADIENTS), Patch())
    blocks += [*position_figure(seen, Patch()), *maps]
    if deepest:
        more, found = maximal_blocks(opened, deepest[0], strongest_units(opened, deepest[0], 5), ascent_of(run))
        blocks, metrics = blocks + more, metrics | found
    if len(opened.labels) >= LEAST_EMBEDDED:
        more, found = embedding_blocks(opened, seen.probe.output, seed=options.seed)
        blocks, metrics = blocks + more, metrics | found
    end(run, opened, metrics, [*blocks, layer_table(opened)], "Everything", headline=("tsne_trustworthiness",))


def filters(*, subject: Subject = Subject(), options: Options = Options()) -> None:
    """Shows the filters of a convolution as a sheet.

    Args:
        subject: Which network is looked into; --layer names the convolution, by default the first.
        options: Options that every experiment shares.
    """
    run, opened, _ = begin("Filters", (), subject, options, look=False)
    layer = first_convolution(opened, subject.layer)
    end(run, opened, {}, [filters_figure(opened, layer), layer_table(opened)], f"Filters of {layer}")


def activations(images: Images = (), /, *, subject: Subject = Subject(), options: Options = Options()) -> None:
    """Shows the channels of a layer for an image, the strongest first.

    Args:
        images: Image files, of which the first is shown; by default one of the data of the run.
        subject: Which network is looked into; --layer names the layer, by default the first with height and width.
        options: Options that every experiment shares.
    """
    run, opened, seen = begin("Activations", images, subject, options)
    layer = known_layer(opened, subject.layer, 0)
    end(run, opened, {}, [activations_figure(seen, layer), layer_table(opened)], f"Activations of {layer}")


def occlusion(
    images: Images = (),
    /,
    *,
    subject: Subject = Subject(),
    patch: or_none(Count) = None,
    stride: or_none(Count) = None,
    fill: Fill = "mean",
    text: tuple[str, ...] = (),
    options: Options = Options(),
) -> None:
    """Covers a patch of each image at every position, and shows the probability that is left.

    Args:
        images: Image files or folders; by default some of the data of the run.
        subject: Which network is looked into, and at what.
        patch: Side of the patch in pixels; by default a quarter of the shorter side.
        stride: Pixels between positions; by default a quarter of the patch, and at most 33 positions a side.
        fill: What the patch shows: black, the mean color of the image, or the image blurred.
        text: Texts, for a run of text classification, whose words are then made unknown one by one.
        options: Options that every experiment shares.
    """
    more = {"patch": patch, "stride": stride, "fill": fill}
    saved = None if options.print_config else saved_run(subject)
    if not options.print_config and text_run(saved, text):
        return show_texts("Occlusion", saved, text, subject, options, occlusion=True, images=images, **more)
    run, opened, seen = begin("Occlusion", images, subject, options, saved=saved, text=text, **more)
    how = Patch(patch, stride, fill)
    blocks, metrics = map_blocks(run, seen, (occlusion_method(how),), how)
    end(run, opened, metrics, [*position_figure(seen, how), *blocks], "Occlusion")


def saliency(
    images: Images = (),
    /,
    *,
    subject: Subject = Subject(),
    text: tuple[str, ...] = (),
    options: Options = Options(),
) -> None:
    """Shows what speaks for a class by gradients: seven methods, each with how far it can be trusted.

    Args:
        images: Image files or folders; by default some of the data of the run.
        subject: Which network is looked into, and at what; --layer names the layer of Grad-CAM.
        text: Texts, for a run of text classification, whose words are then colored.
        options: Options that every experiment shares.
    """
    saved = None if options.print_config else saved_run(subject)
    if not options.print_config and text_run(saved, text):
        return show_texts("Saliency", saved, text, subject, options, occlusion=False, images=images)
    run, opened, seen = begin("Saliency", images, subject, options, saved=saved, text=text)
    methods = GRADIENTS
    if subject.layer is not None:
        layer = known_layer(opened, subject.layer, -1)
        methods = tuple(with_layer(method, layer) if method.name == "grad_cam" else method for method in methods)
    blocks, metrics = map_blocks(run, seen, methods, Patch())
    end(run, opened, metrics, blocks, "Saliency")


def maximal(
    *,
    subject: Subject = Subject(),
    units: tuple[ranged(int, least=0), ...] = (),
    steps: Count = 128,
    options: Options = Options(),
) -> None:
    """Shows what activates units the most: images of the data, and images made by gradient ascent.

    Args:
        subject: Which network is looked into; --layer names the layer, by default the last with height and width.
        units: Units of the layer; by default those that vary the most.
        steps: Steps of gradient ascent.
        options: Options that every experiment shares.
    """
    run, opened, _ = begin("Maximal activation", (), subject, options, look=False, units=units, steps=steps)
    layer = known_layer(opened, subject.layer, -1)
    units = list(units) or strongest_units(opened, layer, MOST_UNITS)
    ascent = replace(ascent_of(run), steps=run.options.shrink(steps, 8))
    blocks, metrics = maximal_blocks(opened, layer, units, ascent)
    end(run, opened, metrics, [*blocks, layer_table(opened)], f"What activates {layer}")


def embedding(*, subject: Subject = Subject(), options: Options = Options()) -> None:
    """Shows images by what the classifier reads of them: t-SNE next to PCA, and on a grid.

    Args:
        subject: Which network is looked into, and with the images of which --data.
        options: Options that every experiment shares.
    """
    run, opened, _ = begin("Embedding", (), subject, options, look=False)
    output = subject.output.partition("=")[0] if subject.output else None
    blocks, metrics = embedding_blocks(opened, output, seed=options.seed)
    end(run, opened, metrics, blocks, "Embedding", headline=("tsne_trustworthiness", "pca_trustworthiness"))


# --- what they share


def begin(
    title: str, images, subject: Subject, options: Options, *, look: bool = True, saved: SavedRun | None = None, **more
) -> tuple[Run, Opened, View | None]:
    """Opens the run folder, the network, and what to look at; `saved` is the run that is looked into, if it is open."""
    more |= {"images": images} if look else {}
    settings = settings_of({"subject": subject, "options": options, **more})
    run = start(title, settings, experiment="inspect", workload="convolution")
    opened = open_subject(subject, run, saved or saved_run(subject), has_images=bool(images))
    return run, opened, view(opened, subject, images) if look else None


def show_texts(
    title: str, saved: SavedRun, text: tuple[str, ...], subject: Subject, options: Options, *, occlusion: bool, **more
) -> None:
    """Writes the report of a run of texts."""
    settings = settings_of({"text": text, "subject": subject, "options": options, **more})
    run = start(title, settings, experiment="inspect", workload="convolution")
    block = text_block(saved, text, subject.output, occlusion=occlusion)
    report(run, {}, [block], summary=f"{title} of {saved.folder.name}, words by what they speak for.", headline=())


def map_blocks(run: Run, seen: View, methods: tuple[Method, ...], patch: Patch) -> tuple[list, dict[str, float]]:
    """Computes, judges and draws maps; a method that is not defined for the network is left out, with the reason."""
    blocks, table, metrics = [], {}, {}
    for method in methods:
        try:
            maps, numbers = judged(method, seen, fill="blur")
        except ValueError as error:
            print(f"{method.title} is left out: {error}", flush=True)
            continue
        blocks.append(method_figure(method, seen, maps, numbers))
        table[method.title] = {name: float(np.mean(numbers[name])) for name in COLUMNS}
        metrics |= {f"{method.name}_{name}": value for name, value in table[method.title].items()}
        if method.name == "integrated":
            errors = completeness_error(seen.probe, seen.inputs, seen.units, maps)
            metrics["integrated_completeness_error"] = float(errors.max())
            print(f"Integrated gradients: completeness error {100 * errors.max():.2f} % at most.", flush=True)
    if not blocks:
        raise UserError("None of the methods is defined for this network.")
    return [judgement_table(table), *blocks], metrics


def with_layer(method: Method, layer: str) -> Method:
    """Returns Grad-CAM at a layer."""
    compute = method.compute
    return replace(method, compute=lambda *given: compute(*given, layer=layer), caption=f"{method.caption} Of {layer}.")


def ascent_of(run: Run) -> Ascent:
    """Returns how images are made in this run."""
    return Ascent(seed=run.options.seed, steps=run.options.shrink(128, 8))


def end(run: Run, opened: Opened, metrics, blocks, what: str, *, headline=()) -> None:
    """Writes the report."""
    summary = f"{what}: {opened.title}, {opened.model.count_params():,} parameters."
    report(run, metrics, blocks, summary=summary, headline=headline)


COMMANDS = (tour, filters, activations, occlusion, saliency, maximal, embedding, filter, bench)

if __name__ == "__main__":
    if len(sys.argv) == 1 or (sys.argv[1].startswith("--") and sys.argv[1] != "--help"):
        sys.argv.insert(1, "tour")
    main("experiments.inspect", *COMMANDS)
