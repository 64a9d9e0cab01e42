"""Writing token by token: greedy, sampling and beam search, for any network that has a graph of one step.

Nothing here knows what is written. A step takes the token before and a state, and returns log-probabilities of the next
token and the state after it; all hypotheses of a batch take it together, in one graph with the loop inside.

References: Wu et al., "Google's Neural Machine Translation System", 2016, equation 14 (length penalty); Holtzman et
al., "The Curious Case of Neural Text Degeneration", ICLR 2020 (top-p); Nguyen et al., "Turning Up the Heat", ICLR 2025
(min-p).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

State = dict[str, tf.Tensor]
# (token before int32 (N,), state) -> (log-probabilities float32 (N, V), state)
Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]

NEVER = -1e30  # log-probability of what is not to be: finite, or differences of it would be NaN
COLD = 1e-6  # temperature under which the likeliest token is taken, as at 0
FIRST = 1e9  # what puts a candidate before all others
PADDING = 0


@dataclass(frozen=True)
class Beam:
    """How a beam search chooses.

    Args:
        size: Hypotheses that are kept at each step.
        length_penalty: Exponent a of ((5 + length) / 6)^a, by which log-probabilities are divided; 0 compares them as
            they are, which favors short texts.
    """

    size: int = 5
    length_penalty: float = 1.0


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Args:
        temperature: By which log-probabilities are divided; 0 takes the likeliest token, which is greedy decoding.
        top_k: Draw among so many likeliest tokens; 0 for all.
        top_p: Draw among the fewest tokens that together have this probability, in (0, 1].
        seed: Seed.
        min_p: Draw among tokens that have at least this share of the likeliest one's probability, in [0, 1].
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    min_p: float = 0.0


GREEDY = Sampling(temperature=0.0)


class Writer:
    """Writes with a network that reads something first, such as a sentence or an image, and has a graph of one step.

    Args:
        encoder: From what is read to what the step needs of it.
        step: From "token" int32 (N, 1) and the rest to "log_probs" (N, V). An input that is also an output is state,
            which each hypothesis has for itself; one that is neither of the encoder grows along axis 1 from nothing.
        start: Token before the first.
        end: Token after the last.
    """

    def __init__(self, encoder: keras.Model, step: keras.Model, *, start: int, end: int):
        self.encoder = encoder
        self.step = step
        # Each layer has its precision. That of these models would be the policy of now, not that of the training, and
        # it would round what they are given, such as a state that is kept in float32.
        for model in (encoder, step):
            model.dtype_policy, model.autocast = keras.DTypePolicy("float32"), False
        self.start = start
        self.end = end
        self._functions: dict[Beam | Sampling, Callable] = {}  # whatever the seed

    def __call__(
        self, inputs: Mapping[str, np.ndarray], how: Beam | Sampling, *, max_length: int | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Writes one text for each row, or for a beam the best ones.

        Args:
            inputs: Inputs of the encoder (B, ...).
            how: How tokens are chosen.
            max_length: Tokens of a text at most, for all or for each (B,).

        Returns:
            Tokens int32 (B, K, L), K = 1 without a beam, the best first, 0 from the end token on; and float32 (B, K)
            their scores: log-probabilities, for a beam with its length penalty.
        """
        seed, kind = (0, how) if isinstance(how, Beam) else (how.seed, replace(how, seed=0))
        if kind not in self._functions:
            signature = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in self.encoder.inputs}
            call = functools.partial(self._write, how=kind)
            limits, number = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.int32)
            self._functions[kind] = tf.function(call, [signature, limits, number], autograph=False)
        given = {tensor.name: tf.constant(inputs[tensor.name], tensor.dtype) for tensor in self.encoder.inputs}
        rows = len(next(iter(given.values())))
        limits = tf.constant(np.broadcast_to(max_length, (rows,)), tf.int32)
        tokens, scores = self._functions[kind](given, limits, tf.constant(seed))
        return tokens.numpy(), scores.numpy()

    def _write(self, inputs, max_length, seed, *, how: Beam | Sampling):
        encoded = self.encoder(inputs, training=False)
        rows = tf.shape(next(iter(encoded.values())))[0]
        growing = {
            tensor.name: tf.zeros((rows, 0, tensor.shape[-1]), tensor.dtype)
            for tensor in self.step.inputs
            if tensor.name not in encoded and tensor.name != "token"
        }
        own = growing | {name: value for name, value in encoded.items() if name in self.step.output}
        read = {name: value for name, value in encoded.items() if name not in own}
        if isinstance(how, Beam):
            read = {name: tf.repeat(value, how.size, axis=0) for name, value in read.items()}

        def step(token, state):
            outputs = self.step({"token": token[:, None], **read, **state}, training=False)
            return outputs["log_probs"], {name: outputs[name] for name in state}

        ends = {"start": self.start, "end": self.end, "max_length": max_length}
        if isinstance(how, Beam):
            return beam_search(step, own, how, **ends)
        tokens, scores = sample(step, own, replace(how, seed=seed), **ends)
        return tokens[:, None], scores[:, None]


