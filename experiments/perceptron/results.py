"""What the perceptron experiment shows: three rules next to each other, probabilities and losses by hand, metrics."""

from functools import partial

import keras
import numpy as np

from kerasapps.data.points import both
from kerasapps.data.splits import Split, Splits
from kerasapps.reports import Block, Figure, Table, add_axes, new_figure

from ..shared.classification import class_table, classification_metrics, guessing_level
from .lines import ground_figure, in_units, moving, shape_of
from .network import Recipe
from .rules import (
    GRADIENT,
    PERCEPTRON,
    RULES,
    UNSCALED,
    Learned,
    Rule,
    cross_entropy,
    cross_entropy_of_scores,
    is_separable,
    learn,
    sigmoid,
    softmax,
    step,
    two_scores,
)

SCORES = (-40.0, -2.0, 0.0, 1.0, 2.0, 40.0)
EXAMPLES = 5
BY_HAND, EPOCHS = 500, 100  # training points and epochs at most: Python takes the points one by one


def evaluate_model(model: keras.Model, splits: Splits) -> tuple[dict[str, float], Table]:
    """Returns metrics of the test set, and a table of its two classes."""
    probabilities = both(probability_of(model, splits.test))
    labels, train = labels_of(splits.test), labels_of(splits.train)
    metrics = classification_metrics(probabilities, labels)
    metrics["accuracy_guess"] = guessing_level(train, labels)
    return metrics, class_table(probabilities, labels, splits.codec.class_names, unit="points")


def probability_of(model: keras.Model, split: Split) -> np.ndarray:
    """Returns the probability of the second class for each point, float32 (n, 1)."""
    return model.predict(split.batches(256), verbose=0)["label"]


def labels_of(split: Split) -> np.ndarray:
    """Returns the class of each point, int (n,)."""
    return split.targets["label"][:, 0].astype(int)


def network_figure(model: keras.Model, splits: Splits) -> Figure | None:
    """Draws what a network of two columns predicts everywhere."""

    def probability(features: np.ndarray) -> np.ndarray:
        return model.predict({"features": features}, batch_size=4096, verbose=0)["label"][:, 0]

    return ground_figure(probability, splits.test.inputs["features"], labels_of(splits.test), splits.codec)


# --- neurons by hand


def rule_blocks(splits: Splits, recipe: Recipe, *, seed: int) -> tuple[dict[str, float], list[Block]]:
    """Has a neuron learn the training points by each rule, and returns what became of it."""
    points, labels = splits.train.inputs["features"][:BY_HAND].astype(float), labels_of(splits.train)[:BY_HAND]
    epochs = min(recipe.epochs, EPOCHS)
    train = partial(learn, points, labels, rate=recipe.learning_rate, epochs=epochs, seed=seed)
    learned = {rule: train(rule) for rule in RULES}
    separable = is_separable(points, labels)
    metrics = {
        "separable": float(separable),
        "updates_of_perceptron_rule": learned[PERCEPTRON].updates,
        "mistakes_of_perceptron_rule": learned[PERCEPTRON].mistakes[-1],
        "mistakes_without_the_factor_x": learned[UNSCALED].mistakes[-1],
        "mistakes_of_gradient_descent": learned[GRADIENT].mistakes[-1],
    }
    line = shape_of(splits.codec)
    animate = partial(moving, points=points, labels=labels, codec=splits.codec)
    return metrics, [
        animate(
            learned[PERCEPTRON],
            name="perceptron_rule",
            caption="One neuron with random weights sees the training points one by one. One that it misclassifies, "
            f"ringed, pulls the {line} towards its side: rate times x is added to the weights, or subtracted from "
            "them, and the rate to or from the bias. "
            + ("It ends when none is left." if not learned[PERCEPTRON].mistakes[-1] else "It did not converge."),
        ),
        animate(
            learned[GRADIENT],
            name="gradient_descent",
            caption="The same neuron with the sigmoid in place of the step. Every point moves it, by rate times (label "
            f"- probability) times x: hardly, if the point is far on its side of the {line}. It does not end when all "
            "points are classified correctly, but keeps raising their probabilities.",
        ),
        rules_table(learned, len(points), line=line, separable=separable),
        rules_figure(learned),
        scores_table(),
        losses_table(learned[GRADIENT], splits),
    ]


