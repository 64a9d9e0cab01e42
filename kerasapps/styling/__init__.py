"""Style transfer as an optimisation of pixels: what a picture should be like, and how to get there."""

from kerasapps.styling.descent import LBFGS, Adam
from kerasapps.styling.loop import Step, stylize
from kerasapps.styling.objective import PRESETS, Objective

__all__ = ["LBFGS", "PRESETS", "Adam", "Objective", "Step", "stylize"]
