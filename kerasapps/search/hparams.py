"""Trials as the HParams tab of TensorBoard shows them."""

from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api

from kerasapps.search.result import Trial


def write_hparams(folder: Path, trial: Trial, objective: str) -> None:
    """Writes the hyperparameters of a trial, and its score unless it failed.

    Args:
        folder: The logs of the search; the trial gets a folder there.
        trial: A trial that has ended.
        objective: Name of the score.
    """
    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in trial.values.items()
    }
    writer = tf.summary.create_file_writer(str(folder / trial.name))
    with writer.as_default():
        api.hparams(plain, trial_id=trial.name)
        if trial.score is not None:
            tf.summary.scalar(objective, trial.score, step=0)
    writer.close()
