"""What every builder promises: one row a builder and variant, checked by test_contract.py at toy size.

`python -m tests.contract` writes tests/golden.json anew: the outputs of freshly built, seeded networks. Run it when a
network is meant to change, and look at the difference.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests import (
    contract_autoencoder,
    contract_captioning,
    contract_ensemble,
    contract_gan,
    contract_graphs,
    contract_images,
    contract_language,
    contract_pixels,
    contract_questions,
    contract_rows,
    contract_texts,
    contract_translation,
    contract_turing,
)
from tests.contract_row import Contract

GOLDEN = Path(__file__).with_name("golden.json")
CONTRACTS = [
    *contract_questions.CONTRACTS,
    *contract_images.CONTRACTS,
    *contract_texts.CONTRACTS,
    *contract_translation.CONTRACTS,
    *contract_language.CONTRACTS,
    *contract_captioning.CONTRACTS,
    *contract_gan.CONTRACTS,
    *contract_pixels.CONTRACTS,
    *contract_autoencoder.CONTRACTS,
    *contract_ensemble.CONTRACTS,
    *contract_rows.CONTRACTS,
    *contract_turing.CONTRACTS,
    *contract_graphs.CONTRACTS,
]

# What takes seconds a network is tried on one of each kind of graph; on all others by `pytest -m slow`.
SAMPLE = {
    *("build_question_answering-lstm", "build_memory_network-2hops-2walkers", "build_multi_head_text-same-average"),
    *("build_multimodal_price-all", "build_lenet5", "build_vgg-bn", "build_residual_classifier", "build_text_cnn"),
    *("build_seq2seq-additive", "build_transformer_language_model-sinusoids"),
    *("build_generator-classes", "build_discriminator-spectral", "build_gan", "build_vae"),
}
assert {str(row) for row in CONTRACTS} >= SAMPLE


def sampled(rows: Iterable[Contract]) -> list:
    """Returns rows as parameters of a test, all but the sample marked as slow."""
    return [pytest.param(row, id=str(row), marks=[pytest.mark.slow] * (str(row) not in SAMPLE)) for row in rows]


def golden_output(contract: Contract) -> list[float]:
    """Builds a network with seeded weights and returns eight numbers of its outputs, evenly spaced over all."""
    keras.utils.set_random_seed(0)
    model = contract.builder(**contract.arguments)
    outputs = model(contract.inputs)
    numbers = np.concatenate([np.ravel(keras.ops.convert_to_numpy(outputs[name])) for name in sorted(outputs)])
    return [float(f"{numbers[i]:.7g}") for i in np.linspace(0, len(numbers) - 1, 8).astype(int)]


if __name__ == "__main__":
    rows = [f"  {json.dumps(str(contract))}: {json.dumps(golden_output(contract))}" for contract in CONTRACTS]
    GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")
