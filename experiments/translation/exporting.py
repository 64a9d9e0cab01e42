"""How a network that translates is deployed: one file reads, the other writes a token at a time."""

from pathlib import Path

from kerasapps import errors
from kerasapps.data import subwords
from kerasapps.exporting.preparing import inference_form
from kerasapps.runs import Options
from kerasapps.settings import from_settings

from ..shared.deploying import WORDS, Deployable, needs_for, spread, writing_parts
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
    return Deployable(
        parts=writing_parts(module.encoder_of(model), module.step_of(model), sources, longest=codec.max_length),
        script=Path(__file__).with_name("deployed.py"),
        modules=(*WORDS, subwords, errors),
        codec=codec.to_json(),
        arguments=("--text", texts[0]),
        needs=needs_for(codec.source, codec.target),
        limits=(
            "predict.py always takes the likeliest token, as `translate --beam 1` does; a beam translates better.",
            f"Texts may have {codec.max_length - 1} tokens.",
        ),
    )
