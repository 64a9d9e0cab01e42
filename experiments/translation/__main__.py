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
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kerasapps.data.pairs import NAMED, file_lines
from kerasapps.decoding import Sampling
from kerasapps.errors import DataError
from kerasapps.formats import format_share
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, Weight, from_settings, or_none, ranged, settings_of

from ..shared.cli import main, print_metrics, print_table
from ..shared.params import read_params
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish, tell
from ..shared.writing import Writing
from .network import (
    Arch,
    GivenRecipe,
    Source,
    checked,
    languages,
    load,
    module_of,
    recipe_of,
    tested_pairs,
    train_one,
    translate_texts,
    writer_of,
)
from .results import result_blocks, save_pictures, score_table, test_metrics, translations_table

EXPERIMENT = "translation"
BLOCK = 1 << 14  # bytes of standard input that are read at a time at most


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
    source = checked(source)
    recipe = recipe_of(arch, source.data, recipe, options=options)
    run = start("Translation", settings_of(locals()), experiment=EXPERIMENT, workload="matmul")
    trained = train_one(run, source=source, arch=arch, params=read_params(params), recipe=recipe, patience=patience)
    model, splits, rows = trained.model, trained.splits, trained.history.rows
    metrics, best = test_metrics(model, arch, splits.codec, splits.texts["test"], writing)
    table = score_table(metrics, data=source.data, pair=source.pair, beam=writing.beam)
    data = ", ".join(filter(None, (source.data, languages(source))))
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(model, arch, splits, best, rows)],
        summary=f"{arch} on {data}: BLEU {metrics['bleu']:.1f} (lower case) and "
        f"{format_share(metrics['exact_match'])} exact of {len(best):,} test texts after {len(rows)} epochs.",
        headline=("bleu", "exact_match", "chrf", "seconds"),
        table=table,
        conclusion=f"{table.caption}\n{format_share(metrics['exact_match'])} exact, BLEU {metrics['bleu']:.1f}.",
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
    source = checked(source)
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
    if data is None and target is not None:
        raise DataError("--target holds the translations of a file that --data names: give both.")
    source = source if data is None else replace(source, data=data, target=target)
    source = checked(replace(source, pair=pair or (source.pair if source.data in NAMED else None)))
    pairs, notes = tested_pairs(saved.codec, source, options=from_settings(Options, saved.settings))
    tell(notes)
    metrics, _ = test_metrics(saved.model, saved.settings.of("arch", Arch), saved.codec, pairs[:limit], writing)
    table = score_table(metrics, data=source.data, pair=source.pair, beam=writing.beam)
    print_table(table)
    print(table.caption)
    print_metrics(metrics)


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
    pictures: Path | None = None,
) -> None:
    """Translates lines of a file, or of standard input as they come, and prints a line for each.

    An empty line stays empty. What is drawn, or ranked in a table, is of all lines of a pipe together.

    Args:
        run: A run folder.
        file: A file with a text a line; standard input by default.
        writing: How translations are written.
        n_best: Print a table of so many translations of each text, with their scores; at most as many as --beam.
        temperature: Draw tokens instead of searching: the higher, the wilder. 0 searches.
        top_k: Draw among so many likeliest tokens; 0 for all.
        top_p: Draw among the fewest tokens that together have this probability.
        seed: Seed of what is drawn.
        pictures: A folder for pictures of what was read while each line was written, 1.png for the first.
    """
    if n_best > writing.beam:
        raise DataError(f"--n-best must be at most --beam, which is {writing.beam}. Received: {n_best}")
    if temperature and n_best > 1:
        raise DataError("--n-best ranks what a search finds: leave out --temperature.")
    if not temperature and (top_k or top_p < 1):
        raise DataError("--top-k and --top-p choose what is drawn: give --temperature as well.")
    saved = load_run(run, EXPERIMENT).in_float32()
    arch = saved.settings.of("arch", Arch)
    if pictures is not None and arch == "none":
        raise DataError("A network without attention has no --pictures of it.")
    writer = writer_of(saved.model, arch)
    how = writing.search if not temperature else Sampling(temperature, top_k, top_p, seed)
    done = 0
    # What is drawn depends on the lines that are translated together; a table has all of them.
    whole = bool(temperature or n_best > 1) and not sys.stdin.isatty()
    for lines in standard_input(whole=whole) if file is None else [lines_of(file)]:
        best = translate_texts(writer, saved.codec, lines, how, first=done)
        if n_best > 1:
            print_table(translations_table(lines, [one[:n_best] for one in best]))
        else:
            for one in best:
                # A line break would be taken for the next translation.
                print(one[0][0].replace("\n", " ").replace("\r", " "), flush=True)
        if pictures is not None:
            written = [one[0][0] for one in best]
            save_pictures(pictures, saved.model, arch, saved.codec, lines, written, first=done + 1)
        done += len(lines)


def lines_of(file: Path) -> list[str]:
    """Returns the lines of a file; what to know about it goes to standard error."""
    lines, notes = file_lines(file)
    print(*notes, sep="\n", end="\n" if notes else "", file=sys.stderr)
    return lines


def standard_input(*, whole: bool = False) -> Iterator[list[str]]:
    """Yields the lines of standard input as they come: one, or the many that are there; or all at once.

    Raises:
        DataError: If they are not UTF-8.
    """
    stream = getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())
    rest, number, more = b"", 1, True
    while more:
        more = stream.read() if whole else stream.read1(BLOCK)
        come, newline, rest = (rest + more).rpartition(b"\n") if more else (rest, b"", b"")
        if not newline and not come:
            continue
        try:
            text = come.decode("utf-8")
        except UnicodeDecodeError as error:
            line = number + come.count(b"\n", 0, error.start)
            raise DataError(f"Standard input, line {line}: not UTF-8 text.") from None
        lines = (text.removeprefix("\ufeff") if number == 1 else text).replace("\r\n", "\n").split("\n")
        yield [line.removesuffix("\r") for line in lines]
        number += len(lines)


COMMANDS = (train, search, evaluate, translate)

if __name__ == "__main__":
    main("experiments.translation", *COMMANDS)
