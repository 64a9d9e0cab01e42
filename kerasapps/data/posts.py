"""Posts of people, simulated, with the best possible estimates from them: the data of the profile network.

A person has an age, an income group and a gender, and writes posts whose words depend on these three alone:

* Age is uniform from 18 to 77 years, gender a fair coin, and the income group (0 to 9) a rounded Gaussian with standard
  deviation 2, whose mean rises from 2 to 7 until the age of 48 and falls again.
* A post has one topic. Its probability depends on age and income: each topic has an age at which it is most likely,
  and a drift with income.
* Each word of a post is, independently: a common word (45 %), which carries no information; a word of the topic (40 %),
  rarer ones less often, and one time in ten a word of any topic; or a turn of phrase (15 %), whose choice depends a
  little on all three.

Because the model is known, Bayes' rule gives the exact probability of every (age, income, gender) for every person. No
network can do better on average: `bayes_estimates` is the upper bound to compare networks with. Nothing here describes
real people: topics and turns of phrase were assigned by a random number generator.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

TOPICS = {
    "astronomy": "telescope comet orbit nebula moonrise eclipse planet meteor galaxy starlight observatory saturn",
    "baking": "flour yeast oven sourdough crumb rye dough butter glaze proofing pastry whisk",
    "birds": "heron binoculars plumage wren nest migration warbler owl feather finch kingfisher flock",
    "chess": "gambit endgame rook bishop checkmate blunder opening castling pawn knight tactics grandmaster",
    "climbing": "crag belay harness boulder chalk summit rope ledge carabiner overhang bivouac ridge",
    "cycling": "peloton saddle derailleur sprint climb pedal gravel handlebar chainring puncture cadence spokes",
    "gardens": "compost seedling trellis mulch tulip pruning greenhouse lavender soil orchard watering hedge",
    "gaming": "quest controller respawn loot speedrun arcade console pixel dungeon leaderboard patch joystick",
    "history": "medieval archive manuscript dynasty ruins treaty museum chronicle cathedral empire excavation coin",
    "music": "chorus vinyl encore guitar melody concert drummer playlist tempo falsetto amplifier lyrics",
    "railways": "locomotive platform timetable sleeper carriage viaduct junction signal tram buffet terminus gauge",
    "sailing": "regatta mast harbour rudder anchor spinnaker tide jib knots hull marina windward",
    "theatre": "rehearsal curtain monologue premiere costume spotlight understudy ensemble matinee prompter stage cast",
    "weaving": "loom yarn shuttle warp tapestry spindle wool thread dye bobbin linen felt",
}
COMMON = (
    "the a to and of in it is was that for on with at we they this my so but not just then there very all really had"
    " have been about when again some out up what after today one more than good time day from got back go went see"
    " think still how much always never now first last next every other two by into over only too here were are be do"
    " did can could would will our your their his her him them as if or because while before until maybe also well"
)
PHRASES = (
    "honestly anyway cheers indeed lovely yikes splendid basically literally alas hooray gosh whatever truly frankly"
    " yay hmm wow oops marvellous seriously perhaps certainly phew bravo totally goodness apparently blimey absolutely"
    " quite nope yep hurrah ahem voila oh meh tada crikey"
)
AGES = np.arange(18, 78)
INCOME_GROUPS = 10
COMMON_SHARE, TOPIC_SHARE, STRAY_SHARE = 0.45, 0.40, 0.10
POSTS, FEWEST_WORDS, MOST_WORDS = 6, 14, 26
END_OF_POST = "."


@dataclass(frozen=True)
class People:
    """People and what they wrote.

    Args:
        texts: The posts of each person, concatenated.
        age: In years, float32 (n,).
        income: Group, 0 to 9, int32 (n,).
        gender: 0 or 1, int32 (n,).
        topic_words: Count of each topic word in each post, uint8 (n, POSTS, words).
        phrases: Count of each turn of phrase in a person's posts, uint8 (n, phrases).
    """

    texts: list[str]
    age: np.ndarray
    income: np.ndarray
    gender: np.ndarray
    topic_words: np.ndarray
    phrases: np.ndarray

    def take(self, rows: np.ndarray) -> "People":
        """Returns these people, in their order."""
        arrays = (self.age, self.income, self.gender, self.topic_words, self.phrases)
        return People([self.texts[i] for i in rows], *(values[rows] for values in arrays))


@dataclass(frozen=True)
class _World:
    """The generative model as tables over all S = 1,200 states (age, income, gender)."""

    age: np.ndarray  # (S,)
    income: np.ndarray  # (S,)
    gender: np.ndarray  # (S,)
    prior: np.ndarray  # (S,)
    topics: np.ndarray  # (S, K)
    topic_words: np.ndarray  # (K, words)
    phrases: np.ndarray  # (S, phrases)


@cache
def _world() -> _World:
    rng = np.random.default_rng(20260101)
    age, income, gender = (axis.ravel() for axis in np.meshgrid(AGES, range(INCOME_GROUPS), (0, 1), indexing="ij"))
    center = 2 + 5 * np.exp(-(((age - 48) / 18) ** 2))
    likely = np.exp(-(((income - center) / 2) ** 2) / 2)
    totals = np.zeros(AGES[-1] + 1)
    np.add.at(totals, age, likely)
    prior = likely / totals[age] / len(AGES)

    count = len(TOPICS)
    dearest = rng.permutation(np.linspace(15, 80, count))
    drift = rng.permutation(np.linspace(-1.2, 1.2, count))
    z_income = (income - 4.5)[:, None] / 3
    topics = _softmax(-(((age[:, None] - dearest) / 22) ** 2) / 2 + drift * z_income)

    words = [word for topic in TOPICS.values() for word in topic.split()]
    own = np.array([[word in topic.split() for word in words] for topic in TOPICS.values()])
    rank = np.concatenate([np.arange(1, len(topic.split()) + 1) for topic in TOPICS.values()])
    topic_words = own / rank
    topic_words /= topic_words.sum(1, keepdims=True)
    topic_words = (1 - STRAY_SHARE) * topic_words + STRAY_SHARE / len(words)

    loadings = rng.normal(size=(3, len(PHRASES.split()))) * np.array([0.12, 0.4, 0.25])[:, None]
    traits = np.stack([(age - 47.5) / 17.3, (income - 4.5) / 2.9, 2 * gender - 1], 1)  # (S, 3)
    return _World(age, income, gender, prior, topics, topic_words, _softmax(traits @ loadings))


def simulate_people(count: int, *, seed: int) -> People:
    """Draws people and their posts.

    Args:
        count: Number of people.
        seed: Seed of people and posts.
    """
    world = _world()
    rng = np.random.default_rng(seed)
    state = rng.choice(len(world.prior), count, p=world.prior / world.prior.sum())
    topic = _draw(rng, world.topics, np.broadcast_to(state[:, None], (count, POSTS)))
    length = rng.integers(FEWEST_WORDS, MOST_WORDS + 1, (count, POSTS))
    shape = (count, POSTS, MOST_WORDS)
    there = np.arange(MOST_WORDS) < length[..., None]
    kind = rng.random(shape)
    is_topic = (kind < TOPIC_SHARE) & there
    is_common = (kind >= TOPIC_SHARE) & (kind < TOPIC_SHARE + COMMON_SHARE) & there
    is_phrase = there & ~is_topic & ~is_common

    # As objects: each position in a text then takes eight bytes, not the longest word.
    common, phrases = np.array(COMMON.split(), object), np.array(PHRASES.split(), object)
    words = np.array([word for topic_words in TOPICS.values() for word in topic_words.split()], object)
    topic_id = _draw(rng, world.topic_words, np.broadcast_to(topic[..., None], shape))
    phrase_id = _draw(rng, world.phrases, np.broadcast_to(state[:, None, None], shape))
    zipf = 1 / np.arange(1, len(common) + 1)
    common_id = rng.choice(len(common), shape, p=zipf / zipf.sum())
    text = np.where(is_topic, words[topic_id], np.where(is_common, common[common_id], phrases[phrase_id]))
    texts = [
        " ".join(f"{' '.join(post[:n])}{END_OF_POST}" for post, n in zip(posts, lengths, strict=True))
        for posts, lengths in zip(text, length, strict=True)
    ]
    return People(
        texts,
        world.age[state].astype(np.float32),
        world.income[state].astype(np.int32),
        world.gender[state].astype(np.int32),
        _count(topic_id, is_topic, len(words)),
        _count(phrase_id.reshape(count, -1), is_phrase.reshape(count, -1), len(phrases)),
    )


def bayes_estimates(people: People) -> dict[str, np.ndarray]:
    """Returns the Bayes-optimal estimates of people from their words, under the model that wrote them.

    Returns:
        "age": the posterior median in years, which minimizes the mean absolute error, float32 (n,). "income": the most
        probable group, int32 (n,). "gender": the probability of 1, float32 (n,).
    """
    world = _world()
    log_topics, log_words = np.log(world.topics).T, np.log(world.topic_words).T  # (K, S), (words, K)
    n = len(people.texts)
    posterior = np.log(world.prior) + people.phrases @ np.log(world.phrases).T  # (n, S)
    for post in range(POSTS):
        fits = people.topic_words[:, post] @ log_words  # (n, K): log p(words | topic)
        best = fits.max(1, keepdims=True)
        posterior += np.log(np.exp(fits - best) @ np.exp(log_topics)) + best
    posterior = _softmax(posterior).reshape(n, len(AGES), INCOME_GROUPS, 2)
    by_age = posterior.sum((2, 3)).cumsum(1)
    return {
        "age": AGES[(by_age < 0.5).sum(1)].astype(np.float32),
        "income": posterior.sum((1, 3)).argmax(1).astype(np.int32),
        "gender": posterior[..., 1].sum((1, 2)).astype(np.float32),
    }


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


def _draw(rng: np.random.Generator, tables: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Draws for each row number from that row of probabilities (R, M); the shape is that of `rows`."""
    sums = tables.cumsum(1)
    # One search in the concatenation of all rows: the sums of row r lie between r and r + 1.
    ends = (sums / sums[:, -1:] + np.arange(len(tables))[:, None]).ravel()
    found = np.searchsorted(ends, rng.random(rows.shape) + rows, side="right")
    return np.minimum(found - rows * tables.shape[1], tables.shape[1] - 1)


def _count(ids: np.ndarray, counted: np.ndarray, size: int) -> np.ndarray:
    """Counts ids along the last axis where `counted` is true: uint8 (..., size)."""
    rows = ids.reshape(-1, ids.shape[-1])
    counts = np.zeros((len(rows), size), np.uint8)
    where = counted.reshape(rows.shape)
    np.add.at(counts, (np.repeat(np.arange(len(rows)), where.sum(1)), rows[where]), 1)
    return counts.reshape(*ids.shape[:-1], size)
