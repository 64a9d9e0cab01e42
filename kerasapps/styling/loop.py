"""`stylize`: from a content and some styles to an image, coarse to fine."""

import math
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from kerasapps.blocks.arguments import check_at_least, check_positive, refusal
from kerasapps.blocks.backend import require_tensorflow
from kerasapps.blocks.style import deprocess, preprocess
from kerasapps.errors import TrainingError, UserError
from kerasapps.styling.descent import LBFGS, Adam
from kerasapps.styling.objective import Objective, StyleLoss

# An array or tensor (H, W, 3), bytes or numbers from 0 to 255; what Pillow opened; or a file.
ImageLike = np.ndarray | tf.Tensor | Image.Image | str | Path
Start = Literal["content", "style", "noise", "blank", "statistics"]
STARTS = get_args(Start)
FACTOR = math.sqrt(2)
GRAY = 127.5
NOISE = 50.0  # standard deviation of noise, of 255
# Pixels that are painted beyond each edge, where the image continues as in a mirror, and cut off. At the edge itself a
# pixel has fewer neighbors to be like, so that the contrast a style asks for ends up there, and of a size that is no
# multiple of the network's stride the last rows and columns have no say in its deep layers: both turned them garish.
MARGIN = 16


@dataclass(frozen=True)
class Step:
    """An intermediate result.

    Args:
        step: Number of evaluations of loss and gradient so far, over all scales.
        scale: Height and width of the image.
        losses: "total" and its terms before weighting: "content", "style", "tv". With Adam they are those of the image
            before the step and before averaging.
        state: All that is needed to continue from here; see `stylize`.
        solution: The preprocessed image, float32 (1, H, W, 3), on the device that computed it.
    """

    step: int
    scale: tuple[int, int]
    losses: Mapping[str, float]
    state: Mapping[str, tf.Tensor]
    solution: tf.Tensor

    @cached_property
    def image(self) -> np.ndarray:
        """The image, 0 to 255, float32 (H, W, 3)."""
        return as_image(self.solution)


def stylize(
    content: ImageLike,
    styles: ImageLike | Sequence[ImageLike],
    *,
    taps: keras.Model,
    objective: Objective = Objective(),
    size: int = 512,
    steps: int = 100,
    optimizer: Adam | LBFGS = LBFGS(),
    start: Start | ImageLike = "content",
    noise_share: float = 0.0,
    smallest: int = 128,
    style_weights: Sequence[float] | None = None,
    style_scale: float = 1.0,
    masks: Sequence[np.ndarray] | None = None,
    memory: int | None = None,
    seed: int = 0,
    resume: Mapping[str, np.ndarray] | None = None,
) -> Iterator[Step]:
    """Paints the content of one image in the style of others, at sizes that grow by the square root of 2.

    Args:
        content: An image: an array of bytes or numbers from 0 to 255, (H, W, 3), a `PIL.Image`, or a file. A warning
            says so if its numbers look like those from 0 to 1.
        styles: Such images, each (h, w, 3), or one.
        taps: A model from `build_style_taps` with the layers of `objective`.
        objective: The losses and their weights.
        size: Longer side of the result in pixels.
        steps: Number of evaluations of loss and gradient at each size.
        optimizer: What minimizes the loss.
        start: The first image: "content", "style" (the first one), "noise", "blank" (gray), "statistics" (noise with
            the mean and covariance of the first style's colors), or an image that is no file name.
        noise_share: Share of noise mixed into the first image, from 0 to 1.
        smallest: Longer side of the smallest size at most; `size` or more for one size only.
        style_weights: Weight of each style; by default all are equal.
        style_scale: Longer side of the styles as a share of that of the result.
        masks: Where each style applies, 0 to 1, each (H, W) as the content; by default everywhere.
        memory: Bytes that the network's activations may take; larger images are computed in tiles.
        seed: Seed of the noise.
        resume: The state of an earlier `Step` of a call with the same arguments, to continue from it.

    Returns:
        An iterator that paints: it yields a record after each step of the optimizer.

    Raises:
        TrainingError: If the loss becomes NaN or infinite, from the iterator.
        UserError: If an image gets too narrow for the network.
        ValueError: If an argument is out of range or has the wrong shape, or Keras does not compute with TensorFlow.

    Example:
        >>> taps = build_style_taps(network="compact", weights="trained")
        >>> for step in stylize(photos[0], [photos[1]], taps=taps, size=64, steps=5):  # photos (n, H, W, 3)
        ...     print(step.scale, step.losses["total"])
    """
    require_tensorflow("Style transfer")
    content, styles, start = _as_images(content, styles, start)
    masks = None if masks is None else [np.asarray(mask, np.float32) for mask in masks]
    _check_parts(taps, objective, optimizer, resume)
    if not 0 <= noise_share <= 1:
        raise refusal("be from 0 to 1", noise_share=noise_share)
    _check(content, styles, style_weights, masks, size=size, steps=steps, smallest=smallest, style_scale=style_scale)
    sizes = scale_sizes(content.shape[:2], size=size, smallest=smallest)
    loss = StyleLoss(taps, objective, style_weights or [1.0] * len(styles), memory=memory)
    for image, (height, width) in [("The content", sizes[0]), *_style_sizes(styles, sizes[0], style_scale)]:
        least = loss.tiling.stride
        if min(height, width) < least:
            raise UserError(
                f"{image} would have {height} x {width} pixels at the smallest size, and the network needs at least "
                f"{least} each way. Try another --size, --smallest or --style-scale, or a less narrow image."
            )
    if resume is not None and not 0 <= int(resume["scale"]) < len(sizes):
        raise refusal(f"be the state of a painting at {len(sizes)} sizes", resume=f"scale {int(resume['scale'])}")
    return _paint(
        content,
        styles,
        sizes,
        loss,
        optimizer,
        steps=steps,
        style_scale=style_scale,
        masks=masks,
        first_image=lambda content, style: _first_image(start, content, style, seed, noise_share),
        resume=resume,
    )


