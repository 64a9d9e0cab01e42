"""The smallest minimax problem: f(x, y) = x y, which x minimizes and y maximizes; gradient descent does not converge.

References: Korpelevich, "The extragradient method for finding saddle points and other problems", Matecon 1976;
Gidel et al., "A Variational Inequality Perspective on Generative Adversarial Networks", ICLR 2019.
"""

from collections.abc import Callable

import numpy as np

from kerasapps.reports import Figure, add_axes, new_figure

START, RATE, STEPS = (1.0, 0.0), 0.1, 250
Point = tuple[float, float]


def simultaneous(x: float, y: float, rate: float) -> Point:
    """Both move by the gradient at the same point: each step is sqrt(1 + rate^2) times farther away."""
    return x - rate * y, y + rate * x


def alternating(x: float, y: float, rate: float) -> Point:
    """y already sees where x has moved: x^2 - rate x y + y^2 stays as it is."""
    x = x - rate * y
    return x, y + rate * x


def extragradient(x: float, y: float, rate: float) -> Point:
    """Both move by the gradient where a step would lead: each is sqrt(1 - rate^2 + rate^4) times as far away."""
    ahead_x, ahead_y = simultaneous(x, y, rate)
    return x - rate * ahead_y, y + rate * ahead_x


def path(step: Callable[[float, float, float], Point], *, start: Point, rate: float, steps: int) -> np.ndarray:
    """Returns the points of so many steps after the start, float64 (steps + 1, 2)."""
    points = [start]
    for _ in range(steps):
        points.append(step(*points[-1], rate))
    return np.array(points)


def averages(points: np.ndarray) -> np.ndarray:
    """Returns for each point the mean of all up to it, (n, 2)."""
    return np.cumsum(points, 0) / np.arange(1, len(points) + 1)[:, None]


def saddle_figure() -> Figure:
    """Draws the path of each kind of step, and its distance from the equilibrium."""
    steps = (simultaneous, alternating, extragradient)
    paths = {step.__name__: path(step, start=START, rate=RATE, steps=STEPS) for step in steps}
    paths["average of alternating"] = averages(paths["alternating"])
    figure = new_figure(9.0, 3.9)
    plane = add_axes(figure, 1, 2, 1, title="path of (x, y)", xlabel="x: minimizes xy", ylabel="y: maximizes xy")
    over_time = add_axes(figure, 1, 2, 2, title="distance from the equilibrium", xlabel="step")
    for name, points in paths.items():
        plane.plot(*points.T, linewidth=1.2)
        distances = np.hypot(*points.T)
        over_time.plot(distances, label=f"{name}: ends at {distances[-1]:.2f}")
    plane.plot(0, 0, "+", color="#1c2430", markersize=10)
    plane.set(aspect="equal")
    over_time.set(ylim=(0, None))
    over_time.legend(frameon=False, fontsize=9, loc="upper left")
    caption = (
        f"A GAN of two numbers: x minimizes f = xy and y maximizes it; the equilibrium is 0, 0. {STEPS} steps from 1, "
        f"0 with learning rate {RATE:g}. Simultaneous gradient descent and ascent circles the equilibrium and moves "
        f"away from it, {np.sqrt(1 + RATE**2):.3f} times as far each step; a smaller rate only makes that slower. If "
        "the two take turns, as the networks of a GAN do, they circle at about the same distance. The average of their "
        "points approaches the equilibrium: one reason to sample from averaged weights. Extragradient, which takes the "
        "gradient from one step ahead, gets there itself."
    )
    return Figure("saddle", caption, figure, "Why two networks circle: the smallest minimax problem", wraps=True)
