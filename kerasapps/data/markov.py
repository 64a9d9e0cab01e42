"""A hidden Markov source: sequences whose hidden states are drawn one from another, and what can be known of them.

Each state emits what is seen at its step. The probability of a state given all that is seen (smoothing), or only what
was seen so far (filtering), follows exactly, and with it the best that any network can do.

Reference: Rabiner, "A Tutorial on Hidden Markov Models", Proceedings of the IEEE 1989.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MarkovSource:
    """The hidden part of the source.

    Args:
        start: Probability of each state at the first step, float64 (S,).
        moves: Probability of each state (columns) after each state (rows), float64 (S, S).
        end: Probability that nothing follows each state, float64 (S,); with it the rows of `moves` add up to 1. All 1
            for sequences whose length was drawn before.
    """

    start: np.ndarray
    moves: np.ndarray
    end: np.ndarray

    def draw(self, rng: np.random.Generator) -> list[int]:
        """Draws the states of a sequence until it ends."""
        options = np.column_stack([self.moves, self.end])
        states = [int(rng.choice(len(self.start), p=self.start))]
        while (after := int(rng.choice(len(self.end) + 1, p=options[states[-1]]))) < len(self.end):
            states.append(after)
        return states

    def filtered(self, likelihoods: np.ndarray) -> np.ndarray:
        """Returns the probability of each state given what was seen up to its step, (T, S).

        Args:
            likelihoods: Probability or density of what is seen at each step given each state, up to a factor a step,
                (T, S).
        """
        forward = np.empty_like(likelihoods)
        for t, seen in enumerate(likelihoods):
            expected = forward[t - 1] @ self.moves if t else self.start
            forward[t] = expected * seen
            forward[t] /= forward[t].sum()
        return forward

    def smoothed(self, likelihoods: np.ndarray) -> np.ndarray:
        """Returns the probability of each state given all of the sequence, and that it ends there, (T, S)."""
        backward = np.empty_like(likelihoods)
        backward[-1] = self.end
        for t in range(len(likelihoods) - 2, -1, -1):
            backward[t] = self.moves @ (likelihoods[t + 1] * backward[t + 1])
            backward[t] /= backward[t].sum()
        both = self.filtered(likelihoods) * backward
        return both / both.sum(1, keepdims=True)
