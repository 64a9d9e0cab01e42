"""Scripts, one per application: `python -m experiments` lists them."""

from kerasapps import startup

startup.prepare()
