"""Contract rows of generators and discriminators: tests/contract.py gives the class and takes the rows."""

import functools

import numpy as np

from kerasapps.applications import dcgan, gan, point_gan, resnet_gan
from tests.contract_images import conv, dense, normalisation

SHAPE = (8, 12, 3)  # starts from 2 x 3, whose 2 * 3 * 8 features are 48
TELLS = {"verdict": (1,), "label": (3,)}


def noise(rows: int = 4, width: int = 5) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)


def gan_contracts(contract) -> list:
    """Returns the rows, `contract` being the class of tests/contract.py."""
    label = {"label": np.array([0, 1, 2, 0], np.int32)}
    image = {"image": np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)}
    refused = [
        ({"image_shape": (8, 10, 3)}, "both sides multiples of 4. Received: image_shape=(8, 10, 3)"),
        ({"num_classes": 1}, "`num_classes` must be at least 2. Received: num_classes=1"),
        ({"dropout": 1.0}, "`dropout` must be in"),
        ({"filters": 0}, "`filters` must be at least 1. Received: filters=0"),
    ]
    untold = ({"classifies": True, "num_classes": None}, "`num_classes` must be at least 2. Received: num_classes=None")

    def row(builder, space, name, inputs, outputs, parameters, refused, **arguments):
        return contract(builder, {"name": name, **arguments}, inputs, outputs, parameters, refused, space)

    def generator(builder, space, name, parameters, **arguments):
        classes = "num_classes" in arguments
        sizes = {"image_shape": SHAPE, "noise_dim": 5, "filters": 4, "dropout": 0.5}
        inputs = {"noise": noise()} | (label if classes else {})
        more = [*refused, ({"noise_dim": 0}, "`noise_dim` must be at least 1. Received: noise_dim=0")]
        return row(builder, space, name, inputs, {"image": SHAPE}, parameters, more, **sizes, **arguments)

    def discriminator(builder, space, name, parameters, features, **arguments):
        sizes = {"image_shape": SHAPE, "filters": 4, "dropout": 0.5}
        tells, classes = "classifies" in arguments, "num_classes" in arguments
        inputs = image | (label if classes and not tells else {})
        outputs = TELLS | {"features": (features,)} if tells else {"verdict": (1,)}
        return row(builder, space, name, inputs, outputs, parameters, [*refused, untold], **sizes, **arguments)

    lectures = (gan.build_generator, gan.search_space_generator)
    judges = (gan.build_discriminator, gan.search_space_discriminator)
    trunk = conv(5, 3, 4) + conv(5, 4, 8) + dense(48, 6)
    made = conv(5, 8, 4) + conv(5, 4, 3)
    deep = (dcgan.build_dcgan_generator, dcgan.search_space_dcgan_generator)
    deep_judges = (dcgan.build_dcgan_discriminator, dcgan.search_space_dcgan_discriminator)
    grown = normalisation(8) + conv(4, 8, 4, bias=False) + normalisation(4) + conv(4, 4, 3)
    residual = (resnet_gan.build_resnet_generator, resnet_gan.search_space_resnet_generator)
    residual_judges = (resnet_gan.build_resnet_discriminator, resnet_gan.search_space_resnet_discriminator)
    up = 2 * normalisation(4) + conv(3, 4, 4, bias=False) + conv(3, 4, 4) + conv(1, 4, 4)
    down = conv(3, 3, 4) + conv(3, 4, 4) + conv(1, 3, 4) + 2 * conv(3, 4, 4) + conv(1, 4, 4)
    return [
        generator(*lectures, "generator", dense(5, 6, 48) + made, units=6),
        generator(*lectures, "generator_of_classes", 3 * 5 + dense(10, 6, 48) + made, units=6, num_classes=3),
        discriminator(*judges, "discriminator", trunk + dense(6, 1), 6, units=6),
        # A singular vector a layer.
        discriminator(*judges, "spectral", trunk + dense(6, 1) + 4 + 8 + 6 + 1, 6, units=6, spectral=True),
        discriminator(*judges, "discriminator_of_classes", trunk + dense(6, 1) + 3 * 6, 6, units=6, num_classes=3),
        discriminator(*judges, "classifies", trunk + dense(6, 3), 6, units=6, num_classes=3, classifies=True),
        generator(*deep, "dcgan_generator", 5 * 48 + grown),
        discriminator(*deep_judges, "dcgan", conv(4, 3, 4) + conv(4, 4, 8, bias=False) + 32 + dense(48, 1), 48),
        discriminator(
            *deep_judges,
            "dcgan",
            conv(4, 3, 4) + conv(4, 4, 8) + dense(48, 3) + 4 + 8 + 3,
            48,
            normalization="spectral",
            num_classes=3,
            classifies=True,
        ),
        generator(*residual, "resnet_generator", dense(5, 24) + 2 * up + normalisation(4) + conv(3, 4, 3)),
        discriminator(*residual_judges, "resnet", down + dense(4, 1) + 6 * 4 + 1, 4),
        # The classes' vectors are normalised as well.
        discriminator(
            *residual_judges, "resnet_of_classes", down + dense(4, 1) + 6 * 4 + 1 + 3 * 4 + 4, 4, num_classes=3
        ),
        *_points(row),
        _combined(row),
    ]


def _points(row) -> list:
    refused = [
        ({"units": 0}, "`units` must be at least 1. Received: units=0"),
        ({"depth": 0}, "`depth` must be at least 1. Received: depth=0"),
        ({"dropout": 1.0}, "`dropout` must be in"),
    ]
    sizes = {"units": 6, "depth": 2, "dropout": 0.5}
    return [
        row(
            point_gan.build_point_generator,
            point_gan.search_space_point_generator,
            "points",
            {"noise": noise()},
            {"point": (2,)},
            dense(5, 6, 6, 2),
            refused,
            noise_dim=5,
            **sizes,
        ),
        row(
            point_gan.build_point_discriminator,
            point_gan.search_space_point_discriminator,
            "points",
            {"point": noise(width=2)},
            {"verdict": (1,)},
            dense(2, 6, 6, 1),
            refused,
            **sizes,
        ),
    ]


@functools.wraps(gan.build_gan)
def _build_gan(*, generator, discriminator, name="gan"):
    """Builds the networks as well, so that each build has its own."""
    return gan.build_gan(
        generator=gan.build_generator(**generator), discriminator=gan.build_discriminator(**discriminator), name=name
    )


def _combined(row):
    sizes = {"image_shape": (8, 8, 1), "units": 6, "filters": 4}
    generator = {"noise_dim": 5, **sizes}
    fits_not = [
        ({"discriminator": sizes | {"image_shape": (8, 12, 1)}}, "`discriminator` must take what `generator` gives"),
        ({"discriminator": sizes | {"num_classes": 3}}, "`discriminator` must take what `generator` gives"),
        ({"discriminator": sizes | {"name": "generator"}}, "must differ in name. Received: 'generator'"),
    ]
    parameters = dense(5, 6, 32) + conv(5, 8, 4) + conv(5, 4, 1)
    parameters += conv(5, 1, 4) + conv(5, 4, 8) + dense(32, 6, 1)
    inputs, outputs = {"noise": noise()}, {"verdict": (1,)}
    return row(_build_gan, None, "gan", inputs, outputs, parameters, fits_not, generator=generator, discriminator=sizes)
