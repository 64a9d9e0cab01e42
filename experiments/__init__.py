"""Scripts, one an application: `python -m experiments` lists them."""
