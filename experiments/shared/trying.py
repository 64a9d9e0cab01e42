"""Trained networks that answer the forms of a web page: an experiment may offer `trying.py` in its folder.

TITLE                      what its networks do, in a few words
questions(saved)           what a network can be asked, as fields of a form
answer(saved, given)       what it answers: blocks as in a report, and the command that does the same

`python -m experiments.serve` starts this module, which reads a line of JSON for each question and writes one for each
answer; without that module, networks of this kind cannot be tried.
"""

import functools
import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from kerasapps.errors import UserError, explain
from kerasapps.reports import Block
from kerasapps.startup import typed

from .runs import SavedRun, load_run

KEPT = 4  # networks in memory


@dataclass(frozen=True)
class Tried:
    """What a network answers.

    Args:
        blocks: What to show, in order.
        arguments: Of the experiment's command that does the same, without --run.
        notes: What is to be known, a sentence each.
    """

    blocks: Sequence[Block]
    arguments: Sequence[str] = ()
    notes: Sequence[str] = field(default=())


@functools.lru_cache(maxsize=KEPT)
def opened(folder: Path) -> tuple[SavedRun, ModuleType]:
    """Returns a run, and what its experiment offers.

    Raises:
        UserError: If it cannot be read, or networks of its kind cannot be tried.
    """
    saved = load_run(folder).in_float32()
    name = f"{__package__.rpartition('.')[0]}.{saved.experiment}.trying"
    if importlib.util.find_spec(name) is None:
        raise UserError(f"{folder.name} is a run of {saved.experiment}, whose networks cannot be tried on a page.")
    return saved, importlib.import_module(name)


def respond(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a network can be asked, or with values what it answers.

    Raises:
        UserError: If it cannot be asked that.
    """
    folder = Path(request["run"])
    saved, module = opened(folder)
    if request["values"] is None:
        trained_on = {"arch": "", "data": "on "}
        told = [f"{prefix}{saved.settings[name]}" for name, prefix in trained_on.items() if saved.settings.get(name)]
        detail = f"{folder.name}: {' '.join(told)}" if told else folder.name
        return {
            "title": module.TITLE,
            "detail": detail,
            "fields": [asdict(one) for one in module.questions(saved)],
        }
    tried = module.answer(saved, request["values"])
    command, *arguments = tried.arguments or ("",)
    experiment = f"{__package__.rpartition('.')[0]}.{saved.experiment}"
    return {
        "sections": [{"title": getattr(block, "title", ""), "html": block.html()} for block in tried.blocks],
        "notes": list(tried.notes),
        "command": [*typed(experiment), command, "--run", folder.name, *arguments] if command else [],
    }


def main() -> None:
    """Answers questions until there are no more."""
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            told = respond(json.loads(line))
        except Exception as error:
            sentence = explain(error)
            if sentence is None:
                traceback.print_exc()
            told = {"error": sentence or ""}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
