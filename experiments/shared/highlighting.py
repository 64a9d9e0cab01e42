"""Texts whose words are colored by what they speak for, to a text classifier."""

from collections.abc import Sequence

import numpy as np

from kerasapps.data.words import between, tokenize
from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.inside.words import attends_to_words, word_drops, word_weights
from kerasapps.reports import Highlighted, Highlights

from .runs import SavedRun

OCCLUSION = "Each word was made unknown: the more orange, the more of the probability that costs; blue adds to it."
GRADIENT = "Gradient times vector: the more orange a word, the more it speaks for the class; blue speaks against it."
ATTENTION = "The more orange a word, the more the network attends to it."


def text_block(saved: SavedRun, texts: Sequence[str], output: str | None, *, occlusion: bool) -> Highlights:
    """Shows what each word speaks for.

    Raises:
        UserError: If --output names no class.
    """
    codec, model = saved.codec, saved.model
    ids = codec.encode(*texts)["text"]
    probabilities = saved.outputs({"text": ids})["label"]
    labels = probabilities.argmax(1)
    if output is not None:
        name = output.rpartition("=")[2]
        if name not in codec.class_names:
            raise UserError(f"--output {output}: the classes are {', '.join(codec.class_names)}.")
        labels = np.full(len(texts), codec.class_names.index(name))
    weights = word_drops(model, ids, labels) if occlusion else word_weights(model, ids, labels)
    shown = []
    for i, text in enumerate(texts):
        words = codec.words.cut(tokenize(text, codec.words.tokens))
        of_words = weights[i][ids[i] != 0][: len(words)]
        title = f"{codec.class_names[labels[i]]}, {format_share(probabilities[i, labels[i]])}"
        shown.append(Highlighted(words[: len(of_words)], of_words, title, between(words, codec.words.tokens)))
    caption = OCCLUSION if occlusion else ATTENTION if attends_to_words(model) else GRADIENT
    return Highlights("Occlusion by word" if occlusion else "What each word speaks for", caption, shown)
