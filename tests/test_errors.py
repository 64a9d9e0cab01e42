import errno

import pytest
import tensorflow as tf

from kerasapps.blocks.text import text_encoder_block
from kerasapps.errors import DataError, explain


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("The file is empty."), "The file is empty."),
        (OSError(errno.ENOSPC, "No space left on device", "run/last.npz"), "The disk is full for run/last.npz."),
        (RuntimeError("Unable to write: No space left on device"), "The disk is full."),
        (OSError(errno.EFBIG, "File too large"), "A file would be larger than is allowed here (see `ulimit -f`)."),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Your disk quota is used up."),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory"), "No usable temporary directory."),
        (ImportError("libfoo.so: failed to map segment from shared object"), "Out of memory."),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.txt"), "x.txt: No such file or directory."),
        (MemoryError(), "Out of memory."),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), "Out of memory."),
    ],
)
def test_an_error_you_can_fix_is_a_sentence(error, said):
    assert explain(error).startswith(said)


def test_a_value_that_we_refuse_is_a_sentence():
    with pytest.raises(ValueError, match="must be one of") as caught:
        text_encoder_block(tf.ones((1, 2)), vocab_size=3, embedding_dim=2, encoder="rnn", units=2, name="x")
    assert "Received: encoder='rnn'" in explain(caught.value)


def test_what_breaks_inside_a_data_set_keeps_its_sentence():
    def read(name):
        raise DataError("cat.jpg is not an image.")

    batches = tf.data.Dataset.range(1).map(lambda row: tf.numpy_function(read, [row], tf.int64))
    with pytest.raises(tf.errors.OpError) as caught:
        list(batches)
    assert explain(caught.value) == "cat.jpg is not an image."


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("seven")
    assert explain(caught.value) is None
