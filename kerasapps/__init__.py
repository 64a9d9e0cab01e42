"""The classic deep-learning applications as functional-API graphs of Keras 3.

Importing it imports nothing else: a name's module is imported when the name is first used.
"""

import importlib

_MODULES = {
    "Adam": "optimizers",
    "GAN": "gan.model",
    "Head": "heads",
    "Options": "runs",
    "Rules": "gan.losses",
    "SemiSupervisedGAN": "gan.classifier",
    "SmoothedCrossentropy": "losses",
    "Split": "data.splits",
    "Splits": "data.splits",
    "build_alexnet": "applications.classic",
    "build_dcgan_discriminator": "applications.dcgan",
    "build_dcgan_generator": "applications.dcgan",
    "build_densenet": "applications.densenet",
    "build_discriminator": "applications.gan",
    "build_gan": "applications.gan",
    "build_generator": "applications.gan",
    "build_inception_classifier": "applications.inception_classifier",
    "build_lenet5": "applications.classic",
    "build_memory_network": "applications.memory_network",
    "build_mnist_network": "applications.classic",
    "build_multi_head_text": "applications.multi_head_text",
    "build_multimodal_price": "applications.multimodal_price",
    "build_novel": "applications.multi_head_text",
    "build_perceptron": "applications.classic",
    "build_point_discriminator": "applications.point_gan",
    "build_point_generator": "applications.point_gan",
    "build_profile": "applications.multi_head_text",
    "build_question_answering": "applications.question_answering",
    "build_quick_residual_classifier": "applications.quick_residual_classifier",
    "build_residual_classifier": "applications.residual_classifier",
    "build_resnet_discriminator": "applications.resnet_gan",
    "build_resnet_generator": "applications.resnet_gan",
    "build_separable_classifier": "applications.separable_classifier",
    "build_style_taps": "applications.style_transfer",
    "build_vgg": "applications.vgg",
    "build_xception": "applications.xception",
    "compile_heads": "losses",
    "feature_taps": "taps",
    "fit": "training",
    "load_model": "saving",
    "start": "session",
    "stylize": "styling.loop",
}

__all__ = [*_MODULES]


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
