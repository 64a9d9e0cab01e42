"""How and where the configurations of a search are tried."""

import math
import os
from dataclasses import dataclass
from typing import Literal

from kerasapps import runtime
from kerasapps.errors import UserError
from kerasapps.settings import Count, Positive, check_ranges, or_none
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
        max_trials: Configurations to try, not counting the default one. Hyperband counts each rung of one.
        workers: Trials at a time; on one machine each has its share of the cores, or its own GPU.
        trial_minutes: End a trial that takes longer, including its second try.
        trial_memory_gb: End a trial that uses more memory, in 10^9 bytes, not counting that of a GPU.
        cluster: Run the trials on the Ray cluster at this address, or on that of this machine with `auto`. All its
            machines must have the run folder, the data and this project at the same paths, as on a shared disk.
    """

    tuner: TunerName = "random"
    max_trials: Count = 20
    workers: Count = 1
    trial_minutes: or_none(Positive) = None
    trial_memory_gb: or_none(Positive) = None
    cluster: str | None = None

    def limits(self, spent: float) -> Limits:
        """Returns what a trial may use that has taken so many seconds before."""
        return Limits(
            seconds=math.inf if self.trial_minutes is None else 60 * self.trial_minutes - spent,
            memory=math.inf if self.trial_memory_gb is None else 1e9 * self.trial_memory_gb,
        )


def check_trials(trials: Trials, *, epochs: int) -> None:
    """Refuses numbers out of range, and keras-tuner's own way to several workers.

    Raises:
        UserError: If a number is out of range, or keras-tuner's variables for several workers are set.
    """
    check_ranges({"epochs": Count}, {"trials": trials, "epochs": epochs})
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
