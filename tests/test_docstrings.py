"""What docstrings promise: the examples of everything exported run, and public methods say what they do."""

import ast
import doctest
import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerasapps
from kerasapps.applications.attention_classifier import attention_of
from kerasapps.applications.image_filter import KERNELS
from kerasapps.applications.multi_head_text import novel_heads
from kerasapps.blocks.style import preprocess

PACKAGE = Path(kerasapps.__file__).parent
# Keras defines what these do.
KERAS_METHODS = {
    "build",
    "compile_from_config",
    "call",
    "compute_mask",
    "compute_output_shape",
    "compute_output_spec",
    "convolution_op",
    "from_config",
    "get_compile_config",
    "get_config",
    "inner_loop",
    "update_step",
}

rng = np.random.default_rng(0)
# What the examples take for granted, as small as their networks allow.
READY = {
    "keras": keras,
    "KERNELS": KERNELS,
    "attention_of": attention_of,
    "novel_heads": novel_heads,
    "preprocess": preprocess,
    "images": rng.integers(0, 256, (4, 32, 32, 3)).astype(np.float32),
    "photos": rng.integers(0, 256, (4, 64, 64, 3)).astype(np.float32),
    "digits": rng.integers(0, 256, (4, 28, 28, 1)).astype(np.float32),
    "labels": np.arange(4, dtype=np.int32),
    "texts": rng.integers(1, 1000, (4, 300)).astype(np.int32),
    "tags": rng.integers(0, 5, (4, 300)).astype(np.int32),
    "stories": rng.integers(1, 50, (4, 6, 8)).astype(np.int32),
    "questions": rng.integers(1, 50, (4, 8)).astype(np.int32),
    "noise": rng.normal(size=(4, 64)).astype(np.float32),
    "points": rng.normal(size=(4, 2)).astype(np.float32),
    "numbers": rng.normal(size=(4, 2)).astype(np.float32),
    "ages": rng.uniform(20, 60, (4, 1)).astype(np.float32),
    "years": rng.uniform(1800, 2000, (4, 1)).astype(np.float32),
    "prices": rng.uniform(1, 9, (4, 1)).astype(np.float32),
    "sequences": rng.integers(0, 2, (4, 5, 4)).astype(np.float32),
    "copies": rng.integers(0, 2, (4, 5, 3)).astype(np.float32),
    "adjacency": np.full((4, 4), 0.25, np.float32),
    "real": np.array([[1.0], [0.0], [1.0], [0.0]], np.float32),
}
READY |= {"answers": READY["labels"], "genres": READY["labels"], "groups": READY["labels"], "genders": READY["real"]}


@pytest.fixture
def _eager():
    """Runs each operation at once: a graph would take longer to trace than these few steps to compute."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.filterwarnings("ignore:Even though the `tf.config")
@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("name", kerasapps.__all__)
def test_the_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # those of runs write their folders
    names = {exported: getattr(kerasapps, exported) for exported in kerasapps.__all__} | READY
    examples = doctest.DocTestParser().get_examples(names[name].__doc__)
    assert examples, f"{name} has no example"
    for example in examples:
        exec(compile(example.source, f"example of {name}", "exec"), names)


TEXT_BUILDERS = [
    name
    for name in kerasapps.__all__
    if name.startswith("build_") and "vocab_size" in str(inspect.signature(getattr(kerasapps, name)))
]


@pytest.mark.parametrize("name", TEXT_BUILDERS)
def test_the_docstring_says_which_token_ids_there_are(name):
    said = " ".join(inspect.getdoc(getattr(kerasapps, name)).split())
    assert "0 is padding" in said
    assert re.search("Ids in the input must be below it: TensorFlow refuses others on a CPU", said)


def public_methods() -> list:
    """Returns (where, node) of each method that is not private and not Keras' own."""
    return [
        (f"{path.relative_to(PACKAGE)}:{node.name}.{method.name}", method)
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        for method in node.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
        if method.name not in KERAS_METHODS
    ]


@pytest.mark.parametrize(("where", "method"), public_methods())
def test_a_public_method_says_what_it_does(where, method):
    assert ast.get_docstring(method), where
