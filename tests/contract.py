"""What every builder promises: one row a builder and variant, checked by test_contract.py at toy size.

`python -m tests.contract` writes tests/golden.json anew: the outputs of freshly built, seeded networks. Run it when a
network is meant to change, and look at the difference.
"""

import json
from pathlib import Path

import keras
import numpy as np

from tests import (
    contract_captioning,
    contract_gan,
    contract_images,
    contract_language,
    contract_questions,
    contract_texts,
    contract_translation,
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
]


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
