"""Time and memory to read a folder of images once, next to those of another checkout.

    python -m benchmarks.image_reading --images 20000 --other ../before

Generates JPEG files, or with --suffix .png files of similar length, which are all compared for copies. Each reading is
a separate process; the checkouts take turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import tyro

from benchmarks.image_streaming import generate

READ = """
import resource, sys, time
import kerasapps.data.images as reader  # TensorFlow too
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
started, used = time.perf_counter(), time.process_time()
splits = reader.load_images(sys.argv[1], size=int(sys.argv[2]))
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(time.perf_counter() - started, time.process_time() - used, most - before)
"""


def main(
    *, images: int = 20_000, size: int = 96, suffix: str = ".jpg", rounds: int = 3, other: Path | None = None
) -> None:
    """Generates images in a temporary folder and reads them.

    Args:
        images: How many.
        size: Side in pixels.
        suffix: ".jpg" or ".png".
        rounds: How often each checkout reads them.
        other: Folder of another checkout, to compare with.
    """
    checkouts = {"this": Path.cwd()} | ({"other": other} if other else {})
    measured: dict[str, list[list[float]]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), pictures=images, size=size, suffix=suffix)
        for _ in range(rounds):
            for name, checkout in checkouts.items():
                environment = os.environ | {"PYTHONPATH": str(checkout.resolve())}
                command = [sys.executable, "-c", READ, folder, str(size)]
                done = subprocess.run(
                    command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True
                )
                measured[name].append([float(number) for number in done.stdout.split()])
                seconds, used, memory = measured[name][-1]
                print(f"{name}: {seconds:.1f} s, {used:.1f} s of processors, {memory:,.0f} MiB", flush=True)
    if other:
        for i, what in enumerate(("time", "processor time", "memory")):
            pairs = zip(measured["this"], measured["other"], strict=True)
            ratios = [this[i] / before[i] for this, before in pairs]
            print(f"{what}: {statistics.median(ratios):.2f} of the other ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    tyro.cli(main)
