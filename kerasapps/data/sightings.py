"""Animals that a classifier sees one after the other, simulated: who knows where it is tells a wolf from a dog.

A walk stays in the forest or at home for a while (`STAYS`), and each image shows an animal that is usual there
(`ANIMALS`). The image classifier was trained on single images of all animals alike, and is as good as one can be, but a
wolf looks much like a dog, and a fox like a cat. What it saw in the images before and after tells where the walk is.

What a classifier sees of an image is a point, normally distributed around that of the animal (`LOOKS`); its outputs are
the probabilities of the animals given the point. They hold all that the point tells of the animal, so that the best
possible answer follows from the outputs by forward-backward over the places (`kerasapps.data.markov`).
"""

import numpy as np

from kerasapps.data.columns import TaggedSequence
from kerasapps.data.markov import MarkovSource

# How often each animal is seen at each place.
ANIMALS = ("dog", "wolf", "cat", "fox", "fish", "bear")
PLACES = {"home": (0.42, 0.01, 0.36, 0.01, 0.2, 0.0), "forest": (0.01, 0.37, 0.01, 0.36, 0.0, 0.25)}
# Where each animal is, in units of the noise: those that look alike are a short way apart.
LOOKS = np.array([[0, 0], [1.3, 0], [0, 5], [1.3, 5], [-2.2, 2.5], [3.5, 2.5]])
STAYS = 0.95
LENGTHS = (8, 20)  # images of a walk
SOURCE = MarkovSource(np.full(2, 0.5), np.array([[STAYS, 1 - STAYS], [1 - STAYS, STAYS]]), np.ones(2))


def take_walks(count: int, *, seed: int) -> list[TaggedSequence]:
    """Takes walks: the classifier's probabilities of the animals a step, and as tags what the images show.

    Those of a smaller count are the first of a larger one.
    """
    rng, chances = np.random.default_rng(seed), np.array(list(PLACES.values()))
    return [_walk(rng, chances) for _ in range(count)]


def _walk(rng: np.random.Generator, chances: np.ndarray) -> TaggedSequence:
    """Draws places, animals and what the classifier makes of their images."""
    length = int(rng.integers(LENGTHS[0], LENGTHS[1] + 1))
    moved = rng.random(length) > STAYS
    places = (np.cumsum(moved) + rng.integers(2)) % 2
    animals = [int(rng.choice(len(ANIMALS), p=chances[place])) for place in places]
    points = LOOKS[animals] + rng.normal(size=(length, 2))
    scores = -0.5 * np.square(points[:, None] - LOOKS).sum(-1)  # (T, animals)
    outputs = np.exp(scores - scores.max(1, keepdims=True))
    outputs = (outputs / outputs.sum(1, keepdims=True)).astype(np.float32)
    return TaggedSequence(outputs, tuple(ANIMALS[i] for i in animals))


def best_animals(outputs: np.ndarray, *, so_far: bool) -> list[str]:
    """Returns the most probable animal of each image given all outputs, or only those up to it."""
    chances = np.array(list(PLACES.values()))  # (places, animals)
    likelihoods = np.maximum(outputs.astype(np.float64) @ chances.T, np.finfo(np.float64).tiny)  # (T, places)
    places = SOURCE.filtered(likelihoods) if so_far else SOURCE.smoothed(likelihoods)
    # Of the animal given the place and the output, times the probability of the place.
    joint = (places / likelihoods) @ chances * outputs  # (T, animals)
    return [ANIMALS[i] for i in joint.argmax(1)]
