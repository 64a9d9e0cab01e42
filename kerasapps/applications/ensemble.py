"""Ensembles: the weighted mean of what several trained networks predict, as one network.

Reference: van der Laan, Polley and Hubbard, "Super Learner", Statistical Applications in Genetics and Molecular
Biology, 2007. The weights come from `kerasapps.superlearner`, or are equal.
"""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import layers

from kerasapps.blocks.arguments import check_positive, checked, refusal
from kerasapps.blocks.heads import NamedHeads
from kerasapps.blocks.logarithms import Logarithms


@checked
def build_ensemble(
    *,
    members: Mapping[str, keras.Model],
    weights: Mapping[str, float] | None = None,
    sharpness: float | None = None,
    name: str = "ensemble",
) -> keras.Model:
    """Joins trained networks of the same inputs and outputs in one, whose outputs are the mean of theirs.

    With `sharpness` it is the mean of logarithms of probabilities, times that number, made probabilities again: members
    that agree are then surer together than each by itself, as those that learned little from few rows should be.

    Each member is a layer of the new network by the name that it has in `members`, so that members of equal names do
    not clash: `model.get_layer("wide")` is the member "wide". It shares the weights of the network that was given. The
    weight of a member does not train; it is in the layer "NAME_weights" of each output NAME.

    Args:
        members: Name to functional model. Inputs of one name must have one shape and dtype; the only input and the only
            output of a member may have any name, those of the first member are then kept.
        weights: Name of each member to its weight, 0 or more; they are divided by their sum. A member of weight 0 is
            left out, and whatever it predicts, NaN included, has no effect. By default all are equal.
        sharpness: Above 0, for outputs that are all probabilities (B, ..., classes); None for the mean itself.
        name: Name of the model.

    Returns:
        Uncompiled model. In: the inputs of the first member. Out, a dict: its outputs, float32, by name. An output that
        has none is called "output".

    Train with: the losses of its members, if at all: then all of them train together, with the weights as they are.

    Raises:
        ValueError: If there is no member, or it is not functional; if inputs or outputs differ; if `weights` are not of
            these members, or negative, or all 0; if `sharpness` is not above 0, or an output has no classes.

    Example:
        >>> wide = build_mnist_network(image_shape=(28, 28, 1))  # both trained before
        >>> deep = build_lenet5(image_shape=(28, 28, 1))
        >>> model = build_ensemble(members={"wide": wide, "deep": deep}, weights={"wide": 0.4, "deep": 0.6})
        >>> model.predict({"image": digits})["label"]  # digits float32 (n, 28, 28, 1)
    """
    if sharpness is not None:
        check_positive(sharpness=sharpness)
    shares = shares_of(members, weights)
    taken = {name: members[name].inputs for name in shares}
    given = {name: outputs_of(name, members[name]) for name in shares}
    check_alike(taken, given)
    first = next(iter(shares))
    widths = {output: tensor.shape[-1] for output, tensor in given[first].items()}
    if sharpness is not None and 1 in widths.values():
        raise refusal(f"be None for outputs without classes, {widths}", sharpness=sharpness)

    # --- inputs
    inputs = {one.name: keras.Input(one.shape[1:], dtype=one.dtype, name=one.name) for one in taken[first]}

    # --- trunk
    predicted: dict[str, list] = {output: [] for output in given[first]}
    for member, outputs in given.items():
        view = keras.Model(taken[member], [*outputs.values()], name=member)  # the same layers by another name
        lone = [*inputs.values()] if len(inputs) == 1 else [inputs[one.name] for one in taken[member]]
        made = dict(zip(outputs if len(outputs) > 1 else predicted, keras.tree.flatten(view(lone)), strict=True))
        for output, tensors in predicted.items():
            tensors.append(made[output])  # (B, ...)

    # --- heads
    heads = {
        output: mean_block(tensors, [*shares.values()], sharpness=sharpness, name=output)
        for output, tensors in predicted.items()
    }
    return NamedHeads([*inputs.values()], heads, name=name)


