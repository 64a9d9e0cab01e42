"""How far a map can be trusted: what happens to the score without what it marks, and with another network behind it.

References: Petsiuk, Das and Saenko, "RISE", BMVC 2018 (deletion and insertion); Adebayo et al., "Sanity Checks for
Saliency Maps", NeurIPS 2018 (weights drawn anew); Zhang et al., "Top-down Neural Attention by Excitation Backprop",
ECCV 2016 (pointing game).
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

from kerasapps.inside.networks import drawn_anew, head_weights
from kerasapps.inside.occlusion import Fill, filled
from kerasapps.inside.probe import Inputs, Probe

Method = Callable[[Probe, Inputs, Sequence[int]], np.ndarray]  # to maps (n, H, W)
CUTS = 16


def deletion(
    probe: Probe,
    inputs: Inputs,
    units: Sequence[int],
    maps: np.ndarray,
    *,
    fill: Fill = "blur",
    insert: bool = False,
    cuts: int = CUTS,
) -> np.ndarray:
    """Returns the mean probability of the class while pixels are taken away, the most marked first, (n,).

    Low is good. With `insert` they are put into an image that has nothing, and high is good.

    Args:
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        maps: The map of each image, (n, H, W).
        fill: What stands where nothing is.
        insert: Whether pixels are put in rather than taken away.
        cuts: Number of steps.
    """
    images = inputs[probe.image].astype(np.float32)
    without = np.stack([filled(image, fill) for image in images])
    ranks = (-maps.reshape(len(maps), -1)).argsort(1, kind="stable").argsort(1).reshape(maps.shape)  # 0: most marked
    area = []
    for share in np.linspace(0, 1, cuts + 1):
        marked = (ranks < share * maps[0].size)[..., None]
        shown = np.where(marked == insert, images, without)
        values = probe.predict({**inputs, probe.image: shown})
        area.append([np.mean(value[..., unit]) for value, unit in zip(values, units, strict=True)])
    return np.trapezoid(area, dx=1 / cuts, axis=0)


def rank_correlation(maps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns Spearman's correlation of two maps of each image, (n,); 0 where one is constant."""
    pairs = zip(maps, others, strict=True)
    return np.array(
        [scipy.stats.spearmanr(a, b, axis=None).statistic if np.ptp(a) and np.ptp(b) else 0.0 for a, b in pairs]
    )


def after_drawing_anew(
    method: Method, probe: Probe, inputs: Inputs, units: Sequence[int], maps: np.ndarray, *, head: bool, seed: int = 0
) -> np.ndarray:
    """Returns the rank correlation of maps with those of the same network with other weights, (n,): low is good.

    Args:
        method: What made the maps.
        probe: The network and its output.
        inputs: The images, and other inputs.
        units: A class for each row.
        maps: The map of each image, (n, H, W).
        head: Whether to draw the weights of the last layer anew, or else all of them.
        seed: Seed of the weights.
    """
    weights = head_weights(probe.model, probe.output) if head else probe.model.weights
    with drawn_anew(weights, seed=seed):
        return rank_correlation(maps, method(probe, inputs, units))


def judge(
    method: Method, probe: Probe, inputs: Inputs, units: Sequence[int], maps: np.ndarray, *, fill: Fill = "blur"
) -> dict[str, np.ndarray]:
    """Returns "deletion", "insertion", "rank_head" and "rank_all" of each map, (n,)."""
    return {
        "deletion": deletion(probe, inputs, units, maps, fill=fill),
        "insertion": deletion(probe, inputs, units, maps, fill=fill, insert=True),
        "rank_head": after_drawing_anew(method, probe, inputs, units, maps, head=True),
        "rank_all": after_drawing_anew(method, probe, inputs, units, maps, head=False),
    }


def pointing(maps: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns whether the highest value of each map is in its box, bool (n,).

    Args:
        maps: The maps, (n, H, W).
        boxes: Top, left, bottom and right of each, the last two outside, (n, 4).
    """
    rows, columns = np.unravel_index(maps.reshape(len(maps), -1).argmax(1), maps.shape[1:])
    top, left, bottom, right = boxes.T
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def mass(maps: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Returns the share of what is positive in a map that lies in its box, (n,)."""
    positive = np.maximum(maps, 0)
    inside = [
        one[top:bottom, left:right].sum() for one, (top, left, bottom, right) in zip(positive, boxes, strict=True)
    ]
    return np.array(inside) / np.maximum(positive.sum((1, 2)), 1e-12)
