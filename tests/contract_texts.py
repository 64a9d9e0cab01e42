"""Contract rows of the networks that read texts: classifiers, several heads, several kinds of input."""

import numpy as np

import kerasapps
from kerasapps.applications import (
    attention_classifier,
    bag_of_ngrams,
    recurrent_classifier,
    sequence_tagger,
    text_cnn,
    wide_text_cnn,
)
from kerasapps.applications import multi_head_text as application
from kerasapps.applications import multimodal_price as price
from kerasapps.heads import Head
from tests.contract_row import Contract, dense, ids

HEADS = {
    "regression": Head("regression", mean=3.0, scale=2.0),
    "classes": Head("classes", num_classes=3),
    "ordinal": Head("ordinal", num_classes=4),
    "binary": Head("binary"),
}
SMALL = {"embedding_dim": 4, "filters": (6, 5), "convolutions": (1, 2), "kernel_size": 3, "pool_size": 3}
SMALL |= {"dense_units": (8,), "dropout": 0.5, "word_dropout": 0.2}
EMBEDDING = 12 * 4
TRUNK = (3 * 4 + 1) * 6 + (3 * 6 + 1) * 5 + (3 * 5 + 1) * 5
REFUSED = [
    ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
    ({"filters": (0, 5)}, "`filters` must be at least 1. Received: filters=(0, 5)"),
    ({"convolutions": (1,)}, "`convolutions` must hold 2 widths"),
    ({"kernel_size": 0}, "`kernel_size` must be at least 1. Received: kernel_size=0"),
    ({"pooling": "sum"}, "`pooling` must be one of max, average. Received: pooling='sum'"),
    ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
    ({"word_dropout": -0.1}, "`word_dropout` must be in [0, 1). Received: word_dropout=-0.1"),
]


