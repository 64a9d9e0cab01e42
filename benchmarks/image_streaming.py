"""Memory while pictures stream from disk: a generated set larger than it may keep, epoch after epoch.

    python -m benchmarks.image_streaming --pictures 20000 --size 256

Prints pictures a second and resident memory for every epoch; memory must not grow with the size of the set.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

CLASSES = 10


def main(
    *, pictures: int = 20_000, size: int = 256, epochs: int = 3, batch_size: int = 64, memory_mib: int = 256
) -> None:
    """Generates pictures in a temporary folder, streams them and measures.

    Args:
        pictures: Number of JPEG files to generate.
        size: Side of the pictures, as stored and as streamed.
        epochs: Passes over the training part.
        batch_size: Pictures in a batch.
        memory_mib: What the loader may keep in memory; the decoded set should be larger.
    """
    from kerasapps.data.images import load_images

    print(f"decoded: {pictures * size * size * 3 / 2**20:,.0f} MiB; may be kept: {memory_mib:,} MiB")
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), pictures=pictures, size=size)
        print(f"on disk: {sum(path.stat().st_size for path in Path(folder).glob('*/*')) / 2**20:,.0f} MiB")
        before = resident_mib()
        started = time.perf_counter()
        splits = load_images(folder, size=size, memory_mib=memory_mib)
        seconds = time.perf_counter() - started
        if splits.train.read is None:
            print("The set fits into memory and is not streamed: use more pictures or less --memory-mib.")
        print(
            f"checked once: {pictures / seconds:,.0f} pictures/s, resident {before:,.0f} -> {resident_mib():,.0f} MiB"
        )
        for epoch in range(epochs):
            started, count, highest = time.perf_counter(), 0, 0.0
            batches = splits.train.epochs(batch_size, seed=0, first=epoch, last=epoch + 1)
            for step, (inputs, _) in enumerate(batches):
                count += len(inputs["image"])
                if step % 10 == 0:
                    highest = max(highest, resident_mib())
            rate = count / (time.perf_counter() - started)
            print(
                f"epoch {epoch + 1}: {rate:,.0f} pictures/s, resident {resident_mib():,.0f} MiB, at most {highest:,.0f}"
            )


def generate(folder: Path, *, pictures: int, size: int) -> None:
    """Writes JPEG files of coloured noise, smooth enough to compress like photographs: FOLDER/<class>/<n>.jpg."""
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir()

    def write(number: int) -> None:
        coarse = np.random.default_rng(number).integers(0, 256, (max(2, size // 8),) * 2 + (3,), np.uint8)
        picture = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        picture.save(folder / f"class{number % CLASSES}" / f"{number:06}.jpg", quality=85)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(pictures)))


def resident_mib() -> float:
    """Returns the physical memory that this process uses now (Linux)."""
    return int(re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    tyro.cli(main)
