"""The classic deep-learning applications as functional-API graphs of Keras 3.

Importing it imports nothing else: a name's module is imported when the name is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names below once more, for editors and type checkers
    from kerasapps.applications.attention_classifier import build_attention_classifier as build_attention_classifier
    from kerasapps.applications.autoencoder import build_autoencoder as build_autoencoder
    from kerasapps.applications.autoencoder import build_vae as build_vae
    from kerasapps.applications.autoencoder import decoder_of as decoder_of
    from kerasapps.applications.autoencoder import encoder_of as encoder_of
    from kerasapps.applications.bag_of_ngrams import build_bag_of_ngrams as build_bag_of_ngrams
    from kerasapps.applications.capsule_network import build_capsule_network as build_capsule_network
    from kerasapps.applications.captioner import build_captioner as build_captioner
    from kerasapps.applications.cifar_network import build_cifar_network as build_cifar_network
    from kerasapps.applications.classic import build_alexnet as build_alexnet
    from kerasapps.applications.classic import build_lenet5 as build_lenet5
    from kerasapps.applications.classic import build_mnist_network as build_mnist_network
    from kerasapps.applications.classic import build_perceptron as build_perceptron
    from kerasapps.applications.dcgan import build_dcgan_discriminator as build_dcgan_discriminator
    from kerasapps.applications.dcgan import build_dcgan_generator as build_dcgan_generator
    from kerasapps.applications.deep_perceptron import build_deep_perceptron as build_deep_perceptron
    from kerasapps.applications.densenet import build_densenet as build_densenet
    from kerasapps.applications.ensemble import build_ensemble as build_ensemble
    from kerasapps.applications.gan import build_discriminator as build_discriminator
    from kerasapps.applications.gan import build_gan as build_gan
    from kerasapps.applications.gan import build_generator as build_generator
    from kerasapps.applications.graph_convolution import build_graph_convolution as build_graph_convolution
    from kerasapps.applications.image_filter import build_image_filter as build_image_filter
    from kerasapps.applications.inception_classifier import build_inception_classifier as build_inception_classifier
    from kerasapps.applications.inception_v3 import build_inception_v3 as build_inception_v3
    from kerasapps.applications.memory_network import build_memory_network as build_memory_network
    from kerasapps.applications.multi_head_text import build_multi_head_text as build_multi_head_text
    from kerasapps.applications.multi_head_text import build_novel as build_novel
    from kerasapps.applications.multi_head_text import build_profile as build_profile
    from kerasapps.applications.multimodal_price import build_multimodal_price as build_multimodal_price
    from kerasapps.applications.neural_turing_machine import (
        build_neural_turing_machine as build_neural_turing_machine,
    )
    from kerasapps.applications.pixelcnn import build_pixelcnn as build_pixelcnn
    from kerasapps.applications.point_gan import build_point_discriminator as build_point_discriminator
    from kerasapps.applications.point_gan import build_point_generator as build_point_generator
    from kerasapps.applications.question_answering import build_question_answering as build_question_answering
    from kerasapps.applications.quick_residual_classifier import (
        build_quick_residual_classifier as build_quick_residual_classifier,
    )
    from kerasapps.applications.recurrent_classifier import build_recurrent_classifier as build_recurrent_classifier
    from kerasapps.applications.recurrent_language_model import (
        build_recurrent_language_model as build_recurrent_language_model,
    )
    from kerasapps.applications.residual_classifier import build_residual_classifier as build_residual_classifier
    from kerasapps.applications.resnet import build_resnet as build_resnet
    from kerasapps.applications.resnet_gan import build_resnet_discriminator as build_resnet_discriminator
    from kerasapps.applications.resnet_gan import build_resnet_generator as build_resnet_generator
    from kerasapps.applications.separable_classifier import build_separable_classifier as build_separable_classifier
    from kerasapps.applications.seq2seq import build_seq2seq as build_seq2seq
    from kerasapps.applications.sequence_tagger import build_sequence_tagger as build_sequence_tagger
    from kerasapps.applications.squeezenet import build_squeezenet as build_squeezenet
    from kerasapps.applications.style_transfer import build_style_taps as build_style_taps
    from kerasapps.applications.text_cnn import build_text_cnn as build_text_cnn
    from kerasapps.applications.transfer_classifier import build_transfer_classifier as build_transfer_classifier
    from kerasapps.applications.transfer_classifier import freeze_base as freeze_base
    from kerasapps.applications.transformer import build_transformer as build_transformer
    from kerasapps.applications.transformer_language_model import (
        build_transformer_language_model as build_transformer_language_model,
    )
    from kerasapps.applications.vgg import build_vgg as build_vgg
    from kerasapps.applications.wide_text_cnn import build_wide_text_cnn as build_wide_text_cnn
    from kerasapps.applications.xception import build_xception as build_xception
    from kerasapps.data.splits import Split as Split
    from kerasapps.data.splits import Splits as Splits
    from kerasapps.exporting.exporter import export as export
    from kerasapps.gan.classifier import SemiSupervisedGAN as SemiSupervisedGAN
    from kerasapps.gan.losses import Rules as Rules
    from kerasapps.gan.model import GAN as GAN
    from kerasapps.heads import Head as Head
    from kerasapps.losses import MarginLoss as MarginLoss
    from kerasapps.losses import PixelCrossentropy as PixelCrossentropy
    from kerasapps.losses import SmoothedCrossentropy as SmoothedCrossentropy
    from kerasapps.losses import TokenCrossentropy as TokenCrossentropy
    from kerasapps.losses import compile_heads as compile_heads
    from kerasapps.optimizers import Adam as Adam
    from kerasapps.optimizers import Muon as Muon
    from kerasapps.runs import Options as Options
    from kerasapps.saving import load_model as load_model
    from kerasapps.saving import portable as portable
    from kerasapps.session import start as start
    from kerasapps.spaces import search_spaces as search_spaces
    from kerasapps.styling.loop import stylize as stylize
    from kerasapps.taps import feature_taps as feature_taps
    from kerasapps.training import fit as fit

__version__ = "0.1.0"

_MODULES = {
    "Adam": "optimizers",
    "GAN": "gan.model",
    "Head": "heads",
    "MarginLoss": "losses",
    "Muon": "optimizers",
    "Options": "runs",
    "PixelCrossentropy": "losses",
    "Rules": "gan.losses",
    "SemiSupervisedGAN": "gan.classifier",
    "SmoothedCrossentropy": "losses",
    "Split": "data.splits",
    "Splits": "data.splits",
    "TokenCrossentropy": "losses",
    "build_alexnet": "applications.classic",
    "build_attention_classifier": "applications.attention_classifier",
    "build_autoencoder": "applications.autoencoder",
    "build_bag_of_ngrams": "applications.bag_of_ngrams",
    "build_capsule_network": "applications.capsule_network",
    "build_captioner": "applications.captioner",
    "build_cifar_network": "applications.cifar_network",
    "build_dcgan_discriminator": "applications.dcgan",
    "build_dcgan_generator": "applications.dcgan",
    "build_deep_perceptron": "applications.deep_perceptron",
    "build_densenet": "applications.densenet",
    "build_discriminator": "applications.gan",
    "build_ensemble": "applications.ensemble",
    "build_gan": "applications.gan",
    "build_generator": "applications.gan",
    "build_graph_convolution": "applications.graph_convolution",
    "build_image_filter": "applications.image_filter",
    "build_inception_classifier": "applications.inception_classifier",
    "build_inception_v3": "applications.inception_v3",
    "build_lenet5": "applications.classic",
    "build_memory_network": "applications.memory_network",
    "build_mnist_network": "applications.classic",
    "build_multi_head_text": "applications.multi_head_text",
    "build_multimodal_price": "applications.multimodal_price",
    "build_neural_turing_machine": "applications.neural_turing_machine",
    "build_novel": "applications.multi_head_text",
    "build_perceptron": "applications.classic",
    "build_pixelcnn": "applications.pixelcnn",
    "build_point_discriminator": "applications.point_gan",
    "build_point_generator": "applications.point_gan",
    "build_profile": "applications.multi_head_text",
    "build_question_answering": "applications.question_answering",
    "build_quick_residual_classifier": "applications.quick_residual_classifier",
    "build_recurrent_classifier": "applications.recurrent_classifier",
    "build_recurrent_language_model": "applications.recurrent_language_model",
    "build_residual_classifier": "applications.residual_classifier",
    "build_resnet": "applications.resnet",
    "build_resnet_discriminator": "applications.resnet_gan",
    "build_resnet_generator": "applications.resnet_gan",
    "build_separable_classifier": "applications.separable_classifier",
    "build_seq2seq": "applications.seq2seq",
    "build_sequence_tagger": "applications.sequence_tagger",
    "build_squeezenet": "applications.squeezenet",
    "build_style_taps": "applications.style_transfer",
    "build_text_cnn": "applications.text_cnn",
    "build_transfer_classifier": "applications.transfer_classifier",
    "build_transformer": "applications.transformer",
    "build_transformer_language_model": "applications.transformer_language_model",
    "build_wide_text_cnn": "applications.wide_text_cnn",
    "build_vae": "applications.autoencoder",
    "build_vgg": "applications.vgg",
    "build_xception": "applications.xception",
    "compile_heads": "losses",
    "decoder_of": "applications.autoencoder",
    "encoder_of": "applications.autoencoder",
    "export": "exporting.exporter",
    "feature_taps": "taps",
    "fit": "training",
    "freeze_base": "applications.transfer_classifier",
    "load_model": "saving",
    "portable": "saving",
    "search_spaces": "spaces",
    "start": "session",
    "stylize": "styling.loop",
}

__all__ = [*_MODULES]


if not TYPE_CHECKING:  # which would take it to mean that there is any name

    def __getattr__(name: str):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
