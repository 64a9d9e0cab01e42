"""Memory network for questions about stories: walks over shared words find the facts, query reduction combines them.

References: Seo et al., "Query-Reduction Networks for Question Answering", ICLR 2017; Sukhbaatar et al., "End-To-End
Memory Networks", NeurIPS 2015; Lao et al., "Random Walk Inference and Learning in A Large Scale Knowledge Base",
EMNLP 2011.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import layers

from kerasapps.blocks.arguments import check_at_least, check_share, checked, refusal
from kerasapps.blocks.memory import ArrivalReader, LogShares, PositionWeightedSum, QueryReduction, SharedWordWalk
from kerasapps.blocks.noise import Dropout

if TYPE_CHECKING:
    from keras_tuner import HyperParameters


@checked
def build_memory_network(
    *,
    vocab_size: int,
    num_answers: int,
    sentence_length: int,
    units: int = 96,
    hops: int = 3,
    walkers: int = 6,
    walk_steps: int = 3,
    roles: int = 3,
    dropout: float = 0.1,
    name: str = "memory_network",
) -> keras.Model:
    """Builds a network that answers a question by reading a story several times, one sentence after the other.

    `attention_of` gives the weights of the sentences in each hop.

    Args:
        vocab_size: Number of word ids, shared by story and question; 0 is padding. Ids in the input must
            be below it: TensorFlow refuses others on a CPU, and reads them as zeros on a GPU.
        num_answers: Number of answers, at least 2.
        sentence_length: Number of words of a sentence and of the question, padding included.
        units: Length of the vectors for words, sentences and queries.
        hops: Number of times that the story is read, at least 1.
        walkers: Number of walkers over shared words, even; 0 for none.
        walk_steps: Number of steps of each walker, at least 2.
        roles: Number of parts of a sentence that walkers distinguish.
        dropout: Share of features dropped in training, in [0, 1).
        name: Name of the model.

    Returns:
        Uncompiled model. In, as a dict or as a list in this order: "story" int32 (B, S, W), sentences padded at the
        end; "question" int32 (B, W).
        Out, a dict: "answer" float32 probabilities (B, num_answers).

    Train with: sparse_categorical_crossentropy on answer ids; accuracy.

    Raises:
        ValueError: If `vocab_size`, `num_answers` or `walk_steps` is under 2, another size under 1, `walkers` odd or
            negative, or `dropout` outside [0, 1).

    Example:
        >>> model = build_memory_network(vocab_size=50, num_answers=10, sentence_length=8)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> inputs = {"story": stories, "question": questions}  # int32 (n, sentences, 8), int32 (n, 8)
        >>> model.fit(inputs, answers, epochs=2)  # answers int32 (n,)
        >>> model.predict(inputs)["answer"].argmax(-1)
    """
    check_at_least(2, vocab_size=vocab_size, num_answers=num_answers, walk_steps=walk_steps)
    check_at_least(1, sentence_length=sentence_length, units=units, hops=hops, roles=roles)
    check_share(dropout=dropout)
    if walkers < 0 or walkers % 2:
        raise refusal("be even and at least 0", walkers=walkers)

    # --- inputs
    story = keras.Input((None, sentence_length), dtype="int32", name="story")  # (B, S, W)
    question = keras.Input((sentence_length,), dtype="int32", name="question")  # (B, W)

    # --- trunk
    embedding = layers.Embedding(
        vocab_size, units, embeddings_initializer=keras.initializers.RandomNormal(stddev=0.1), name="word_vectors"
    )
    encode = PositionWeightedSum(name="encode")
    sentences = layers.LayerNormalization(name="sentences")(encode(embedding(story), story))  # (B, S, D)
    query = layers.LayerNormalization(name="query")(encode(embedding(question), question))  # (B, D)
    read = None
    if walkers:
        walk = SharedWordWalk(
            vocab_size=vocab_size, roles=roles, walkers=walkers, steps=walk_steps, name="walk", dtype="float32"
        )
        shares = walk(story, question)  # (B, S, F)
        read = ArrivalReader(units, name="read")(sentences, shares)  # (B, D)
        read = Dropout(dropout, name="read_dropout")(read)
        query = layers.Add(name="query_read")([query, layers.Dense(units, name="read_query")(read)])
        # A sum of logarithms is large only if all are, so gates can select sentences that lie on two walks.
        arrivals = layers.Dense(units, name="arrivals")(LogShares(name="log_shares")(shares))
        sentences = layers.Add(name="sentences_walked")([sentences, arrivals])
    sentences = Dropout(dropout, name="sentences_dropout")(sentences)
    for hop in range(1, hops):
        query, _ = QueryReduction(last=False, name=f"hop{hop}")(sentences, query, story)  # (B, S, D)
        query = Dropout(dropout, name=f"hop{hop}_dropout")(query)
    final, _ = QueryReduction(last=True, name=f"hop{hops}")(sentences, query, story)  # (B, D)

    # --- heads
    features = final if read is None else layers.Concatenate(name="features")([final, read])
    answer = layers.Dense(num_answers, activation="softmax", dtype="float32", name="answer")(features)  # (B, A)
    return keras.Model([story, question], {"answer": answer}, name=name)


def attention_of(model: keras.Model) -> keras.Model:
    """Returns a model on the same tensors that gives the attention of a memory network.

    Returns:
        Model with the same inputs. Out: "hop1", "hop2" ... float32 (B, S): the weight of each sentence, in [0, 1], in
        the query that the hop passes on after the last sentence.
    """
    hops = [layer for layer in model.layers if isinstance(layer, QueryReduction)]
    outputs = {layer.name: layer.output[1] for layer in hops}
    return keras.Model(model.input, outputs, name=f"{model.name}_attention")


def search_space(hp: "HyperParameters") -> dict[str, Any]:
    """Returns arguments for `build_memory_network`; each default equals the builder's."""
    return {
        "units": hp.Int("units", 32, 128, step=32, default=96),
        "hops": hp.Int("hops", 1, 4, default=3),
        "walkers": hp.Choice("walkers", [0, 2, 4, 6, 8], default=6),
        "walk_steps": hp.Int("walk_steps", 2, 4, default=3),
        "roles": hp.Int("roles", 2, 4, default=3),
        "dropout": hp.Float("dropout", 0.0, 0.5, step=0.1, default=0.1),
    }
