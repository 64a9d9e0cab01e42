"""One file per source: loaders of real data, and simulators."""
