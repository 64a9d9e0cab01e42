"""The classic deep-learning applications as functional-API graphs of Keras 3.

Names are imported when they are first used: `import kerasapps` alone does not wait for TensorFlow.
"""

import importlib
from typing import Any

_NAMES = {
    "applications.classic": ("build_alexnet", "build_lenet5", "build_mnist_network", "build_perceptron"),
    "applications.dcgan": ("build_dcgan_discriminator", "build_dcgan_generator"),
    "applications.densenet": ("build_densenet",),
    "applications.gan": ("build_discriminator", "build_gan", "build_generator"),
    "applications.inception_classifier": ("build_inception_classifier",),
    "applications.memory_network": ("build_memory_network",),
    "applications.multi_head_text": ("build_multi_head_text", "build_novel", "build_profile"),
    "applications.multimodal_price": ("build_multimodal_price",),
    "applications.point_gan": ("build_point_discriminator", "build_point_generator"),
    "applications.question_answering": ("build_question_answering",),
    "applications.quick_residual_classifier": ("build_quick_residual_classifier",),
    "applications.residual_classifier": ("build_residual_classifier",),
    "applications.resnet_gan": ("build_resnet_discriminator", "build_resnet_generator"),
    "applications.separable_classifier": ("build_separable_classifier",),
    "applications.style_transfer": ("build_style_taps",),
    "applications.vgg": ("build_vgg",),
    "applications.xception": ("build_xception",),
    "heads": ("Head",),
    "losses": ("SmoothedCrossentropy", "compile_heads"),
    "optimizers": ("Adam",),
    "taps": ("feature_taps",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
