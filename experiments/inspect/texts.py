"""Texts of a text classifier, their words colored by what they speak for."""

from collections.abc import Sequence

import numpy as np

from kerasapps.data.text_classes import TextClassCodec
from kerasapps.data.words import between, tokenize
from kerasapps.errors import UserError
from kerasapps.formats import format_share
from kerasapps.inside.words import attends_to_words, word_drops, word_weights
from kerasapps.reports import Highlighted, Highlights

from ..shared.runs import SavedRun

OCCLUSION = "Each word was made unknown: the more orange, the more of the probability that costs; blue adds to it."
GRADIENT = "Gradient times vector: the more orange a word, the more it speaks for the class; blue speaks against it."
ATTENTION = "The more orange a word, the more the network attends to it."


def text_run(saved: SavedRun | None, texts: Sequence[str]) -> bool:
    """Returns whether a run reads texts.

    Raises:
        UserError: If it does and there are none, or does not and there are.
    """
    reads = saved is not None and isinstance(saved.codec, TextClassCodec)
    if reads and not texts:
        raise UserError(f'{saved.folder} is a run of texts: give one, --text "...".')
    if texts and not reads:
        raise UserError("--text is for a run of text classification, and --run is none.")
    return reads


def text_block(saved: SavedRun, texts: Sequence[str], output: str | None, *, occlusion: bool) -> Highlights:
    """Shows what each word speaks for.

    Raises:
        UserError: If --output names no class.
    """
    codec, model = saved.codec, saved.model
    ids = codec.encode(*texts)["text"]
    probabilities = model.predict({"text": ids}, verbose=0)["label"]
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
