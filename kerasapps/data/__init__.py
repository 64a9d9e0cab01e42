"""One file a source: loaders of real data, and simulators beside them."""
