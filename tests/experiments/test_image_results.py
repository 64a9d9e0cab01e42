"""Figures of merit against numbers by hand, and figures that show the pictures and words they should."""

import dataclasses

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from experiments.image_classification import figures, results
from kerasapps.data.splits import Split
from kerasapps.reports import Figure

NAMES = ("cat", "dog", "owl")
# Rows 0, 1 and 4 are right; row 2 says dog of a cat, row 3 cat of an owl.
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.9, 0.05, 0.05], [0.2, 0.2, 0.6]], np.float32
)
LABELS = np.array([0, 1, 0, 2, 2], np.int32)


def spread(labels: np.ndarray, many: int) -> np.ndarray:
    """Probabilities that are right except for every fifth row, which takes the next class."""
    said = np.where(np.arange(len(labels)) % 5, labels, (labels + 1) % many)
    return np.eye(many, dtype=np.float32)[said] * 0.9 + 0.1 / many


def texts(figure: Figure) -> list[str]:
    figure.figure.draw_without_rendering()
    return [text.get_text() for text in figure.figure.findobj(matplotlib.text.Text) if text.get_text()]


def shown(figure: Figure) -> list[np.ndarray]:
    return [axes.images[0].get_array() for axes in figure.figure.axes if axes.images]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Texts that share more than a hair's breadth of the figure."""
    figure.figure.draw_without_rendering()
    drawn = [text for text in figure.figure.findobj(matplotlib.text.Text) if text.get_text() and text.get_visible()]
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in drawn]
    return [(a, b) for i, (a, first) in enumerate(boxes) for b, second in boxes[:i] if first.overlaps(second)]


@pytest.fixture
def digits() -> Split:
    data = load_digits()
    images = np.kron(data.images[:60] / 16 * 255, np.ones((1, 2, 2)))[..., None]
    return Split({"image": images.astype(np.uint8)}, {"label": data.target[:60].astype(np.int32)})


@pytest.fixture
def left_half() -> keras.Model:
    """A classifier that only looks at the left column of a picture."""
    image = keras.Input((2, 2, 1), name="image")
    left = keras.layers.Cropping2D(((0, 0), (0, 1)), name="left")(image)
    flat = keras.layers.Flatten(name="flat")(left)
    return keras.Model({"image": image}, {"label": keras.layers.Softmax(name="label")(flat)})


def test_pictures_and_their_mirror_images_are_classified(left_half):
    images = np.random.default_rng(0).normal(size=(5, 2, 2, 1)).astype(np.float32)
    split = Split({"image": images}, {"label": np.zeros(5, np.int32)})
    left, right = (np.exp(images[:, :, i, 0]) / np.exp(images[:, :, i, 0]).sum(1, keepdims=True) for i in (0, 1))
    np.testing.assert_allclose(results.predict_probabilities(left_half, split, batch_size=2), left, rtol=1e-5)
    mirrored = results.predict_probabilities(left_half, split, mirrored=True, batch_size=2)
    np.testing.assert_allclose(mirrored, right, rtol=1e-5)


def test_metrics_by_hand():
    metrics = results.classification_metrics(PROBABILITIES, LABELS)
    # cat: 1 of 2 said is right, 1 of 2 found. dog: 1 of 2 and 1 of 1. owl: 1 of 1 and 1 of 2.
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
        metrics = results.classification_metrics(probabilities, np.array(labels))
        assert metrics["top5_accuracy"] == right


def test_a_probability_of_zero_is_a_finite_loss():
    assert results.classification_metrics(np.eye(2), np.array([1, 1]))["loss"] == pytest.approx(-np.log(1e-7) / 2)


def test_class_table_has_the_worst_class_first_and_a_dash_for_what_cannot_be_told():
    table = results.class_table(np.pad(PROBABILITIES, ((0, 0), (0, 1))), LABELS, (*NAMES, "yak"))
    assert [row[0] for row in table.rows] == ["cat", "dog", "owl", "yak"]
    assert table.rows[1][1:] == pytest.approx([50, 100, 200 / 3, 1])
    assert table.rows[3][1:] == [None, None, None, 0]


