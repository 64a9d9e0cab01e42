"""What several workers are expected to gain, and what a long search is expected to lose: formulas, no measurement.

A step of one worker takes a fixed time and a time a row, both measured. Workers share a step: each computes its rows,
then all of them add up their gradients. Gradients that are whole go round a ring, so that each worker sends
2 (n - 1) / n of them; rows of an embedding are gathered, so that each sends its own n - 1 times.
"""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Scaling = Literal["weak", "strong"]
GIGABIT = 1e9 / 8  # bytes


@dataclass(frozen=True)
class Network:
    """One network as its experiment trains it.

    Args:
        name: For people.
        rows: Rows of its default batch.
        parameters: Trainable numbers, of both networks where there are two.
        reduced: Bytes of gradients that a step adds up whole; a GAN's step has several updates.
        gathered: Bytes of looked-up embedding rows a row of the batch.
        tables: Bytes of those embeddings, whole.
        statistics: Bytes that batch normalisation exchanges in a step.
        reductions: Collective operations of a step that add up gradients.
        gathers: Those that gather rows.
        barriers: Those of batch normalisation, which nothing can be computed beside.
        flops: Floating-point operations of a step with the default batch.
        fixed: Seconds of a step whatever the batch.
        per_row: Seconds a row.
    """

    name: str
    rows: int
    parameters: int
    reduced: float
    gathered: float
    tables: float
    statistics: float
    reductions: int
    gathers: int
    barriers: int
    flops: float
    fixed: float
    per_row: float


@dataclass(frozen=True)
class Cluster:
    """What the workers are.

    Args:
        gigabits: Bandwidth of each worker's link, each way, in Gbit/s.
        latency: Seconds from one worker to the next.
        speed_up: How many times as fast as the measured machine a worker computes.
        loop: Seconds of a step that a faster device does not shorten.
    """

    gigabits: float
    latency: float = 20e-6
    speed_up: float = 1.0
    loop: float = 0.0


def ring_bytes(size: float, workers: int) -> float:
    """Returns the bytes that each worker sends for all to have the sum of arrays of `size` bytes."""
    return 2 * (workers - 1) / workers * size


def gather_bytes(size: float, workers: int) -> float:
    """Returns the bytes that each worker sends for all to have everybody's `size` bytes."""
    return (workers - 1) * size


def sent_bytes(network: Network, rows: float, workers: int) -> float:
    """Returns the bytes that each worker sends in a step of `rows` rows a worker."""
    whole = ring_bytes(network.reduced + network.statistics, workers)
    return whole + gather_bytes(network.gathered * rows, workers)


def compute_seconds(network: Network, rows: float, cluster: Cluster) -> float:
    """Returns the seconds in which one worker computes a step."""
    work = max(0.0, network.fixed + network.per_row * rows - cluster.loop)
    return cluster.loop + work / cluster.speed_up


def exchange_seconds(network: Network, rows: float, workers: int, cluster: Cluster) -> tuple[float, float]:
    """Returns the seconds that gradients take, and those that the statistics of batch normalisation take."""
    hops = (workers - 1) * cluster.latency
    bandwidth = cluster.gigabits * GIGABIT
    sent = ring_bytes(network.reduced, workers) + gather_bytes(network.gathered * rows, workers)
    gradients = sent / bandwidth + hops * (2 * network.reductions + network.gathers)
    return gradients, ring_bytes(network.statistics, workers) / bandwidth + 2 * hops * network.barriers


def step_seconds(network: Network, rows: float, workers: int, cluster: Cluster) -> tuple[float, float]:
    """Returns the seconds of a step with nothing overlapped, and with all gradients sent while others are computed."""
    compute = compute_seconds(network, rows, cluster)
    gradients, statistics = exchange_seconds(network, rows, workers, cluster)
    return compute + gradients + statistics, max(compute, gradients) + statistics