def _paint(
    content, styles, sizes, loss, optimizer, *, steps, style_scale, masks, first_image, resume
) -> Iterator[Step]:
    """Yields the steps at each size; the arguments are those of `stylize`, as it has checked and prepared them."""
    state, first, done, total = None, 0, 0, 0
    if resume is not None:
        first, done, total = (int(resume[name]) for name in ("scale", "done", "total"))
        state = {name: tf.constant(value) for name, value in resume.items() if name not in ("scale", "done", "total")}
    for i, shape in enumerate(sizes[first:], start=first):
        frame = Frame(shape, loss.tiling.stride)
        style_shapes = [shape for _, shape in _style_sizes(styles, shape, style_scale)]
        resized = [preprocess(resize(style, size))[None] for style, size in zip(styles, style_shapes, strict=True)]
        resized_content = preprocess(resize(content, shape))[None]
        loss.aim(
            frame.extend(resized_content), resized, None if masks is None else frame.extend(_stack_masks(masks, shape))
        )
        if state is None:
            state = optimizer.start(frame.extend(first_image(resized_content, resized[0])))
        elif done == 0:
            state = optimizer.resize(state, partial(frame.take_over, smaller=sizes[i - 1]))
        elif tuple(state["x"].shape[1:3]) == shape:  # of a painting that was begun before there was a margin
            state = optimizer.resize(state, frame.extend)
        while done < steps:
            state, losses, calls = optimizer.step(state, loss, steps - done)
            done, total = done + calls, total + calls
            if losses is None:
                break  # no further descent at this size
            losses = {name: float(value) for name, value in losses.items()}
            if not math.isfinite(losses["total"]):
                raise TrainingError(
                    f"The loss became {losses['total']} in step {total}. Try --precision float32, a lower "
                    "--learning-rate or smaller weights."
                )
            where = {"scale": tf.constant(i), "done": tf.constant(done), "total": tf.constant(total)}
            yield Step(total, shape, losses, {**state, **where}, frame.cut(optimizer.solution(state)))
        done = 0


