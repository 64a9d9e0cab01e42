"""How networks that write choose their words."""

from dataclasses import dataclass

from kerasapps.decoding import GREEDY, Beam, Sampling
from kerasapps.settings import Weight, ranged


@dataclass(frozen=True)
class Writing:
    """How texts are written.

    Args:
        beam: Hypotheses of the beam search; 1 is greedy.
        length_penalty: The higher, the longer the texts; 0 compares log-probabilities as they are.
    """

    beam: ranged(int, least=1, most=100) = 5
    length_penalty: Weight = 1.0

    @property
    def search(self) -> Beam | Sampling:
        """How tokens are chosen."""
        return GREEDY if self.beam == 1 else Beam(self.beam, self.length_penalty)
