"""A language model on the page: how a text goes on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasapps.reports import Highlighted, Highlights
from kerasapps.serving.forms import Field

from ..shared.runs import SavedRun
from ..shared.trying import Tried
from .network import Arch, Writing, first_ids, generator_of, known_ids, write_texts

TITLE = "Continue a text"
LENGTH = 300  # tokens
TEMPERATURES = (("0.5", "careful"), ("0.8", "usual"), ("1.1", "wild"))


def questions(saved: SavedRun) -> tuple[Field, ...]:
    """Returns what a network can be asked."""
    return (
        Field("prompt", "How it begins", "text", hint="Without it, a new line begins.", required=False),
        Field("temperature", "Words are chosen", "choice", "0.8", choices=TEMPERATURES),
        Field("seed", "Seed", "number", "0", hint="Another number gives another text."),
    )


def answer(saved: SavedRun, given: Mapping[str, Any]) -> Tried:
    """Returns a text that begins as asked for."""
    codec, prompt = saved.codec, given["prompt"]
    ids, unknown = known_ids(codec, prompt), codec.vocabulary.unknown(prompt)
    begun, ids = codec.decode(ids), ids if len(ids) else first_ids(codec)
    writing = replace(Writing(), temperature=float(given["temperature"]), seed=int(given["seed"]))
    generator = generator_of(saved.model, saved.settings.of("arch", Arch), codec)
    (text,) = write_texts(generator, codec, ids, writing, length=LENGTH)
    shown = Highlighted([begun, text], np.array([1.0, 0.0]), f"{LENGTH} tokens", "")
    notes = [f"Left out of the beginning, as it was not in the training text: {unknown!r}"] if unknown else []
    options = ("--temperature", given["temperature"], "--seed", str(int(given["seed"])), "--length", str(LENGTH))
    return Tried([Highlights("The text", "In color: how you began it.", [shown])],
                 ("generate", "--prompt", prompt, *options), notes)  # fmt: skip
