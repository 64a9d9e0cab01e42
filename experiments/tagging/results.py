"""What the tagging experiment reports: accuracy and names found next to the best possible, tags in color, mistakes."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain

import keras
import numpy as np

from kerasapps.data.tagging import TagSplits
from kerasapps.formats import format_share
from kerasapps.reports import Block, Figure, Table, Tagged, TaggedSequences, add_axes, new_figure

from ..shared.classification import RIGHT, class_table, confusion_figure, confusions_table, shorten
from .network import predict_tags, tags_of
from .spans import are_marked, span_scores

# What the network is compared with: how it is called in metrics.json, to what it is for people.
BASELINE, FILTERING, REFERENCE = "baseline", "filtering", "reference"
NETWORK = "the network"
FEWEST = 100  # steps that a point of a figure must stand for
SHOWN, LONGEST = 8, 30  # sequences, and their steps at most
LENGTHS = 5

Tags = Sequence[Sequence[str]]


def test_metrics(model: keras.Model, splits: TagSplits) -> tuple[dict[str, float], Table, list[Block | None]]:
    """Returns the metrics of the test set, a table of them next to what they are to be compared with, and figures."""
    test, names = splits.sequences["test"], splits.codec.tag_names
    probabilities = predict_tags(model, splits.test)
    truth = [one.tags for one in test]
    others = compared_with(splits)
    predicted = {NETWORK: tags_of(probabilities, names)} | {title: tags for title, tags in others.values()}
    metrics = tag_metrics(truth, predicted[NETWORK])
    for name, (_, tags) in others.items():
        metrics |= {f"{key}_{name}": value for key, value in tag_metrics(truth, tags).items()}
    flat, labels = np.concatenate(probabilities), np.array([names.index(tag) for tag in chain(*truth)])
    unit = unit_of(splits)
    blocks = [
        context_figure(splits, probabilities),
        examples_block(splits, probabilities),
        places_figure(truth, predicted),
        kinds_table(truth, predicted[NETWORK]) if are_marked(chain(*truth)) else None,
        class_table(flat, labels, names, unit=unit),
        confusion_figure(flat, labels, names, unit=unit),
        confusions_table(flat, labels, names, unit=unit),
        mistakes_block(splits, probabilities),
    ]
    return metrics, comparison_table(truth, predicted), blocks


def tag_metrics(truth: Tags, predicted: Tags) -> dict[str, float]:
    """Returns the share of the steps whose tag is right and, where tags mark names, the F1 of these."""
    right = [a == b for a, b in zip(chain(*truth), chain(*predicted), strict=True)]
    metrics = {"accuracy": float(np.mean(right))}
    if are_marked(chain(*truth)):
        metrics["f1"] = span_scores(truth, predicted)[""][2]
    return metrics


def compared_with(splits: TagSplits) -> dict[str, tuple[str, Tags]]:
    """Returns by name in metrics.json what the network is compared with: what it is, and its tags of the test set."""
    test, codec = splits.sequences["test"], splits.codec
    found = {}
    if not codec.feature_names:
        found[BASELINE] = "each word's most frequent tag", most_frequent_tags(splits)
    elif set(codec.feature_names) == set(codec.tag_names):
        alone = [[codec.feature_names[i] for i in one.steps.argmax(-1)] for one in test]
        found[BASELINE] = "the classifier alone", alone
    if splits.best:
        found[FILTERING] = "best possible, from the steps so far", splits.best["so far"]
        found[REFERENCE] = "best possible", splits.best["all"]
    return found


def most_frequent_tags(splits: TagSplits) -> Tags:
    """Returns for each word of the test set the tag that it has most often in the training set."""
    counts, everywhere = defaultdict(Counter), Counter()
    for one in splits.sequences["train"]:
        everywhere.update(one.tags)
        for word, tag in zip(one.steps, one.tags, strict=True):
            counts[word][tag] += 1
    usual = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    other = everywhere.most_common(1)[0][0]
    return [[usual.get(word, other) for word in one.steps] for one in splits.sequences["test"]]


def unit_of(splits: TagSplits) -> str:
    """Returns what the steps are called."""
    return "steps" if splits.codec.feature_names else "words"


def comparison_table(truth: Tags, predicted: Mapping[str, Tags]) -> Table:
    """Returns a row for the network and for each that it is compared with."""
    rows = [[title, *(100 * value for value in tag_metrics(truth, tags).values())] for title, tags in predicted.items()]
    columns = ["", "accuracy", "F1 of names"][: len(rows[0])]
    caption = ""
    if "best possible" in predicted:
        caption = (
            "The data are simulated by a known source, so that the most probable tag of a step can be computed: given "
            "the whole sequence, or given only what was read so far, which is all that a network has that reads in one "
            "direction."
        )
    return Table("Test set, in percent", columns, rows, caption)


def kinds_table(truth: Tags, predicted: Tags) -> Table:
    """Lists precision, recall and F1 of each kind of name, or where tags mark none, of each tag."""
    if are_marked(chain(*truth)):
        columns = ["kind", "precision", "recall", "F1", "names"]
        caption = "A name is found if its kind and its first and last word are right, as conlleval counts."
        scores = span_scores(truth, predicted)
    else:
        columns, caption = ["tag", "precision", "recall", "F1", "steps"], ""
        # Each step is one by itself.
        scores = span_scores(*([[f"S-{tag}" for tag in tags] for tags in chosen] for chosen in (truth, predicted)))
    rows = [[kind, *(100 * share for share in shares), count] for kind, (*shares, count) in scores.items()]
    rows.append(["all", *rows.pop(0)[1:]])
    return Table("Names on the test set, in percent" if caption else "Test set, in percent", columns, rows, caption)


def examples_block(splits: TagSplits, probabilities: Sequence[np.ndarray]) -> TaggedSequences:
    """Shows the first sequences of the test set with their tags."""
    caption = "Below each step its true tag, and below that the predicted one, in a red frame where it is wrong."
    if splits.codec.feature_names:
        caption += " Of the numbers of a step the largest is shown."
    return TaggedSequences("Predictions on the test set", caption, _tagged(splits, probabilities, range(SHOWN)))


def mistakes_block(splits: TagSplits, probabilities: Sequence[np.ndarray]) -> TaggedSequences | None:
    """Shows the sequences in which the network is most sure of a wrong tag."""
    names, titles, sure = splits.codec.tag_names, {}, {}
    for i, (one, row) in enumerate(zip(splits.sequences["test"], probabilities, strict=True)):
        wrong = [row[t].max() * (names[row[t].argmax()] != tag) for t, tag in enumerate(one.tags)]
        t = int(np.argmax(wrong))
        if wrong[t]:
            step, predicted = splits.codec.shown(one.steps[t : t + 1])[0], names[row[t].argmax()]
            titles[i] = f"{step}: predicted {predicted} ({format_share(wrong[t])}), true {one.tags[t]}"
            sure[i] = wrong[t]
    worst = sorted(titles, key=lambda i: -sure[i])[:SHOWN]
    if not worst:
        return None
    caption = "Where the network is most sure of a wrong tag."
    if splits.best:
        wrong = sum(splits.best["all"][i] != splits.sequences["test"][i].tags for i in worst)
        caption += f" In {wrong} of these {len(worst)} the best possible tags are wrong as well."
    return TaggedSequences("The most confident mistakes", caption, _tagged(splits, probabilities, worst, titles))


def _tagged(splits: TagSplits, probabilities, rows, titles: Mapping[int, str] | None = None) -> list[Tagged]:
    """Returns sequences of the test set as they are shown."""
    test, codec, shown = splits.sequences["test"], splits.codec, []
    for i in rows:
        if i < len(test):
            predicted, part = tags_of([probabilities[i]], codec.tag_names)[0], slice(LONGEST)
            steps = codec.shown(test[i].steps[part])
            shown.append(Tagged(steps, test[i].tags[part], predicted[part], (titles or {}).get(i, "")))
    return shown


def places_figure(truth: Tags, predicted: Mapping[str, Tags]) -> Figure:
    """Draws the accuracy by the place of a step, and by the length of the sequence."""
    figure = new_figure(width=9.0)
    places = np.concatenate([np.arange(1, len(one) + 1) for one in truth])
    lengths = np.concatenate([np.full(len(one), len(one)) for one in truth])
    by_place, by_length = add_axes(figure, 1, 2, 1, xlabel="step", title="By position"), add_axes(figure, 1, 2, 2)
    by_place.set_ylabel("accuracy")
    by_length.set(xlabel="steps of the sequence", title="By length")
    groups = [part for part in np.array_split(np.sort(lengths), LENGTHS) if len(part)]
    edges = np.unique([part[0] for part in groups])
    middle = [lengths[np.searchsorted(edges, lengths, "right") == i + 1].mean() for i in range(len(edges))]
    for title, tags in predicted.items():
        right = np.array([a == b for a, b in zip(chain(*truth), chain(*tags), strict=True)])
        style = {"color": "#1c2430", "linestyle": "--"} if title == "best possible" else {}
        counts = np.bincount(places)
        there = counts >= min(FEWEST, counts.max())
        by_place.plot(np.flatnonzero(there), np.bincount(places, right)[there] / counts[there], label=title, **style)
        group = np.searchsorted(edges, lengths, "right") - 1
        by_length.plot(middle, np.bincount(group, right) / np.bincount(group), marker="o", markersize=3, **style)
    by_place.legend(frameon=False, fontsize=8)
    caption = "Test accuracy of a step by its position and by the length of its sequence."
    return Figure("places", caption, figure, "Accuracy by position and length", wraps=True)


def context_figure(splits: TagSplits, probabilities: Sequence[np.ndarray]) -> Figure | None:
    """Draws the sequence in which the network puts most of the classifier's mistakes right: before and after."""
    codec, test = splits.codec, splits.sequences["test"]
    if set(codec.feature_names) != set(codec.tag_names):
        return None
    order = [codec.tag_names.index(name) for name in codec.feature_names]
    numbers = [np.array([codec.feature_names.index(tag) for tag in one.tags]) for one in test]
    gained = [
        int((row[:, order].argmax(1) == truth).sum()) - int((one.steps.argmax(1) == truth).sum())
        for one, row, truth in zip(test, probabilities, numbers, strict=True)
    ]
    best = int(np.argmax(gained))
    figure = new_figure(width=9.0, height=5.4)
    panels = {"The classifier alone": test[best].steps, "With context": probabilities[best][:, order]}
    for i, (title, shares) in enumerate(panels.items(), start=1):
        axes = add_axes(figure, 2, 1, i, title=title, xlabel="image" if i == 2 else "")
        axes.imshow(RIGHT(shares.T), aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        axes.set_yticks(range(len(order)), [shorten(name) for name in codec.feature_names])
        axes.set_xticks(range(len(shares)), range(1, len(shares) + 1))
        guessed = shares.argmax(1)
        for mark, rows in (("o", guessed == numbers[best]), ("x", guessed != numbers[best])):
            at, color = np.flatnonzero(rows), "#3a9169" if mark == "o" else "#d9822b"
            axes.scatter(at, numbers[best][at], marker=mark, color=color, s=60, linewidths=2.2)
    caption = (
        "The test sequence in which context corrects most: the bluer, the more probable. The mark in each column is "
        "what the image shows: a green dot where that is the most probable, an orange cross where it is not. All that "
        "the network reads are the classifier's outputs, for this image and for those around it."
    )
    return Figure("context", caption, figure, "What the context adds")
