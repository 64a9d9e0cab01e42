"""The sequences of the copy task."""

import numpy as np
import tensorflow as tf

from kerasapps.data.copying import draw_copies, drawn_anew, load_copying

BITS = 3


def check(sequence: np.ndarray, copy: np.ndarray, weights: np.ndarray) -> int:
    """Checks a row and returns the length of its sequence."""
    length = int(sequence[:, BITS].argmax())
    assert sequence[:, BITS].sum() == 1
    assert set(np.unique(sequence)) <= {0, 1}
    assert not sequence[length + 1 :].any()
    np.testing.assert_array_equal(copy[length + 1 : 2 * length + 1], sequence[:length, :BITS])
    assert copy.sum() == sequence[:, :BITS].sum()
    expected = np.zeros(len(sequence))
    expected[length + 1 : 2 * length + 1] = 1
    np.testing.assert_array_equal(weights, expected)
    return length


def test_a_copy_comes_after_the_delimiter():
    drawn = draw_copies([1, 4, 2], bits=BITS, rng=np.random.default_rng(0))
    rows = zip(drawn.inputs["sequence"], drawn.targets["bits"], drawn.weights["bits"], strict=True)
    assert [check(*row) for row in rows] == [1, 4, 2]


def test_bits_of_a_batch_are_drawn_anew_and_its_lengths_stay():
    drawn = draw_copies([4, 2, 3, 4], bits=BITS, rng=np.random.default_rng(0))
    batches = [drawn_anew(drawn.inputs, drawn.targets, tf.constant([0, i])) for i in (1, 1, 2)]
    for inputs, targets in batches:
        rows = zip(inputs["sequence"].numpy(), targets["bits"].numpy(), drawn.weights["bits"], strict=True)
        assert [check(*row) for row in rows] == [4, 2, 3, 4]
    first, again, other = (inputs["sequence"].numpy() for inputs, _ in batches)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_test_sequences_are_longer_than_any_in_training():
    splits = load_copying(bits=BITS, longest=6, rows=200, seed=1)
    lengths = {
        name: getattr(splits, name).inputs["sequence"][..., BITS].argmax(1) for name in ("train", "validation", "test")
    }
    assert (lengths["train"].min(), lengths["train"].max()) == (1, 6)
    assert lengths["validation"].max() <= 6
    assert (lengths["test"].min(), lengths["test"].max()) == (7, 9)
    assert splits.sizes == {"input_bits": BITS + 1, "output_bits": BITS}
