"""A worker of a gang on the toy problem, slow enough to be killed in time and space.

python -m kerasapps.launch --workers 2 -- -m tests.gang_process train --out OUT
"""

import os
import time
from pathlib import Path
from typing import Literal

import keras

from experiments.shared.cli import main
from kerasapps import distribution
from kerasapps.distribution import StrategyName
from kerasapps.workers import watchdog
from tests import toy


class Slowly(keras.callbacks.Callback):
    """Takes its time for a step; worker 1 may get stuck, once, in the second epoch."""

    def __init__(self, seconds: float, fault: str, out: Path):
        super().__init__()
        self.seconds = seconds
        self.fault = fault
        self.mark = out / ".stuck"
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(self.seconds)
        if (
            self.fault == "stuck"
            and self.epoch == 1
            and distribution.this_worker("multiworker").index == 1
            and not self.mark.exists()
        ):
            self.mark.touch()
            # From here on a watchdog without patience; one for the whole training would bark on a busy machine.
            os.environ["KERASAPPS_START_LIMIT"] = "1"
            watchdog.start(distribution.this_worker("multiworker").addresses)
            time.sleep(3600)


def slow_replace(source, target, *, replace=os.replace):
    """Leaves a moment in which a file is written and not yet in its place."""
    time.sleep(0.1)
    replace(source, target)


def train(
    *,
    out: Path,
    epochs: int = 4,
    seconds: float = 0.0,
    strategy: StrategyName = "none",
    resume: bool = False,
    fault: Literal["none", "stuck", "data", "code", "missing"] = "none",
) -> None:
    """Trains the toy network.

    Args:
        out: The run folder.
        epochs: Passes.
        seconds: That each step takes longer.
        strategy: As everywhere.
        resume: As everywhere.
        fault: What is wrong with worker 1.
    """
    if seconds:
        os.replace = slow_replace
    faulty = strategy == "multiworker" and distribution.this_worker(strategy).index == 1
    splits = toy.toy_splits
    if fault == "data" and faulty:
        toy.toy_splits = lambda **_: splits(points=121)
    if fault == "code" and faulty:
        keras.__version__ = "3.15.77"
    if fault == "missing" and faulty:
        time.sleep(3600)
    callbacks = [Slowly(seconds, fault, out)] if seconds or fault == "stuck" else []
    toy.train_toy(out, epochs=epochs, strategy=strategy, resume=resume, callbacks=callbacks)


if __name__ == "__main__":
    main("tests.gang_process", train)
