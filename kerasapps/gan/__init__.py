"""Generative adversarial networks: the model that `fit` trains, its losses and the scores of its samples."""
