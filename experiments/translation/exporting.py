"""How a network that translates is deployed: one file reads, the other writes a token at a time."""

from pathlib import Path

import numpy as np

from kerasapps import errors
from kerasapps.data import pieces, segments, subwords, words
from kerasapps.data.subwords import START, Subwords
from kerasapps.exporting.preparing import inference_form, predictions
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import Deployable, Part, spread
from ..shared.runs import SavedRun
from .network import Arch, Source, load, module_of

LONGEST = 30  # tokens of the texts that are compared


def deployable(saved: SavedRun) -> Deployable:
    """Returns both graphs on the weights of the network, with texts of its test set."""
    codec, module = saved.codec, module_of(saved.settings.of("arch", Arch))
    pairs = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings)).texts["test"]
    texts = [pairs[i][0] for i in spread(len(pairs))]
    sources = {"source": codec.encode(texts)["source"][:, :LONGEST]}
    model = inference_form(saved.model)
    encoder, step = module.encoder_of(model), module.step_of(model)
    state = predictions(encoder, sources)
    first = {"token": np.full((len(texts), 1), START, np.int32)} | state
    for tensor in step.inputs:
        if tensor.name not in first:  # it grows by a step each time
            first[tensor.name] = np.zeros((len(texts), 0, tensor.shape[-1]), np.float32)
    after = predictions(step, first)
    second = {tensor.name: after.get(tensor.name, first[tensor.name]) for tensor in step.inputs}
    second["token"] = after["log_probs"].argmax(-1)[:, None].astype(np.int32)
    learned = any(isinstance(one, Subwords) for one in (codec.source, codec.target))
    return Deployable(
        parts={
            "encoder": Part(model=encoder, rows=sources, longest=codec.max_length),
            "step": Part(model=step, rows=second),
        },
        script=Path(__file__).with_name("deployed.py"),
        modules=(subwords, pieces, words, segments, errors),
        codec=codec.to_json(),
        arguments=("--text", texts[0]),
        needs=("sentencepiece",) * learned,
        limits=(
            "predict.py always takes the likeliest token, as `translate --beam 1` does; a beam translates better.",
            f"Texts may have {codec.max_length - 1} tokens.",
        ),
    )
