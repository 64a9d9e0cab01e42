"""The classic deep-learning applications as functional-API graphs of Keras 3."""

from kerasapps.applications.memory_network import build_memory_network
from kerasapps.applications.question_answering import build_question_answering

__all__ = ["build_memory_network", "build_question_answering"]
