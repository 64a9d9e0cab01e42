"""Translation: recurrent networks with attention, or a transformer, from one language to another.

python -m experiments.translation train
python -m experiments.translation train --data multi30k --pair de-en --arch additive
python -m experiments.translation train --data multi30k --pair de-en --arch transformer
python -m experiments.translation train --data texts.de --target texts.en
python -m experiments.translation search --arch transformer --tuner bayesian --max-trials 20
python -m experiments.translation evaluate --run runs/NAME --beam 10
python -m experiments.translation translate --run runs/NAME --file lines.txt
"""

import io
import sys
from dataclasses import replace
from pathlib import Path

from kerasapps.data.pairs import NAMED, file_lines
from kerasapps.data.translation import TranslationCodec
from kerasapps.decoding import Sampling, Writer
from kerasapps.errors import DataError
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, Weight, from_settings, or_none, ranged, settings_of

from ..shared.cli import main, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from ..shared.writing import Writing
from .network import (
    Arch,
    GivenRecipe,
    Source,
    load,
    module_of,
    recipe_of,
    train_one,
    translate_texts,
    writer_of,
)
from .results import result_blocks, score_table, test_metrics, translations_table

EXPERIMENT = "translation"


def train(
    *,
    source: Source = Source(),
    arch: Arch = "additive",
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    writing: Writing = Writing(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains a translator and writes a run folder.

    Args:
        source: Which texts.
        arch: Which network: "additive", "lectures" and "dot" are kinds of attention of a recurrent network.
        params: Builder arguments: a best.json written by `search`, or JSON such as '{"units": 256}'.
        recipe: How it is trained; by default as suits the architecture.
        writing: How translations of the test set are written.
        patience: Stop after so many epochs without a higher BLEU; never by default.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, source.data, recipe, options=options)
    run = start("Translation", settings_of(locals()), experiment=EXPERIMENT, workload="matmul")
    trained = train_one(run, source=source, arch=arch, params=read_params(params), recipe=recipe, patience=patience)
    model, splits, rows = trained.model, trained.splits, trained.history.rows
    metrics, best = test_metrics(model, arch, splits.codec, splits.texts["test"], writing)
    table = score_table(metrics, data=source.data, pair=source.pair, beam=writing.beam)
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(model, arch, splits, best, rows)],
        summary=f"{arch} on {source.data}, {source.pair}: BLEU {metrics['bleu']:.1f} (lower case) and "
        f"{format_share(metrics['exact_match'])} exact of {len(best):,} test texts after {len(rows)} epochs.",
        headline=("bleu", "exact_match", "chrf", "seconds"),
        table=table,
        conclusion=f"{format_share(metrics['exact_match'])} exact, BLEU {metrics['bleu']:.1f}.",
        following={
            "Evaluate it with another beam": "evaluate --run RUN --beam 10",
            "Translate lines of your own": "translate --run RUN --file lines.txt",
        },
    )


