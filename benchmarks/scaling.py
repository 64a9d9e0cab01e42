"""Predicts what several workers gain, network by network, from one worker's speed, and writes docs/scaling.md.

    python -m benchmarks.scaling --out runs/scaling.json

Every network is built as its experiment trains it by default; what a step sends and computes is counted, its time on
this machine measured. Speeds of several workers, and what a long search loses, are predicted.
"""

import csv
import io
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import tyro

from benchmarks.harness import Implementation, run
from benchmarks.scaling_collective import WORKERS as CHECKED
from benchmarks.scaling_collective import check
from benchmarks.scaling_model import (
    Cluster,
    Network,
    Policy,
    Scaling,
    efficiency,
    exchange_seconds,
    gather_bytes,
    least_rows,
    ring_bytes,
    sent_bytes,
    simulate,
    spread,
)
from benchmarks.scaling_networks import CASES, LEAST, ROUNDS
from kerasapps import runtime
from kerasapps.workers import hardware

HERE = Path(__file__).parent
BANDWIDTHS = (10, 100, 400)  # Gbit/s
MIDDLE = 100
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SHOWN: list[tuple[Scaling, int]] = [("weak", 2), ("weak", 8), ("weak", 64), ("strong", 8), ("strong", 64)]
FEW = 8  # workers that most of the document speaks of
TARGET = 0.9
BEST, LARGE = 3, 2048  # networks named as the best; rows a worker that a GPU may well hold
TRIALS, EPOCHS, SEARCH_WORKERS, RATE, AWAY = 1000, 20, 16, 0.01, 8.0
HOURS, REPETITIONS = (1.0, 24.0), 20
POLICIES = [
    Policy("no checkpoints, no retry", checkpoints=False, retries=0),
    Policy("no checkpoints, one retry", checkpoints=False, retries=1),
    Policy("checkpoint each epoch, one retry", checkpoints=True, retries=1),
    Policy("the same, and the driver dies too", checkpoints=True, retries=1, driver=True),
]


def main(
    *,
    out: Path,
    doc: Path = HERE.parent / "docs" / "scaling.md",
    speed_up: float = 100.0,
    seconds: float = 2.0,
    measured: Path | None = None,
) -> None:
    """Measures, predicts and writes.

    Args:
        out: JSON file for what was measured; the whole prediction goes beside it as CSV.
        doc: The document to write.
        speed_up: How many times as fast as this machine a worker is assumed to be.
        seconds: How long a reading takes, of six for each network.
        measured: A file that `out` named before, to predict from without measuring again.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    result = json.loads(measured.read_text()) if measured else measure(seconds)
    out.write_text(json.dumps(result, indent=2) + "\n")
    networks, loop = networks_of(result)
    clusters = {k: [Cluster(gigabits, speed_up=k, loop=loop) for gigabits in BANDWIDTHS] for k in (1.0, speed_up)}
    grid = out.with_suffix(".csv")
    grid.write_text(grid_csv(networks, clusters))
    doc.parent.mkdir(parents=True, exist_ok=True)
    doc.write_text(document(result, networks, clusters, speed_up, grid=grid))
    print(doc)


def measure(seconds: float) -> dict[str, Any]:
    """Counts and times every network, each in processes of its own, and what an all-reduce sends."""
    machine = runtime.machine()
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.scaling", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine['cores']} cores of an {machine['processor']}",
        "versions": f"TensorFlow {metadata.version('tensorflow')}, Keras {metadata.version('keras')}",
        "load": os.getloadavg()[0],
        "networks": {},
    }
    script = ["-m", "benchmarks.scaling_networks"]

    def count(name: str) -> dict[str, float]:
        return run(Implementation(name, [*script, "count", name, "0"]))

    with ThreadPoolExecutor(hardware.cores()) as pool:
        for name, counted in zip(CASES, pool.map(count, CASES), strict=True):
            result["networks"][name] = counted
            print(f"{name}: {counted['flops'] / 1e9:.3g} GFLOP", flush=True)
    for name in CASES:  # one at a time: nothing may run beside it
        timed = run(Implementation(name, [*script, "measure", name, str(seconds)]))
        result["networks"][name] |= timed
        print(f"{name}: {milliseconds(timed['step'])} ms a step", flush=True)
    result["collectives"] = [record for workers in CHECKED for record in check(workers)]
    return result


def networks_of(result: dict[str, Any]) -> tuple[list[Network], float]:
    """Returns the networks, and the seconds of a step that are Keras' loop."""
    networks = []
    for name, record in result["networks"].items():
        step, smaller = record["step"][0], record["smaller"][0]
        # The times of two batches are those of a line; noise must not turn it downwards.
        per_row = max(1e-9, (step - smaller) / (record["rows"] - record["smaller_rows"]))
        fixed = max(0.0, step - per_row * record["rows"])
        counted = {field: record[field] for field in Network.__dataclass_fields__ if field in record}
        networks.append(Network(name=name, fixed=fixed, per_row=per_row, **counted))
    return [network for network in networks if network.name != LEAST], result["networks"][LEAST]["step"][0]