def efficiency(network: Network, workers: int, cluster: Cluster, scaling: Scaling) -> tuple[float, float] | None:
    """Returns the share of `workers` times one worker's speed that is reached: without overlap, and with all of it.

    Args:
        network: What is trained.
        workers: How many.
        cluster: What they are.
        scaling: "weak": the default batch a worker. "strong": the default batch over all workers.

    Returns:
        Two numbers up to 1; nothing if there are more workers than rows.
    """
    alone = compute_seconds(network, network.rows, cluster)
    if scaling == "weak":
        slow, fast = step_seconds(network, network.rows, workers, cluster)
        return alone / slow, alone / fast
    if workers > network.rows:
        return None
    slow, fast = step_seconds(network, network.rows / workers, workers, cluster)
    return alone / workers / slow, alone / workers / fast


def least_rows(network: Network, workers: int, cluster: Cluster, *, target: float = 0.9) -> int | None:
    """Returns the rows a worker from which the efficiency without overlap is `target`; nothing if more never help."""
    nothing, one = compute_seconds(network, 0, cluster), compute_seconds(network, 1, cluster)
    waits, waits_more = (sum(exchange_seconds(network, rows, workers, cluster)) for rows in (0, 1))
    # The step may wait for (1 - target) / target of what it computes.
    allowed = (1 - target) / target
    gain = allowed * (one - nothing) - (waits_more - waits)
    lack = waits - allowed * nothing
    if gain <= 0:
        return 1 if lack + 1e-12 < gain else None
    return max(1, math.ceil(lack / gain))


@dataclass(frozen=True)
class Policy:
    """What happens to a trial that dies.

    Args:
        name: For people.
        checkpoints: Whether it goes on from its last whole epoch.
        retries: How often it is begun again; after that it is lost.
        driver: Whether the process that hands out the trials dies as often as a trial, and all of them with it.
    """

    name: str
    checkpoints: bool
    retries: int
    driver: bool = False


@dataclass(frozen=True)
class Loss:
    """What failures cost a search: lost trials, and compute and duration as shares of those without failures."""

    trials: int
    compute: float
    duration: float


def simulate(
    policy: Policy,
    *,
    seed: int,
    hours: float,
    trials: int = 1000,
    epochs: int = 20,
    workers: int = 16,
    rate: float = 0.01,
    away: float = 8.0,
) -> Loss:
    """Runs a search on paper.

    Args:
        policy: What happens to a trial that dies.
        seed: Decides what dies when.
        hours: Length of a trial.
        trials: How many.
        epochs: Epochs of a trial.
        workers: Trials at a time.
        rate: Failures an hour, of a running trial and of the driver.
        away: Hours until somebody starts a dead driver again.
    """
    rng = np.random.default_rng(seed)

    def life() -> float:
        return rng.exponential(1 / rate) if rate else math.inf

    waiting = deque(range(trials))
    running: list[tuple[float, int, float, bool]] = []  # end, trial, begin, whether it dies then
    done, failures = np.zeros(trials), np.zeros(trials, int)  # hours that need not be repeated
    now, busy, lost = 0.0, 0.0, 0
    driver = life() if policy.driver else math.inf

    def stop(trial: int, ran: float) -> None:
        if policy.checkpoints:
            done[trial] = math.floor((done[trial] + ran) / hours * epochs) * hours / epochs
        waiting.appendleft(trial)

    while waiting or running:
        while waiting and len(running) < workers:
            trial = waiting.popleft()
            left, alive = hours - done[trial], life()
            heapq.heappush(running, (now + min(left, alive), trial, now, alive < left))
        if driver < running[0][0]:
            for _, trial, begin, _ in running:
                busy += driver - begin
                stop(trial, driver - begin)
            running.clear()
            now = driver + away
            driver = now + life()
            continue
        now, trial, begin, dies = heapq.heappop(running)
        busy += now - begin
        if not dies:
            continue
        failures[trial] += 1
        if failures[trial] > policy.retries:
            lost += 1
        else:
            stop(trial, now - begin)
    undisturbed = math.ceil(trials / workers) * hours
    return Loss(lost, busy / (trials * hours) - (trials - lost) / trials, now / undisturbed - 1)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns median, lowest and highest."""
    return float(np.median(values)), float(min(values)), float(max(values))
