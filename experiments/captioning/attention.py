"""What a captioner attends to for each word: the pointing game on scenes, and figures."""

from collections.abc import Sequence

import keras
import numpy as np
from PIL import Image

from kerasapps.data.captions import CaptionCodec
from kerasapps.data.scene_captions import check, parse
from kerasapps.data.scenes import Group, Scene
from kerasapps.reports import Figure, add_axes, new_figure, plain

from ..shared.images import show_image
from .features import AT_ONCE

PICTURES, WORDS, COLUMNS = 4, 15, 6
SIDE = 192  # pixels of an image in a figure


def attention_to(model: keras.Model, codec: CaptionCodec, images: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """Returns what a network attends to while it writes given captions: float32 (n, T, S), T with the end."""
    ids, _ = codec.ids([[caption] for caption in captions])
    weights = []
    for first in range(0, len(images), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        outputs = model({"image": images[rows].astype(np.float32), "target": ids[rows, :, :-1]}, training=False)
        weights.append(np.asarray(outputs["attention"], np.float32)[:, 0])
    return np.concatenate(weights)


def pointing(
    captions: Sequence[str], attention: np.ndarray, scenes: Sequence[Scene], *, codec: CaptionCodec
) -> dict[str, float]:
    """Returns how often the network attends to what it names.

    Args:
        captions: What it wrote.
        attention: Weights of the places at each token, (n, T, S).
        scenes: What there is to be seen.
        codec: Cuts the captions into tokens.

    Returns:
        "pointing", the share of the groups named, those that are there, for which the place with the highest weight at
        the last token of the noun touches one of the group's objects; and "pointing_guess", that of places drawn
        blindly. Both are 0 where no group that is there is named.
    """
    hits, touched = [], []
    side = round(attention.shape[-1] ** 0.5)
    for caption, weights, scene in zip(captions, attention, scenes, strict=True):
        claims = parse(caption)
        by_kind = {group.kind: group for group in scene.groups}
        for mention in claims.mentions if claims else ():
            token = codec.token_of(caption, mention.place)
            if mention.kind in by_kind and token < len(weights):
                places = touching(by_kind[mention.kind], side)
                hits.append(places[weights[token].argmax()])
                touched.append(places.mean())
    return {"pointing": float(np.mean(hits or 0)), "pointing_guess": float(np.mean(touched or 0))}


def touching(group: Group, side: int) -> np.ndarray:
    """Returns which places of a grid touch an object of a group, bool (side * side,)."""
    edges = np.arange(side) / side
    places = np.zeros((side, side), bool)
    for left, upper, right, lower in group.boxes:
        columns = (edges < right) & (edges + 1 / side > left)
        rows = (edges < lower) & (edges + 1 / side > upper)
        places |= rows[:, None] & columns
    return places.ravel()


def attention_figures(written, scenes: Sequence[Scene], *, codec: CaptionCodec) -> list[Figure]:
    """Draws where the network attends for each word of some captions: for scenes two right ones and two wrong ones."""
    if written.attention is None:
        return []
    lengths = np.array([len(caption.split()) for caption in written.captions])
    order = np.argsort(np.abs(lengths - np.median(lengths)), kind="stable")
    wrong = [i for i in order if scenes and not _is_true(written.captions[i], scenes[i])][: PICTURES // 2]
    rows = [*[i for i in order if i not in wrong][: PICTURES - len(wrong)], *wrong]
    return [
        attention_figure(
            written.images[i],
            written.captions[i],
            codec.pieces_of(written.captions[i]),
            written.attention[i],
            name=f"attention_{number}",
            note=" Not all of it is true." if i in wrong else "",
        )
        for number, i in enumerate(rows, start=1)
    ]


def _is_true(caption: str, scene: Scene) -> bool:
    claims = parse(caption)
    return claims is not None and all(true for _, true in check(claims, scene))


def attention_figure(
    image: np.ndarray, caption: str, pieces: Sequence[str], weights: np.ndarray, *, name: str, note: str = ""
) -> Figure:
    """Draws an image once for each token of its caption, the brighter where the network attends.

    Args:
        image: uint8 (H, W, C).
        caption: The caption.
        pieces: Its tokens.
        weights: Of the places at each token, (T, S).
        name: Name of the figure's file.
        note: What to add to the text below it.
    """
    words = [one.replace("▁", " ").strip() or one for one in pieces[: min(WORDS, len(weights))]]
    lines = -(-(len(words) + 1) // COLUMNS)
    figure = new_figure(width=10.5, height=2.05 * lines)
    picture = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST))
    axes = add_axes(figure, lines, COLUMNS, 1, title="image")
    show_image(axes, picture)
    for i, word in enumerate(words):
        axes = add_axes(figure, lines, COLUMNS, i + 2, title=plain(word))
        show_image(axes, lighted(picture, weights[i]))
    text = f"“{caption}”: the place with the highest weight is fully lit; what is dark is not attended to."
    return Figure(name, text + note, figure)


def lighted(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns an image, uint8 (H, W, C), dark where weights (S,) of a square grid are low."""
    side = round(len(weights) ** 0.5)
    share = Image.fromarray((weights / max(weights.max(), 1e-9)).reshape(side, side).astype(np.float32))
    share = np.asarray(share.resize(image.shape[1::-1], Image.Resampling.BICUBIC)).clip(0, 1)[..., None]
    return (image * (0.2 + 0.8 * share)).astype(np.uint8)