def test_class_table_stops_at_a_hundred_rows_and_says_so():
    labels = np.arange(120)
    table = results.class_table(spread(labels, 120), labels, [f"class {i}" for i in labels])
    assert len(table.rows) == 100
    assert table.rows[0][3] < 50
    assert "100 worst of 120" in table.caption


def test_confusions_table_counts_and_leaves_out_what_is_right():
    table = results.confusions_table(PROBABILITIES, LABELS, NAMES)
    assert table.rows == [["cat", "dog", 1, 50.0], ["owl", "cat", 1, 50.0]]
    assert len(results.confusions_table(PROBABILITIES, LABELS, NAMES, count=1).rows) == 1
    assert "all 2 pictures" in results.confusions_table(np.eye(2), np.arange(2), NAMES[:2]).caption


@pytest.mark.parametrize(("many", "numbers"), [(2, True), (10, True), (20, True), (60, False), (250, False)])
def test_confusion_figure_has_numbers_only_where_they_can_be_read(many, numbers):
    labels = np.repeat(np.arange(many), 10)
    names = [f"a rather long name {i}" for i in range(many)]
    figure = figures.confusion_figure(spread(labels, many), labels, names)
    (cells,) = shown(figure)
    assert cells.shape[:2] == (many, many)
    written = [text for text in texts(figure) if text.isdigit()]
    assert sum(map(int, written)) == (len(labels) if numbers else 0)
    assert not overlapping(figure)
    assert np.argmax(cells[0, 0, :3]) == 2  # blue is right
    assert np.argmax(cells[0, 1, :3]) == 0  # every fifth picture is taken for the next class
    assert figure.png[:4] == b"\x89PNG"


def test_mistakes_are_the_surest_first_with_their_pictures(digits):
    split = digits.take(np.arange(5))
    split = dataclasses.replace(split, targets={"label": LABELS})
    figure = figures.mistakes_figure(PROBABILITIES, split, NAMES)
    assert texts(figure) == ["owl → cat  90 %", "cat → dog  60 %"]
    for picture, row in zip(shown(figure), (3, 2), strict=True):
        np.testing.assert_array_equal(picture, digits.inputs["image"][row, ..., 0])
    assert figure.figure.axes[0].images[0].get_cmap().name == "gray"
    assert len(shown(figures.mistakes_figure(PROBABILITIES, split, NAMES, count=1))) == 1


def test_long_names_do_not_overlap(digits):
    labels = digits.targets["label"]
    names = [f"a class of the number {i}" for i in range(10)]
    figure = figures.mistakes_figure(np.eye(10)[(labels + 1) % 10], digits, names)
    assert len(shown(figure)) == 24
    assert not overlapping(figure)


def test_no_mistake_is_a_sentence(digits):
    figure = figures.mistakes_figure(np.eye(10)[digits.targets["label"]], digits, [str(i) for i in range(10)])
    assert "All 60 pictures" in figure.caption
    assert not shown(figure)


def test_only_the_pictures_that_are_shown_are_read_and_at_stored_size():
    touched = []

    def read(inputs):
        def load(rows):
            touched.extend(rows.tolist())
            return np.stack([np.full((4, 4, 3), row, np.uint8) for row in rows])

        images = tf.numpy_function(load, [inputs["image"]], tf.uint8)
        return {"image": tf.ensure_shape(images, (None, 4, 4, 3))}

    def enlarge(inputs):
        return {"image": tf.image.resize(inputs["image"], (8, 8)) / 255}

    split = Split({"image": np.arange(200)}, {"label": np.zeros(200, np.int32)}, read=read, prepare=enlarge)
    images = figures.pictures(split, np.array([150, 7, 7]))
    assert images.shape == (3, 4, 4, 3)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [150, 7, 7]
    assert set(touched) == {7, 150}


def brighten(inputs, targets, seed):
    """Adds up to 400, so that values leave 0 to 255, and makes labels soft as a mix of pictures does."""
    more = tf.random.stateless_uniform((tf.shape(inputs["image"])[0], 1, 1, 1), seed, 100, 400)
    return {"image": tf.cast(inputs["image"], tf.float32) + more}, {"label": tf.one_hot(targets["label"], 10)}


