"""Before TensorFlow starts: quiet, on the CPU, and in two logical devices of it, by which distribution is tested."""

import functools
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import pytest
import sklearn  # noqa: F401 - sets environment variables, so now and not in a test that happens to be the first

from kerasapps import distribution, runtime

# A shell that starts the tests in the background has Ctrl-C ignored, and what they start would ignore it as well.
signal.signal(signal.SIGINT, signal.default_int_handler)
distribution.split_cpu()
# Measured once: beside other tests `--precision auto` might settle on another format from one run to the next.
runtime.bfloat16_speedup = functools.cache(runtime.bfloat16_speedup)


def start_afresh() -> None:
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Starts each test with the same seed and number format, whatever the one before it set."""
    start_afresh()


@pytest.fixture(autouse=True, scope="module")
def _fresh_fixtures():
    """The same for the fixtures of a module, which are made before that; no module changes what the next one starts."""
    start_afresh()
    before = dict(os.environ)
    yield
    changed = {name for name, _ in before.items() ^ os.environ.items()} - {"PYTEST_CURRENT_TEST"}
    # The command line sets the first two once for its process; Polars and the site's builder the others.
    changed -= {"TMPDIR", "RAY_TMPDIR", "_RJEM_MALLOC_CONF", "NO_MKDOCS_2_WARNING"}
    assert not changed, f"left changed in the environment: {changed}"


def pytest_collection_modifyitems(items):
    """Puts what waits for other processes first, next to which there is room; skips what needs real data without it."""
    items.sort(key=lambda item: item.get_closest_marker("multiworker") is None)
    if not os.environ.get("KERASAPPS_DATA"):
        for item in items:
            if item.get_closest_marker("real_data"):
                item.add_marker(pytest.mark.skip(reason="KERASAPPS_DATA is not set"))
