"""The rows that a GAN is given, in every form that `fit` takes, and a look at their values."""

import warnings
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from kerasapps.gan.networks import LABEL, fits

FIRST = 256  # rows whose values are looked at
SLACK = 0.1  # by which values may be outside, as after an augmentation


def named(values, names: Sequence[str]) -> dict:
    """Returns values by name: those of a dict as they are, an array or a list of arrays in the order of the names."""
    if isinstance(values, Mapping):
        return dict(values)
    values = values if isinstance(values, list | tuple) else [values]
    return dict(zip(names, values, strict=False))


def read_batch(data, *, names: Sequence[str], shape: Sequence[int | None], labels: bool) -> tuple[dict, dict]:
    """Returns inputs and targets of a batch by name; runs when a step is traced, so that its checks cost nothing.

    Args:
        data: What Keras passes to a step.
        names: Names of the inputs in the order in which a list gives them, what is generated first.
        shape: Shape of a row.
        labels: Whether a class is needed for each row, which may be among the inputs.

    Raises:
        ValueError: If something is missing or has another shape.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError("`sample_weight` and `class_weight` must be None: a GAN counts all rows alike.")
    inputs, targets = named(x, names), {} if y is None else named(y, (LABEL,))
    if names[0] not in inputs:
        raise ValueError(f'`x` must hold "{names[0]}". Received: {", ".join(map(str, inputs)) or "nothing"}')
    if LABEL in inputs:
        targets = {LABEL: inputs.pop(LABEL)} | targets
    inputs = {name: tf.convert_to_tensor(inputs[name]) for name in names if name in inputs}
    for name, rows in inputs.items():
        if rows.shape.rank is not None and not fits(rows.shape[1:], shape):
            wanted = ", ".join(map(str, ("n", *shape)))
            raise ValueError(f"`x` must have the shape ({wanted}). Received: {name} of the shape {rows.shape}")
    return inputs, targets | ({LABEL: _classes(targets.get(LABEL))} if labels else {})


def warn_of_values(x, names: Sequence[str], limits: tuple[float, float] | None) -> None:
    """Warns of values that a generator, which makes those within `limits`, cannot make; looks at the first rows."""
    x = None if limits is None else first_batch(x)
    rows = None if x is None else named(x, names).get(names[0])
    if rows is None or 0 in rows.shape:
        return
    rows = keras.ops.convert_to_numpy(rows)
    low, high = float(rows.min()), float(rows.max())
    if not (limits[0] - SLACK <= low and high <= limits[1] + SLACK):  # not for NaN either
        scale = "x / 127.5 - 1" if limits[0] else "x / 255"
        warnings.warn(
            f"`x` should have values from {limits[0]:g} to {limits[1]:g}, as the generator makes them; bytes become so "
            f"by {scale}. Received: values from {low:g} to {high:g}",
            stacklevel=3,
        )


def first_batch(x):
    """Returns the first rows of what `fit` takes, or None where a look would use them up, as for a generator."""
    if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
        batch = next(iter(x.take(1)), None) if isinstance(x, tf.data.Dataset) else x[0]
        return None if batch is None else keras.utils.unpack_x_y_sample_weight(batch)[0]
    arrays = keras.tree.flatten(x)
    return keras.tree.map_structure(lambda rows: rows[:FIRST], x) if all(map(_is_array, arrays)) else None


def _is_array(value) -> bool:
    return hasattr(value, "shape") and hasattr(value, "__getitem__")


def _classes(label):
    """Returns the classes of a batch, int32 (B,)."""
    label = None if label is None else tf.convert_to_tensor(label)
    if label is None or (label.shape.rank not in (None, 1) and label.shape[1:] != (1,)):
        received = None if label is None else f"the shape {label.shape}"
        raise ValueError(f"`y` must be the class of each row, whole numbers (n,). Received: {received}")
    return tf.cast(tf.reshape(label, [-1]), tf.int32)
