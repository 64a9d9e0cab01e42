"""`--track`: runs logged with MLflow or Weights & Biases, by the Keras callbacks of these libraries.

A run folder has one tracked run, whose id is in tracking.json: a resumed run continues it. What is inside a run folder,
such as the trials of a search, is nested below its tracked run.
"""

import contextlib
import importlib
import os
import uuid
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import keras

from kerasapps.errors import UserError
from kerasapps.files import read_json, write_json

Tracker = Literal["none", "mlflow", "wandb"]
FILE = "tracking.json"
LONGEST = 500  # characters of a setting, which MLflow limits


def begin(tracker: Tracker, folder: Path, config: Mapping[str, Any]) -> None:
    """Makes the tracked run of a run folder, unless it has one.

    Args:
        tracker: With what; nothing is done for "none".
        folder: The run folder.
        config: What config.json holds.

    Raises:
        UserError: If the library is not installed, or does not reach its server.
    """
    if tracker == "none" or tracker in _ids(folder):
        return
    library = check(tracker)
    if tracker == "wandb":
        number = uuid.uuid4().hex[:8]
    else:
        above = next((ids["mlflow"] for one in folder.absolute().parents if "mlflow" in (ids := _ids(one))), None)
        tags = {"kerasapps.experiment": config["experiment"], "kerasapps.title": config["title"]}
        tags |= {"mlflow.parentRunId": above} if above else {}
        try:
            with library.start_run(
                experiment_id=_experiment_id(library, config), run_name=str(folder), nested=True, tags=tags
            ) as started:
                library.log_params({name: str(value)[:LONGEST] for name, value in config["settings"].items()})
                number = started.info.run_id
        except Exception as error:  # whatever the server or the disk lead to
            raise UserError(f"--track mlflow: {' '.join(str(error).split())}") from error
    write_json(folder / FILE, _ids(folder) | {tracker: number})


def check(tracker: Tracker) -> ModuleType | None:
    """Returns the library of a tracker, None for "none".

    Raises:
        UserError: If it is not installed.
    """
    if tracker == "none":
        return None
    try:
        importlib.import_module(f"{tracker}.keras" if tracker == "mlflow" else "wandb.integration.keras")
        return importlib.import_module(tracker)
    except ImportError as error:
        raise UserError(f"--track {tracker} needs a library: pip install {tracker}. ({error})") from None


@contextlib.contextmanager
def tracked(tracker: Tracker, folder: Path, config: Mapping[str, Any]) -> Iterator[list[keras.callbacks.Callback]]:
    """Yields the callbacks that log a training to the tracked run of a folder, which is open meanwhile."""
    if tracker == "none":
        yield []
        return
    begin(tracker, folder, config)
    library, number = check(tracker), _ids(folder)[tracker]
    if tracker == "wandb":
        with _wandb_run(library, folder, config, number):
            yield [library.integration.keras.WandbMetricsLogger()]
        return
    with library.start_run(run_id=number, nested=True):
        yield [library.keras.MlflowCallback()]
        library.flush_async_logging()  # processes that run a trial end without it


def finish(tracker: Tracker, folder: Path, config: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Logs the final metrics of a run, and that it has finished; a server that is gone loses no run."""
    if tracker == "none":
        return
    try:
        begin(tracker, folder, config)
        library, number = check(tracker), _ids(folder)[tracker]
        if tracker == "wandb":
            with _wandb_run(library, folder, config, number) as run:
                run.summary.update(metrics)
        else:
            with library.start_run(run_id=number, nested=True):
                library.log_metrics({f"final_{name}": value for name, value in metrics.items()})
    except Exception as error:
        warnings.warn(f"{folder} is whole, but {tracker} has not got its metrics: {error}", stacklevel=2)


def _experiment_id(library: ModuleType, config: Mapping[str, Any]) -> str:
    """Returns the MLflow experiment that its environment variables name, or else ours."""
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _project(config))
    known = library.get_experiment_by_name(name)
    return library.create_experiment(name) if known is None else known.experiment_id


def _wandb_run(library: ModuleType, folder: Path, config: Mapping[str, Any], number: str) -> Any:
    """Opens the tracked run of a folder; its files go into the run folder.

    Raises:
        UserError: If the library cannot, because nobody has logged in for example.
    """
    above = next((one for one in reversed(folder.absolute().parents) if (one / FILE).exists()), None)
    try:
        return library.init(
            project=os.environ.get("WANDB_PROJECT", _project(config)),
            name=str(folder),
            id=number,
            resume="allow",
            dir=str(folder),
            group=str(above) if above else None,
            config=dict(config["settings"]),
        )
    except Exception as error:
        raise UserError(f"--track wandb: {' '.join(str(error).split())}") from error


def _project(config: Mapping[str, Any]) -> str:
    """Returns what tracked runs are collected under."""
    return f"kerasapps-{config['experiment']}".removesuffix("-")


def _ids(folder: Path) -> dict[str, str]:
    """Returns the id of the tracked run of a folder by tracker."""
    path = folder / FILE
    return read_json(path) if path.exists() else {}
