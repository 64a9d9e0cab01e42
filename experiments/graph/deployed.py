"""Predicts classes of nodes with the network and the graph beside this file: its runtime and NumPy are enough.

python predict.py 34 1
"""

import argparse
from pathlib import Path

import numpy as np
from runtime import beside, likeliest, percent, show


def main():
    """Prints the likeliest class of nodes, by default of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("nodes", nargs="*", help="names of nodes of the graph")
    given = parser.parse_args().nodes
    network, codec = beside(__file__)
    numbers = {name: i for i, name in enumerate(codec["nodes"])}
    unknown = [name for name in given if name not in numbers]
    if unknown:
        parser.error(f"the graph has no node {unknown[0]}")
    with np.load(Path(__file__).with_name("graph.npz")) as graph:
        probabilities = network(dict(graph))["label"][0]
    rows = []
    for name in given or codec["nodes"]:
        i = numbers[name]
        best, share = likeliest(probabilities[i], codec["class_names"], 1)[0]
        rows.append([name, best, percent(share), codec["labels"][i] or "not known"])
    show(["node", "predicted", "probability", "true"], rows)


if __name__ == "__main__":
    main()
