"""How a trained captioner writes."""

from dataclasses import replace

import keras
import numpy as np

from kerasapps.applications.captioner import encoder_of, step_of
from kerasapps.data.captions import CaptionCodec
from kerasapps.data.subwords import END, START
from kerasapps.decoding import Beam, Sampling, Writer

from ..shared.writing import Writing
from .features import AT_ONCE

WRITING = Writing(beam=3)


def writer_of(model: keras.Model) -> Writer:
    """Returns what writes with a trained network."""
    return Writer(encoder_of(model), step_of(model), start=START, end=END)


def describe(
    writer: Writer, codec: CaptionCodec, images: np.ndarray, how: Beam | Sampling
) -> list[list[tuple[str, float]]]:
    """Returns for each image its captions with their scores, the best first."""
    best = []
    for first in range(0, len(images), AT_ONCE):
        batch = images[first : first + AT_ONCE].astype(np.float32)
        drawn = replace(how, seed=(how.seed + first) % 2**31) if isinstance(how, Sampling) else how
        tokens, scores = writer({"image": batch}, drawn, max_length=codec.max_length)
        texts = codec.decode(tokens.reshape(-1, tokens.shape[-1]))
        each = iter(zip(texts, map(float, scores.ravel()), strict=True))
        best += [[next(each) for _ in row] for row in scores]
    return best