class Frame:
    """The margin around an image of some size, which is painted with it and then cut off; see `MARGIN`.

    Args:
        shape: Height and width of the image.
        stride: Of the network; height and width with the margin are multiples of it.
    """

    def __init__(self, shape: tuple[int, int], stride: int):
        self.shape, self.stride = shape, stride
        wanted = [math.ceil((side + 2 * MARGIN) / stride) * stride for side in shape]
        self.before = [(full - side) // 2 for full, side in zip(wanted, shape, strict=True)]
        margins = [(first, full - side - first) for first, full, side in zip(self.before, wanted, shape, strict=True)]
        # Mirrored as often as an image takes that is narrower than its margin.
        self.rows, self.columns = (
            np.pad(np.arange(side), margin, mode="symmetric") for side, margin in zip(shape, margins, strict=True)
        )

    def extend(self, image: tf.Tensor) -> tf.Tensor:
        """Returns an image (B, H, W, C) with its margin, in which it continues as in a mirror."""
        return tf.gather(tf.gather(image, self.rows, axis=1), self.columns, axis=2)

    def cut(self, image: tf.Tensor) -> tf.Tensor:
        """Returns an image without its margin."""
        (top, left), (height, width) = self.before, self.shape
        return image[:, top : top + height, left : left + width]

    def take_over(self, image: tf.Tensor, *, smaller: tuple[int, int]) -> tf.Tensor:
        """Returns an image of a smaller size, which has a margin of its own, at this size and with this margin."""
        if tuple(image.shape[1:3]) != smaller:  # else begun before there was a margin
            image = Frame(smaller, self.stride).cut(image)
        return self.extend(tf.image.resize(image, self.shape, "bicubic"))


def scale_sizes(shape: tuple[int, int], *, size: int, smallest: int) -> list[tuple[int, int]]:
    """Returns height and width at each scale, the smallest first.

    Args:
        shape: Height and width of the content.
        size: Longer side of the last.
        smallest: Longer side of the first at most.
    """
    count = max(0, math.ceil(round(2 * math.log2(size / smallest), 6)))
    return [fit_size(shape, size / FACTOR**i) for i in reversed(range(count + 1))]


def fit_size(shape: tuple[int, int], side: float) -> tuple[int, int]:
    """Returns height and width with the same ratio and this longer side."""
    factor = side / max(shape)
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def resize(image: np.ndarray, shape: tuple[int, int]) -> tf.Tensor:
    """Resizes an image (H, W, C), with antialiasing, to float32 (height, width, C) from 0 to 255."""
    if tuple(image.shape[:2]) == tuple(shape):
        return tf.cast(image, tf.float32)
    return tf.clip_by_value(tf.image.resize(image, shape, "bicubic", antialias=True), 0, 255)


def as_image(x: tf.Tensor) -> np.ndarray:
    """Undoes `preprocess`: (1, H, W, 3) -> float32 (H, W, 3) from 0 to 255."""
    return np.clip(keras.ops.convert_to_numpy(deprocess(x[0])), 0, 255)


def _style_sizes(styles, shape: tuple[int, int], style_scale: float) -> list[tuple[str, tuple[int, int]]]:
    """Returns what messages call each style, and its height and width for a content of some size."""
    return [("A style", fit_size(style.shape[:2], max(shape) * style_scale)) for style in styles]


def _stack_masks(masks: Sequence[np.ndarray], shape: tuple[int, int]) -> tf.Tensor:
    """Returns the masks at one size, float32 (1, height, width, number of masks)."""
    return tf.image.resize(np.stack(masks, -1).astype(np.float32), shape, "area")[None]


def _first_image(
    start: Start | np.ndarray, content: tf.Tensor, style: tf.Tensor, seed: int, noise_share: float
) -> tf.Tensor:
    """Returns the preprocessed first image, float32 (1, H, W, 3)."""
    shape = content.shape[1:3]
    deviation = tf.random.stateless_normal(content.shape, [seed, 0], dtype=content.dtype)
    gray = preprocess(np.full((1, *shape, 3), GRAY, np.float32))
    noise = gray + NOISE * deviation
    if not isinstance(start, str):
        first = preprocess(resize(start, shape))[None]
    elif start == "statistics":
        pixels = keras.ops.convert_to_numpy(style).reshape(-1, 3).astype(np.float64)
        root = np.linalg.cholesky(np.cov(pixels.T) + 1e-3 * np.eye(3))
        first = tf.constant(deviation.numpy() @ root.T + pixels.mean(0), content.dtype)
    else:
        style = tf.image.resize(style, shape, antialias=True)
        first = {"content": content, "style": style, "blank": gray, "noise": noise}[start]
    return first if not noise_share else (1 - noise_share) * first + noise_share * noise


def _as_images(content, styles, start) -> tuple[np.ndarray, list[np.ndarray], Start | np.ndarray]:
    """Returns all images as arrays."""
    if isinstance(start, str) and start not in STARTS:
        raise refusal(f"be one of {', '.join(STARTS)}, or an image", start=start)
    if isinstance(styles, str | Path | Image.Image) or getattr(styles, "ndim", 0) == 3:
        styles = [styles]  # one image
    if not isinstance(styles, Sequence | np.ndarray | tf.Tensor):
        raise ValueError(f"`styles` must be an image or a list of images. Received: {type(styles).__name__}")
    first = start if isinstance(start, str) else _as_array("start", start)
    return _as_array("content", content), [*map(partial(_as_array, "styles"), styles)], first


def _as_array(name: str, image: ImageLike) -> np.ndarray:
    """Returns an image as an array (H, W, 3), and warns if its numbers are hardly those from 0 to 255."""
    if isinstance(image, str | Path):
        image = Image.open(image)
    if isinstance(image, Image.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    shape = tuple(getattr(image, "shape", ()))
    if len(shape) != 3 or shape[-1] != 3 or 0 in shape:
        received = shape if hasattr(image, "shape") else type(image).__name__
        raise ValueError(f"`{name}` must be RGB images, (H, W, 3). Received: {received}")
    image = keras.ops.convert_to_numpy(image)
    low, high = float(image.min()), float(image.max())
    if image.dtype.kind == "f" and (0 < high <= 1 or low < -1 or high > 256):
        warnings.warn(
            f"`{name}` should have values from 0 to 255; those from 0 to 1 become so by 255 * x. "
            f"Received: values from {low:g} to {high:g}",
            stacklevel=4,
        )
    return image


def _check_parts(taps, objective, optimizer, resume) -> None:
    """Refuses what is none of this package's objects."""
    if not isinstance(taps, keras.Model):
        raise refusal("be a model from build_style_taps", taps=taps)
    if not isinstance(objective, Objective):
        raise refusal("be an Objective, such as PRESETS['default']", objective=objective)
    if not isinstance(optimizer, Adam | LBFGS):
        raise refusal("be LBFGS() or Adam() of kerasapps.styling", optimizer=optimizer)
    if resume is not None and not {"scale", "done", "total", "x"} <= set(resume):
        raise ValueError(f"`resume` must be the state of a Step. Received: {', '.join(map(str, resume)) or 'nothing'}")
    given = "LBFGS" if resume is not None and "products" in resume else "Adam"
    if resume is not None and given != type(optimizer).__name__:
        raise ValueError(
            f"`resume` must be a state of {type(optimizer).__name__}, as `optimizer` is. Received: {given}"
        )


def _check(content, styles, style_weights, masks, *, size, steps, smallest, style_scale) -> None:
    check_positive(size=size, smallest=smallest, style_scale=style_scale)
    try:
        check_at_least(1, steps=operator.index(steps))
    except TypeError:
        raise refusal("be a whole number", steps=steps) from None
    if not styles:
        raise ValueError("`styles` must hold at least one image. Received: none")
    if style_weights is not None:
        if len(style_weights) != len(styles):
            raise ValueError(
                f"`style_weights` must be as many as styles, {len(styles)}. Received: {len(style_weights)}"
            )
        if min(style_weights) < 0 or not sum(style_weights) > 0:
            raise ValueError(f"`style_weights` must be 0 or more, one above. Received: {tuple(style_weights)}")
    if masks is None:
        return
    if len(masks) != len(styles):
        raise ValueError(f"`masks` must be as many as styles, {len(styles)}. Received: {len(masks)}")
    for i, mask in enumerate(masks, start=1):
        if mask.shape != content.shape[:2]:
            wanted = f"{content.shape[0]} x {content.shape[1]} pixels as the content"
            shape = " x ".join(map(str, mask.shape))
            raise ValueError(f"`masks` must have {wanted}. Received: mask {i} with {shape}")
        if not mask.max() > 0:
            raise ValueError(f"`masks` must show something. Received: mask {i} is black")
        if mask.min() < 0:
            raise ValueError(f"`masks` must be 0 or more. Received: mask {i} with {mask.min():g}")