def document(
    result: dict[str, Any],
    networks: Sequence[Network],
    clusters: dict[float, list[Cluster]],
    speed_up: float,
    *,
    grid: Path,
) -> str:
    """Returns docs/scaling.md."""
    template = jinja2.Template((HERE / "scaling.md.j2").read_text(), keep_trailing_newline=True)
    fast, here = clusters[speed_up], clusters[1.0]
    return template.render(
        answer=answer(networks, clusters, speed_up),
        command=result["command"],
        grid=grid,
        date=result["date"],
        machine=result["machine"],
        versions=result["versions"],
        shared="; other work ran beside it" if result["load"] > 0.5 else "",
        speed_up=f"{speed_up:g}",
        rounds=ROUNDS,
        bandwidths=" / ".join(map(str, BANDWIDTHS)),
        slowest=BANDWIDTHS[0],
        few=FEW,
        target=f"{100 * TARGET:g}",
        trials=f"{TRIALS:,}",
        epochs=EPOCHS,
        search_workers=SEARCH_WORKERS,
        rate=f"{100 * RATE:g}",
        away=f"{AWAY:g}",
        repetitions=REPETITIONS,
        loop=f"{1e3 * fast[0].loop:.1f}",
        latency=f"{1e6 * fast[0].latency:g}",
        networks=networks_table(networks, result),
        tables=tables_sentence(networks),
        efficiency=efficiency_table(networks, fast),
        slow=slow_sentence(networks, here),
        search=search_table(),
        check=check_table(result["collectives"]),
    )


def answer(networks: Sequence[Network], clusters: dict[float, list[Cluster]], speed_up: float) -> str:
    """Returns the first paragraph: the predictions in a few sentences."""

    total, target = len(networks), f"{100 * TARGET:g} %"
    fast = dict(zip(BANDWIDTHS, clusters[speed_up], strict=True))

    def good(cluster: Cluster, scaling: Scaling) -> int:
        readings = [efficiency(network, FEW, cluster, scaling) for network in networks]
        return sum(both is not None and both[0] >= TARGET for both in readings)

    def reached(network: Network) -> float:
        return efficiency(network, FEW, fast[MIDDLE], "weak")[0]

    counts = ", ".join(f"{good(cluster, 'weak')} on {gigabits} Gbit/s" for gigabits, cluster in fast.items())
    best = ", ".join(
        f"{one.name} ({100 * reached(one):.0f} %)" for one in sorted(networks, key=reached)[: -BEST - 1 : -1]
    )
    least = {network.name: least_rows(network, FEW, fast[MIDDLE], target=TARGET) for network in networks}
    larger = [
        f"{name} ({float(f'{rows:.2g}'):,.0f})" for name, rows in least.items() if rows is not None and rows <= LARGE
    ]
    waits = []
    for network in networks:
        gradients, statistics = exchange_seconds(network, network.rows, FEW, fast[MIDDLE])
        waits += [network.name] if statistics > gradients else []
    return " ".join(
        [
            "**Use them first for the trials of a search and the seeds of a comparison, which exchange "
            f"nothing (`search --workers {FEW}`), and for a single training run only where the tables below say that "
            "it pays.**",
            f"If each of {FEW} GPUs is {speed_up:g} times as fast as the machine measured here and keeps the default "
            f"batch, the predicted efficiency reaches {target} for {counts}, of {total} networks; the best on "
            f"{MIDDLE} Gbit/s are {best}.",
            f"With larger batches it pays for {len(larger)} of them with no more than {LARGE:,} rows per GPU: "
            f"{', '.join(larger) or 'none'}.",
            f"If the {FEW} split the default batch, so that training is unchanged, "
            f"{good(fast[MIDDLE], 'strong')} of {total} reach {target}.",
            f"In {len(waits)} of {total}, exchanging the statistics of batch normalization takes longer than "
            "exchanging the gradients, because it takes many small messages; a faster link hardly helps there.",
        ]
    )


def slow_sentence(networks: Sequence[Network], clusters: Sequence[Cluster]) -> str:
    """Returns which networks do not pay on workers as fast as the measured one, and from which batch they would."""
    link = clusters[0]
    lacking = []
    for network in networks:
        reached = efficiency(network, FEW, link, "weak")[0]
        if reached < TARGET:
            rows = least_rows(network, FEW, link, target=TARGET)
            pays = "with no batch" if rows is None else f"from {rows:,} rows"
            lacking.append(f"{network.name} ({100 * reached:.0f} %, pays {pays})")
    return f"{len(networks) - len(lacking)} of {len(networks)} reach {100 * TARGET:g} % with the default batch each" + (
        f"; the others are {', '.join(lacking)}." if lacking else "."
    )


