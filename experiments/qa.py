"""Question answering: a memory network, and the two-input network of the lectures, on stories and bAbI.

    python -m experiments.qa train --data stories --baseline lstm
    python -m experiments.qa train --data babi --tasks 1 2 3 --arch memory
    python -m experiments.qa search --arch lstm --tuner bayesian --max-trials 20
    python -m experiments.qa evaluate --run runs/qa --data babi
    python -m experiments.qa predict --run runs/qa --story story.txt --question "Where is Nora?"
"""

import functools
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import keras
import rich

from experiments.cli import main, print_table
from experiments.qa_results import accuracy_by_kind, kinds_table, read_questions, text_of
from kerasapps import distribution
from kerasapps.applications import memory_network, question_answering
from kerasapps.data.babi import Question, tokenize
from kerasapps.data.question_answering import StorySplits, Vocabulary, load_stories, read_story
from kerasapps.errors import UserError
from kerasapps.reports import Readings, curves
from kerasapps.runs import Options, Run, load_model, read_config, read_json, start, write_json
from kerasapps.search import SearchResult, Trial, TunerName, search_blocks
from kerasapps.search import search as run_search
from kerasapps.training import History, fit

Arch = Literal["memory", "lstm", "gru", "bilstm", "conv"]
ALL_TASKS = tuple(range(1, 21))
MONITOR = "val_accuracy"


def make_model(*, arch: Arch, learning_rate: float, jit_compile: bool, vocab_size: int, num_answers: int, **params):
    """Builds and compiles: the one place that training, the strategy scope and the search share."""
    sizes = {"vocab_size": vocab_size, "num_answers": num_answers}
    if arch == "memory":
        model = memory_network.build_memory_network(**sizes, **params)
    else:
        model = question_answering.build_question_answering(**sizes, **{"encoder": arch} | params)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        {"answer": "sparse_categorical_crossentropy"},
        metrics={"answer": ["accuracy"]},
        jit_compile=jit_compile,
    )
    return model
