"""Text from a source whose entropy is known: the data set of language models that needs no download.

Each line is drawn independently from a probabilistic grammar (a word in brackets comes with the probability given, one
of a list is drawn with equal probabilities):

    line     noun VERB noun . end                    0.6
             NAME SAID , " noun VERB . " end         0.4
    noun     THE [ADJECTIVE 0.4] NOUN                0.5, and a verb after it ends with s
             MANY [ADJECTIVE 0.4] NOUNs              0.5

No text can be derived in two ways, so the probability of a line is that of its choices, and the entropy of the source
is the sum of theirs. Lines are independent and have a mean length, so that of a character is the entropy of a line
divided by it: no network predicts better, up to chance. To come near it a network must spell, know where in the line it
is, carry the number of a noun to its verb, over an adjective, and remember an open quotation mark over several words.
"""

from dataclasses import dataclass

import numpy as np

NAMES = ("anna", "boris", "clara", "david", "emma", "felix", "gina", "hugo")
SAID = ("says", "asks", "calls", "warns")
THE = ("the", "one", "this", "our")
MANY = ("two", "six", "many", "all")
ADJECTIVES = ("old", "big", "red", "kind", "fat", "wise", "tiny", "loud", "jolly", "pale", "quick", "nice")
NOUNS = (
    *("cat", "dog", "bird", "goat", "lion", "king", "queen", "poet"),
    *("nurse", "farmer", "rabbit", "tiger", "uncle", "sailor", "owl", "judge"),
)
VERBS = ("see", "hear", "help", "like", "follow", "trust", "greet", "meet", "bite", "draw", "paint", "invite")
QUOTED, SINGULAR, DESCRIBED = 0.4, 0.5, 0.4


@dataclass(frozen=True)
class Lines:
    """Lines of the source.

    Args:
        text: The text.
        nats: Minus the logarithm of its probability.
    """

    text: str
    nats: float


def write_lines(count: int, *, seed: int) -> Lines:
    """Draws lines; those of a smaller count are the first of a larger one."""
    lines, nats = [], 0.0
    for draws in np.random.default_rng(seed).random((count, 14)):
        line, surprise = _line(_Choices(draws))
        lines.append(line)
        nats += surprise
    return Lines("".join(lines), nats)


def entropy() -> float:
    """Returns the entropy of the source in nats a character."""
    noun = _of(SINGULAR) + np.log(4) + _of(DESCRIBED) + DESCRIBED * np.log(len(ADJECTIVES)) + np.log(len(NOUNS))
    line = _of(QUOTED) + noun + np.log(len(VERBS))
    line += QUOTED * (np.log(len(NAMES)) + np.log(len(SAID))) + (1 - QUOTED) * noun
    return float(line / mean_length())


def mean_length() -> float:
    """Returns the mean length of a line in characters, its end included."""
    noun = SINGULAR * _mean(THE) + (1 - SINGULAR) * (_mean(MANY) + 1)  # the plural's s
    noun += DESCRIBED * (_mean(ADJECTIVES) + 1) + _mean(NOUNS) + 1  # and blanks between
    line = noun + 1 + _mean(VERBS) + SINGULAR + len(".\n")
    return line + QUOTED * (_mean(NAMES) + _mean(SAID) + len(' , ""')) + (1 - QUOTED) * (1 + noun)


class _Choices:
    """Turns uniform numbers into choices, and adds up how surprising these are."""

    def __init__(self, draws: np.ndarray):
        self.draws = iter(draws)
        self.nats = 0.0

    def of(self, options: tuple[str, ...]) -> str:
        """Draws one of several, all alike."""
        self.nats += np.log(len(options))
        return options[int(next(self.draws) * len(options))]

    def whether(self, probability: float) -> bool:
        """Draws yes or no."""
        yes = bool(next(self.draws) < probability)
        self.nats -= np.log(probability if yes else 1 - probability)
        return yes


def _line(choices: _Choices) -> tuple[str, float]:
    """Returns a line, and minus the logarithm of its probability."""
    quoted = choices.whether(QUOTED)
    start = f'{choices.of(NAMES)} {choices.of(SAID)}, "' if quoted else ""
    subject, singular = _noun(choices)
    verb = choices.of(VERBS) + "s" * singular
    end = '."' if quoted else f" {_noun(choices)[0]}."
    return f"{start}{subject} {verb}{end}\n", choices.nats


def _noun(choices: _Choices) -> tuple[str, bool]:
    """Returns a noun with its article or number, and whether it is one."""
    singular = choices.whether(SINGULAR)
    words = [choices.of(THE if singular else MANY)]
    if choices.whether(DESCRIBED):
        words.append(choices.of(ADJECTIVES))
    return " ".join([*words, choices.of(NOUNS) + "s" * (not singular)]), singular


def _of(probability: float) -> float:
    """Returns the entropy of yes or no."""
    return float(-probability * np.log(probability) - (1 - probability) * np.log(1 - probability))


def _mean(words: tuple[str, ...]) -> float:
    """Returns the mean length of words."""
    return float(np.mean([len(word) for word in words]))
