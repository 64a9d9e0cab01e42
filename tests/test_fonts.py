"""Figures with names in any script: fonts are found, or numbers stand for names, and nothing is printed."""

import logging
import warnings

import matplotlib.font_manager
import numpy as np
import pytest

from experiments.shared.classification import confusion_figure
from kerasapps import fonts
from kerasapps.reports import Figure, add_axes, new_figure

NAMES = {
    "chinese": ("猫", "狗"),
    "hindi": ("बिल्ली", "कुत्ता"),
    "arabic": ("قطة", "كلب"),
    "emoji": ("🐈", "🐕\ufe0f"),
    "control": ("a\x01b", "c\x7fd"),
    "mixed": ("cat 猫", "größer"),
    "korean": ("고양이", "개"),
    "thai": ("แมว", "หมา"),
    "dollars": ("US$", "$a_{b$"),
    "rare": ("𰻞", "𓀀"),
}


@pytest.fixture
def afresh():
    fonts.fonts_for.cache_clear()
    yield
    fonts.fonts_for.cache_clear()


def confusion(names):
    return confusion_figure(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), names)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_names_are_drawn_or_numbered_without_a_warning(names, afresh, caplog, recwarn):
    warnings.simplefilter("always")
    with caplog.at_level(logging.WARNING):
        figure = confusion(names)
        assert figure.png
    assert not caplog.records
    assert not [str(warning.message) for warning in recwarn if "lyph" in str(warning.message)]
    texts = [[text.get_text() for text in axis.get_ticklabels()] for axis in axes_of(figure)]
    assert texts[0] == texts[1]
    drawn = fonts.fonts_for(frozenset("".join(names)))[1] == set()
    assert drawn == (not figure.key)
    if not drawn:
        assert "[1]" in texts[0][0]


def axes_of(figure):
    return figure.figure.axes[0].xaxis, figure.figure.axes[0].yaxis


def test_without_any_font_numbers_stand_for_names(afresh, monkeypatch):
    monkeypatch.setattr(fonts, "_others", lambda: ())
    assert confusion(("猫$1", "$x$")).key == "[1] 猫$1"
    figure = confusion(("猫", "大 狗 7"))
    assert figure.key == "[1] 猫, [2] 大 狗"
    html = figure.html()
    assert "[1] 猫, [2] 大 狗" in html
    labels = [text.get_text() for text in axes_of(figure)[1].get_ticklabels()]
    assert labels == ["[1]", "[2] 7"]


def test_a_font_of_the_machine_is_found(afresh):
    rare = "\U0001d49c"  # matplotlib brings a font that has it, and it is not the usual one
    found, missing = fonts.fonts_for(frozenset(rare))
    assert len(found) == 1
    assert not missing
    figure = new_figure()
    add_axes(figure, title=f"class {rare}")
    done = Figure("a", "", figure)
    assert done.png
    assert done.key == ""
    assert figure.axes[0].title.get_fontfamily() == ["DejaVu Sans", *found]


def test_ascii_costs_nothing(monkeypatch):
    monkeypatch.setattr(fonts, "fonts_for", lambda _: pytest.fail("fonts were looked for"))
    assert confusion(("cat", "dog")).key == ""


@pytest.mark.parametrize("script", ["hindi", "arabic"])
def test_letters_that_are_joined_are_numbered_where_matplotlib_does_not_join_them(script, afresh, monkeypatch):
    monkeypatch.setattr(fonts, "SHAPES_TEXT", False)
    assert confusion(NAMES[script]).key == "[1] {}, [2] {}".format(*NAMES[script])


def test_a_font_that_cannot_be_read_has_no_characters(tmp_path):
    (tmp_path / "a.ttf").write_bytes(b"not a font")
    assert fonts._characters(str(tmp_path / "a.ttf")) == frozenset()
    assert fonts._characters(str(tmp_path / "gone.ttf")) == frozenset()
    assert ord("猫") not in fonts._characters(matplotlib.font_manager.findfont("DejaVu Sans"))
