"""Every builder gives the same outputs from the same weights, writes and trains, on the other backends of Keras."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.contract import CONTRACTS
from tests.contract_row import Contract, first_state

ROOT = Path(__file__).parent.parent


# Builders with graphs beside them that write.
WRITERS = ("build_seq2seq", "build_transformer", "build_captioner", "build_recurrent_language_model")


def written(contract: Contract, model) -> dict[str, np.ndarray]:
    """What a network's graphs for writing give at two steps, if it has such graphs; under any backend."""
    from keras import ops

    if not str(contract).startswith(WRITERS):
        return {}
    step, encoded = contract.module.step_of(model), {}
    if hasattr(contract.module, "encoder_of"):
        encoder = contract.module.encoder_of(model)
        encoded = encoder([contract.inputs[tensor.name] for tensor in encoder.inputs])
    rows = len(next(iter(contract.inputs.values())))
    state = first_state(step, rows, encoded)
    made = {}
    for token in (2, 3):
        outputs = step({"token": ops.full((rows, 1), token, "int32"), **state})
        made |= {f"{name}_after_{token}": ops.convert_to_numpy(value) for name, value in outputs.items()}
        state |= {name: value for name, value in outputs.items() if name in state}
    return made


def answer(folder: Path) -> None:
    """Builds each contract's network, sets its weights, writes its outputs and trains a step, under any backend."""
    import keras

    for i, contract in enumerate(CONTRACTS):
        model = contract.builder(**contract.arguments)
        with np.load(folder / f"weights{i}.npz") as file:
            model.set_weights([file[name] for name in file.files])
        outputs = model.predict(contract.inputs, verbose=0)
        np.savez(folder / f"outputs{i}.npz", **outputs, **written(contract, model))
        if contract.frozen:
            continue
        model.compile("sgd", "mse", jit_compile=False)
        loss = model.train_on_batch(contract.inputs, {name: np.zeros_like(value) for name, value in outputs.items()})
        assert np.isfinite(loss).all(), contract
    print(keras.backend.backend())


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_the_same_outputs(backend, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    models = [contract.builder(**contract.arguments) for contract in CONTRACTS]
    for i, model in enumerate(models):
        np.savez(tmp_path / f"weights{i}.npz", **{f"{j:03d}": w for j, w in enumerate(model.get_weights())})
    command = [sys.executable, "-m", "tests.test_backends", str(tmp_path)]
    environment = os.environ | {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == backend, done.stderr[-2000:]
    for i, (model, contract) in enumerate(zip(models, CONTRACTS, strict=True)):
        with np.load(tmp_path / f"outputs{i}.npz") as file:
            expected = model(contract.inputs) | written(contract, model)
            assert set(file.files) == set(expected)
            for name, value in expected.items():
                np.testing.assert_allclose(file[name], value, atol=1e-4)


if __name__ == "__main__":
    answer(Path(sys.argv[1]))
