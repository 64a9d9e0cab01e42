"""Layers that read a story sentence by sentence: word order, walks over shared words, query reduction."""

import functools

import keras
from keras import layers, ops

from kerasapps.blocks.arguments import check_at_least, refusal
from kerasapps.blocks.plain import keras_layer, positions, reshape, weight_form

# Keeps the logarithm of a share of 0 finite, and far below that of any arrival.
LOG_FLOOR = 1e-2


@keras.saving.register_keras_serializable(package="kerasapps")
class PositionWeightedSum(layers.Layer):
    """Adds up the words of a sentence, each feature weighted by the word's position.

    A bag of words loses who gave what to whom; these learned weights keep it.

    Reference: Sukhbaatar et al., "End-To-End Memory Networks", NeurIPS 2015, section 4.1, where they are fixed.

    Call with: words float (..., W, D) and their ids int (..., W), 0 for padding. Returns (..., D).
    """

    def build(self, words_shape, ids_shape):
        self.weight = self.add_weight(name="weight", shape=words_shape[-2:], initializer="ones")

    def plain(self):
        """Returns the same with the weights of a dense layer."""
        weight = weight_form(self, self.weight)
        return lambda words, ids: _weighted_sum(words, ids, weight(ids))

    def call(self, words, ids):
        return _weighted_sum(words, ids, self.weight[None])

    def compute_output_shape(self, words_shape, ids_shape):
        return (*words_shape[:-2], words_shape[-1])


def _weighted_sum(words, ids, weight):
    """Adds words (B, ..., W, D) up, weighted by (1, W, D) or (B, W, D), without padding: -> (B, ..., D)."""
    weight = ops.expand_dims(weight, tuple(range(1, len(ids.shape) - 1)))
    present = ops.expand_dims(ops.cast(ids != 0, words.dtype), -1)
    return ops.sum(words * present * ops.cast(weight, words.dtype), axis=-2)


