"""Contract rows of the networks with several heads or inputs: tests/contract.py gives the class, takes the rows."""

import numpy as np

import kerasapps
from kerasapps.applications import multi_head_text, multimodal_price
from kerasapps.heads import Head

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


def texts(length: int) -> np.ndarray:
    """Token ids of four texts, one of them shorter."""
    ids = np.random.default_rng(0).integers(1, 12, (4, length)).astype(np.int32)
    ids[0, -2:] = 0
    return ids


def text_contracts(contract: type) -> list:
    """Returns one row a builder and way to read."""
    refused = [
        ({"vocab_size": 1}, "`vocab_size` must be at least 2. Received: vocab_size=1"),
        ({"filters": (0, 5)}, "`filters` must be at least 1. Received: filters=0"),
        ({"convolutions": (1,)}, "`convolutions` must hold 2 widths"),
        ({"kernel_size": 0}, "`kernel_size` must be at least 1"),
        ({"pooling": "sum"}, "`pooling` must be max or average. Received: pooling='sum'"),
        ({"dropout": 1.0}, "`dropout` must be in"),
        ({"word_dropout": -0.1}, "`word_dropout` must be in"),
    ]
    shared = {"search_space": multi_head_text.search_space, "inputs": {"text": texts(13)}}
    heads = (8 + 1) * (1 + 3 + 1) + (8 + 3)
    outputs = {"regression": (1,), "classes": (3,), "ordinal": (4,), "binary": (1,)}
    many = {"vocab_size": 12, "heads": HEADS, **SMALL}
    profile = {"vocab_size": 12, "num_income_groups": 3, **SMALL}
    novel = {"vocab_size": 12, "num_genres": 3, **SMALL}
    return [
        contract(
            builder=kerasapps.build_multi_head_text,
            arguments=many | {"padding": "same", "pooling": "average"},
            outputs=outputs,
            parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + heads,
            refused=[*refused, ({"heads": {}}, "`heads` must name at least one output")],
            padded=("text",),
            **shared,
        ),
        contract(
            builder=kerasapps.build_multi_head_text,
            arguments=many | {"padding": "same", "pooling": "max"},
            outputs=outputs,
            parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + heads,
            refused=refused,
            padded=("text",),
            **shared,
        ),
        contract(
            builder=kerasapps.build_multi_head_text,
            arguments=many | {"padding": "valid", "layer_norm": True},
            outputs=outputs,
            parameters=EMBEDDING + TRUNK + 2 * 5 + (5 + 1) * 8 + heads,
            refused=refused,
            **shared | {"inputs": {"text": texts(17)}},
        ),
        contract(
            builder=kerasapps.build_multi_head_text,
            arguments=many | {"filters": (), "convolutions": (), "pooling": "max"},
            outputs=outputs,
            parameters=EMBEDDING + (4 + 1) * 8 + heads,
            refused=refused[-1:],
            padded=("text",),
            **shared,
        ),
        contract(
            builder=kerasapps.build_multi_head_text,
            arguments=many | {"filters": (), "convolutions": (), "pooling": "average"},
            outputs=outputs,
            parameters=EMBEDDING + (4 + 1) * 8 + heads,
            refused=[({"embedding_dim": 0}, "`embedding_dim` must be at least 1")],
            padded=("text",),
            **shared,
        ),
        contract(
            builder=kerasapps.build_profile,
            arguments=profile | {"padding": "same"},
            outputs={"age": (1,), "income": (3,), "gender": (1,)},
            parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + (8 + 1) * (1 + 3 + 1),
            refused=[*refused, ({"num_income_groups": 1}, "`num_classes`"), ({"age_scale": 0.0}, "`scale` must be")],
            padded=("text",),
            **shared,
        ),
        contract(
            builder=kerasapps.build_novel,
            arguments=novel | {"padding": "same"},
            outputs={"genre": (3,), "year": (1,)},
            parameters=EMBEDDING + TRUNK + (5 + 1) * 8 + (8 + 1) * (3 + 1),
            refused=[*refused, ({"num_genres": 1}, "`num_classes`"), ({"year_scale": -1.0}, "`scale` must be")],
            padded=("text",),
            **shared,
        ),
        *price_contracts(contract),
    ]


def price_contracts(contract: type) -> list:
    """Returns one row for all branches, and one for metadata alone."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (4, 8, 8, 3)).astype(np.float32)
    image[1] = -1  # has no picture
    text = texts(5)
    text[2] = 0  # has no description
    metadata = {
        "numbers": rng.normal(3, 2, (4, 2)).astype(np.float32),
        "categories": rng.integers(0, 3, (4, 2)).astype(np.int32),
    }
    small = {"embedding_dim": 4, "units": 6, "depth": 1, "dropout": 0.5}
    known = {"numbers": ((3.0, 2.0), (3.0, 2.0)), "category_sizes": (3, 4)}
    tables = (3 + 4) * 4
    branch = (2 + 2 * 4 + 1) * 6
    described = 12 * 4 + (2 * 4 + 1) * 6 + 6
    seen = 3 * 3 * 3 * 2 + 4 * 2 + 3 * 3 * 2 * 3 + 4 * 3 + (2 * 3 + 1) * 6 + 6
    shared = {"builder": kerasapps.build_multimodal_price, "search_space": multimodal_price.search_space}
    shared |= {"outputs": {"log_price": (1,)}}
    return [
        contract(
            arguments=small | known | {"vocab_size": 12, "image_shape": (8, 8, 3), "filters": (2, 3)},
            inputs=metadata | {"text": text, "image": image},
            parameters=tables + branch + described + seen + (3 * 6 + 1) * 6 + 7,
            refused=[
                ({"units": 0}, "`units` must be at least 1. Received: units=0"),
                ({"filters": ()}, "`filters` must be at least 1"),
                ({"dropout": 1.0}, "`dropout` must be in"),
                ({"depth": 0}, "`depth` must be at least 1"),
                ({"price_scale": 0.0}, "`scale` must be above 0"),
                ({"numbers": ((0.0, 0.0),)}, "`numbers` must have standard deviations above 0"),
            ],
            padded=("text",),
            **shared,
        ),
        contract(
            arguments=small | known,
            inputs=metadata,
            parameters=tables + branch + (6 + 1) * 6 + 7,
            refused=[({"numbers": (), "category_sizes": ()}, "must be given. Received: none")],
            **shared,
        ),
    ]
