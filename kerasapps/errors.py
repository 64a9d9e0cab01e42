"""What a person can put right, said in one sentence."""

import errno
import re
import traceback

DISK_FULL = "No space left on device"
OUT_OF_MEMORY = "Out of memory. Try a smaller --batch-size."


class UserError(Exception):
    """A condition that the person at the keyboard can change; its text is the whole message they see."""


class DataError(UserError):
    """Data that is missing, unreadable or not in the format it should have."""


class TrainingError(UserError):
    """A training that cannot go on, such as one whose loss is no longer a number."""


def explain(error: Exception) -> str | None:
    """Returns the sentence for an error that a person can put right, None for one that is ours."""
    if isinstance(error, UserError):
        return str(error)
    if getattr(error, "errno", None) == errno.ENOSPC or DISK_FULL in str(error):
        where = f" for {error.filename}" if getattr(error, "filename", None) else ""
        return f"The disk is full{where}. What was saved is whole: free some space and add --resume --out FOLDER."
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    # An error inside `tf.data` arrives as TensorFlow's own, with ours in its text.
    told = re.search(r"kerasapps\.errors\.\w+Error: (.+)", str(error))
    if told:
        return told[1].strip()
    # TensorFlow's error by name, so that telling a sentence does not take the seconds of importing it.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return OUT_OF_MEMORY
    if isinstance(error, ValueError) and _raised_by_us(error):
        return str(error)
    return None


def _raised_by_us(error: Exception) -> bool:
    """Tells whether our own code refused a value; one that Keras refused is a defect and keeps its traceback."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_globals.get("__name__", "").split(".")[0] in ("kerasapps", "experiments", "__main__")
