"""The classic deep-learning applications as functional-API graphs of Keras 3.

With it imported `keras.models.load_model` knows what a saved network consists of.
"""

import sys

# `python -m kerasapps.launch` needs nothing of this, and would wait seconds for TensorFlow.
if "kerasapps.launch" not in sys.orig_argv:
    from kerasapps.applications.classic import build_alexnet, build_lenet5, build_mnist_network, build_perceptron
    from kerasapps.applications.dcgan import build_dcgan_discriminator, build_dcgan_generator
    from kerasapps.applications.densenet import build_densenet
    from kerasapps.applications.gan import build_discriminator, build_gan, build_generator
    from kerasapps.applications.inception_classifier import build_inception_classifier
    from kerasapps.applications.memory_network import build_memory_network
    from kerasapps.applications.multi_head_text import build_multi_head_text, build_novel, build_profile
    from kerasapps.applications.multimodal_price import build_multimodal_price
    from kerasapps.applications.point_gan import build_point_discriminator, build_point_generator
    from kerasapps.applications.question_answering import build_question_answering
    from kerasapps.applications.quick_residual_classifier import build_quick_residual_classifier
    from kerasapps.applications.residual_classifier import build_residual_classifier
    from kerasapps.applications.resnet_gan import build_resnet_discriminator, build_resnet_generator
    from kerasapps.applications.separable_classifier import build_separable_classifier
    from kerasapps.applications.style_transfer import build_style_taps
    from kerasapps.applications.vgg import build_vgg
    from kerasapps.applications.xception import build_xception
    from kerasapps.heads import Head
    from kerasapps.losses import SmoothedCrossentropy, compile_heads
    from kerasapps.optimizers import Adam
    from kerasapps.taps import feature_taps

__all__ = [
    "Adam",
    "Head",
    "SmoothedCrossentropy",
    "build_alexnet",
    "build_dcgan_discriminator",
    "build_dcgan_generator",
    "build_densenet",
    "build_discriminator",
    "build_gan",
    "build_generator",
    "build_inception_classifier",
    "build_lenet5",
    "build_memory_network",
    "build_mnist_network",
    "build_multi_head_text",
    "build_multimodal_price",
    "build_novel",
    "build_perceptron",
    "build_point_discriminator",
    "build_point_generator",
    "build_profile",
    "build_question_answering",
    "build_quick_residual_classifier",
    "build_residual_classifier",
    "build_resnet_discriminator",
    "build_resnet_generator",
    "build_separable_classifier",
    "build_style_taps",
    "build_vgg",
    "build_xception",
    "compile_heads",
    "feature_taps",
]
