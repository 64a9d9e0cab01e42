"""One file an application or network family: builders, their search spaces, and steps that `fit` cannot express."""
