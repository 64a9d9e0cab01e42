"""Which input of a generator or discriminator is which, so that a GAN takes networks of any builder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

NOISE, LABEL, VERDICT = "noise", "label", "verdict"
# What the last layer of a generator can make at most, by its activation.
RANGES = {keras.activations.tanh: (-1.0, 1.0), keras.activations.sigmoid: (0.0, 1.0)}

RESHAPING = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute)


@dataclass(frozen=True)
class Roles:
    """What a GAN calls the inputs of its networks, each in the order of the network's `inputs`.

    Args:
        sample: Name of what is generated: "image", or as the networks call it.
        generator: "noise", and "label" if the class is chosen.
        discriminator: `sample`, and "label" if it takes the class.
    """

    sample: str
    generator: tuple[str, ...]
    discriminator: tuple[str, ...]


def roles_of(generator: keras.Model, discriminator: keras.Model) -> Roles:
    """Returns what the inputs of two networks are.

    Raises:
        ValueError: If a network is not a functional or Sequential model with known inputs, if the discriminator does
            not take what the generator makes, or does not end in one logit.
    """
    for name, network in {"generator": generator, "discriminator": discriminator}.items():
        if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
            what = "a functional or Sequential model that begins with keras.Input"
            raise ValueError(f"`{name}` must be {what}. Received: {network!r}")
    taken = _roles(generator, "generator", NOISE)
    if len(generator.outputs) != 1:
        raise ValueError(f"`generator` must have one output. Received: {len(generator.outputs)} outputs")
    made = _structure(generator, "output")
    (place,) = [i for i, role in enumerate(_roles(discriminator, "discriminator", "")) if not role]
    sample = next(iter(made)) if isinstance(made, Mapping) else _names(discriminator)[place]
    wanted = _roles(discriminator, "discriminator", sample)
    shape, shown = generator.outputs[0].shape[1:], discriminator.inputs[place].shape[1:]
    if not fits(shape, shown) or not {*wanted} <= {sample, *taken}:
        outputs = {sample: shape} | {name: () for name in taken if name == LABEL}
        inputs = {name: tensor.shape[1:] for name, tensor in zip(wanted, discriminator.inputs, strict=True)}
        raise ValueError(
            f"`discriminator` must take the outputs of `generator`. Received: generator with the outputs {outputs}, "
            f"discriminator with the inputs {inputs}"
        )
    _check_logit(discriminator)
    return Roles(sample, taken, wanted)


def call_named(network: keras.Model, roles: Sequence[str], values: Mapping, *, training: bool | None):
    """Calls a network with those of the values that it takes, in the structure and shape in which it takes them."""
    given = [
        tf.reshape(values[role], (-1, *tensor.shape[1:])) if role == LABEL and len(tensor.shape) > 1 else values[role]
        for role, tensor in zip(roles, network.inputs, strict=True)
    ]
    if isinstance(network, keras.Sequential):
        return network(given[0], training=training)
    return network(keras.tree.pack_sequence_as(network.input, given), training=training)


def range_of(generator: keras.Model) -> tuple[float, float] | None:
    """Returns the smallest and the largest value that a generator can make, None if it has no limits."""
    return RANGES.get(_last_activation(generator))


def fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Returns whether a shape may be the wanted one; None stands for any size."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(a is None or b is None or a == b for a, b in pairs)


def _check_logit(discriminator: keras.Model) -> None:
    outputs = _structure(discriminator, "output")
    verdict = outputs.get(VERDICT) if isinstance(outputs, Mapping) else None
    if verdict is None and len(discriminator.outputs) == 1:
        verdict = discriminator.outputs[0]
    if verdict is None or tuple(verdict.shape[1:]) != (1,):
        shapes = [tuple(tensor.shape) for tensor in discriminator.outputs]
        rule = 'have one output, or one named "verdict", the logit (None, 1) of being real'
        raise ValueError(f"`discriminator` must {rule}. Received: outputs of the shapes {shapes}")
    activation = _last_activation(discriminator)
    if activation is not keras.activations.linear:
        # The losses apply the sigmoid themselves; a second one would leave hardly any gradient.
        rule = "end in a logit, without an activation"
        raise ValueError(f"`discriminator` must {rule}. Received: activation={getattr(activation, '__name__', '?')!r}")


def _last_activation(network: keras.Model):
    """Returns the activation of the last layer that does more than change the shape."""
    last = next((layer for layer in reversed(network.layers) if not isinstance(layer, RESHAPING)), None)
    return getattr(last, "activation", None) or keras.activations.linear


def _roles(network: keras.Model, name: str, first: str) -> tuple[str, ...]:
    """Returns the role of each input: `first`, or "label" for the one of that name or else of an integer dtype."""
    names, tensors = _names(network), network.inputs
    if len(tensors) == 1:
        return (first,)
    whole = ["int" in str(tensor.dtype) for tensor in tensors]
    labels = [one == LABEL for one in names] if LABEL in names else whole
    shapes = [tuple(tensor.shape[1:]) for tensor, label in zip(tensors, labels, strict=True) if label]
    if len(tensors) != 2 or shapes not in ([()], [(1,)]):
        rule = 'have one input, or a second one named "label" for the class, of the shape () or (1,)'
        received = {one: tuple(tensor.shape[1:]) for one, tensor in zip(names, tensors, strict=True)}
        raise ValueError(f"`{name}` must {rule}. Received: inputs {received}")
    return tuple(LABEL if label else first for label in labels)


def _names(network: keras.Model) -> list[str]:
    """Returns the names of a network's inputs, in the order of `inputs`."""
    inputs = _structure(network, "input")
    return sorted(inputs) if isinstance(inputs, Mapping) else [tensor.name for tensor in network.inputs]


def _structure(network: keras.Model, end: str):
    """Returns "input" or "output" of a network as it was built: a tensor, a list or a dict."""
    # A Sequential model that was never called has no `input`, only `inputs`.
    return getattr(network, f"{end}s")[0] if isinstance(network, keras.Sequential) else getattr(network, end)