def classifier(
    module, builder, variant: str = "", *, features: int, parameters: int, refused=(), **arguments
) -> Contract:
    """A text classifier with three classes; parameters up to its features."""
    texts = ids(4, 3, 6, padding=2) if arguments.get("hierarchical") else ids(4, 7, padding=2)
    return Contract(
        builder=builder,
        variant=variant,
        arguments={"vocab_size": 12, "num_classes": 3, "embedding_dim": 4, **arguments},
        inputs={"text": texts},
        outputs={"label": (3,)},
        parameters=parameters + dense(features, 3),
        refused=[
            ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
            ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
            ({"embedding_dim": 0}, "`embedding_dim` must be at least 1"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            *refused,
        ],
        search_space=module.search_space,
        padded=("text",),
    )


def lstm(width: int, units: int) -> int:
    """Parameters of an LSTM layer."""
    return 4 * (width + units + 1) * units


def tagger(variant: str = "", *, inputs: dict, parameters: int, features: int, refused=(), **arguments) -> Contract:
    """A tagger with three tags; parameters up to the features of a step."""
    (array,) = inputs.values()
    return Contract(
        builder=kerasapps.build_sequence_tagger,
        variant=variant,
        arguments={"num_tags": 3, "embedding_dim": 4, "units": 3, **arguments},
        inputs=inputs,
        outputs={"tags": (array.shape[1], 3)},
        parameters=parameters + dense(features, 3),
        refused=[({"num_tags": 1}, "`num_tags` must be at least 2. Received: num_tags=1"), *refused],
        search_space=sequence_tagger.search_space,
        padded=tuple(inputs),
    )


def multi_head_text(
    variant: str, *, parameters: int, length: int = 13, refused=(), padded: tuple[str, ...] = ("text",), **arguments
) -> Contract:
    """The network with a head of each kind; parameters up to the features of the dense layer."""
    return Contract(
        builder=kerasapps.build_multi_head_text,
        variant=variant,
        arguments={"vocab_size": 12, "heads": HEADS, **SMALL, **arguments},
        inputs={"text": ids(4, length, padding=2)},
        outputs={"regression": (1,), "classes": (3,), "ordinal": (4,), "binary": (1,)},
        # The ordinal head has one score without bias and 3 thresholds.
        parameters=parameters + (8 + 1) * (1 + 3 + 1) + (8 + 3),
        refused=[*refused],
        search_space=application.search_space,
        padded=padded,
    )


def multimodal_price(variant: str, *, inputs: dict, parameters: int, refused: list, padded=(), **arguments) -> Contract:
    """The network of prices; the tables hold 3 + 4 categories."""
    known = {"numbers": ((3.0, 2.0), (3.0, 2.0)), "category_sizes": (3, 4)}
    return Contract(
        builder=kerasapps.build_multimodal_price,
        variant=variant,
        arguments={"embedding_dim": 4, "units": 6, "depth": 1, "dropout": 0.5, **known, **arguments},
        inputs=inputs,
        outputs={"log_price": (1,)},
        parameters=parameters,
        refused=refused,
        search_space=price.search_space,
        padded=padded,
    )


rng = np.random.default_rng(0)
IMAGE = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
IMAGE[1] = -1  # has no image
TEXT = ids(4, 5, padding=2)
TEXT[2] = 0  # has no description
METADATA = {
    "numbers": rng.normal(3, 2, (4, 2)).astype(np.float32),
    "categories": rng.integers(0, 3, (4, 2)).astype(np.int32),
}
METADATA_BRANCH = (3 + 4) * 4 + (2 + 2 * 4 + 1) * 6
TEXT_BRANCH = 12 * 4 + (2 * 4 + 1) * 6 + 6
IMAGE_BRANCH = 3 * 3 * 3 * 2 + 4 * 2 + 3 * 3 * 2 * 3 + 4 * 3 + (2 * 3 + 1) * 6 + 6

WORDS = 12 * 4
CNN = {"module": text_cnn, "builder": kerasapps.build_text_cnn, "filters": 3, "widths": (2, 5), "features": 6}
WINDOWS = (2 * 4 + 1) * 3 + (5 * 4 + 1) * 3
RECURRENT = {"module": recurrent_classifier, "builder": kerasapps.build_recurrent_classifier}
ATTENTION = {"module": attention_classifier, "builder": kerasapps.build_attention_classifier}
CLASSIFIERS = [
    classifier(
        **CNN,
        parameters=WORDS + WINDOWS,
        dropout=0.5,
        refused=[
            ({"widths": ()}, "`widths` must hold at least one width, none twice. Received: widths=()"),
            ({"widths": (3, 3)}, "`widths` must hold at least one width, none twice"),
            ({"filters": 0}, "`filters` must be at least 1"),
            ({"max_norm": 0.0}, "`max_norm` must be above 0"),
            ({"vectors": "google"}, "`vectors` must be one of random, static, non_static, multichannel"),
            ({"reader_units": -1}, "`reader_units` must be at least 0"),
        ],
    ),
    classifier(
        **CNN,
        variant="reader",
        reader_units=3,
        parameters=WORDS + 12 * 3 + 2 * lstm(3, 3) + dense(6, 100) + (2 * 104 + 1) * 3 + (5 * 104 + 1) * 3,
        dropout=0.5,
    ),
    classifier(**CNN, variant="static", vectors="static", parameters=WORDS + WINDOWS, dropout=0.5),
    classifier(**CNN, variant="multichannel", vectors="multichannel", parameters=2 * WORDS + WINDOWS, dropout=0.5),
    classifier(
        **RECURRENT,
        units=3,
        features=3,
        parameters=WORDS + lstm(4, 3),
        refused=[
            ({"units": 0}, "`units` must be at least 1"),
            ({"depth": 0}, "`depth` must be at least 1"),
            ({"word_dropout": -0.1}, "`word_dropout` must be in [0, 1)"),
            ({"cell": "rnn"}, "`cell` must be one of lstm, gru, peephole_lstm. Received: cell='rnn'"),
            ({"pooling": "sum"}, "`pooling` must be one of last, mean, max, mean_max"),
        ],
    ),
    classifier(
        **RECURRENT,
        variant="both-mean-max",
        units=3,
        depth=2,
        bidirectional=True,
        pooling="mean_max",
        features=12,
        parameters=WORDS + 2 * lstm(4, 3) + 2 * lstm(6, 3),
    ),
    classifier(
        **RECURRENT,
        variant="gru-mean",
        cell="gru",
        units=3,
        pooling="mean",
        features=3,
        parameters=WORDS + 3 * (4 + 3 + 2) * 3,
    ),
    classifier(
        **RECURRENT,
        variant="peephole-max",
        cell="peephole_lstm",
        units=3,
        pooling="max",
        features=3,
        parameters=WORDS + lstm(4, 3) + 3 * 3,
    ),
    classifier(
        **ATTENTION,
        features=4,
        parameters=WORDS + 4,
        refused=[
            ({"units": 0}, "`units` must be at least 1"),
            ({"reader": "gru"}, "`reader` must be one of words, bilstm. Received: reader='gru'"),
        ],
    ),
    classifier(
        **ATTENTION,
        variant="hierarchical",
        reader="bilstm",
        hierarchical=True,
        project=True,
        units=3,
        features=6,
        parameters=WORDS + 2 * lstm(4, 3) + 2 * lstm(6, 3) + 2 * (6 * 6 + 6 + 6),
    ),
    classifier(
        module=bag_of_ngrams,
        builder=kerasapps.build_bag_of_ngrams,
        buckets=20,
        features=4,
        parameters=(12 + 20) * 4,
        dropout=0.5,
        refused=[({"buckets": -1}, "`buckets` must be at least 0")],
    ),
    classifier(
        module=bag_of_ngrams,
        builder=kerasapps.build_bag_of_ngrams,
        variant="words",
        buckets=0,
        features=4,
        parameters=WORDS,
        dropout=0.5,
    ),
    classifier(
        module=bag_of_ngrams,
        builder=kerasapps.build_bag_of_ngrams,
        variant="weighted-triples",
        buckets=20,
        longest=3,
        weighted=True,
        features=4,
        parameters=(12 + 20) * 5,
        dropout=0.5,
    ),
    classifier(
        module=wide_text_cnn,
        builder=kerasapps.build_wide_text_cnn,
        filters=3,
        widths=(2, 5),
        ngram_dim=5,
        buckets=20,
        parameters=WORDS + WINDOWS + (12 + 20) * 6,
        features=6 + 5,
        dropout=0.5,
        refused=[
            ({"widths": (3, 3)}, "`widths` must hold at least one width, none twice"),
            ({"ngram_dim": 0}, "`ngram_dim` must be at least 1"),
            ({"buckets": -1}, "`buckets` must be at least 0"),
        ],
    ),
]
VECTORS = np.random.default_rng(0).normal(size=(4, 7, 5)).astype(np.float32)
VECTORS[0, -2:] = 0  # padding
TAGGERS = [
    tagger(
        inputs={"text": ids(4, 7, padding=2)},
        vocab_size=12,
        parameters=WORDS + 2 * lstm(4, 3),
        features=6,
        refused=[
            ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
            (
                {"num_features": 5},
                "`vocab_size` and `num_features` must be given, one of them. Received: vocab_size=12",
            ),
            ({"embedding_dim": 0}, "`embedding_dim` must be at least 1"),
            ({"depth": 0}, "`depth` must be at least 1"),
            ({"step_dropout": 1.0}, "`step_dropout` must be in [0, 1)"),
            ({"dropout": -0.1}, "`dropout` must be in [0, 1)"),
            ({"cell": "rnn"}, "`cell` must be one of lstm, gru. Received: cell='rnn'"),
        ],
    ),
    tagger(
        "numbers-gru-forward",
        inputs={"features": VECTORS},
        num_features=5,
        cell="gru",
        depth=2,
        bidirectional=False,
        parameters=3 * (5 + 3 + 2) * 3 + 3 * (3 + 3 + 2) * 3,
        features=3,
        refused=[
            ({"num_features": 0}, "`num_features` must be at least 1"),
            ({"units": 0}, "`units` must be at least 1"),
        ],
    ),
]
CONTRACTS = [
    *CLASSIFIERS,
    *TAGGERS,
    multi_head_text(
        "same-average",
        padding="same",
        pooling="average",
        parameters=EMBEDDING + TRUNK + (5 + 1) * 8,
        refused=[*REFUSED, ({"heads": {}}, "`heads` must name at least one output")],
    ),
    multi_head_text(
        "same-max", padding="same", pooling="max", parameters=EMBEDDING + TRUNK + (5 + 1) * 8, refused=REFUSED
    ),
    multi_head_text(
        "valid",
        padding="valid",
        layer_norm=True,
        parameters=EMBEDDING + TRUNK + 2 * 5 + (5 + 1) * 8,
        refused=REFUSED,
        length=17,
        padded=(),
    ),
    multi_head_text(
        "bag-max",
        filters=(),
        convolutions=(),
        pooling="max",
        parameters=EMBEDDING + (4 + 1) * 8,
        refused=REFUSED[-1:],
    ),
    multi_head_text(
        "bag-average",
        filters=(),
        convolutions=(),
        pooling="average",
        parameters=EMBEDDING + (4 + 1) * 8,
        refused=[({"embedding_dim": 0}, "`embedding_dim` must be at least 1. Received: embedding_dim=0")],
    ),
    Contract(
        builder=kerasapps.build_profile,
        arguments={"vocab_size": 12, "num_income_groups": 3, "padding": "same", **SMALL},
        inputs={"text": ids(4, 13, padding=2)},
        outputs={"age": (1,), "income": (3,), "gender": (1,)},
        parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + (8 + 1) * (1 + 3 + 1),
        refused=[
            *REFUSED,
            ({"num_income_groups": 1}, "`num_income_groups`"),
            ({"age_scale": 0.0}, "`age_scale` must be"),
        ],
        search_space=application.search_space,
        padded=("text",),
    ),
    Contract(
        builder=kerasapps.build_novel,
        arguments={"vocab_size": 12, "num_genres": 3, "padding": "same", **SMALL},
        inputs={"text": ids(4, 13, padding=2)},
        outputs={"genre": (3,), "year": (1,)},
        parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + (8 + 1) * (3 + 1),
        refused=[*REFUSED, ({"num_genres": 1}, "`num_genres`"), ({"year_scale": -1.0}, "`year_scale` must be")],
        search_space=application.search_space,
        padded=("text",),
    ),
    multimodal_price(
        "all",
        vocab_size=12,
        image_shape=(8, 8, 3),
        filters=(2, 3),
        inputs=METADATA | {"text": TEXT, "image": IMAGE},
        parameters=METADATA_BRANCH + TEXT_BRANCH + IMAGE_BRANCH + (3 * 6 + 1) * 6 + 7,
        refused=[
            ({"units": 0}, "`units` must be at least 1. Received: units=0"),
            ({"filters": ()}, "`filters` must hold at least one number"),
            ({"dropout": 1.0}, "`dropout` must be in [0, 1). Received: dropout=1.0"),
            ({"depth": 0}, "`depth` must be at least 1"),
            ({"price_scale": 0.0}, "`price_scale` must be above 0"),
            ({"numbers": ((0.0, 0.0),)}, "`numbers` must have standard deviations above 0"),
        ],
        padded=("text",),
    ),
    multimodal_price(
        "metadata",
        inputs=METADATA,
        parameters=METADATA_BRANCH + (6 + 1) * 6 + 7,
        refused=[({"numbers": (), "category_sizes": ()}, "must be given. Received: none")],
    ),
]
