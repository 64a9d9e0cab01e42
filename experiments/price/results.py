"""What the price experiment measures: errors of the logarithm and of the price, by kind, and as figures."""

from collections.abc import Mapping

import numpy as np

from kerasapps.data.prices import PriceSplits, Things
from kerasapps.formats import format_metric
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure, plain

FEWEST_IN_GROUP = 20
SHOWN = 8


def price_metrics(log_price: np.ndarray, estimates: np.ndarray) -> dict[str, float]:
    """Returns the mean absolute error of the logarithm, and the median error of the price in percent."""
    error = np.abs(log_price - estimates)
    percent = 100 * np.abs(np.expm1(estimates - log_price))
    return {"log_price_mae": float(error.mean()), "percent_error": float(np.median(percent))}


def test_metrics(splits: PriceSplits, estimates: np.ndarray) -> tuple[dict[str, float], Table]:
    """Returns the metrics of the test set, and a table of them next to what they are to be compared with."""
    test, train = splits.things["test"], splits.things["train"]
    rows = {
        "network": price_metrics(test.log_price, estimates),
        "median of the training set": price_metrics(
            test.log_price, np.full(len(estimates), np.median(train.log_price))
        ),
    }
    metrics = dict(rows["network"])
    metrics |= {f"{name}_guess": value for name, value in rows["median of the training set"].items()}
    if test.best is not None:
        rows["best possible"] = price_metrics(test.log_price, test.best)
        metrics |= {f"{name}_reference": value for name, value in rows["best possible"].items()}
    return metrics, prices_table(rows, title="Test set")


def result_blocks(splits: PriceSplits, estimates: np.ndarray) -> list[Block | None]:
    """Returns what the report shows of the test set."""
    test = splits.things["test"]
    return [
        scatter_figure(test.log_price, estimates),
        error_by_table(test, estimates),
        examples_figure(test, estimates),
    ]


def prices_table(rows: Mapping[str, Mapping[str, float]], *, title: str) -> Table:
    """Returns one row a model."""
    names = ("log_price_mae", "percent_error")
    cells = [[label, *(format_metric(name, row[name]) for name in names)] for label, row in rows.items()]
    caption = "Mean absolute error of the natural logarithm of the price; median error of the price."
    if "best possible" in rows:
        caption += " The data are simulated with noise that cannot be known: the last row is the floor."
    return Table(title, ["", "error of the logarithm", "error of the price"], cells, caption)


def scatter_figure(log_price: np.ndarray, estimates: np.ndarray) -> Figure:
    """Draws estimates over prices."""
    figure = new_figure(width=4.6, height=4.2)
    axes = add_axes(figure, xlabel="price", ylabel="estimate")
    low, high = np.exp(min(log_price.min(), estimates.min())), np.exp(max(log_price.max(), estimates.max()))
    axes.plot([low, high], [low, high], color="#9aa1ab", linewidth=1, linestyle=":")
    axes.scatter(np.exp(log_price), np.exp(estimates), s=6, alpha=0.4, linewidths=0)
    axes.set(xscale="log", yscale="log", aspect="equal")
    return Figure("prices", "Test set, one point each; on the dotted line the estimate is right.", figure)


def error_by_table(test: Things, estimates: np.ndarray) -> Table | None:
    """Returns the error for each value of each category, and for things without description or image."""
    groups = {
        f"{name} {value}": values == value for name, values in test.categories.items() for value in sorted(set(values))
    }
    if test.texts is not None:
        groups["without a description"] = test.texts == ""
    if test.images is not None:
        groups["without an image"] = ~test.has_image
    rows = {
        f"{label} ({inside.sum():,})": price_metrics(test.log_price[inside], estimates[inside])
        for label, inside in groups.items()
        if inside.sum() >= FEWEST_IN_GROUP
    }
    return prices_table(rows, title="Error by kind") if rows else None


def examples_figure(test: Things, estimates: np.ndarray) -> Figure | None:
    """Shows the first things with an image: the estimated and the real price."""
    rows = np.flatnonzero(test.has_image)[:SHOWN]
    if test.images is None or not len(rows):
        return None
    columns = 4
    figure = new_figure(width=7.6, height=2.3 * -(-len(rows) // columns))
    for i, row in enumerate(rows, start=1):
        axes = add_axes(figure, -(-len(rows) // columns), columns, i)
        axes.imshow(test.images[row])
        axes.set_axis_off()
        known = plain(", ".join(str(values[row]) for values in test.categories.values()))
        prices = f"{np.exp(estimates[row]):,.0f}, real {np.exp(test.log_price[row]):,.0f}"
        axes.set_title(f"{known}\nestimate {prices}", fontsize=8)
    return Figure("examples", "Test set: the estimated price and the real one.", figure)