def search(
    *,
    source: Source = Source(),
    arch: Arch = "additive",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    writing: Writing = Writing(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters by validation BLEU, and tests the winner once.

    Args:
        source: Which texts.
        arch: Network to search in.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the architecture.
        writing: How translations of the test set are written.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(arch, source.data, recipe, options=options)
    run, trials = start_search("Translation search", settings_of(locals()), experiment=EXPERIMENT, workload="matmul")
    splits = load(source, options=options)  # before the trials, so that an error in the data is reported once

    def test(model):
        metrics, best = test_metrics(model, arch, splits.codec, splits.texts["test"], writing)
        return metrics, result_blocks(model, arch, splits, best, [])

    space = module_of(arch).search_space
    search_and_report(
        run, trials, train_one, space, what=arch, test=test, objective="bleu", maximize=True, notes=splits.notes
    )


def evaluate(
    *,
    run: Path,
    data: or_none(Text) = None,
    pair: or_none(Text) = None,
    target: or_none(Text) = None,
    writing: Writing = Writing(),
    limit: or_none(Count) = None,
) -> None:
    """Prints the metrics of a trained network on the test set.

    Args:
        run: A run folder.
        data: As for `train`; its test set is used. By default what the network was trained on.
        pair: As for `train`; by default that of the run.
        target: As for `train`, for the file that --data names.
        writing: How translations are written.
        limit: Texts at most.
    """
    saved = load_run(run, EXPERIMENT)
    source = from_settings(Source, saved.settings)
    source = source if data is None else replace(source, data=data, target=target)
    named = source.data in NAMED
    if pair is not None and not named:
        raise DataError(f"--pair chooses among the languages of {' or '.join(NAMED)}, and the data are {source.data}.")
    if target is not None and (data is None or named):
        raise DataError("--target holds the translations of a file that --data names: give both.")
    source = replace(source, pair=pair or source.pair)
    pairs = load(source, options=from_settings(Options, saved.settings)).texts["test"][:limit]
    metrics, _ = test_metrics(saved.model, saved.settings.of("arch", Arch), saved.codec, pairs, writing)
    print_table(score_table(metrics, data=source.data, pair=source.pair, beam=writing.beam))
    for name, value in metrics.items():
        print(f"{name:<20}{value:.4f}")


def translate(
    *,
    run: Path,
    file: Path | None = None,
    writing: Writing = Writing(),
    n_best: Count = 1,
    temperature: Weight = 0.0,
    top_k: ranged(int, least=0) = 0,
    top_p: ranged(float, above=0, most=1) = 1.0,
    seed: ranged(int, least=0, most=2**31 - 1) = 0,
) -> None:
    """Translates lines of a file, or of standard input, and prints a line for each; an empty line stays empty.

    Args:
        run: A run folder.
        file: A file with a text a line; standard input by default.
        writing: How translations are written.
        n_best: Print a table of so many translations of each text, with their scores; at most as many as --beam.
        temperature: Draw tokens instead of searching: the higher, the wilder. 0 searches.
        top_k: Draw among so many likeliest tokens; 0 for all.
        top_p: Draw among the fewest tokens that together have this probability.
        seed: Seed of what is drawn.
    """
    if n_best > writing.beam:
        raise DataError(f"--n-best must be at most --beam, which is {writing.beam}. Received: {n_best}")
    if temperature and n_best > 1:
        raise DataError("--n-best ranks what a search finds: leave out --temperature.")
    if not temperature and (top_k or top_p < 1):
        raise DataError("--top-k and --top-p choose what is drawn: give --temperature as well.")
    saved = load_run(run, EXPERIMENT).in_float32()
    writer = writer_of(saved.model, saved.settings.of("arch", Arch))
    how = writing.search if not temperature else Sampling(temperature, top_k, top_p, seed)
    if file is None and sys.stdin.isatty():
        for line in sys.stdin:
            print_translations(writer, saved.codec, [line.rstrip("\n")], how, n_best=n_best)
        return
    lines = standard_input() if file is None else file_lines(file)[0]
    print_translations(writer, saved.codec, lines, how, n_best=n_best)


def print_translations(writer: Writer, codec: TranslationCodec, lines: list[str], how, *, n_best: int) -> None:
    """Prints a line for each, or a table of the best of each."""
    best = translate_texts(writer, codec, lines, how)
    if n_best > 1:
        print_table(translations_table(lines, [one[:n_best] for one in best]))
        return
    for one in best:
        # A line break would be taken for the next translation.
        print(one[0][0].replace("\n", " ").replace("\r", " "), flush=True)


def standard_input() -> list[str]:
    """Returns the lines of standard input.

    Raises:
        DataError: If they are not UTF-8.
    """
    stream = getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())
    content = stream.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"Standard input, line {line}: not UTF-8 text.") from None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines


COMMANDS = (train, search, evaluate, translate)

if __name__ == "__main__":
    main("experiments.translation", *COMMANDS)
