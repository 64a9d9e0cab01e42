"""Programs of deployable folders, run as on a machine that has nothing of the project."""

import subprocess
import sys
from pathlib import Path

# Nothing of the project, no Keras and no TensorFlow.
ALONE = """if True:
    import runpy, sys
    sys.modules.update(dict.fromkeys(("kerasapps", "experiments", "keras", "tensorflow", "PIL", "rich")))
    sys.path.insert(0, ".")
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def alone(folder: Path, *arguments: str) -> str:
    """Returns what a program of a folder prints in a process of its own."""
    command = [sys.executable, "-I", "-c", ALONE, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr[-1000:]
    return done.stdout


def words(printed: str) -> list[str]:
    """What is printed, without lines of tables and their titles."""
    return [word for word in printed.replace("Predictions", "").split() if set(word) != {"─"}]
