"""What the question-answering experiment reports: accuracy by kind of question, published figures, attention."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from kerasapps.applications.memory_network import attention_of
from kerasapps.data.babi import TASK_NAMES, Question
from kerasapps.data.question_answering import StoryCodec
from kerasapps.data.splits import Split
from kerasapps.formats import format_share
from kerasapps.reports import Figure, Reading, Readings, Table, curves

from ..shared.classification import guessing_level
from ..shared.runs import outputs_of
from ..shared.training import Trained

# Accuracy in percent on bAbI 1k, tasks 1 to 20: the LSTM baseline of Weston et al. 2016, as quoted in Keras'
# examples/babi_rnn.py.
PUBLISHED_LSTM = (50, 20, 20, 61, 70, 48, 49, 45, 64, 44, 72, 74, 94, 27, 21, 23, 51, 52, 8, 91)
# Mean error in percent on bAbI 1k.
MEMN2N_JOINT = "MemN2N, one network for all tasks (Sukhbaatar et al. 2015)"
PUBLISHED_MEAN_ERROR = {
    "LSTM (Weston et al. 2016)": 50.8,
    MEMN2N_JOINT: 12.4,
    "MemN2N, one network per task (Sukhbaatar et al. 2015)": 13.8,
    "Universal Transformer, one network per task, best of 10 (Dehghani et al. 2019)": 4.55,
}
TASK_KINDS = {f"qa{task}": name for task, name in enumerate(TASK_NAMES, start=1)}
TOP_ANSWERS = 3
SHOWN = 12
PRINTED = 3
BATCH_SIZE = 64


def is_correct(probabilities: np.ndarray, split: Split) -> np.ndarray:
    """Returns which answers are correct, bool (n,); class 0, any answer not seen in training, never is."""
    target = split.targets["answer"]
    return (probabilities.argmax(-1) == target) & (target != 0)


def accuracy_by_kind(probabilities: np.ndarray, split: Split, questions: Sequence[Question]) -> dict[str, float]:
    """Returns the accuracy for each kind of question, in the order of the kinds.

    Args:
        probabilities: Output of the model, (n, num_answers).
        split: The rows it answered.
        questions: The questions behind them.
    """
    correct = is_correct(probabilities, split)
    kinds = np.array([question.kind for question in questions])
    return {kind: float(correct[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}


def evaluate_model(
    model: keras.Model, split: Split, questions: Sequence[Question]
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns loss and accuracy, and the accuracy by kind of question."""
    probabilities = model.predict(split.batches(BATCH_SIZE), verbose=0)["answer"]
    loss = keras.losses.sparse_categorical_crossentropy(split.targets["answer"], probabilities)
    metrics = {
        "accuracy": float(is_correct(probabilities, split).mean()),
        "loss": float(keras.ops.mean(loss)),
    }
    return metrics, accuracy_by_kind(probabilities, split, questions)


def test_metrics(networks: Mapping[str, Trained]) -> tuple[dict[str, float], Table]:
    """Returns the metrics on the test set, those of a second network as the baseline's, and a table by kind."""
    metrics, by_kind = {}, {}
    for (name, one), suffix in zip(networks.items(), ("", "_baseline"), strict=False):
        tested, by_kind[name] = evaluate_model(one.model, one.splits.test, one.splits.questions["test"])
        tested["accuracy_guess"] = guessing_level(one.splits.train.targets["answer"], one.splits.test.targets["answer"])
        tested |= {f"accuracy_{kind}": accuracy for kind, accuracy in by_kind[name].items()}
        metrics |= {f"{metric}{suffix}": value for metric, value in tested.items()}
    return metrics, kinds_table(by_kind)


def baseline_curves(networks: Mapping[str, Trained]) -> list[Figure]:
    """Returns the learning curves of all networks but the first."""
    _, *others = networks.items()
    return [
        curves(one.history.rows, best_epoch=one.history.best_epoch, name="curves_baseline", network=name)
        for name, one in others
        if one.history.rows
    ]


def readings_block(readings: Sequence[Reading]) -> Readings:
    """Returns test questions with what a network answers."""
    legend = "The darker a cell, the more that hop attends to the sentence. " if readings[0].weights.size else ""
    return Readings("Test questions", f"{legend}Sentences in bold are the supporting facts.", readings)


