"""Texts from a language model: a prompt is read at once, each token then costs one step, and what is made streams out.

What was read is kept in the state of the step model. Caches of keys and values are bounded: when they hold as many
tokens as the network was trained on, the later half of these is read anew, as a text of its own. Positions stay those
that the network knows, and a token costs the same however long the text is.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from kerasapps.decoding import NEVER, Beam, Sampling, State, beam_search, penalized, sample_on

NO_END = -1  # no token ends a text
CHUNK = 32  # tokens that are made before they are shown, 4 to 30 milliseconds


class Generator:
    """Writes with a language model.

    Args:
        step: From "token" int32 (N, T) and a state to "log_probs" (N, V) of the token after them, and the state. Of a
            state (N, U) it begins with zeros, of a cache (N, T', D) with nothing.
        context: Tokens that its caches hold at most; None if it has none.
        banned: Tokens that are never written, such as padding.
    """

    def __init__(self, step: keras.Model, *, context: int | None = None, banned: Sequence[int] = ()):
        self.step = step
        # Each layer has its precision; that of the model would be the policy of now.
        step.dtype_policy, step.autocast = keras.DTypePolicy("float32"), False
        self.states = {tensor.name: tensor for tensor in step.inputs if tensor.name != "token"}
        self.context = context
        self.bans = np.zeros(step.output["log_probs"].shape[-1], np.float32)
        self.bans[list(banned)] = NEVER
        self._functions: dict[tuple, Callable] = {}  # by rows and how tokens are drawn, whatever the seed

    def stream(
        self, prompt: np.ndarray, how: Sampling, *, rows: int, length: int, penalty: float = 1.0
    ) -> Iterator[np.ndarray]:
        """Draws several texts that begin alike.

        Args:
            prompt: Tokens of the beginning, at least one, int32 (T,).
            how: How tokens are drawn.
            rows: Number of texts.
            length: Tokens of each.
            penalty: By what the probability of tokens that there were before is divided; 1 for none.

        Yields:
            The next tokens of all texts, int32 (rows, k).
        """
        text = np.tile(np.asarray(prompt, np.int32), (rows, 1))
        state, made, held = None, 0, 0
        call = self._function("draw", rows, replace(how, seed=0), penalty)
        while made < length:
            if state is None or held == self.context:
                state, held = self.read(text)
            count = min(CHUNK, length - made, CHUNK if self.context is None else self.context - held)
            if penalty != 1:
                state["seen"] = tf.constant(self._seen(text))
            numbers = [tf.constant(one, tf.int32) for one in (made, count, how.seed)]
            tokens, state = call(tf.constant(text[:, -1]), state, *numbers)
            tokens = tokens.numpy()
            made, held = made + count, held + count
            text = np.concatenate([text, tokens], 1)
            yield tokens

    def search(
        self, prompt: np.ndarray, how: Beam, *, length: int, penalty: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Searches for the likeliest texts.

        Args:
            prompt: Tokens of the beginning, at least one, int32 (T,).
            how: How the beam search chooses.
            length: Tokens of each text.
            penalty: As for `stream`.

        Returns:
            Tokens int32 (K, length), the best first, and their scores float32 (K,).

        Raises:
            ValueError: If the caches cannot hold prompt and text.
        """
        if self.context is not None and len(prompt) + length > self.context + 1:
            raise ValueError(
                f"`length` and prompt must be at most {self.context + 1} tokens together in a beam search. "
                f"Received: {length} and {len(prompt)}"
            )
        text = np.asarray(prompt, np.int32)[None]
        state, _ = self.read(text)
        if penalty != 1:
            state["seen"] = tf.constant(self._seen(text))
        tokens, scores = self._function("search", None, how, penalty)(
            tf.constant(text[:, -1]), state, *(tf.constant(one, tf.int32) for one in (0, length, 0))
        )
        return tokens.numpy()[0], scores.numpy()[0]

    def read(self, text: np.ndarray) -> tuple[State, int]:
        """Reads texts int32 (N, T) but for their last token; returns the state, and how many tokens caches hold."""
        rows, size = text.shape
        if self.context is not None and size > self.context:
            text = text[:, -max(1, self.context // 2) :]
        state = {
            name: tf.zeros(
                (rows, 0, tensor.shape[-1]) if len(tensor.shape) == 3 else (rows, tensor.shape[-1]), tensor.dtype
            )
            for name, tensor in self.states.items()
        }
        if text.shape[1] > 1:
            state = self._function("read", rows)(tf.constant(text[:, :-1]), state)
        return state, text.shape[1] - 1

    def _function(self, kind: str, rows: int | None, *options) -> Callable:
        """Returns one of the graphs, made when it is first needed.

        With a number of rows it is for these alone: where shapes are known, no operation has to compute them.
        """
        if (kind, rows, *options) not in self._functions:
            state = {
                name: tf.TensorSpec((rows, *tensor.shape[1:]), tensor.dtype) for name, tensor in self.states.items()
            }
            tokens, number = tf.TensorSpec((rows,) if options else (rows, None), tf.int32), tf.TensorSpec((), tf.int32)
            if options and options[-1] != 1:
                state["seen"] = tf.TensorSpec((rows, self.step.output["log_probs"].shape[-1]), tf.float32)
            signature = [tokens, state, *[number] * 3] if options else [tokens, state]
            call = functools.partial(getattr(self, f"_{kind}"), *options)
            self._functions[kind, rows, *options] = tf.function(call, signature, autograph=False)
        return self._functions[kind, rows, *options]

    def _read(self, tokens, state):
        outputs = self.step({"token": tokens, **state}, training=False)
        return {name: outputs[name] for name in state}

    def _draw(self, how: Sampling, penalty: float, token, state, made, count, seed):
        given = {"start": token, "end": NO_END, "max_length": count, "drawn": made}
        tokens, _, state = sample_on(self._step(penalty), state, replace(how, seed=seed), **given)
        return tokens, {name: state[name] for name in self.states}

    def _search(self, how: Beam, penalty: float, token, state, _, count, __):
        return beam_search(self._step(penalty), state, how, start=token, end=NO_END, max_length=count)

    def _step(self, penalty: float):
        def step(token, state):
            outputs = self.step({"token": token[:, None], **state}, training=False)
            return outputs["log_probs"] + self.bans, {name: outputs[name] for name in state}

        return step if penalty == 1 else penalized(step, penalty)

    def _seen(self, text: np.ndarray) -> np.ndarray:
        """Returns 1 for the tokens of each text: float32 (N, V)."""
        seen = np.zeros((len(text), self.step.output["log_probs"].shape[-1]), np.float32)
        for row, tokens in zip(seen, text, strict=True):
            row[tokens] = 1
        return seen
