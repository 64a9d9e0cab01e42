"""The copy task: a sequence of random bits, a delimiter, and then the same sequence is to be written.

Reference: Graves et al., "Neural Turing Machines", 2014, section 4.1.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasapps.data.splits import Split, Splits

BEYOND = 1.5  # times the longest training sequence: how long test sequences are at most


def load_copying(
    *, bits: int = 8, longest: int = 10, rows: int = 3_200, seed: int = 0, limit: int | None = None
) -> Splits:
    """Draws the sequences of the copy task.

    Training and validation sequences have 1 to `longest` steps. Test sequences are longer than any of them, up to one
    and a half times `longest`. The bits of the training set are drawn anew for each batch, so that no sequence comes
    twice; only lengths stay.

    Args:
        bits: Bits of a step.
        longest: Steps of the longest training sequence.
        rows: Training sequences in an epoch; a tenth of it is for validation and as many for the test.
        seed: Seed of everything drawn.
        limit: Sequences of each set at most.
    """
    rng = np.random.default_rng(seed)
    held_out = max(1, rows // 10)
    lengths = [rng.integers(1, longest + 1, size=count) for count in (rows, held_out)]
    lengths.append(rng.integers(longest + 1, beyond(longest) + 1, size=held_out))
    train, validation, test = (draw_copies(one[:limit], bits=bits, rng=rng) for one in lengths)
    train = Split(train.inputs, train.targets, weights=train.weights, augment=drawn_anew)
    return Splits(train, validation, test, {"input_bits": bits + 1, "output_bits": bits})


def beyond(longest: int) -> int:
    """Returns the steps of the longest test sequence."""
    return max(longest + 1, round(BEYOND * longest))


def draw_copies(lengths: Sequence[int], *, bits: int, rng: np.random.Generator) -> Split:
    """Draws sequences of these lengths, padded to the longest.

    Returns:
        Inputs "sequence" float32 (n, 2 L + 1, bits + 1), the last bit of which is the delimiter; targets "bits" float32
        (n, 2 L + 1, bits); and weights that are 1 in the steps of the copy, float32 (n, 2 L + 1).
    """
    lengths = np.asarray(lengths)
    most = lengths.max()
    words = rng.integers(0, 2, (len(lengths), most, bits)).astype(np.float32)
    words *= (np.arange(most) < lengths[:, None])[..., None]
    inputs = np.zeros((len(lengths), 2 * most + 1, bits + 1), np.float32)
    inputs[:, :most, :bits] = words
    rows = np.arange(len(lengths))
    inputs[rows, lengths, bits] = 1
    steps = np.arange(2 * most + 1) - lengths[:, None] - 1  # of the copy, (n, 2 L + 1)
    copied = (steps >= 0) & (steps < lengths[:, None])
    targets = words[rows[:, None], steps.clip(0, most - 1)] * copied[..., None]
    return Split({"sequence": inputs}, {"bits": targets}, weights={"bits": copied.astype(np.float32)})


def drawn_anew(inputs, targets, seed):
    """Returns a batch of the copy task with other bits and the same lengths."""
    sequence, copies = inputs["sequence"], targets["bits"]
    bits = tf.shape(copies)[-1]
    steps = tf.shape(sequence)[1]
    lengths = tf.argmax(sequence[..., -1], axis=1, output_type=tf.int32)[:, None]  # (B, 1), where the delimiter is
    at = tf.range(steps)[None]  # (1, T)
    words = tf.cast(tf.random.stateless_uniform(tf.shape(copies), seed, 0, 2, tf.int32), tf.float32)
    words *= tf.cast(at < lengths, tf.float32)[..., None]
    from_step = at - lengths - 1  # (B, T)
    copied = (from_step >= 0) & (from_step < lengths)
    copies = tf.gather(words, tf.clip_by_value(from_step, 0, steps - 1), batch_dims=1)
    copies *= tf.cast(copied, tf.float32)[..., None]
    sequence = tf.concat([words, sequence[..., bits:]], -1)
    return {"sequence": sequence}, {"bits": copies}
