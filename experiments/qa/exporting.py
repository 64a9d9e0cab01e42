"""How a network that answers questions about stories is deployed."""

from pathlib import Path

import keras

from kerasapps.applications.memory_network import attention_of
from kerasapps.data.question_answering import MAX_SENTENCES, MAX_WORDS, read_test_questions
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import ROWS, SAMPLES, TESTED, WORDS, Deployable, Part, needs_for, spread
from ..shared.runs import SavedRun
from .network import Source


def deployable(saved: SavedRun) -> Deployable:
    """Returns the network, where it reads sentences with its attention, and rows of its test set."""
    source, codec = from_settings(Source, saved.settings), saved.codec
    seed = from_settings(Options, saved.settings).seed
    every = read_test_questions(source.data, tasks=source.tasks, seed=seed, limit=None, trained_on=source.data)
    questions, others = (
        [half[i] for i in spread(len(half), count)] for half, count in ((every[::2], ROWS), (every[1::2], SAMPLES))
    )
    model = saved.model
    if codec.form == "story":
        outputs = {"answer": model.output["answer"]} | attention_of(model).output
        model = keras.Model(model.inputs, outputs, name=model.name)

    def tested():
        split = codec.split([every[i] for i in spread(len(every), TESTED)])
        return split.inputs, split.targets["answer"]

    part = Part(
        model=model,
        rows=codec.split(questions).inputs,
        # Of the test set, as stories of training are read elsewhere; their answers are not looked at.
        samples=codec.split(others or questions).inputs,
        label="answer",
        tested=tested,
        longest=MAX_WORDS,
    )
    asked = questions[0]
    return Deployable(
        parts={"model": part},
        script=Path(__file__).with_name("deployed.py"),
        modules=WORDS,
        codec=codec.to_json() | {"max_sentences": MAX_SENTENCES, "max_words": MAX_WORDS},
        arguments=("--story", "story.txt", "--question", asked.question_text),
        files={"story.txt": "".join(f"{sentence}\n" for sentence in asked.text).encode()},
        needs=needs_for(codec.tokens),
        limits=("It knows the words and answers of its training stories alone.",),
    )