def shares_of(members: Mapping[str, keras.Model], weights: Mapping[str, float] | None) -> dict[str, float]:
    """Returns the members that count, with weights that sum to 1.

    Raises:
        ValueError: If there is no member, or the weights are not of these members, negative or all 0.
    """
    if not members or not all(name and "/" not in name for name in members):
        raise refusal("hold at least one network, and names of a character or more without slashes", members=[*members])
    for name, network in members.items():
        if not getattr(network, "inputs", None):
            raise ValueError(f"`members` must be functional. Received: {name}, a {type(network).__name__}")
    if weights is None:
        return dict.fromkeys(members, 1 / len(members))
    if weights.keys() != members.keys():
        raise refusal(f"have a number for each of {', '.join(members)}", weights=dict(weights))
    total = sum(weights.values())
    if min(weights.values()) < 0 or not total > 0:
        raise refusal("be at least 0, and above 0 for one member", weights=dict(weights))
    return {name: weights[name] / total for name in members if weights[name] > 0}


def outputs_of(name: str, network: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns the outputs of a network by name; one without a name is called "output".

    Raises:
        ValueError: If there are several without names.
    """
    output = network.outputs if isinstance(network, keras.Sequential) else network.output
    if isinstance(output, Mapping):
        return dict(output)
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1:
        raise ValueError(f"`members` must name their outputs in a dict. Received: {name} with {len(tensors)} outputs")
    return {"output": tensors[0]}


def check_alike(taken: Mapping[str, Sequence], given: Mapping[str, Mapping[str, keras.KerasTensor]]) -> None:
    """Raises ValueError for members that do not take and give the same, or are called like what they take or give."""
    inputs = {name: {one.name: (*one.shape[1:], one.dtype) for one in tensors} for name, tensors in taken.items()}
    outputs = {name: {key: tuple(one.shape[1:]) for key, one in tensors.items()} for name, tensors in given.items()}
    first = next(iter(taken))
    for what, found in (("inputs", inputs), ("outputs", outputs)):
        for name, shapes in found.items():
            lone = len(shapes) == len(found[first]) == 1
            if [*shapes.values()] != [*found[first].values()] if lone else shapes != found[first]:
                received = f"{first} with {found[first]}, {name} with {shapes}"
                raise ValueError(f"`members` must have the same {what}. Received: {received}")
    parts = ("weights", "stacked", "logarithms", "scores", *range(1, len(taken) + 1))
    inner = {f"{output}_{part}" for output in outputs[first] for part in parts}  # as `mean_block` calls its layers
    clash = sorted({*inputs[first], *outputs[first], *inner} & taken.keys())
    if clash:
        received = ", ".join(clash)
        raise ValueError(f"`members` must not be called like an input, output or layer. Received: {received}")


def mean_block(tensors: Sequence, shares: Sequence[float], *, sharpness: float | None, name: str):
    """Returns the weighted mean of tensors of one shape (B, ...), float32, or that of their logarithms, sharpened.

    The weights do not train; with `sharpness` they are multiplied by it.
    """
    shape = tensors[0].shape[1:]
    sides = [-1 if side is None else side for side in shape]
    columns = [
        layers.Reshape((*sides, 1), dtype="float32", name=f"{name}_{i}")(one) for i, one in enumerate(tensors, 1)
    ]  # each (B, ..., 1)
    stacked = layers.Concatenate(dtype="float32", name=f"{name}_stacked")(columns) if len(columns) > 1 else columns[0]
    # A dense layer without bias: its kernel (members, 1) has the weights.
    mean = layers.Dense(1, use_bias=False, trainable=False, dtype="float32", name=f"{name}_weights")
    if sharpness is None:
        made = layers.Reshape(sides, dtype="float32", name=name)(mean(stacked))  # (B, ...)
    else:
        scores = mean(Logarithms(dtype="float32", name=f"{name}_logarithms")(stacked))  # (B, ..., 1)
        scores = layers.Reshape(sides, dtype="float32", name=f"{name}_scores")(scores)  # (B, ...)
        made = layers.Softmax(dtype="float32", name=name)(scores)
    mean.set_weights([np.array(shares, np.float32)[:, np.newaxis] * (sharpness or 1)])
    return made
