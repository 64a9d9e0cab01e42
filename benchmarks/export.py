"""One image and 64 at a time through an exported network, next to Keras' `predict` and to a traced function.

    python -m benchmarks.export --out runs/bench-export.json

The network is the separable classifier for 32 x 32 pixels, as trained on the digits. All ways run in this process, in
turn, several times; what counts is the median and the ratio.
"""

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import tyro

from kerasapps import build_separable_classifier, export
from kerasapps.exporting.converting import FILES
from kerasapps.exporting.runtime import Network
from kerasapps.runtime import machine

FILES_OF = {"onnxruntime": ("onnx", "float32"), "LiteRT": ("litert", "float32"), "LiteRT, int8": ("litert", "int8")}


def main(*, out: Path, rounds: int = 7, threads: int = 2, side: int = 32) -> None:
    """Measures and writes milliseconds a call.

    Args:
        out: JSON file to write.
        rounds: Rounds, of which the median counts.
        threads: Threads of the other runtimes.
        side: Side of the images.
    """
    images = np.random.default_rng(0).uniform(0, 255, (64, side, side, 1)).astype(np.float32)
    model = build_separable_classifier(image_shape=images.shape[1:], num_classes=10)
    traced = tf.function(lambda image: model({"image": image}, training=False))
    ways = {
        "predict": lambda x: model.predict({"image": x}, verbose=0)["label"],
        "traced function": lambda x: traced(tf.constant(x))["label"].numpy(),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (format, precision) in FILES_OF.items():
            path = Path(folder) / f"{precision}{Path(FILES[format]).suffix}"
            export(model, path, format=format, precision=precision, examples={"image": images})
            network = Network(path, threads=threads)
            ways[name] = lambda x, network=network: network({"image": x})["label"]
        readings = {rows: {name: [] for name in ways} for rows in (1, 64)}
        for rows, of_way in readings.items():
            for _ in range(rounds):
                for name, way in ways.items():
                    of_way[name].append(milliseconds(way, images[:rows], calls=5 if name == "predict" else 20))
    records = {
        rows: {name: {"median": float(np.median(all_)), "all": all_} for name, all_ in of_way.items()}
        for rows, of_way in readings.items()
    }
    for rows, of_way in records.items():
        for name, record in of_way.items():
            ratio = of_way["predict"]["median"] / record["median"]
            print(f"{rows:>3} rows  {name:<16}{record['median']:9.2f} ms  {ratio:7.1f} x predict")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"milliseconds": records, "machine": machine()}, indent=2))


def milliseconds(way, rows: np.ndarray, *, calls: int) -> float:
    """Returns the median time of a call, after one that is not counted."""
    way(rows)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        way(rows)
        times.append(1e3 * (time.perf_counter() - started))
    return float(np.median(times))


if __name__ == "__main__":
    tyro.cli(main)