def rules_table(learned: dict[Rule, Learned], count: int, *, line: str, separable: bool) -> Table:
    """Lists what each rule reached."""
    rows = [
        [rule.name, one.mistakes[0], min(one.mistakes), one.mistakes[-1], one.updates, one.losses[-1]]
        for rule, one in learned.items()
    ]
    proven = "A" if separable else "No"
    end = "then the perceptron rule ends" if separable else "no rule can end without mistakes"
    caption = (
        f"{count} training points, and the same random weights at the start; mistakes after each epoch. {proven} "
        f"{line} separates the classes, as a linear program finds: {end}. The course notes print the rule without the "
        f"factor x: it adds the same to all weights and to the bias, wherever the point lies, so that the {line} only "
        "moves within one family, and a good one is in it by chance. Gradient descent is the perceptron rule with the "
        "sigmoid in place of the step, and what Keras' SGD does with one point in a batch."
    )
    columns = ["rule", "mistakes at the start", "fewest", "at the end", "updates", "cross-entropy"]
    return Table("Three rules", columns, rows, caption, digits=3)


def rules_figure(learned: dict[Rule, Learned]) -> Figure:
    """Draws mistakes and losses over the epochs."""
    figure = new_figure(9.0, 3.6)
    for i, (title, name) in enumerate({"misclassified points": "mistakes", "cross-entropy": "losses"}.items(), 1):
        axes = add_axes(figure, 1, 2, i, title=title, xlabel="epoch")
        for rule, one in learned.items():
            axes.plot(getattr(one, name), label=rule.name, marker="o", markersize=3)
        axes.set(ylim=(0, None))
        if i == 1:
            axes.legend(frameon=False, fontsize=9)
    caption = (
        "On the training points. The perceptron rule stops at the first line without mistakes and does not look at the "
        "cross-entropy, which gradient descent minimizes."
    )
    return Figure("rules", caption, figure, "Mistakes and loss by epoch", wraps=True)


def scores_table() -> Table:
    """Lists what becomes of a score: a step, a probability in two ways, and its loss in two ways."""
    scores, ones = np.array(SCORES), np.ones(len(SCORES))
    columns = {
        "score z": scores,
        "step": step(scores),
        "sigmoid of z": sigmoid(scores),
        "softmax of 0 and z": softmax(two_scores(scores))[:, 1],
        "loss from the probability": cross_entropy(sigmoid(scores), 1 - ones),
        "loss from the scores": cross_entropy_of_scores(two_scores(scores), 1 - ones),
    }
    rows = [[f"{value:.4g}" for value in row] for row in np.stack(list(columns.values()), 1)]
    caption = (
        "The sigmoid is the softmax of two scores of which one is 0. The loss is that of a point of class 0: -ln of 1 "
        "minus the probability. From a probability that has been rounded to 1 it is infinite; from the scores "
        "(log-softmax, then negative log-likelihood) it is right."
    )
    return Table("From a score to a probability and a loss", list(columns), rows, caption)


def losses_table(learned: Learned, splits: Splits) -> Table:
    """Works out the cross-entropy of the least certain test points by hand."""
    known, names = splits.codec.numbers, splits.codec.class_names
    scores = learned.path[-1].scores(splits.test.inputs["features"].astype(float))
    unsure = np.argsort(np.abs(scores), kind="stable")[:EXAMPLES]
    scores, labels = scores[unsure], labels_of(splits.test)[unsure]
    points = in_units(splits.test.inputs["features"][unsure].astype(float), splits.codec)
    losses = cross_entropy_of_scores(two_scores(scores), labels)
    digits = 3 - int(np.floor(np.log10(min(scale for _, scale in known.values()))))
    rows = [
        [
            names[label],
            *(f"{round(value, digits):g}" for value in point),
            f"{score:.3f}",
            f"{probability:.3f}",
            f"-ln {probability if label else 1 - probability:.3f} = {loss:.3f}",
        ]
        for point, label, score, probability, loss in zip(points, labels, scores, sigmoid(scores), losses, strict=True)
    ]
    caption = (
        f"The {len(rows)} test points of which the neuron that learned by gradient descent is least sure. The mean of "
        f"their losses is {losses.mean():.3f}: a sum grows with the number of points, and a product of so many "
        "probabilities would vanish."
    )
    columns = ["class", *known, "score", f"probability of {names[1]}", "cross-entropy"]
    return Table("Cross-entropy by hand", columns, rows, caption)
