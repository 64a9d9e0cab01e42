"""What the question-answering experiment shows: accuracy by kind, published figures, and what was looked at."""

from collections.abc import Sequence

import keras
import numpy as np

from kerasapps.applications.memory_network import attention_of
from kerasapps.data.babi import TASK_NAMES, Question
from kerasapps.data.question_answering import Vocabulary, encode
from kerasapps.data.splits import Split
from kerasapps.reports import Reading, Table

# Accuracy in percent on bAbI 1k, tasks 1 to 20: the LSTM baseline of Weston et al. 2016, as quoted in Keras'
# examples/babi_rnn.py.
PUBLISHED_LSTM = (50, 20, 20, 61, 70, 48, 49, 45, 64, 44, 72, 74, 94, 27, 21, 23, 51, 52, 8, 91)
# Mean error in percent on bAbI 1k.
MEMN2N_JOINT = "MemN2N, one network for all tasks (Sukhbaatar et al. 2015)"
PUBLISHED_MEAN_ERROR = {
    "LSTM (Weston et al. 2016)": 50.8,
    MEMN2N_JOINT: 12.4,
    "MemN2N, a network a task (Sukhbaatar et al. 2015)": 13.8,
    "Universal Transformer, a network a task, best of 10 (Dehghani et al. 2019)": 4.55,
}
TOP_ANSWERS = 3
SHOWN = 12
BATCH_SIZE = 64


def is_right(probabilities: np.ndarray, split: Split) -> np.ndarray:
    """Returns which answers are right, bool (n,); class 0 stands for answers nobody can give and never is."""
    target = split.targets["answer"]
    return (probabilities.argmax(-1) == target) & (target != 0)


def accuracy_by_kind(probabilities: np.ndarray, split: Split, questions: Sequence[Question]) -> dict[str, float]:
    """Returns the share of right answers for each kind of question, in the order of the kinds.

    Args:
        probabilities: Output of the model, (n, num_answers).
        split: The rows it answered.
        questions: The questions behind them.
    """
    right = is_right(probabilities, split)
    kinds = np.array([question.kind for question in questions])
    return {kind: float(right[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}


def evaluate_model(
    model: keras.Model, split: Split, questions: Sequence[Question]
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns loss and accuracy, and the accuracy by kind of question."""
    probabilities = model.predict(split.batches(BATCH_SIZE), verbose=0)["answer"]
    loss = keras.losses.sparse_categorical_crossentropy(split.targets["answer"], probabilities)
    metrics = {
        "accuracy": float(is_right(probabilities, split).mean()),
        "loss": float(keras.ops.mean(loss)),
    }
    return metrics, accuracy_by_kind(probabilities, split, questions)


def pick(questions: Sequence[Question], count: int = SHOWN) -> list[Question]:
    """Picks questions to show, of as many kinds as there are, short stories first: these are read."""
    kinds: dict[str, Question] = {}
    for question in questions:
        shortest = kinds.get(question.kind)
        if shortest is None or len(question.story) < len(shortest.story):
            kinds[question.kind] = question
    return list(kinds.values())[:count]


def published_accuracy(kind: str) -> float | None:
    """Returns the published accuracy of the LSTM baseline on a bAbI task, in percent."""
    return PUBLISHED_LSTM[int(kind[2:]) - 1] if kind in TASK_KINDS else None


TASK_KINDS = {f"qa{task}": name for task, name in enumerate(TASK_NAMES, start=1)}


def kinds_table(accuracies: dict[str, dict[str, float]]) -> Table:
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
        "Right answers on the test part, in percent",
        ["kind of question", *accuracies, *(["LSTM, published"] if published else [])],
        rows,
        caption=(
            "Published: the LSTM baseline of Weston et al. 2016, one network a task, 1,000 questions; its mean is over "
            "the tasks shown. On all 20 tasks MemN2N has a mean error of 12.4 % with one network for all, and the "
            "Universal Transformer 4.55 % with one a task, the best of ten runs."
        )
        if published
        else "",
    )


def read_questions(model: keras.Model, vocabulary: Vocabulary, questions: Sequence[Question]) -> list[Reading]:
    """Has a model answer questions and tells what it looked at; a network without sentences looks at none."""
    split = encode(questions, vocabulary)
    probabilities = model.predict(split.batches(len(questions)), verbose=0)["answer"]
    weights: list[np.ndarray] = [np.zeros((0, 0))] * len(questions)
    if vocabulary.form == "story":
        hops = attention_of(model).predict(split.batches(len(questions)), verbose=0)
        weights = list(np.stack([hops[name] for name in sorted(hops)], 1))  # (n, hops, S)
    readings = []
    for question, likely, looked in zip(questions, probabilities, weights, strict=True):
        kept = len(question.story[-looked.shape[-1] :]) if looked.size else 0
        top = likely.argsort()[::-1][:TOP_ANSWERS]
        # Sentences before those that the network keeps were not looked at.
        padded = np.pad(looked[:, :kept], ((0, 0), (len(question.story) - kept, 0))) if looked.size else looked
        readings.append(
            Reading(
                sentences=question.text,
                question=question.question_text,
                truth=question.answer or None,
                answers=[(vocabulary.answers[i], float(likely[i])) for i in top],
                weights=padded,
                supports=question.supports,
            )
        )
    return readings


def text_of(reading: Reading) -> str:
    """Returns a reading for the terminal: the story, the answers, and a mark at the sentences most looked at."""
    looked = reading.weights.max(0) if reading.weights.size else np.zeros(len(reading.sentences))
    lines = [
        f"  {'●' if weight >= 0.5 else '○' if weight >= 0.15 else ' '} {weight:4.2f}  {sentence}"
        if reading.weights.size
        else f"  {sentence}"
        for sentence, weight in zip(reading.sentences, looked, strict=True)
    ]
    answers = ", ".join(f"{answer} {probability:.0%}" for answer, probability in reading.answers)
    truth = f"   (true: {reading.truth})" if reading.truth else ""
    return "\n".join([*lines, f"  {reading.question}  ->  {answers}{truth}"])