def test_augmentation_shows_each_picture_first_as_it_is(digits):
    split = dataclasses.replace(digits, augment=brighten, prepare=lambda inputs: {"image": inputs["image"] / 255})
    figure = figures.augmentation_figure(split, 3, count=2, versions=4)
    images = shown(figure)
    assert len(images) == 2 * 5
    stored = digits.inputs["image"][..., 0]
    kinds = []
    for row in (images[:5], images[5:]):
        (place,) = np.flatnonzero((stored == row[0]).all((1, 2)))
        kinds.append(digits.targets["label"][place])
        assert all((version.astype(int) >= row[0]).all() and version.max() == 255 for version in row[1:])
        assert len({version.tobytes() for version in row[1:]}) > 1
    assert len(set(kinds)) == 2
    assert texts(figure) == ["as it is", "as training sees it"]
    again = shown(figures.augmentation_figure(split, 3, count=2, versions=4))
    np.testing.assert_array_equal(images, again)
    other = shown(figures.augmentation_figure(split, 4, count=2, versions=4))
    assert not np.array_equal(images, other)


def test_no_augmentation_no_figure(digits):
    assert figures.augmentation_figure(digits, 0) is None


def test_predictions_name_the_likeliest_classes_and_take_pictures_of_any_size():
    files = ["some/folder/first.jpg", "second.png"]
    table = results.predictions_table(files, PROBABILITIES[:2], NAMES)
    assert table.rows[0][0] == files[0]
    assert table.rows[1][1::2] == ["dog", "cat", "owl"]
    assert table.rows[1][2::2] == pytest.approx([70, 20, 10], rel=1e-5)
    assert len(table.columns) == len(table.rows[0])
    two = results.predictions_table(files[:1], np.array([[0.2, 0.8]]), NAMES[:2])
    assert len(two.columns) == len(two.rows[0]) == 5
    images = [np.zeros((5, 9, 3), np.uint8), np.full((7, 3, 1), 255.0)]
    figure = figures.predictions_figure(files, images, PROBABILITIES[:2], NAMES)
    assert [image.shape for image in shown(figure)] == [(5, 9, 3), (7, 3)]
    assert "first.jpg" in texts(figure)
    assert "dog  70 %" in texts(figure)
    assert not overlapping(figure)
    assert len(shown(figures.predictions_figure(files, images, PROBABILITIES[:2], NAMES, count=1))) == 1


def test_names_with_dollars_are_no_formulas(digits):
    names = ["$\\a$", "100$ or 200$^", "owl", *map(str, range(7))]
    wrong = np.eye(10)[(digits.targets["label"] + 1) % 10]
    assert figures.confusion_figure(wrong, digits.targets["label"], names).png
    assert figures.mistakes_figure(wrong, digits, names).png
    images = [np.zeros((5, 9, 3), np.uint8)]
    assert figures.predictions_figure(["$_$.jpg"], images, PROBABILITIES[:1], names[:3]).png


def test_file_names_that_are_no_text_can_be_printed():
    table = results.predictions_table(["caf\udce9.jpg"], PROBABILITIES[:1], NAMES)
    assert table.rows[0][0] == "caf\ufffd.jpg"
    assert figures.predictions_figure(["caf\udce9.jpg"], [np.zeros((5, 9, 3))], PROBABILITIES[:1], NAMES).png


def test_published_results_stand_around_ours():
    table = results.published_table("mnist", 0.991, network="lenet5", note="on other pictures")
    assert [row[0] for row in table.rows] == ["LeNet-5, training pictures distorted", "lenet5", "LeNet-5"]
    assert table.rows[1][1] == pytest.approx(99.1)
    assert table.caption == "on other pictures"
    assert results.published_table("my/folder", 0.9) is None
    for data in results.PUBLISHED:
        assert all(50 < row[1] <= 100 for row in results.published_table(data, 0.9).rows)


def test_complexity_is_told_in_round_numbers():
    sizes = {"parameters": 39_146, "flops": 91_234_567, "file_bytes": 999_600}
    table = results.complexity_table("separable", **sizes, training=1234.5, caption="On two cores.")
    assert table.rows == [["separable", "39,146", "91.2 M", "1 MB", "1,234", None]]
    assert table.caption.endswith("On two cores.")
    assert len(table.columns) == len(table.rows[0])
