"""Generative adversarial networks: the model that `fit` trains, its losses, and metrics of its samples."""
