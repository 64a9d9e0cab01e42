"""How a language model is deployed: as the graph that reads one token and predicts the next."""

from pathlib import Path

import numpy as np

from kerasapps import errors
from kerasapps.data import subwords, vocabularies
from kerasapps.data.vocabularies import Lines
from kerasapps.exporting.preparing import inference_form, predictions
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import WORDS, Deployable, Part, spread
from ..shared.runs import SavedRun
from .network import Arch, Source, load, module_of

READ = 8  # tokens before the one that is compared


def deployable(saved: SavedRun) -> Deployable:
    """Returns the graph of one step on the weights of the network, with passages of its test text."""
    codec = saved.codec
    splits = load(from_settings(Source, saved.settings), options=from_settings(Options, saved.settings))
    size = len(splits.tested) // (READ + 1)
    ids = splits.tested[: size * (READ + 1)].reshape(size, READ + 1)[spread(size)].astype(np.int32)
    step = module_of(saved.settings.of("arch", Arch)).step_of(inference_form(saved.model))
    first = {"token": ids[:, :READ]}
    for tensor in step.inputs:
        if tensor.name != "token":
            sides = (0, tensor.shape[-1]) if len(tensor.shape) == 3 else tensor.shape[1:]
            first[tensor.name] = np.zeros((len(ids), *sides), np.float32)
    after = predictions(step, first)
    rows = {name: after.get(name, ids[:, READ:]) for name in first}
    prompt = codec.decode([one for one in ids[0] if one not in codec.vocabulary.banned]).strip() or "\n"
    return Deployable(
        parts={"step": Part(model=step, rows=rows)},
        script=Path(__file__).with_name("deployed.py"),
        modules=(*WORDS, vocabularies, subwords, errors),
        codec=codec.to_json(),
        arguments=(f"--prompt={prompt}", "--length", "60"),
        needs=("sentencepiece",) * isinstance(codec.vocabulary, Lines),
        limits=("It writes what is likely after its training text, not what is true.",),
    )
