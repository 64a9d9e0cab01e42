"""Predicts the class of a point with the network beside this file: its runtime and NumPy are enough.

python predict.py --numbers 7.5 6
"""

import argparse
import re

import numpy as np
from runtime import beside, likeliest, percent


def main():
    """Prints both classes of one point with their probabilities, the more probable first."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--numbers", nargs="+", type=float, required=True, help="one number for each column")
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # -1e3 as well, which argparse takes for an option
    numbers = parser.parse_args().numbers
    network, codec = beside(__file__)
    columns = codec["numbers"]
    if len(numbers) != len(columns) or not np.isfinite(numbers).all():
        parser.error(f"--numbers takes {len(columns)} numbers: {', '.join(columns)}")
    mean, scale = np.array(list(columns.values())).T
    second = network({"features": ((numbers - mean) / scale).astype(np.float32)[None]})["label"][0, 0]
    classes = likeliest(np.array([1 - second, second]), codec["class_names"], 2)
    print(", ".join(f"{name}: {percent(share)}" for name, share in classes))


if __name__ == "__main__":
    main()
