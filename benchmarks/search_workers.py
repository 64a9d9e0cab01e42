"""How much sooner a search with two workers is done than with one, and where the time of a trial goes.

python -m benchmarks.search_workers --out runs/bench-search.json

The trials are equal: a network is trained on random numbers for a fixed number of steps, once on recurrent work, of
which a trial alone uses one core, and once on convolutions, for which a trial alone has both.
"""

import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import tyro

import kerasapps
from kerasapps import runtime
from kerasapps.runs import Options
from kerasapps.search.loop import search
from kerasapps.search.options import Trials
from kerasapps.session import start

ROWS, BATCH = 2048, 64


def run(
    *,
    networks: tuple[Literal["recurrent", "convolution"], ...] = ("recurrent", "convolution"),
    rounds: int = 2,
    trials: int = 6,
    epochs: int = 6,
    out: Path = Path("runs/bench-search.json"),
) -> None:
    """Times searches with one and two workers in turn.

    Args:
        networks: What is trained.
        rounds: Searches of each kind with each number of workers.
        trials: Trials of a search.
        epochs: Passes of a trial over its data.
        out: Where the readings go.
    """
    records = []
    for _ in range(rounds):
        for network in networks:
            for workers in (1, 2):
                record = time_search(network, workers=workers, trials=trials, epochs=epochs)
                records.append(record)
                print(
                    "  ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{v}" for k, v in record.items()), flush=True
                )
    ratios = {}
    for network in networks:
        one, two = ([r["seconds"] for r in records if (r["network"], r["workers"]) == (network, n)] for n in (1, 2))
        ratios[network] = [b / a for a, b in zip(one, two, strict=True)]
        print(f"{network}: two workers take {statistics.median(ratios[network]):.2f} of one worker's time")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": runtime.machine(), "records": records, "ratios": ratios}, indent=2) + "\n")
    print(out)


def time_search(network: runtime.Workload, *, workers: int, trials: int, epochs: int) -> dict[str, Any]:
    """Returns the seconds of a search, and on average those of a trial until its call, building, training, and else."""
    with TemporaryDirectory() as folder:
        held = start("bench", options=Options(out=Path(folder), precision="float32"), workload=network)
        began = time.perf_counter()
        result = search(
            held,
            trial,
            lambda hp: {"number": hp.Int("number", 0, 10**6, default=0)},
            arguments={"network": network},
            trials=Trials(max_trials=trials - 1, workers=workers),
            epochs=epochs,
            objective="nothing",
            direction="max",
        )
        seconds = time.perf_counter() - began
        marks = [json.loads((Path(folder) / "trials" / one.name / "marks.json").read_text()) for one in result.trials]
        ordered = [(Path(folder) / "jobs" / one.name / "job.json").stat().st_mtime for one in result.trials]
        held.close()
    parts = {
        "start": [mark["called"] - order for mark, order in zip(marks, ordered, strict=True)],
        "build": [mark["built"] - mark["called"] for mark in marks],
        "train": [mark["trained"] - mark["built"] for mark in marks],
    }
    means = {name: statistics.mean(values) for name, values in parts.items()}
    means["rest"] = seconds * workers / trials - sum(means.values())
    return {"network": network, "workers": workers, "seconds": seconds, **means}


def trial(*, params: dict, folder: str, epochs: int, network: runtime.Workload) -> dict:
    """Trains a network on random numbers."""
    marks = {"called": time.time()}
    runtime.set_devices(network)
    rng = np.random.default_rng(0)
    if network == "recurrent":
        model = kerasapps.build_question_answering(vocab_size=50, num_answers=10)
        x = {name: rng.integers(1, 50, (ROWS, length)) for name, length in (("text", 40), ("question", 5))}
        y = {"answer": rng.integers(0, 10, ROWS)}
    else:
        model = kerasapps.build_separable_classifier(image_shape=(32, 32, 3), num_classes=10, padding="same")
        x, y = {"image": rng.random((ROWS, 32, 32, 3), np.float32)}, {"label": rng.integers(0, 10, ROWS)}
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(
        {name: rows[:BATCH] for name, rows in x.items()}, {name: rows[:BATCH] for name, rows in y.items()}
    )
    marks["built"] = time.time()
    model.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
    marks["trained"] = time.time()
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "marks.json").write_text(json.dumps(marks))
    return {"score": 0.0}


if __name__ == "__main__":
    tyro.cli(run)
