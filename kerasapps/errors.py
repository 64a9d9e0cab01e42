"""Errors you can fix, reported in one sentence."""

import errno
import os
import re
import traceback

# What stops a file from growing, and what to do about it.
NO_ROOM = {
    errno.ENOSPC: ("The disk is full", "free some space"),
    errno.EDQUOT: ("Your disk quota is used up", "free some space"),
    errno.EFBIG: ("A file would be larger than is allowed here (see `ulimit -f`)", "raise the limit"),
}
OUT_OF_MEMORY = "Out of memory. Try a smaller --batch-size."
# How the dynamic loader reports that memory ran out.
CANNOT_LOAD = ("failed to map segment", "annot allocate memory")


class UserError(Exception):
    """An error that the person at the keyboard can fix; its text is the whole message they see."""


class DataError(UserError):
    """Data that is missing, unreadable or in the wrong format."""


class TrainingError(UserError):
    """A training that cannot continue, such as one whose loss is no longer a number."""


def explain(error: Exception) -> str | None:
    """Returns the sentence for an error that you can fix, None for a bug of ours."""
    if isinstance(error, UserError):
        return str(error)
    full = no_room(error)
    if full:
        return f"{full[0]}. What was saved is whole: {full[1]} and add --resume --out FOLDER."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    # An error inside `tf.data` arrives as TensorFlow's own, with ours in its text.
    ours = re.search(r"kerasapps\.errors\.\w+Error: (.+)", str(error))
    if ours:
        return ours[1].strip()
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, ValueError) and _raised_by_us(error):
        return str(error)
    return None


def no_room(error: BaseException) -> tuple[str, str] | None:
    """Returns what kept a file from growing, and what to do about it; None for another error."""
    for code, (what, remedy) in NO_ROOM.items():
        if getattr(error, "errno", None) == code or os.strerror(code) in str(error):
            return f"{what} for {error.filename}" if getattr(error, "filename", None) else what, remedy
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether memory ran out, in Python, in TensorFlow or while a library was loaded."""
    # TensorFlow's error by name, so that explaining another one does not cost the seconds of importing TensorFlow.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return isinstance(error, ImportError) and any(words in str(error) for words in CANNOT_LOAD)


def _raised_by_us(error: Exception) -> bool:
    """Returns whether our own code refused a value; a value that Keras refused is a bug and keeps its traceback."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_globals.get("__name__", "").split(".")[0] in ("kerasapps", "experiments", "__main__")
