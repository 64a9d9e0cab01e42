"""Functions from tensors to tensors, and the few layers, that applications share."""
