"""Profile: age, income and gender of people from what they wrote, or any other labels of any texts, all at once.

python -m experiments.profile train
python -m experiments.profile train --data adult
python -m experiments.profile train --data posts.csv --text body --labels age=regression gender=binary --author user
python -m experiments.profile compare --seeds 3
python -m experiments.profile search --objective income --max-trials 20
python -m experiments.profile evaluate --run runs/NAME
python -m experiments.profile predict --run runs/NAME --text "moored in the harbour all day, lovely tide"
"""

from pathlib import Path

from kerasapps.applications.multi_head_text import search_space
from kerasapps.data.profiles import ProfileSplits
from kerasapps.errors import UserError
from kerasapps.runs import Options
from kerasapps.search.options import Trials
from kerasapps.session import start
from kerasapps.settings import Count, Text, from_settings, or_none, settings_of

from ..shared.cli import main, print_table
from ..shared.runs import load_run
from ..shared.searching import search_and_report, start_search
from ..shared.training import finish
from .compare import compare
from .network import GivenRecipe, Source, load, pad_inputs, params_of, recipe_of, train_one
from .results import metric_name, predict_heads, result_blocks, shown, test_metrics


def train(
    *,
    source: Source = Source(),
    params: str | None = None,
    recipe: GivenRecipe = GivenRecipe(),
    patience: or_none(Count) = None,
    options: Options = Options(),
) -> None:
    """Trains one network for all labels and writes a run folder.

    Args:
        source: Which texts.
        params: Builder arguments in place of those that suit the data: a best.json written by `search`, or JSON such
            as '{"pooling": "max"}'; '{}' takes the builder's defaults.
        recipe: How it is trained; by default as suits the data.
        patience: Stop after so many epochs without a better one; never by default.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run = start("Profile", settings_of(locals()), experiment="profile", workload="matmul")
    params = params_of(source.data, params)
    trained = train_one(run, source=source, params=params, recipe=recipe, patience=patience)
    splits = trained.splits
    outputs = predict_heads(trained.model, splits.test)
    metrics, table = test_metrics(splits, outputs, data=source.data, seed=options.seed)
    heads = splits.codec.heads
    finish(
        run,
        trained,
        metrics,
        [table, *result_blocks(splits, outputs)],
        summary=f"One network for {', '.join(heads)}, from texts of {source.data}: {len(splits.train):,} training "
        f"rows, {len(splits.test):,} test rows.",
        headline=[*(metric_name(name, head) for name, head in heads.items()), "seconds"],
        table=table,
        following={
            "Evaluate it on the test set": "evaluate --run RUN",
            "Predict from a text of your own": 'predict --run RUN --text "moored in the harbour, lovely tide"',
        },
    )


def search(
    *,
    source: Source = Source(),
    objective: Text = "total",
    trials: Trials = Trials(),
    recipe: GivenRecipe = GivenRecipe(),
    options: Options = Options(),
) -> None:
    """Searches the network's hyperparameters on the validation set, and tests the winner once.

    Args:
        source: Which texts.
        objective: What to optimize: "total", the loss of all heads, or the name of a head.
        trials: How configurations are tried.
        recipe: How each is trained; by default as suits the data.
        options: Options that every experiment shares.
    """
    recipe = recipe_of(source.data, recipe, options=options)
    run, trials = start_search("Profile search", settings_of(locals()), experiment="profile", workload="matmul")
    splits = load(source, options=options)  # before the trials, so that an error in the data is reported once
    metric, maximize = objective_of(splits, objective)
    usual = params_of(source.data)

    def test(model):
        outputs = predict_heads(model, splits.test)
        metrics, table = test_metrics(splits, outputs, data=source.data, seed=options.seed)
        return metrics, [table]

    search_and_report(
        run,
        trials,
        train_one,
        lambda hp: usual | search_space(hp, **usual),
        what=f"the profile network for {objective}",
        test=test,
        objective=metric,
        maximize=maximize,
        notes=splits.notes,
    )


def objective_of(splits: ProfileSplits, objective: str) -> tuple[str, bool]:
    """Returns the metric of --objective as training calls it, and whether high values of it are good.

    Raises:
        UserError: If there is no such head, or no label of it to validate on.
    """
    heads = splits.codec.heads
    if objective == "total":
        return "loss", False
    if objective not in heads:
        raise UserError(f"--objective must be total or one of {', '.join(heads)}. Received: {objective}")
    if not splits.validation.weights[objective].any():
        raise UserError(f"--objective {objective}: no row to validate on has this label.")
    head = heads[objective]
    # Keras leaves the name of a sole output out.
    metric = metric_name(objective if len(heads) > 1 else "", head).removeprefix("_")
    return metric, head.kind != "regression"


def evaluate(*, run: Path, limit: or_none(Count) = None) -> None:
    """Prints metrics of a trained network on the test set of the data it was trained on.

    Args:
        run: A run folder.
        limit: Rows of the test set at most.
    """
    saved = load_run(run, "profile")
    source, options = from_settings(Source, saved.settings), from_settings(Options, saved.settings)
    # With the words and classes of the run: those of the data may have changed since.
    splits = load(source, options=options).as_seen_by(saved.codec, limit=limit)
    outputs = predict_heads(saved.model, splits.test)
    print_table(test_metrics(splits, outputs, data=source.data, seed=options.seed)[1])


def predict(*, run: Path, text: Text) -> None:
    """Prints what a network predicts about the author of a text.

    Args:
        run: A run folder.
        text: The text, or the name of a file that holds it.
    """
    saved = load_run(run, "profile").in_float32()
    inputs = saved.codec.encode(text_or_file(text))
    if not (inputs["text"] > 1).any():
        raise UserError("No training text has any of these words, so there is nothing to predict from.")
    outputs = saved.outputs(pad_inputs(inputs, saved.model))
    for name, predicted in saved.codec.decode(outputs)[0].items():
        print(f"{name}: {shown(predicted)}")


def text_or_file(text: str) -> str:
    """Returns a text, or what is in a file if it is the name of one.

    Raises:
        UserError: If that file holds no text.
    """
    try:
        return Path(text).read_text(encoding="utf-8") if Path(text).is_file() else text
    except UnicodeDecodeError:
        raise UserError(f"{text} is not UTF-8 text.") from None
    except OSError:  # too long for the name of a file
        return text


COMMANDS = (train, compare, search, evaluate, predict)

if __name__ == "__main__":
    main("experiments.profile", *COMMANDS)
