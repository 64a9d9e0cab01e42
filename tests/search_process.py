"""A search with real jobs, to be killed: python -m tests.search_process OUT [RESUME]."""

import sys
from pathlib import Path

from kerasapps.runs import Options, start
from kerasapps.search import search
from tests import trials


def main(out: Path, *, resume: bool) -> None:
    """Searches the toy space with two workers, and prints a line for each trial."""
    run = start("toy search", {"options": Options(out=out, resume=resume, seed=1)}, network="matmul")
    search(
        run,
        trials.good_trial,
        trials.space,
        arguments={},
        tuner="bayesian",
        max_trials=5,
        epochs=4,
        objective="val_accuracy",
        direction="max",
        workers=2,
        report=lambda trial, result: print(trial.name, trial.score, flush=True),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), resume="RESUME" in sys.argv)
