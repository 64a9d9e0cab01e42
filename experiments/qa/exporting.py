"""How a network that answers questions about stories is deployed."""

from pathlib import Path

import keras

from kerasapps.applications.memory_network import attention_of
from kerasapps.data import pieces, segments, words
from kerasapps.data.question_answering import read_test_questions
from kerasapps.data.segments import Segmenter
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import ROWS, Deployable, Part
from ..shared.runs import SavedRun
from .network import Source


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network, where it reads sentences with its attention, and rows of its test set."""
    source, codec = from_settings(Source, saved.settings), saved.codec
    seed = from_settings(Options, saved.settings).seed
    questions = read_test_questions(source.data, tasks=source.tasks, seed=seed, limit=2 * ROWS, trained_on=source.data)
    questions, others = questions[::2], questions[1::2]
    model = saved.model
    if codec.form == "story":
        outputs = {"answer": model.output["answer"]} | attention_of(model).output
        model = keras.Model(model.inputs, outputs, name=model.name)
    test = codec.split(questions)
    part = Part(
        model=model,
        rows=test.inputs,
        # Of the test set, as stories of training are read elsewhere; their answers are not looked at.
        samples=codec.split(others or questions).inputs,
        label="answer",
        truth=test.targets["answer"],
    )
    asked = questions[0]
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=(words, segments, pieces),
        codec=codec.to_json(),
        arguments=("--story", "story.txt", "--question", asked.question_text),
        files={"story.txt": "".join(f"{sentence}\n" for sentence in asked.text).encode()},
        needs=("sentencepiece",) * isinstance(codec.tokens, Segmenter),
        limits=("It knows the words and answers of its training stories alone.",),
    )
