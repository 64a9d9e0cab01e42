"""Run folders as they lie on disk, written without a training."""

import json
from pathlib import Path


def make_run(
    folder: Path,
    *,
    experiment: str = "toy",
    title: str = "Toy",
    started: str = "2026-11-28 12:00:00",
    metrics: dict | None = None,
    history: str = "epoch,loss,val_loss\n1,1.0,1.1\n2,0.5,0.7\n",
    report: bool = True,
    **settings,
) -> Path:
    """Writes a run folder, finished if it has `metrics`, and returns it."""
    folder.mkdir(parents=True)
    config = {
        "experiment": experiment,
        "title": title,
        "started": started,
        "settings": settings,
        "precision": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "history.csv").write_text(history)
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
        if report:
            (folder / "report.html").write_text("<p>report</p>")
    return folder
