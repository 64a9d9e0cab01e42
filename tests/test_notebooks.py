"""The notebooks run as they stand, from the first cell to the last, in sizes that show whether they run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SMOKE = {
    "EPOCHS = 15": "EPOCHS = 1",
    "EPOCHS, TRIALS = 8, 6": "EPOCHS, TRIALS = 1, 2",
    "SIZE, STEPS = 256, 40": "SIZE, STEPS = 64, 2",
}


def code_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_there_are_notebooks_and_each_has_a_smoke_size():
    assert len(NOTEBOOKS) >= 4
    for notebook in NOTEBOOKS:
        assert any(size in code_of(notebook) for size in SMOKE), notebook


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(notebook):
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert content["cells"][0]["source"][0].startswith("# ")
    compile(code_of(notebook), str(notebook), "exec")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path):
    code = "import matplotlib\nmatplotlib.use('agg')\n" + code_of(notebook)
    for size, small in SMOKE.items():
        code = code.replace(size, small)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
