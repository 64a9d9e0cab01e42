"""Memory while a network trains on images streamed from disk: generated sets larger than may be cached.

    python -m benchmarks.image_streaming --pictures 5000 20000 --size 256

Prints images a second and resident memory for every epoch, for each number of images in a separate process. Memory
must grow neither with the epochs nor with the size of the set, except for its list of files.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tyro
from PIL import Image

from kerasapps import build_separable_classifier
from kerasapps.data.images import load_images

CLASSES = 10


def main(
    *,
    pictures: tuple[int, ...] = (5_000, 20_000),
    size: int = 256,
    epochs: int = 5,
    batch_size: int = 64,
    memory_mib: int = 256,
) -> None:
    """Generates images in a temporary folder, trains a small network on them and measures.

    Args:
        pictures: Numbers of JPEG files to generate.
        size: Side of the images in pixels, as stored and as streamed.
        epochs: Epochs over the training set.
        batch_size: Images in a batch.
        memory_mib: MiB that the loader may cache; the decoded sets should be larger.
    """
    if len(pictures) == 1:
        measure(pictures[0], size=size, epochs=epochs, batch_size=batch_size, memory_mib=memory_mib)
        return
    shared = {"--size": size, "--epochs": epochs, "--batch-size": batch_size, "--memory-mib": memory_mib}
    options = [str(word) for option in shared.items() for word in option]
    for count in pictures:
        # A second one in the same process would reuse the memory of the first.
        command = [sys.executable, "-m", "benchmarks.image_streaming", "--pictures", str(count), *options]
        subprocess.run(command, check=True)


def measure(pictures: int, *, size: int, epochs: int, batch_size: int, memory_mib: int) -> None:
    """Trains on one set and prints speed and memory."""
    decoded = pictures * size * size * 3 / 2**20
    print(f"{pictures:,} images, decoded: {decoded:,.0f} MiB; may be cached: {memory_mib:,} MiB", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder), pictures=pictures, size=size)
        print(f"on disk: {sum(path.stat().st_size for path in Path(folder).glob('*/*')) / 2**20:,.0f} MiB", flush=True)
        before = resident_mib()
        started = time.perf_counter()
        splits = load_images(folder, size=size, memory_mib=memory_mib)
        seconds = time.perf_counter() - started
        if splits.train.read is None:
            print("The set fits into memory and is not streamed: use more --pictures or less --memory-mib.")
        print(
            f"checked once: {pictures / seconds:,.0f} images/s, resident {before:,.0f} -> {resident_mib():,.0f} MiB",
            flush=True,
        )
        model = build_separable_classifier(**splits.sizes, filters=((8, 8),) * 4, padding="same")
        model.compile("adam", {"label": "sparse_categorical_crossentropy"}, jit_compile=False)
        model.fit(
            splits.train.epochs(batch_size, seed=0, first=0, last=epochs),
            epochs=epochs,
            steps_per_epoch=splits.train.steps(batch_size),
            shuffle=False,  # they are shuffled
            validation_data=splits.validation.batches(batch_size),
            verbose=0,
            callbacks=[Memory(len(splits.train))],
        )


class Memory(keras.callbacks.Callback):
    """Prints speed and memory of each epoch.

    Args:
        images: Images in an epoch.
    """

    def __init__(self, images: int):
        super().__init__()
        self.images = images

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.started, self.highest = time.perf_counter(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        """Samples the memory every ten steps."""
        if batch % 10 == 0:
            self.highest = max(self.highest, resident_mib())

    def on_epoch_end(self, epoch, logs=None):
        """Prints the epoch."""
        rate, now = self.images / (time.perf_counter() - self.started), resident_mib()
        highest = max(now, self.highest)
        print(f"epoch {epoch + 1}: {rate:,.0f} images/s, resident {now:,.0f} MiB, at most {highest:,.0f}", flush=True)


def generate(folder: Path, *, pictures: int, size: int, suffix: str = ".jpg") -> None:
    """Writes files of colored noise, smooth enough to compress like photographs: FOLDER/<class>/<n>.jpg."""
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir()

    def write(number: int) -> None:
        coarse = np.random.default_rng(number).integers(0, 256, (max(2, size // 8),) * 2 + (3,), np.uint8)
        image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
        image.save(folder / f"class{number % CLASSES}" / f"{number:06}{suffix}", quality=85)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(pictures)))


def resident_mib() -> float:
    """Returns the physical memory that this process uses now (Linux)."""
    return int(re.search(r"VmRSS:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


if __name__ == "__main__":
    tyro.cli(main)
