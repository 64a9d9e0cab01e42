"""Prints which precision "auto" comes to on this machine for networks of convolutions: one word.

`python -m experiments.serve` runs it once, so that all its pictures are painted in the same.
"""

from kerasapps import runtime


def main() -> None:
    """Measures, and prints."""
    print(runtime.set_precision("auto", workload="convolution"))


if __name__ == "__main__":
    main()
