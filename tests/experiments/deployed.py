"""Programs of deployable folders, run as on a machine that has nothing of the project.

`make test-deployed` runs them in an environment that has nothing but NumPy, the runtimes and sentencepiece; otherwise
imports of all else are blocked.
"""

import os
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

FRESH = os.environ.get("KERASAPPS_FRESH_PYTHON")


def alone(folder: Path, *arguments: str) -> str:
    """Returns what a program of a folder prints in a process of its own."""
    command = [FRESH, *arguments] if FRESH else [sys.executable, "-I", "-c", ALONE, *arguments]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=bare)
    assert not done.returncode, done.stderr[-1000:]
    return done.stdout


TITLES = ("Predictions", "Reconstruction error")


def words(printed: str) -> list[str]:
    """What is printed, without lines of tables and their titles."""
    for title in TITLES:
        printed = printed.replace(title, "")
    return [word for word in printed.split() if set(word) != {"─"}]