def networks_table(networks: Sequence[Network], result: dict[str, Any]) -> str:
    """Returns what a step is."""
    columns = ["network", "rows", "parameters", "summed, MB", "gathered, MB", f"each of {FEW} sends, MB"]
    rows = [
        [
            network.name,
            network.rows,
            f"{network.parameters:,}",
            digits((network.reduced + network.statistics) / 1e6),
            digits(network.gathered * network.rows / 1e6),
            digits(sent_bytes(network, network.rows, FEW) / 1e6),
            digits(network.flops / 1e9),
            milliseconds(result["networks"][network.name]["step"]),
        ]
        for network in networks
    ]
    return table([*columns, "GFLOP per step", "ms per step here"], rows)


def tables_sentence(networks: Sequence[Network]) -> str:
    """Returns what that costs, in the network that it costs most."""
    most = max(networks, key=lambda network: network.gathered * network.rows)
    gathered = gather_bytes(most.gathered * most.rows, FEW)
    return (
        f"in *{most.name}*, each of {FEW} workers sends {digits(gathered / 1e6)} MB of them per step; the whole tables "
        f"would be {digits(ring_bytes(most.tables, FEW) / 1e6)} MB."
    )


def efficiency_table(networks: Sequence[Network], clusters: Sequence[Cluster]) -> str:
    """Returns efficiencies without overlap and the batches from which it pays, on all links."""

    def percent(network: Network, workers: int, scaling: Scaling, cluster: Cluster) -> str:
        both = efficiency(network, workers, cluster, scaling)
        return "–" if both is None else f"{100 * both[0]:.0f}"

    def least(network: Network, cluster: Cluster) -> str:
        rows = least_rows(network, FEW, cluster, target=TARGET)
        return "never" if rows is None else f"{float(f'{rows:.2g}'):,.0f}"

    rows = [
        [
            network.name,
            *(slashes(clusters, partial(percent, network, workers, scaling)) for scaling, workers in SHOWN),
            slashes(clusters, partial(least, network)),
        ]
        for network in networks
    ]
    columns = [f"{scaling}, {workers}" for scaling, workers in SHOWN]
    return table(["network", *columns, f"pays from, rows per worker of {FEW}"], rows)


def search_table() -> str:
    """Returns what failures cost a search."""
    rows = []
    for policy in POLICIES:
        cells = []
        for hours in HOURS:
            losses = [
                simulate(
                    policy,
                    seed=seed,
                    hours=hours,
                    trials=TRIALS,
                    epochs=EPOCHS,
                    workers=SEARCH_WORKERS,
                    rate=RATE,
                    away=AWAY,
                )
                for seed in range(REPETITIONS)
            ]
            cells.append(ranged([loss.trials for loss in losses], "{:.0f}"))
            cells.append(ranged([100 * loss.compute for loss in losses], "{:.1f}"))
            cells.append(ranged([100 * loss.duration for loss in losses], "{:.1f}"))
        rows.append([policy.name, *cells])
    columns = [f"{what}, {hours:g} h" for hours in HOURS for what in ("trials lost", "compute lost, %", "longer, %")]
    return table(["when a trial dies", *columns], rows)


def check_table(records: Sequence[dict[str, Any]]) -> str:
    """Returns bytes by formula beside bytes on the loopback device."""
    rows = [
        [
            record["what"],
            record["workers"],
            f"{record['formula']:,.0f}",
            ranged(record["measured"], "{:,.0f}"),
            f"{100 * (record['measured'][0] / record['formula'] - 1):+.1f}",
            f"{record['gigabits']:.1f}",
        ]
        for record in records
    ]
    columns = ["what", "workers", "each sends, bytes, by formula", "measured", "difference, %", "Gbit/s reached"]
    return table(columns, rows)


def grid_csv(networks: Sequence[Network], clusters: dict[float, list[Cluster]]) -> str:
    """Returns all predictions, a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["network", "speed_up", "gigabits", "scaling", "workers", "no_overlap", "full_overlap"])
    for network in networks:
        for cluster in (cluster for several in clusters.values() for cluster in several):
            for scaling in ("weak", "strong"):
                for workers in COUNTS:
                    both = efficiency(network, workers, cluster, scaling)
                    if both is not None:
                        where = [network.name, cluster.speed_up, cluster.gigabits, scaling, workers]
                        writer.writerow([*where, *(f"{share:.4f}" for share in both)])
    return text.getvalue()


def slashes(clusters: Sequence[Cluster], show: Callable[[Cluster], str]) -> str:
    """Returns one value for each link, or one for all where they are equal."""
    values = [show(cluster) for cluster in clusters]
    return values[0] if len(set(values)) == 1 else " / ".join(values)


def digits(value: float) -> str:
    """Returns a number rounded to two digits."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 100 else f"{float(f'{value:.2g}'):g}"


def milliseconds(seconds: Sequence[float]) -> str:
    """Returns median and range of seconds as milliseconds."""
    median, least, most = (digits(1e3 * value) for value in seconds)
    return f"{median} ({least} to {most})"


def ranged(values: Sequence[float], form: str) -> str:
    """Returns the median, and the range where it is more than a point."""
    median, least, most = (form.format(value) for value in spread(values))
    return median if least == most else f"{median} ({least} to {most})"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Returns a table in Markdown, numbers to the right."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


if __name__ == "__main__":
    tyro.cli(main)
