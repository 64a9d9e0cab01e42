"""The classic deep-learning applications as functional-API graphs of Keras 3."""
