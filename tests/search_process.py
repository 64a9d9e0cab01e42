"""A search with real jobs, to be killed: python -m tests.search_process OUT TRIALS [RESUME]."""

import sys
from pathlib import Path

from kerasapps.runs import Options
from kerasapps.search.loop import Watcher, search
from kerasapps.search.options import Trials
from kerasapps.session import start
from tests import trials


class Line(Watcher):
    """Prints a line for each trial."""

    def end(self, trial, result):
        """Prints its name."""
        print(trial.name, flush=True)


def main(out: Path, max_trials: int, *, resume: bool) -> None:
    """Searches with two workers, by trials to which everything happens."""
    run = start("toy search", {"options": Options(out=out, resume=resume, seed=1)}, workload="matmul")
    search(
        run,
        trials.rough_trial,
        trials.rough_space,
        arguments={},
        trials=Trials(tuner="grid", max_trials=max_trials, workers=2, trial_memory_gb=2),
        epochs=4,
        objective="val_accuracy",
        maximize=True,
        watcher=Line(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), resume="RESUME" in sys.argv)
