"""Style transfer as an optimization of pixels: its objective and its optimizers."""

from kerasapps.styling.descent import LBFGS, Adam
from kerasapps.styling.loop import Step, stylize
from kerasapps.styling.objective import PRESETS, Objective

__all__ = ["LBFGS", "PRESETS", "Adam", "Objective", "Step", "stylize"]
