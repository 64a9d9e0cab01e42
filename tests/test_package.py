"""The package as it is installed: what is in the wheel, and that it works where there is no checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

import kerasapps
from experiments.__main__ import experiments
from tests.test_typing import OWN_CODE, planted

ROOT = Path(__file__).parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "kerasapps", "experiments")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
# Files that are no modules: the wheel must have them too.
DATA = ("*.h5", "*.json", "*.typed", "*.j2", "*.js", "*.css", "README.md", "*.c")


def run(*command, cwd: Path, **environment: str) -> str:
    """Runs a command outside the checkout and returns what it prints."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False, env=clean | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built from a copy, so that nothing is written into the checkout and no leftover of it is taken."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    run(sys.executable, "-c", BUILD, "dist", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


def test_the_wheel_has_every_file_of_both_folders_and_nothing_else(wheel):
    wanted = {
        ("kerasapps/" if folder == "experiments" else "") + str(path.relative_to(ROOT))
        for folder in ("kerasapps", "experiments")
        for pattern in ("*.py", *DATA)
        for path in (ROOT / folder).rglob(pattern)
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert {"kerasapps/py.typed", "kerasapps/weights/compact.h5", "kerasapps/experiments/qa/README.md"} <= names


def test_there_is_one_version(wheel):
    with zipfile.ZipFile(wheel) as files:
        (name,) = [name for name in files.namelist() if name.endswith("METADATA")]
        metadata = files.read(name).decode()
    assert f"\nVersion: {kerasapps.__version__}\n" in metadata
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == kerasapps.__version__


def test_the_command_of_the_wheel_starts_without_a_checkout_and_without_tensorflow(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    points = (tmp_path / "site" / f"kerasapps-{kerasapps.__version__}.dist-info" / "entry_points.txt").read_text()
    module, function = re.search(r"^kerasapps = ([\w.]+):(\w+)$", points, re.MULTILINE).groups()
    code = f"import sys; from {module} import {function} as main; main(); print('tensorflow' in sys.modules)"
    shown = run(sys.executable, "-P", "-c", code, "list", cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert shown.startswith("usage: kerasapps NAME COMMAND [OPTIONS]")
    assert all(f"  {name} " in shown for name in experiments())
    assert shown.endswith("False\n")


@pytest.mark.slow  # a minute: a training, a search and a type checker, each with imports of its own
def test_an_installed_wheel_trains_searches_and_has_types(wheel, tmp_path):
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    scripts = environment / "bin"
    # What the tests have installed, after what this environment has itself; a .pth in there is not followed.
    (site,) = environment.glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith("-packages")] or [sysconfig.get_path("purelib")]
    (site / "zz_others.pth").write_text("\n".join(others))
    install = ("-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel)
    run(sys.executable, *install, cwd=tmp_path)
    run(scripts / "kerasapps", "qa", "train", "--smoke", "--out", "runs/qa", cwd=tmp_path)
    assert "kerasapps qa train --smoke" in (tmp_path / "runs" / "qa" / "config.json").read_text()
    assert (tmp_path / "runs" / "qa" / "report.html").exists()
    # A folder like that of a checkout, where the command is started, must not be imported by the trials.
    (tmp_path / "kerasapps").mkdir()
    (tmp_path / "kerasapps" / "__init__.py").write_text("raise SystemExit('this is not the package')")
    search = ("search", "--smoke", "--max-trials", "1", "--workers", "2", "--out", "runs/search")
    run(scripts / "kerasapps", "qa", *search, cwd=tmp_path)
    assert "failed" not in (tmp_path / "runs" / "search" / "trials.csv").read_text()
    shutil.rmtree(tmp_path / "kerasapps")
    shutil.copy(OWN_CODE, tmp_path)
    check = [scripts / "python", "-m", "mypy", "--ignore-missing-imports", "own_code.py"]
    checked = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert {int(line) for line in re.findall(r"^own_code\.py:(\d+): error:", checked, re.MULTILINE)} == planted()
