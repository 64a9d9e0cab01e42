"""Metrics of classifiers against numbers by hand, and their confusions as a table and as a figure."""

import numpy as np
import pytest

from experiments.shared import classification
from tests.experiments.drawn import LABELS, NAMES, PROBABILITIES, overlapping, shown, texts


def spread(labels: np.ndarray, many: int) -> np.ndarray:
    """Probabilities that are right except for every fifth row, which takes the next class."""
    predicted = np.where(np.arange(len(labels)) % 5, labels, (labels + 1) % many)
    return np.eye(many, dtype=np.float32)[predicted] * 0.9 + 0.1 / many


def test_metrics_by_hand():
    metrics = classification.classification_metrics(PROBABILITIES, LABELS)
    # cat: 1 of 2 predictions is right, 1 of 2 cats is found. dog: 1 of 2 and 1 of 1. owl: 1 of 1 and 1 of 2.
    f1 = [1 / 2, 2 / 3, 2 / 3]
    assert metrics == pytest.approx(
        {
            "accuracy": 3 / 5,
            "loss": -np.log([0.8, 0.7, 0.1, 0.05, 0.6]).mean(),
            "macro_f1": np.mean(f1),
        }
    )


def test_top5_counts_the_five_largest_and_no_ties():
    probabilities = np.array([[0.3, 0.2, 0.15, 0.12, 0.11, 0.08, 0.04], [1 / 7] * 7])
    for labels, right in (([4, 0], 0.5), ([5, 0], 0.0)):
        metrics = classification.classification_metrics(probabilities, np.array(labels))
        assert metrics["top5_accuracy"] == right


def test_a_probability_of_zero_is_a_finite_loss():
    metrics = classification.classification_metrics(np.eye(2), np.array([1, 1]))
    assert metrics["loss"] == pytest.approx(-np.log(1e-7) / 2)


def test_class_table_has_the_worst_class_first_and_a_dash_for_what_is_undefined():
    table = classification.class_table(np.pad(PROBABILITIES, ((0, 0), (0, 1))), LABELS, (*NAMES, "yak"))
    assert [row[0] for row in table.rows] == ["cat", "dog", "owl", "yak"]
    assert table.rows[1][1:] == pytest.approx([50, 100, 200 / 3, 1])
    assert table.rows[3][1:] == [None, None, None, 0]


def test_class_table_stops_at_a_hundred_rows_and_says_so():
    labels = np.arange(120)
    table = classification.class_table(spread(labels, 120), labels, [f"class {i}" for i in labels])
    assert len(table.rows) == 100
    assert table.rows[0][3] < 50
    assert "100 worst of 120" in table.caption


def test_confusions_table_counts_and_leaves_out_what_is_right():
    table = classification.confusions_table(PROBABILITIES, LABELS, NAMES)
    assert table.rows == [["cat", "dog", 1, 50.0], ["owl", "cat", 1, 50.0]]
    assert len(classification.confusions_table(PROBABILITIES, LABELS, NAMES, count=1).rows) == 1
    assert "all 2 images" in classification.confusions_table(np.eye(2), np.arange(2), NAMES[:2]).caption


def test_rows_are_called_what_they_are():
    right = np.eye(2), np.arange(2), NAMES[:2]
    assert "all 2 questions" in classification.confusions_table(*right, unit="questions").caption
    assert classification.class_table(*right, unit="questions").columns[-1] == "questions"
    assert "of 2 test questions" in classification.confusion_figure(*right, unit="questions").caption


@pytest.mark.parametrize(("many", "numbers"), [(2, True), (10, True), (20, True), (60, False), (250, False)])
def test_confusion_figure_has_numbers_only_where_they_can_be_read(many, numbers):
    labels = np.repeat(np.arange(many), 10)
    names = [f"a rather long name {i}" for i in range(many)]
    figure = classification.confusion_figure(spread(labels, many), labels, names)
    (cells,) = shown(figure)
    assert cells.shape[:2] == (many, many)
    written = [text for text in texts(figure) if text.isdigit()]
    assert sum(map(int, written)) == (len(labels) if numbers else 0)
    assert not overlapping(figure)
    assert np.argmax(cells[0, 0, :3]) == 2  # blue is right
    assert np.argmax(cells[0, 1, :3]) == 0  # every fifth row is taken for the next class
    assert figure.png[:4] == b"\x89PNG"


def test_names_with_dollars_are_not_formulas():
    names = ["$\\a$", "100$ or 200$^", "owl"]
    assert classification.confusion_figure(PROBABILITIES, LABELS, names).png
