"""Hyperparameter search: an oracle proposes, separate processes train, a report shows."""
