"""Profile: age, income and gender of people from what they wrote, or any other labels of any texts, all at once.

python -m experiments.profile train
python -m experiments.profile train --data adult
python -m experiments.profile train --data posts.csv --text body --labels age=regression gender=binary --author user
python -m experiments.profile compare --seeds 3
python -m experiments.profile search --objective income --max-trials 20
python -m experiments.profile evaluate --run runs/NAME
python -m experiments.profile predict --run runs/NAME --text "moored in the harbour all day, lovely tide"
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from experiments.profile.compare import compare
from experiments.profile.network import (
    Recipe,
    Source,
    load,
    params_of,
    read_codec,
    recipe_of,
    train_network,
    write_codec,
)
from experiments.profile.results import (
    boosted_guesses,
    calibration_figure,
    constant_guesses,
    decide,
    examples_table,
    heads_table,
    metric_name,
    predict_heads,
    say,
    scores,
    subgroup_table,
)
from experiments.shared.cli import main, print_table
from experiments.shared.searching import finish_trial, options_of, search_and_report, start_search, trial_options
from kerasapps.applications.multi_head_text import search_space
from kerasapps.data.profiles import ProfileSplits
from kerasapps.data.splits import Split
from kerasapps.errors import UserError
from kerasapps.reports import Block, Table, curves
from kerasapps.runs import Options, load_model, read_config
from kerasapps.search.options import Trials
from kerasapps.session import start


def train(
    *,
    source: Source = Source(),
    params: str | None = None,
    recipe: Recipe = Recipe(),
    patience: int | None = None,
    options: Options = Options(),
) -> None:
    """Trains one network for all labels and writes a run folder.

    Args:
        source: Which texts.
        params: Arguments of the builder in place of those that suit the data: a best.json written by `search`, or JSON
            such as '{"pooling": "max"}'; '{}' is the lectures' network.
        recipe: How it is trained, where that is not to follow from the data.
        patience: Stop after so many passes without a better one; by default never.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(source.data, settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run = start("Profile", settings | asdict(recipe), workload="matmul")
    splits = load(source, options=options)
    for note in splits.notes:
        print(note, flush=True)
    model, history = train_network(run, splits, recipe=recipe, params=params_of(source.data, params), patience=patience)
    if history.interrupted:
        print("Interrupted: what there is was evaluated and is saved.")
    outputs = predict_heads(model, splits.test)
    metrics, table = compare_with_marks(splits, outputs, data=source.data, seed=options.seed)
    metrics |= {"seconds": history.seconds, "parameters": model.count_params(), "epochs": len(history.rows)}
    blocks: list[Block | None] = [
        table,
        calibration_figure(splits.codec, outputs, splits.test),
        subgroup_table(splits.codec, outputs, splits.test),
        examples_table(splits.codec, splits.rows["test"], outputs),
        curves(history.rows, best_epoch=history.best_epoch) if history.rows else None,
    ]
    summary = f"One network for {', '.join(splits.codec.heads)}, from texts of {source.data}: "
    summary += f"{len(splits.train):,} rows to train on, {len(splits.test):,} to test on."
    if history.interrupted:
        summary += f" Interrupted: the weights are those of epoch {history.best_epoch}."
    headline = [metric_name(name, head) for name, head in splits.codec.heads.items()]
    headline = [name for name in (*headline, "seconds") if name in metrics]
    run.finish(metrics, summary=" ".join([summary, *splits.notes]), headline=headline, blocks=[b for b in blocks if b])
    print_table(table)
    print(f"Report: {run.folder / 'report.html'}")


def compare_with_marks(
    splits: ProfileSplits, outputs: dict[str, np.ndarray], *, data: str, seed: int
) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test part, and a table of them beside what they are to be compared with."""
    heads, test = splits.codec.heads, splits.test
    rows = {"network": scores(heads, {name: decide(heads[name], outputs[name]) for name in outputs}, test)}
    rows["guessing without reading"] = scores(heads, constant_guesses(heads, splits.train, len(test)), test)
    metrics = dict(rows["network"])
    caption = "Numbers: mean absolute error in their unit. Classes: share that is right, in percent."
    if splits.reference:
        # A probability says the likelier side.
        best = {n: (v > 0.5).astype(int) if heads[n].kind == "binary" else v for n, v in splits.reference.items()}
        rows["best possible (Bayes)"] = scores(heads, best, test)
        metrics |= {f"{name}_reference": value for name, value in rows["best possible (Bayes)"].items()}
        caption += " The data are simulated: Bayes' rule with the very model that wrote them is what nobody can beat."
    if data == "adult":
        rows["gradient boosting, one a target"] = scores(heads, boosted_guesses(splits, seed=seed), test)
        metrics |= {f"{name}_baseline": value for name, value in rows["gradient boosting, one a target"].items()}
        caption += " Gradient boosting is scikit-learn's, with the same columns and rows."
    return metrics, heads_table(rows, title="The test part", caption=caption)


def search(
    *,
    source: Source = Source(),
    objective: str = "total",
    trials: Trials = Trials(),
    recipe: Recipe = Recipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation part, and tests the winner once.

    Args:
        source: Which texts.
        objective: What is to be best: "total", the loss of all heads, or the name of a head.
        trials: How configurations are tried.
        recipe: How each is trained, where that is not to follow from the data.
        options: Options that every experiment shares.
    """
    settings = dict(locals())
    recipe = recipe_of(source.data, settings.pop("recipe"), options=options)
    settings |= asdict(settings.pop("source"))
    run, trials = start_search("Profile search", settings | asdict(recipe), workload="matmul")
    splits = load(source, options=options)
    heads = splits.codec.heads
    if objective not in ("total", *heads):
        raise UserError(f"--objective must be total or one of {', '.join(heads)}. Received: {objective}")
    write_codec(run, splits.codec)
    measured = "loss"
    if objective != "total":
        if not splits.validation.weights[objective].any():
            raise UserError(f"--objective {objective}: no row to validate on has this label.")
        # Keras leaves the name of a sole output out.
        measured = metric_name(objective if len(heads) > 1 else "", heads[objective]).removeprefix("_")

    def test(folder: Path):
        model = load_model(folder)
        outputs = predict_heads(model, splits.test)
        metrics, table = compare_with_marks(splits, outputs, data=source.data, seed=options.seed)
        return model, metrics, [table]

    search_and_report(
        run,
        trial,
        lambda hp: params_of(source.data, None) | search_space(hp, **params_of(source.data, None)),
        what=f"the profile network for {objective}",
        arguments={
            "source": asdict(source),
            "measured": measured,
            "recipe": asdict(recipe),
            "shared": trial_options(run),
        },
        trials=trials,
        epochs=recipe.epochs,
        test=test,
        objective=measured,
        direction="max" if measured.endswith("accuracy") else "min",
    )


def evaluate(*, run: Path, limit: int | None = None) -> None:
    """Prints how well a trained network does on the test part of what it was trained on.

    Args:
        run: A run folder.
        limit: Rows of the test part at most.
    """
    model, settings = load_model(run), read_config(run)["settings"]
    source = Source(**{name: settings[name] for name in vars(Source())} | {"labels": tuple(settings["labels"])})
    options = Options(seed=settings["seed"], limit=settings["limit"], smoke=settings["smoke"])
    # The words and classes of the run: those of the data may have changed since.
    splits = load(source, options=options).as_seen_by(read_codec(run), limit=limit)
    outputs = predict_heads(model, splits.test)
    print_table(compare_with_marks(splits, outputs, data=source.data, seed=settings["seed"])[1])


def predict(*, run: Path, text: str) -> None:
    """Says what a network makes of a text.

    Args:
        run: A run folder.
        text: The text, or the name of a file that holds it.
    """
    model, codec = load_model(run), read_codec(run)
    ids, lengths = codec.words.encode([text_or_file(text)])
    if not (ids > 1).any():
        raise UserError("None of these words was in the texts to train on, so the network cannot say anything.")
    outputs = predict_heads(model, Split({"text": ids}, {"row": np.zeros(1)}, lengths={"text": lengths}))
    for name, head in codec.heads.items():
        print(f"{name}: {say(codec, name, head, outputs[name][0])}")


def text_or_file(text: str) -> str:
    """Returns a text, or what is in a file if it is the name of one.

    Raises:
        UserError: If that file holds no text.
    """
    try:
        return Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text
    except UnicodeDecodeError:
        raise UserError(f"{text} holds no text in UTF-8.") from None
    except OSError:  # too long for the name of a file
        return text


def trial(*, params: dict, folder: str, epochs: int, source: dict, measured: str, recipe: dict, shared: dict) -> dict:
    """Trains one configuration for the search, in a process of its own; the test part is not touched."""
    options = options_of(folder, shared)
    settings = {"params": params, **source, **recipe, "epochs": epochs, "options": options}
    run = start("Profile trial", settings, workload="matmul")
    splits = load(Source(**source | {"labels": tuple(source["labels"])}), options=options)
    _, history = train_network(run, splits, recipe=Recipe(**recipe | {"epochs": epochs}), params=params)
    return finish_trial(run, history, objective=measured)


if __name__ == "__main__":
    main("experiments.profile", train, compare, search, evaluate, predict)
