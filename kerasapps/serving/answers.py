"""Trained networks in a separate process, which answer forms: this server does without TensorFlow.

The process reads a line of JSON for each question and writes one for each answer; see `experiments/shared/trying.py`.
"""

import json
import os
import select
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasapps.errors import UserError
from kerasapps.serving import child
from kerasapps.serving.forms import Field, without_folders

BROKEN = "The network could not answer: please tell whoever runs this page."


@dataclass(frozen=True)
class Section:
    """A part of an answer: its heading, and HTML as in a report."""

    title: str
    html: str


@dataclass(frozen=True)
class Answer:
    """What a network answered.

    Args:
        sections: What to show, in order.
        notes: What is to be known, a sentence each.
        command: The words of the command that does the same; empty if there is none.
    """

    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """A trained network that can be tried.

    Args:
        key: How addresses call it.
        folder: Its run folder.
        title: What it does.
        detail: What it was trained on.
        fields: What it is asked.
    """

    key: str
    folder: Path
    title: str
    detail: str
    fields: tuple[Field, ...]


class Answerer:
    """The process, started with the first question and again after it has died; one question at a time.

    Args:
        module: What it runs.
        log: File for what it prints otherwise.
        seconds: Time for an answer.
    """

    def __init__(self, module: str, log: Path, *, seconds: float = 120.0):
        self.module, self.log, self.seconds = module, log, seconds
        self.asking = threading.Lock()
        self.process: subprocess.Popen | None = None

    def describe(self, key: str, folder: Path) -> Trained:
        """Returns what a run can be asked.

        Raises:
            UserError: If it cannot be used.
        """
        told = self._ask({"run": str(folder), "values": None})
        fields = tuple(
            Field(**one | {"choices": tuple(tuple(choice) for choice in one["choices"])}) for one in told["fields"]
        )
        return Trained(key, folder, told["title"], told["detail"], fields)

    def answer(self, trained: Trained, values: Mapping[str, Any]) -> Answer:
        """Returns what a network answers; values are text, numbers, and names of files.

        Raises:
            UserError: If it cannot answer this.
        """
        told = self._ask({"run": str(trained.folder), "values": dict(values)})
        sections = tuple(Section(**one) for one in told["sections"])
        return Answer(sections, tuple(told["notes"]), tuple(told["command"]))

    def close(self) -> None:
        """Ends the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        with self.asking:
            try:
                told = json.loads(self._exchange(json.dumps(question)))
            except (OSError, ValueError):  # it died, or the answer took too long
                self.close()
                self.process = None
                raise UserError(BROKEN) from None
        if "error" in told:
            raise UserError(without_folders(told["error"]) or BROKEN)
        return told

    def _exchange(self, line: str) -> bytes:
        if self.process is None or self.process.poll() is not None:
            with open(self.log, "ab") as log:
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
                self.process = child.start(self.module, **pipes)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        read, descriptor = b"", self.process.stdout.fileno()
        while not read.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], self.seconds)
            piece = os.read(descriptor, 2**16) if ready else b""
            if not piece:
                raise TimeoutError
            read += piece
        return read


def open_runs(answerer: Answerer, folders: Mapping[str, Path], found: dict[str, Trained]) -> None:
    """Opens runs and adds those that can be tried to `found`, by their keys; of another the reason is printed."""
    for key, folder in folders.items():
        try:
            found[key] = answerer.describe(key, folder)
        except UserError as error:
            print(f"{folder} cannot be tried: {error}", flush=True)
