"""Language models: recurrent networks or a transformer, which predict each character of a text, and write more of it.

python -m experiments.language_model train
python -m experiments.language_model train --data shakespeare --arch transformer
python -m experiments.language_model train --data novel.txt --tokens subwords
python -m experiments.language_model search --arch transformer --tuner bayesian --max-trials 20
python -m experiments.language_model evaluate --run runs/NAME
python -m experiments.language_model generate --run runs/NAME --prompt "the king" --n 3
"""

import sys
from dataclasses import replace
from pathlib import Path

from kerasapps.data.language import encode_content
from kerasapps.data.running_text import read_running_text
from kerasapps.data.vocabularies import Bytes
from kerasapps.errors import DataError
from kerasapps.runs import Options
from kerasapps.runtime import set_devices
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, or_none, ranged, settings_of

from ..shared.cli import main, print_metrics, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .network import (
    WORKLOADS,
    Arch,
    GivenRecipe,
    Source,
    Writing,
    first_ids,
    generator_of,
    known_ids,
    load,
    module_of,
    recipe_of,
    stream_text,
    train_one,
    write_texts,
)
from .results import loss_table, result_blocks, test_metrics

EXPERIMENT = "language_model"
SHOWN, LONG = 3, 300  # samples of a finished training, and their tokens


def train(
    *,
    source: Source = Source(),
    arch: Arch = "lstm",
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a language model and writes a run folder.

    Args:
        source: Which text.
        arch: Which network.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"units": 256}'.
        recipe: How it is trained; by default as suits the architecture and the text.
        patience: Stop after so many epochs without a lower validation loss; never by default.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, source.data, recipe, options=options)
    run = start("Language model", settings_of(locals()), experiment=EXPERIMENT, workload=WORKLOADS[arch])
    trained = train_one(run, source=source, arch=arch, params=read_params(params), recipe=recipe, patience=patience)
    model, splits = trained.model, trained.splits
    metrics = test_metrics(model, arch, splits.codec, splits.tested, splits.characters, splits.text)
    generator = generator_of(model, arch, splits.codec)
    samples = write_texts(generator, splits.codec, first_ids(splits.codec), Writing(), length=LONG, n=SHOWN)
    table = loss_table(metrics, data=source.data, arch=arch)
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(model, arch, splits, samples, run.folder, trained.history.rows)],
        summary=f"{arch} on {source.data}: {metrics['loss']:.4f} nats a character of the test text after "
        f"{len(trained.history.rows)} epochs.",
        headline=("loss", "loss_reference", "perplexity", "seconds"),
        table=table,
        conclusion="".join(f"\n--- sample {i}\n{text.strip()}\n" for i, text in enumerate(samples, start=1)),
        following={
            "Write with it": 'generate --run RUN --prompt "the" --n 3',
            "Evaluate it on another text": "evaluate --run RUN --data FILE",
        },
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "lstm",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters by validation loss, and tests the winner once.

    Args:
        source: Which text.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture and the text.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, source.data, recipe, options=options)
    settings = settings_of(locals())
    run, trials = start_search("Language model search", settings, experiment=EXPERIMENT, workload=WORKLOADS[arch])
    splits = load(source, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics = test_metrics(model, arch, splits.codec, splits.tested, splits.characters, splits.text)
        return metrics, [loss_table(metrics, data=source.data, arch=arch)]

    space = module_of(arch).search_space
    search_and_report(
        run, trials, train_one, space, what=arch, test=test, objective="loss", maximize=False, notes=splits.notes
    )


def evaluate(*, run: Path, data: or_none(Text) = None) -> None:
    """Prints the loss of a trained network on the test text.

    Args:
        run: A run folder.
        data: As for `train`; its test text is used. By default what the network was trained on.
    """
    saved = load_run(run, EXPERIMENT)
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    source = source if data is None else replace(source, data=data)
    vocabulary = saved.codec.vocabulary
    text = read_running_text(source.data, as_bytes=isinstance(vocabulary, Bytes), seed=options.seed)
    ids, characters = encode_content(saved.codec, text.test, limit=options.rows if data is None else None)
    if len(ids) < 2:
        raise DataError(f"The test text of {source.data} has {len(ids)} tokens, and at least 2 are needed.")
    arch = saved.settings.of("arch", Arch)
    metrics = test_metrics(saved.model, arch, saved.codec, ids, characters, text)
    print_table(loss_table(metrics, data=source.data, arch=arch))
    print_metrics(metrics)


def generate(
    *,
    run: Path,
    prompt: str = "",
    length: ranged(int, least=1, most=10_000_000) = 500,
    n: Count = 1,
    writing: Writing = Writing(),
    beam: ranged(int, least=1, most=100) = 1,
    stop: tuple[str, ...] = (),
) -> None:
    """Prints a text that begins with the prompt, as it is written.

    Args:
        run: A run folder.
        prompt: How the text begins; characters that the network does not know are left out. By default a line begins.
        length: Tokens to write.
        n: Texts, with a line "---" between them.
        writing: How text is written.
        beam: Search for the likeliest text with so many hypotheses instead of drawing one.
        stop: Strings before which a text ends.
    """
    if "" in stop:
        raise DataError("--stop must be strings that are not empty.")
    if beam > 1 and writing != Writing(repetition_penalty=writing.repetition_penalty):
        raise DataError("--beam draws nothing: leave out --temperature, --top-k, --top-p, --min-p and --seed.")
    if beam > 1 and n > beam:
        raise DataError(f"--n must be at most --beam, which is {beam}. Received: {n}")
    set_devices("recurrent")  # a step of a few texts is too small for two threads, whatever the network
    saved = load_run(run, EXPERIMENT).in_float32()
    codec, arch = saved.codec, saved.settings.of("arch", Arch)
    ids, unknown = known_ids(codec, prompt), codec.vocabulary.unknown(prompt)
    begun, ids = codec.decode(ids), ids if len(ids) else first_ids(codec)
    if unknown:
        print(f"Left out of the prompt, as it was not in the training text: {unknown!r}", file=sys.stderr)
    if beam > 1 and arch == "transformer" and len(ids) + length > codec.context:
        raise DataError(
            f"--beam keeps all it has written: --length and the {len(ids)} tokens of the prompt must together be at "
            f"most the --context of the training, {codec.context}. Received: {length}"
        )
    generator = generator_of(saved.model, arch, codec)
    if n == 1 and beam == 1:
        print(begun, end="", flush=True)
        for piece in stream_text(generator, codec, ids, writing, length=length, stop=stop):
            print(piece, end="", flush=True)
        print()
        return
    texts = write_texts(generator, codec, ids, writing, length=length, n=n, beam=beam, stop=stop)
    print("\n---\n".join(begun + text for text in texts))


COMMANDS = (train, search, evaluate, generate)

if __name__ == "__main__":
    main("experiments.language_model", *COMMANDS)
