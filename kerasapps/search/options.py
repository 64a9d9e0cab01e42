"""How and where the configurations of a search are tried."""

import math
import os
from dataclasses import dataclass
from typing import Literal

from kerasapps import runtime
from kerasapps.errors import UserError
from kerasapps.workers import hardware
from kerasapps.workers.cluster import Cluster
from kerasapps.workers.jobs import Limits, Machine, share

TunerName = Literal["random", "bayesian", "hyperband", "grid"]
# What may differ when a search is resumed.
FREE_ON_RESUME = ("workers", "trial_minutes", "trial_memory_gb", "cluster")


@dataclass(frozen=True)
class Trials:
    """How configurations are tried.

    Args:
        tuner: How the next configuration is chosen.
        max_trials: Configurations to try, the default one not counted. Hyperband counts each rung of one.
        workers: Trials at a time; on one machine each has its share of the cores, or a GPU of its own.
        trial_minutes: End a trial that takes longer, its second try included.
        trial_memory_gb: End a trial that holds more memory, in 10^9 bytes, that of a GPU not counted.
        cluster: Run the trials on the Ray cluster at this address, or on that of this machine with `auto`. All its
            machines must have the run folder, the data and this project at the same paths, as on a shared disk.
    """

    tuner: TunerName = "random"
    max_trials: int = 20
    workers: int = 1
    trial_minutes: float | None = None
    trial_memory_gb: float | None = None
    cluster: str | None = None

    def limits(self, spent: float) -> Limits:
        """Returns what a trial may use that has taken so many seconds before."""
        return Limits(
            seconds=math.inf if self.trial_minutes is None else 60 * self.trial_minutes - spent,
            memory=math.inf if self.trial_memory_gb is None else 1e9 * self.trial_memory_gb,
        )


def check_trials(trials: Trials, *, epochs: int) -> None:
    """Refuses numbers that make no sense, and keras-tuner's own way to several workers.

    Raises:
        UserError: If keras-tuner's variables for several workers are set.
        ValueError: If a number is not above 0.
    """
    numbers = {"workers": trials.workers, "max_trials": trials.max_trials, "epochs": epochs}
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    for name, value in {"trial_minutes": trials.trial_minutes, "trial_memory_gb": trials.trial_memory_gb}.items():
        if value is not None and not value > 0:
            raise ValueError(f"`{name}` must be above 0. Received: {name}={value}")
    for name in ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"):
        if name in os.environ:
            raise UserError(
                f"{name} is set, but keras-tuner's chief hangs when one of its workers dies: unset it, and use "
                "--workers N for several trials at a time on this machine or --cluster ADDRESS for several machines."
            )


def place_of(trials: Trials, *, several_gpus: bool) -> Machine | Cluster:
    """Returns where the trials run, side by side on this machine or on a cluster.

    Args:
        trials: How configurations are tried.
        several_gpus: Whether a trial can use more than one GPU, as under a strategy.
    """
    if trials.cluster is not None:
        return Cluster(trials.cluster, workers=trials.workers, several_gpus=several_gpus)
    # Trials side by side share the cores; with threads for all of them each, they would wait for one another.
    threads = max(1, hardware.cores() // trials.workers) if trials.workers > 1 else 0
    gpus = runtime.gpu_ids()
    each = share([len(gpus)], trials.workers) if several_gpus else 1
    return Machine(_slots(gpus, trials.workers, each), threads=threads)


def _slots(gpus: list[str], workers: int, each: int) -> list[dict[str, str]]:
    """Returns which GPUs each of the trials at a time sees; those of more trials than GPUs take turns."""
    if not gpus:
        return [{}] * workers
    ids = [[gpus[(i * each + j) % len(gpus)] for j in range(each)] for i in range(workers)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(few)} for few in ids]
