"""The packages of the wheel; all else is in pyproject.toml.

The experiments are a folder of their own in a checkout (`python -m experiments.qa`), and a part of the package once it
is installed (`kerasapps qa`, which is `python -m kerasapps.experiments.qa`).
"""

from setuptools import find_namespace_packages, find_packages, setup

EXPERIMENTS = find_namespace_packages(include=["experiments", "experiments.*"])

setup(
    packages=[*find_packages(include=["kerasapps", "kerasapps.*"]), *(f"kerasapps.{name}" for name in EXPERIMENTS)],
    package_dir={"kerasapps.experiments": "experiments"},
)