def sample(step: Step, state: State, how: Sampling, *, start: int, end: int, max_length) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws a text for each row of the state, or takes the likeliest tokens; `max_length` as for `beam_search`.

    Returns:
        Tokens int32 (B, L), 0 from the end token on, and their log-probability under the network float32 (B,).
    """
    tokens, score, _ = sample_on(step, state, how, start=start, end=end, max_length=max_length)
    return tokens, score


def sample_on(
    step: Step, state: State, how: Sampling, *, start, end: int, max_length, drawn=0
) -> tuple[tf.Tensor, tf.Tensor, State]:
    """Does as `sample`, of which it is a part where `drawn` tokens were drawn before; returns the state as well.

    `start` is one token, or one for each row (B,).
    """
    rows = tf.shape(tf.nest.flatten(state)[0])[0]

    def body(t, tokens, score, done, state):
        log_probs, state = step(tokens[:, -1], state)
        token = _drawn(log_probs, how, t + drawn)
        score += tf.where(done, 0.0, tf.gather(log_probs, token, batch_dims=1))
        token = tf.where(done, PADDING, token)
        done |= (token == end) | (t + 1 >= max_length)
        return t + 1, tf.concat([tokens, token[:, None]], 1), score, done, state

    first = (
        tf.constant(0),
        tf.broadcast_to(tf.reshape(start, (-1, 1)), (rows, 1)),
        tf.zeros((rows,)),
        tf.zeros((rows,), tf.bool),
        state,
    )
    _, tokens, score, _, state = tf.while_loop(
        lambda t, tokens, score, done, state: ~tf.reduce_all(done),
        body,
        first,
        shape_invariants=tf.nest.map_structure(_growing, first),
    )
    return _without_end(tokens[:, 1:], end), score, state


def penalized(step: Step, penalty: float) -> Step:
    """Returns a step that divides the probability of tokens that there were before by a penalty, at least 1.

    Its state has "seen" as well, float32 (N, V), 1 for those tokens.
    """

    def call(token, state):
        others = {name: value for name, value in state.items() if name != "seen"}
        log_probs, others = step(token, others)
        seen = tf.maximum(state["seen"], tf.one_hot(token, tf.shape(log_probs)[-1]))
        return log_probs - np.float32(np.log(penalty)) * seen, others | {"seen": seen}

    return call


def _drawn(log_probs, how: Sampling, t):
    """Returns a token for each row: int32 (N,)."""
    if how.temperature < COLD:
        return tf.argmax(log_probs, -1, output_type=tf.int32)
    logits = log_probs / how.temperature
    if how.min_p:
        likeliest = tf.reduce_max(logits, -1, keepdims=True)
        logits = tf.where(logits >= likeliest + np.float32(np.log(how.min_p)), logits, NEVER)
    if how.top_k or how.top_p < 1:
        size = tf.shape(logits)[-1]
        ordered = tf.sort(logits, direction="DESCENDING")
        least = ordered[:, :1]
        if how.top_p < 1:
            before = tf.cumsum(tf.nn.softmax(ordered), -1, exclusive=True)
            count = tf.reduce_sum(tf.cast(before < how.top_p, tf.int32), -1, keepdims=True)  # at least 1
            least = tf.gather(ordered, count - 1, batch_dims=1)
        if how.top_k:
            kth = ordered[:, tf.minimum(min(how.top_k, np.iinfo(np.int32).max), size) - 1, None]
            least = tf.maximum(least, kth) if how.top_p < 1 else kth
        logits = tf.where(logits >= least, logits, NEVER)
    uniform = tf.random.stateless_uniform(tf.shape(logits), [how.seed, t], minval=np.finfo(np.float32).tiny)
    return tf.argmax(logits - tf.math.log(-tf.math.log(uniform)), -1, output_type=tf.int32)  # Gumbel's trick


def beam_search(
    step: Step, state: State, how: Beam, *, start: int, end: int, max_length
) -> tuple[tf.Tensor, tf.Tensor]:
    """Searches for the texts with the best scores.

    The greedy continuation is always among the hypotheses, so that without a length penalty no wider beam ends with a
    lower score than greedy decoding; a beam of 1 is greedy decoding.

    Args:
        step: Takes B K rows, those of a text one after the other.
        state: Of B rows.
        how: How it chooses.
        start: Token before the first, one or one for each row (B,).
        end: Token after the last.
        max_length: Tokens of a text at most, at least 1, for all or for each row (B,); one that does not end by then
            counts as it is.

    Returns:
        Tokens int32 (B, K, L), the best first, 0 from the end token on, and their scores float32 (B, K).
    """
    size = how.size
    rows = tf.shape(tf.nest.flatten(state)[0])[0]
    state = {name: tf.repeat(value, size, axis=0) for name, value in state.items()}
    limits = tf.broadcast_to(tf.reshape(max_length, (-1, 1)), (rows, 1))
    tokens = tf.broadcast_to(tf.reshape(start, (-1, 1, 1)), (rows, size, 1))
    score = tf.tile([[0.0] + [NEVER] * (size - 1)], (rows, 1))  # at first all hypotheses are one
    first = (
        tf.constant(0),
        tokens,
        score,
        tf.ones((rows,), tf.bool),  # whether the first hypothesis is the greedy one
        tokens,
        tf.fill((rows, size), NEVER),
        state,
    )

    def rated(score, length):
        penalty = ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** how.length_penalty
        return tf.where(score > NEVER / 2, score / penalty, NEVER)

    def body(t, tokens, score, greedy, done, done_score, state):
        log_probs, state = step(tf.reshape(tokens[:, :, -1], (-1,)), state)
        chosen, ended, greedy = _choose(log_probs, tokens, score, greedy, size=size, end=end)
        tokens, score, beam = chosen
        last = t + 1 >= limits  # (B, 1)
        done = tf.concat([tf.pad(done, [(0, 0), (0, 0), (0, 1)]), ended[0], tokens], 1)  # (B, 4 K, t + 2)
        cut = tf.where(last, score, NEVER)
        done_score = tf.concat([done_score, rated(ended[1], t + 1), rated(cut, t + 1)], 1)
        score = tf.where(last, NEVER, score)
        done_score, best = tf.math.top_k(done_score, size)
        done = tf.gather(done, best, batch_dims=1)
        if size == 1:  # greedy decoding ends here
            score = tf.where(done_score > NEVER, NEVER, score)
        hypotheses = tf.reshape(beam + tf.range(rows)[:, None] * size, (-1,))
        state = {name: tf.gather(value, hypotheses) for name, value in state.items()}
        return t + 1, tokens, score, greedy, done, done_score, state

    def unfinished(t, tokens, score, greedy, done, done_score, state):
        # What a hypothesis may still reach: probabilities fall, and the penalty is largest at the end.
        reachable = rated(tf.reduce_max(score, 1), limits[:, 0])
        return tf.reduce_any(reachable > done_score[:, -1])

    invariants = tf.nest.map_structure(_loose, first)
    _, _, _, _, done, done_score, _ = tf.while_loop(unfinished, body, first, shape_invariants=invariants)
    return _without_end(done[:, :, 1:], end), done_score


def _choose(log_probs, tokens, score, greedy, *, size: int, end: int):
    """Chooses among all continuations of the hypotheses of each row.

    Returns:
        The best that go on: tokens (B, K, t + 1), log-probabilities (B, K), and which hypothesis each continues; the
        best that end, tokens (B, 2 K, t + 1) and log-probabilities (B, 2 K); and whether the greedy one goes on (B,).
    """
    rows = tf.shape(score)[0]
    # One of a hypothesis's continuations ends, so that this many leave enough that go on.
    width = min(size + 1, log_probs.shape[-1])
    likely, token = tf.math.top_k(log_probs, width)  # (B K, K + 1)
    total = tf.reshape(score[:, :, None] + tf.reshape(likely, (rows, size, -1)), (rows, -1))  # (B, K (K + 1))
    token = tf.reshape(token, (rows, -1))
    bonus = tf.one_hot(0, tf.shape(total)[1]) * FIRST * tf.cast(greedy, tf.float32)[:, None]
    _, best = tf.math.top_k(total + bonus, 2 * size)  # (B, 2 K)
    token, total = tf.gather(token, best, batch_dims=1), tf.gather(total, best, batch_dims=1)
    beam = best // width
    grown = tf.concat([tf.gather(tokens, beam, batch_dims=1), token[..., None]], -1)  # (B, 2 K, t + 1)
    ends = token == end
    # Among the first K alone: that of a single hypothesis ends only where ending is its likeliest continuation.
    ended = grown, tf.where(ends & (tf.range(2 * size) < size), total, NEVER)
    greedy &= ~ends[:, 0]
    bonus = tf.one_hot(0, 2 * size) * FIRST * tf.cast(greedy, tf.float32)[:, None]
    _, on = tf.math.top_k(tf.where(ends, 2 * NEVER, total) + bonus, size)
    picked = [tf.gather(one, on, batch_dims=1) for one in (grown, total, beam)]
    return picked, ended, greedy


def _without_end(tokens, end: int):
    """Sets the end token to padding."""
    return tf.where(tokens == end, PADDING, tokens)


def _loose(tensor) -> tf.TensorShape:
    """Returns the shape of a loop's tensor, whose axes before the last may change, and the last of integers too."""
    rank = tensor.shape.rank
    last = None if tensor.dtype.is_integer else tensor.shape[-1] if rank else None
    return tf.TensorShape([None] * (rank - 1) + [last] if rank else [])


def _growing(tensor) -> tf.TensorShape:
    """Returns that of a loop's tensor whose rows, its first axis, stay as many."""
    loose = _loose(tensor)
    return tensor.shape[:1].concatenate(loose[1:]) if loose.rank else loose


def in_batches(function: Callable[[np.ndarray], Sequence], lengths: np.ndarray, *, batch_size: int) -> list:
    """Calls a function with the numbers of rows of similar length, and returns its results in the order of the rows.

    Args:
        function: From row numbers to a result for each.
        lengths: Length of each row.
        batch_size: Rows in a call at most.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    results: list = [None] * len(order)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for row, result in zip(rows, function(rows), strict=True):
            results[row] = result
    return results
