"""Text of any script in figures: a font of this machine that has its characters, or else numbers with a key."""

import functools
import re
import unicodedata
import warnings
from collections.abc import Sequence

import matplotlib
import matplotlib.figure
import matplotlib.font_manager
import matplotlib.ft2font
import matplotlib.text

# From this version on matplotlib joins, reorders and turns around the letters of scripts that need it.
SHAPES_TEXT = tuple(map(int, re.findall(r"\d+", matplotlib.__version__)[:2])) >= (3, 11)
# Hebrew and Arabic are written from right to left; the letters of the others change with their neighbors.
SHAPED = re.compile("[\u0590-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\ufb1d-\ufdff\ufe70-\ufeff]")
SELECTORS = re.compile("[\ufe00-\ufe0f]")  # ask for a colored emoji, or one in black and white, and show nothing
ESCAPED = r"\$"  # what keeps matplotlib from reading a formula
JOINER = "Cf"  # Unicode's category of what is not drawn itself
# Matplotlib's own for formulas, whose characters have other numbers, and one that has a box for every character.
ODD = ("cm", "STIXNonUni", "STIXSiz", "Last Resort")


def make_readable(figure: matplotlib.figure.Figure) -> str:
    """Gives each text of a figure a font that has its characters; where there is none, numbers stand for its words.

    Returns:
        The key to the numbers, such as "[1] \u732b, [2] \u72d7"; empty where there are none.
    """
    numbers: dict[str, int] = {}
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        names = axis.get_ticklabels()
        before = [name.get_text() for name in names]
        if any(_unusual(text) for text in before):
            for name in names:
                _make_readable(name, numbers)
            if before != [name.get_text() for name in names]:
                axis.set_ticklabels([name.get_text() for name in names])  # or drawing would restore them
    for text in figure.findobj(matplotlib.text.Text):
        _make_readable(text, numbers)
    return ", ".join(f"[{number}] {words.replace(ESCAPED, '$')}" for words, number in numbers.items())


def _make_readable(text: matplotlib.text.Text, numbers: dict[str, int]) -> None:
    """Sets the font of one text and replaces what no font has; `numbers` collects the words by number."""
    content = SELECTORS.sub("", text.get_text())
    unusual = _unusual(content)
    if not unusual:
        return
    fonts, missing = fonts_for(unusual)
    if not SHAPES_TEXT:
        missing |= set(SHAPED.findall(content))
    if missing:
        word = rf"[^\s]*[{re.escape(''.join(sorted(missing)))}][^\s]*"
        content = re.sub(
            rf"{word}(?: {word})*", lambda found: f"[{numbers.setdefault(found[0], len(numbers) + 1)}]", content
        )
    text.set_text(content)
    if fonts:
        text.set_fontfamily([_usual(), *fonts])


def _unusual(text: str) -> frozenset[str]:
    """Returns the characters that a font may lack."""
    if text.isascii() and text.isprintable():
        return frozenset()
    return frozenset(char for char in text if char != "\n" and not (char.isascii() and char.isprintable()))


@functools.cache
def fonts_for(characters: frozenset[str]) -> tuple[tuple[str, ...], set[str]]:
    """Finds fonts of this machine for characters that the usual one may lack.

    Returns:
        The names of the fonts, as few as are needed, and the characters that none of them has.
    """
    usual = _characters(matplotlib.font_manager.findfont(_usual()))
    left = {char for char in characters if ord(char) not in usual and unicodedata.category(char) != JOINER}
    names = []
    for name, path in _others() if left else ():
        found = {char for char in left if ord(char) in _characters(path)}
        if found:
            names.append(name)
            left -= found
        if not left:
            break
    return tuple(names), left


def _usual() -> str:
    """Returns the font that text has without us."""
    return matplotlib.rcParams["font.sans-serif"][0]


@functools.cache
def _others() -> Sequence[tuple[str, str]]:
    """Returns name and file of each upright font, those of normal weight first."""
    fonts = matplotlib.font_manager.fontManager.ttflist
    fonts = sorted((font for font in fonts if font.style == "normal"), key=lambda font: abs(_weight(font.weight) - 400))
    names = {font.name: font.fname for font in reversed(fonts) if not font.name.startswith(ODD)}
    return list(names.items())[::-1]


def _weight(weight: int | str) -> int:
    return weight if isinstance(weight, int) else matplotlib.font_manager.weight_dict.get(weight, 400)


@functools.cache
def _characters(path: str) -> frozenset[int]:
    """Returns the code points that a font can draw; none of one made of bitmaps, such as colored emoji."""
    try:
        with warnings.catch_warnings(action="ignore"):
            font = matplotlib.ft2font.FT2Font(path)
            return frozenset(font.get_charmap()) if font.scalable else frozenset()
    except (OSError, RuntimeError):  # damaged, or gone since matplotlib listed it
        return frozenset()