@keras.saving.register_keras_serializable(package="kerasapps")
class SharedWordWalk(layers.Layer):
    """Describes each sentence by the walkers that reach it from the question, between sentences that share a word.

    "Greg is a swan" and "Lily is a swan" share a word that is rare in the story, "Greg is a swan" and "Where is Greg?"
    another. Facts that have to be chained are neighbors on this graph, so a network that is given who arrives where,
    after how many steps and at which part of the sentence need not find the chain by trial and error. Words are only
    tested for equality; a word that occurs in many sentences counts less. Each walker learns by which part of a
    sentence (its role: a soft choice by word and position) it leaves and enters. Two walkers meet where one arrives
    from one end of the question and one from the other, as on a path between two places.

    Reference: the idea of walks as features is that of Lao et al., "Random Walk Inference and Learning in A Large
    Scale Knowledge Base", EMNLP 2011.

    Call with: story int (B, S, W) and question int (B, W), 0 for padding.
    Returns: shares of arrivals, float32 (B, S, F) with F = (steps * walkers + 3 * walkers / 2) * roles.

    Args:
        vocab_size: Number of word ids.
        roles: Number of roles.
        walkers: Number of walkers, even; one half meets the other.
        steps: Steps of each walker, at least 2.
    """

    def __init__(self, *, vocab_size: int, roles: int = 3, walkers: int = 6, steps: int = 3, **kwargs):
        super().__init__(**kwargs)
        check_at_least(1, roles=roles)
        check_at_least(2, steps=steps)
        if walkers % 2 or walkers < 2:
            raise refusal("be even and at least 2", walkers=walkers)
        self.vocab_size = vocab_size
        self.roles = roles
        self.walkers = walkers
        self.steps = steps

    def build(self, story_shape, question_shape):
        wide = keras.initializers.RandomNormal(stddev=1.5)
        choice = keras.initializers.RandomNormal(stddev=1.0)  # used twice: at first a walker leaves as it enters
        narrow = keras.initializers.RandomNormal(stddev=0.1)
        self.place = self.add_weight(name="place", shape=(story_shape[-1], self.roles), initializer=wide)
        self.word = self.add_weight(name="word", shape=(self.vocab_size, self.roles), initializer=narrow)
        shape = (self.steps, self.walkers, self.roles)
        self.leave = self.add_weight(name="leave", shape=shape, initializer=choice)
        self.enter = self.add_weight(name="enter", shape=shape, initializer=choice)

    def plain(self):
        """Returns the same with the weights of dense layers and an embedding."""
        place, leave, enter = (weight_form(self, weight) for weight in (self.place, self.leave, self.enter))
        word = layers.Embedding(self.vocab_size, self.roles, dtype=self.dtype_policy, name=f"{self.name}_word")
        word.build(None)
        word.set_weights([self.word])
        word.trainable = self.trainable

        def walk(story, question):
            weights = {"place": place(question), "leave": leave(question), "enter": enter(question)}
            return self._walk(story, question, word=word, **weights)

        return walk

    def call(self, story, question):
        weights = {"place": self.place[None], "leave": self.leave[None], "enter": self.enter[None]}
        return self._walk(story, question, word=lambda ids: ops.take(self.word, ids, axis=0), **weights)

    def _walk(self, story, question, *, word, place, leave, enter):
        """Walks, with a function from ids to (..., R) and three weights, the same for all rows or one for each row."""
        nodes = ops.concatenate([ops.expand_dims(question, 1), story], axis=1)  # (B, N, W), N = S + 1
        role = ops.sigmoid(ops.expand_dims(place, 1) + word(nodes))  # (B, N, W, R)
        bridges = self._bridges(nodes, role)  # (B, R * N, R * N)
        start = ops.expand_dims(ops.cast(ops.equal(positions(nodes), 0), role.dtype), 1)  # (1, 1, N)
        start = start * ops.ones_like(nodes[:, :1, :1], dtype=role.dtype)  # (B, 1, N)
        at = ops.repeat(start, self.walkers, axis=1)  # (B, K, N), K walkers
        by_role, anywhere = [], []
        for step in range(self.steps):
            leaves = ops.expand_dims(ops.softmax(leave[:, step], axis=-1), -1)  # (.., K, R, 1)
            enters = ops.expand_dims(ops.softmax(enter[:, step], axis=-1), -1)
            leaving = reshape(ops.expand_dims(at, 2) * leaves, (self.walkers, -1))  # (B, K, R * N)
            arriving = reshape(ops.matmul(leaving, bridges), (self.walkers, self.roles, -1))  # (B, K, R, N)
            arriving = arriving / (ops.sum(arriving * enters, axis=(2, 3), keepdims=True) + 1e-6)
            at = ops.sum(arriving * enters, axis=2)
            by_role.append(arriving)
            anywhere.append(at)
        half = self.walkers // 2
        meetings = []
        for first, second in ((0, 1), (1, 0), (0, 0)):
            met = by_role[first][:, :half] * ops.expand_dims(anywhere[second][:, half:], 2)  # (B, K / 2, R, N)
            meetings.append(met / (ops.sum(met, axis=(2, 3), keepdims=True) + 1e-4))
        shares = reshape(ops.concatenate([*by_role, *meetings], axis=1), (self._features(), -1))  # (B, F, N)
        return ops.transpose(shares, (0, 2, 1))[:, 1:]  # (B, S, F)

    def _bridges(self, nodes, role):
        """Returns how strongly each role of each sentence leads to each role of each other: (B, R * N, R * N)."""
        words = ops.one_hot(nodes, self.vocab_size)  # (B, N, W, V)
        role = role * ops.expand_dims(ops.cast(nodes != 0, role.dtype), -1)  # (B, N, W, R)
        bags = ops.matmul(ops.transpose(role, (0, 1, 3, 2)), words)  # (B, N, R, V)
        bags = reshape(ops.transpose(bags, (0, 2, 1, 3)), (-1, self.vocab_size))  # (B, R * N, V)
        # Number of other sentences that have a word of a sentence.
        others = ops.maximum(ops.sum(ops.max(words, axis=2), axis=1, keepdims=True) - 1.0, 1.0)  # (B, 1, V)
        bridges = ops.matmul(bags / others, ops.transpose(bags, (0, 2, 1)))
        sentence = ops.concatenate([positions(nodes)] * self.roles, axis=1)  # (1, R * N)
        other = ops.expand_dims(sentence, 2) != ops.expand_dims(sentence, 1)
        return bridges * ops.cast(other, role.dtype)  # no way from a sentence to itself

    def _features(self) -> int:
        return (self.steps * self.walkers + 3 * self.walkers // 2) * self.roles

    def compute_output_shape(self, story_shape, question_shape):
        return (*story_shape[:2], self._features())

    def get_config(self):
        own = {"vocab_size": self.vocab_size, "roles": self.roles, "walkers": self.walkers, "steps": self.steps}
        return super().get_config() | own


class Composite(layers.Layer):
    """A layer made of dense layers, each of which is saved with its own precision: it may be quantized.

    Args:
        policies: Name of a part to its dtype policy, where that is not the layer's.
    """

    PARTS: tuple[str, ...] = ()

    def __init__(self, *, policies: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        self.policies = policies or {}

    def part(self, name: str, units: int, **options) -> layers.Dense:
        """Returns a new dense layer for a part."""
        return layers.Dense(units, dtype=self.policies.get(name, self.dtype_policy), name=name, **options)

    def plain_parts(self) -> dict[str, layers.Layer]:
        """Returns copies of the parts whose names are their own in the graph of a network."""
        return {name: keras_layer(getattr(self, name), name=f"{self.name}_{name}") for name in self.PARTS}

    def get_config(self):
        policies = {name: getattr(self, name).dtype_policy for name in self.PARTS} if self.built else self.policies
        policies = {name: policy for name, policy in policies.items() if policy != self.dtype_policy}
        config = {name: keras.dtype_policies.serialize(policy) for name, policy in policies.items()}
        return super().get_config() | ({"policies": config} if config else {})


@keras.saving.register_keras_serializable(package="kerasapps")
class QueryReduction(Composite):
    """Updates the question after each sentence of the story to what is left to be asked.

    h_t = z_t r_t c_t + (1 - z_t) h_(t-1), where the update gate z_t, the reset gate r_t and the candidate c_t depend
    on sentence t and its query alone. Unrolled, h_t is a weighted sum of the candidates, so no loop is needed: the
    weights are exponentials of differences of a cumulative sum of log(1 - z).

    Reference: Seo et al., "Query-Reduction Networks for Question Answering", ICLR 2017.

    Call with: sentences float (B, S, D); queries float (B, S, D), or (B, D) for one that all sentences share; story
    int (B, S, W), the word ids, 0 for padding at the end.
    Returns: reduced queries (B, S, D), or the last one (B, D); and the weights of the sentences in the last one, float
    (B, S).

    Args:
        last: Whether to read forwards only and return the query after the last sentence. Otherwise it reads backwards
            as well and adds both queries; the weights are those of reading forwards.
    """

    PARTS = ("update", "reset", "candidate")

    def __init__(self, *, last: bool, **kwargs):
        super().__init__(**kwargs)
        self.last = last

    def build(self, sentences_shape, queries_shape, story_shape):
        units = sentences_shape[-1]
        directions = 1 if self.last else 2
        # Update gates that start nearly closed let early sentences count until the end.
        self.update = self.part("update", directions, bias_initializer=keras.initializers.Constant(-1.0))
        self.reset = self.part("reset", directions, bias_initializer=keras.initializers.Constant(1.0))
        self.candidate = self.part("candidate", units, activation="tanh")
        self.update.build((*sentences_shape[:-1], 3 * units))
        self.reset.build((*sentences_shape[:-1], 3 * units))
        self.candidate.build((*sentences_shape[:-1], 2 * units))

    def plain(self):
        """Returns the same with its dense layers in the graph."""
        return functools.partial(self._reduce, **self.plain_parts())

    def call(self, sentences, queries, story):
        return self._reduce(sentences, queries, story, update=self.update, reset=self.reset, candidate=self.candidate)

    def _reduce(self, sentences, queries, story, *, update, reset, candidate):
        if len(queries.shape) == 2:
            queries = ops.expand_dims(queries, 1) + ops.zeros_like(sentences)
        steps = positions(story)  # (1, S)
        present = ops.expand_dims(ops.cast(ops.any(story != 0, axis=-1), sentences.dtype), -1)  # (B, S, 1)
        both = ops.concatenate([sentences * queries, sentences, queries], axis=-1)  # (B, S, 3 D)
        # In float32 under any precision: the weights are differences of a long sum.
        gate = ops.cast(update(both), "float32")
        opened = -ops.softplus(-gate)  # log z
        closed = -ops.softplus(gate) * ops.cast(present, "float32")  # log(1 - z); padding changes nothing
        passed = ops.sigmoid(ops.cast(reset(both), "float32")) * ops.cast(present, "float32")
        candidates = candidate(ops.concatenate([sentences, queries], axis=-1))  # (B, S, D)
        total = ops.cumsum(closed, axis=1)  # (B, S, directions)
        # Forwards, sentence s reaches t >= s through the gates of s + 1 .. t; backwards t <= s through t .. s - 1.
        before, after = (ops.expand_dims(total[..., 0], axis) for axis in (1, 2))
        exponents = [after - before]
        earlier, later = (ops.expand_dims(steps, axis) for axis in (1, 2))
        reachable = [later >= earlier]
        if not self.last:
            before, after = (ops.expand_dims((total - closed)[..., 1], axis) for axis in (1, 2))
            exponents.append(before - after)
            reachable.append(later <= earlier)
        weights = []
        for i, (exponent, reach) in enumerate(zip(exponents, reachable, strict=True)):
            # The minimum keeps unreachable sentences from overflowing into a NaN gradient.
            opens, passes = (ops.expand_dims(one[..., i], 1) for one in (opened, passed))
            share = ops.exp(ops.minimum(exponent + opens, 0.0)) * passes
            weights.append(ops.where(reach, share, 0.0))  # (B, S, S)
        reduced = ops.matmul(ops.cast(sum(weights), candidates.dtype), candidates)
        # Padding at the end changes nothing, so the last row is that of the last sentence.
        return reduced[:, -1] if self.last else reduced, weights[0][:, -1]

    def compute_output_shape(self, sentences_shape, queries_shape, story_shape):
        reduced = (sentences_shape[0], sentences_shape[-1]) if self.last else sentences_shape
        return reduced, sentences_shape[:2]

    def get_config(self):
        return super().get_config() | {"last": self.last}


@keras.saving.register_keras_serializable(package="kerasapps")
class LogShares(layers.Layer):
    """Maps shares in [0, 1] to their logarithm, bounded and scaled to about -1.3 .. 1."""

    def plain(self):
        """Returns `call`, which consists of Keras' operations."""
        return self.call

    def call(self, shares):
        return 0.5 * ops.log(shares + LOG_FLOOR) + 1.0

    def compute_output_shape(self, shares_shape):
        return shares_shape


@keras.saving.register_keras_serializable(package="kerasapps")
class ArrivalReader(Composite):
    """Reads the sentences that walkers reach: sum over s of (V shares_s) * (U sentence_s), of low rank in both.

    Call with: sentences float (B, S, D) and shares float (B, S, F), 0 for padding. Returns (B, units).
    """

    PARTS = ("what", "where")

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, sentences_shape, shares_shape):
        self.what = self.part("what", self.units)
        self.where = self.part("where", self.units, use_bias=False)
        self.what.build(sentences_shape)
        self.where.build(shares_shape)

    def plain(self):
        """Returns the same with its dense layers in the graph."""
        return functools.partial(_read, **self.plain_parts())

    def call(self, sentences, shares):
        return _read(sentences, shares, what=self.what, where=self.where)

    def compute_output_shape(self, sentences_shape, shares_shape):
        return (sentences_shape[0], self.units)

    def get_config(self):
        return super().get_config() | {"units": self.units}


def _read(sentences, shares, *, what, where):
    return ops.sum(what(sentences) * where(shares), axis=1)
