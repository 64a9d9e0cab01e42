"""Occlusion: all positions of the patch in batches, next to a loop of single predictions.

    python -m benchmarks.occlusion --out runs/bench-occlusion.json

The loop is what people write: `model.predict` for each position. A call of the model for each, without what `predict`
sets up, is measured too. The network is the separable classifier for 64 x 64 pixels.
"""

import json
import time
from pathlib import Path

import numpy as np
import tyro

from kerasapps import build_separable_classifier
from kerasapps.inside.occlusion import filled, occluded, occlusion
from kerasapps.inside.probe import Probe
from kerasapps.runtime import machine


def main(*, out: Path, side: int = 64, patch: int = 16, stride: int = 4) -> None:
    """Measures and writes seconds and ratios.

    Args:
        out: JSON file to write.
        side: Side of the image.
        patch: Side of the patch.
        stride: Pixels between its positions.
    """
    image = np.random.default_rng(0).uniform(0, 255, (side, side, 3)).astype(np.float32)
    model = build_separable_classifier(image_shape=image.shape, num_classes=10)
    probe = Probe(model)

    def batched():
        return occlusion(probe, {"image": image[None]}, [3], patch=patch, stride=stride)[0]

    sweep = batched()  # traced
    places, fill = sweep.corners.reshape(-1, 2), filled(image, "mean")

    def one(place):
        return occluded(image, place[None], patch, fill)

    def predicted():
        return [model.predict({"image": one(place)}, verbose=0)["label"][0, 3] for place in places]

    def called():
        return [float(model({"image": one(place)}, training=False)["label"][0, 3]) for place in places]

    predicted()
    seconds, values = {}, {}
    for name, way in {"batched": batched, "predict": predicted, "call": called}.items():
        readings = []
        for _ in range(3):
            started = time.perf_counter()
            values[name] = way()
            readings.append(time.perf_counter() - started)
        seconds[name] = float(np.median(readings))
    for name in ("predict", "call"):
        worst = float(np.abs(np.array(values[name]) - sweep.grid.ravel()).max())
        ratio = seconds[name] / seconds["batched"]
        print(f"{len(places)} places: {name} {seconds[name]:.2f} s, batched {seconds['batched']:.3f} s: {ratio:.1f} x")
        print(f"largest difference {worst:.1e}")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"positions": len(places), "seconds": seconds, "machine": machine()}, indent=2))


if __name__ == "__main__":
    tyro.cli(main)