def pick(questions: Sequence[Question], count: int = SHOWN) -> list[Question]:
    """Picks questions to show, of as many kinds as there are, those with the shortest stories: these are read."""
    kinds: dict[str, Question] = {}
    for question in questions:
        shortest = kinds.get(question.kind)
        if shortest is None or len(question.story) < len(shortest.story):
            kinds[question.kind] = question
    return list(kinds.values())[:count]


def published_accuracy(kind: str) -> float | None:
    """Returns the published accuracy of the LSTM baseline on a bAbI task, in percent."""
    return PUBLISHED_LSTM[int(kind[2:]) - 1] if kind in TASK_KINDS else None


def kinds_table(accuracies: Mapping[str, Mapping[str, float]]) -> Table:
    """Compares models by kind of question; each model comes with its accuracy by kind."""
    first = next(iter(accuracies.values()))
    published = any(kind in TASK_KINDS for kind in first)
    rows = [
        [
            f"{kind} {TASK_KINDS.get(kind, '')}".strip().replace("_", " "),
            *(100 * by_kind[kind] for by_kind in accuracies.values()),
            *([published_accuracy(kind)] if published else []),
        ]
        for kind in first
    ]
    known = [figure for figure in map(published_accuracy, first) if figure is not None]
    means = [100 * float(np.mean(list(by_kind.values()))) for by_kind in accuracies.values()]
    rows.append(["mean over the kinds", *means, *([float(np.mean(known))] if published else [])])
    return Table(
        "Test accuracy in percent",
        ["kind of question", *accuracies, *(["LSTM, published"] if published else [])],
        rows,
        caption=(
            "Published: the LSTM baseline of Weston et al. 2016, one network per task, 1,000 training questions; its "
            "mean is over the tasks shown. On all 20 tasks MemN2N has a mean error of 12.4 % with one network for all, "
            "and the Universal Transformer 4.55 % with one network per task, the best of ten runs."
        )
        if published
        else "",
    )


def read_questions(model: keras.Model, codec: StoryCodec, questions: Sequence[Question]) -> list[Reading]:
    """Returns what a model answers and, where it reads sentences, the attention of each hop."""
    split, names = codec.split(questions), [*model.output]
    hops = attention_of(model).output if codec.form == "story" else {}
    # By one call that is traced: `predict` would take a quarter of a second for its loop over batches, twice.
    outputs = outputs_of(keras.Model(model.inputs, model.output | hops, name=model.name), split.inputs)
    answers = codec.decode({name: outputs[name] for name in names})
    attention: list[np.ndarray] = [np.zeros((0, 0))] * len(questions)
    if codec.form == "story":
        attention = list(np.stack([outputs[name] for name in sorted(hops)], 1))  # (n, hops, S)
    readings = []
    for question, likely, weights in zip(questions, answers, attention, strict=True):
        if weights.size:
            # A long story is cut: the network does not see its first sentences.
            kept = len(question.story[-weights.shape[-1] :])
            weights = np.pad(weights[:, :kept], ((0, 0), (len(question.story) - kept, 0)))
        readings.append(
            Reading(
                sentences=question.text,
                question=question.question_text,
                truth=question.answer or None,
                answers=list(likely.items())[:TOP_ANSWERS],
                weights=weights,
                supports=question.supports,
            )
        )
    return readings


def text_of(reading: Reading) -> str:
    """Returns a reading for the terminal: the story with a mark at the sentences attended to most, the answers."""
    attention = reading.weights.max(0) if reading.weights.size else np.zeros(len(reading.sentences))
    lines = [
        f"  {'●' if weight >= 0.5 else '○' if weight >= 0.15 else ' '} {weight:4.2f}  {sentence}"
        if reading.weights.size
        else f"  {sentence}"
        for sentence, weight in zip(reading.sentences, attention, strict=True)
    ]
    answers = ", ".join(f"{answer} {format_share(probability, 0)}" for answer, probability in reading.answers)
    truth = f"   (true: {reading.truth})" if reading.truth else ""
    return "\n".join([*lines, f"  {reading.question}  ->  {answers}{truth}"])


def printed(readings: Sequence[Reading], metrics: Mapping[str, float]) -> str:
    """Returns some readings and the test accuracy for the terminal."""
    stories = "\n\n".join(map(text_of, readings[:PRINTED]))
    return f"Some test questions:\n\n{stories}\n\n{format_share(metrics['accuracy'])} test accuracy."
