"""The report as a page: structure, both looks, what comes next; a figure's dark colors; numbers."""

import re
from html.parser import HTMLParser

import matplotlib.colors
import numpy as np
import pytest

from kerasapps.formats import format_metric, format_share, label_of
from kerasapps.index import render_index
from kerasapps.reports import (
    DPI,
    KEEP,
    Animation,
    Command,
    Figure,
    Highlighted,
    Highlights,
    Table,
    add_axes,
    curves,
    darkened,
    for_dark,
    frame_of,
    new_figure,
    render_report,
)

CONFIG = {
    "title": "Toy <b>",
    "command": "python -m experiments.toy train",
    "settings": {"smoke": False, "limit": None},
    "started": "now",
    "precision": "float32",
    "replicas": 1,
    "machine": {},
}
EMPTY = {"meta", "img", "source", "br", "path", "rect"}


class Page(HTMLParser):
    """Notes tags with their attributes, and fails for one that is not closed or closed twice."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def every(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def drawn(name="line"):
    figure = new_figure(2, 1.5)
    add_axes(figure, xlabel="x").plot([1, 2])
    return Figure(name, 'A "line".', figure)


def page(**settings) -> str:
    table = Table("Classes", ["class", "right"], [["<script>alert(1)</script>", 1.5], ["b", None]])
    return render_report(
        CONFIG | {"settings": CONFIG["settings"] | settings},
        {"accuracy": 0.98312, "accuracy_guess": 0.1, "seconds": 86.2},
        summary="A summary.",
        headline=["accuracy", "seconds"],
        blocks=[drawn(), table, drawn("other")],
        commands=[Command("Try it", "python -m experiments.toy predict --text 'a <b>'")],
        files=["config.json"],
    )


def test_the_page_has_headings_contents_and_both_looks():
    html = page()
    parsed = Page(html)
    assert parsed.every("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in parsed.every("meta"))
    assert len(parsed.every("h1")) == 1
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    links = [link["href"] for link in parsed.every("a")]
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert [link[1:] for link in links if link.startswith("#")] == ids  # contents: each section once, in order
    assert [link for link in links if not link.startswith("#")] == ["config.json"]


def test_the_page_loads_nothing():
    html = page()
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"data:[^\"]*", "", html))
    for tag, attributes in Page(html).tags:
        for name in ("src", "srcset"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    assert Page(html).every("script") == [{}]  # our own alone: the class that is called <script> is text
    assert "&lt;script&gt;alert(1)" in html


def test_tables_scroll_and_figures_have_two_renderings():
    parsed = Page(page())
    assert "scroll" in [box.get("class") for box in parsed.every("div")]
    assert all(image["alt"] for image in parsed.every("img"))
    sources = parsed.every("source")
    assert len(sources) == len(parsed.every("img")) == 2
    for source, image in zip(sources, parsed.every("img"), strict=True):
        assert source["media"] == "(prefers-color-scheme: dark)"
        assert source["srcset"] != image["src"]


@pytest.mark.parametrize(
    ("settings", "said"), [({}, None), ({"smoke": True}, "Smoke run"), ({"limit": 64}, "at most 64 rows")]
)
def test_a_run_that_says_little_has_a_banner(settings, said):
    html = page(**settings)
    assert ('class="banner"' in html) == (said is not None)
    assert said is None or said in html


def test_a_number_has_its_unit_and_what_it_is_to_be_compared_with():
    html = page().replace("<span>", "").replace("</span>", "")  # around each word of a command
    for part in ("98.3 %", "guessing: 10.0 %", "1 min 26 s", "predict --text &#39;a &lt;b&gt;&#39;"):
        assert part in html


@pytest.mark.parametrize(("extra", "over"), [({}, "seeds"), ({"folds": 10}, "folds")])
def test_a_range_tells_what_it_is_over(extra, over):
    metrics = {"accuracy": 0.8, "accuracy_lowest": 0.75, "accuracy_highest": 0.9, **extra}
    html = render_report(CONFIG, metrics, summary="", headline=["accuracy"], blocks=[])
    assert f"75.0 % to 90.0 % over the {over}<" in html


def test_dark_colors_are_given_back():
    figure = drawn().figure
    (line,) = figure.axes[0].lines
    kept = figure.axes[0].text(0, 0, "kept", color="black", gid=KEEP)
    before = [figure.get_facecolor(), line.get_color(), figure.axes[0].xaxis.label.get_color()]
    with darkened(figure):
        inside = [figure.get_facecolor(), line.get_color(), figure.axes[0].xaxis.label.get_color()]
        assert kept.get_color() == "black"
    assert [figure.get_facecolor(), line.get_color(), figure.axes[0].xaxis.label.get_color()] == before
    assert np.mean(inside[0][:3]) < 0.2 < 0.8 < np.mean(inside[2][:3])


def test_an_edge_in_the_color_of_its_face_is_given_back():
    crosses = add_axes(new_figure()).scatter([1, 2], [1, 2], marker="x", color="#2563a8")
    before = crosses.get_edgecolor().tolist()
    with darkened(crosses.figure):
        assert crosses.get_edgecolor()[0].tolist() == pytest.approx(for_dark("#2563a8").tolist())
    assert crosses.get_edgecolor().tolist() == before


def test_a_figure_that_moves_has_frames_for_both_looks():
    figure = new_figure(1, 1)
    axes = add_axes(figure)
    frames = []
    for height in (1, 2):
        (line,) = axes.plot([0, height])
        frames.append(frame_of(figure))
        line.remove()
    light, dark = (np.stack(looks) for looks in zip(*frames, strict=True))
    assert light.shape == dark.shape == (2, DPI, DPI, 3)
    assert dark.mean() < 80 < 180 < light.mean()
    html = Animation("grown", "It grows.", light, dark_frames=dark, heading="A line grows").html()
    assert html.count("data:image/gif;base64,") == 2
    assert 'media="(prefers-color-scheme: dark)"' in html
    assert "A line grows: It grows." in html


@pytest.mark.parametrize("color", ["#2563a8", "#d9822b", "#3a9169", "#b5485d", "#7a5ea8", "#6b7280", "#1c2430"])
def test_every_color_is_legible_on_the_dark_ground(color):
    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    dark = luminance(matplotlib.colors.to_rgb("#181d25"))
    assert (luminance(for_dark(color)[:3]) + 0.05) / (dark + 0.05) > 3


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("accuracy", 0.98312, "98.3 %"),
        ("val_accuracy_where", 0.0, "0 %"),
        ("macro_f1", 1.0, "100 %"),
        ("percent_error", 12.345, "12.3 %"),
        ("loss", 0.123456, "0.123"),
        ("log_price_mae", 0.23219, "0.232"),
        ("seconds", 0.44, "0.4 s"),
        ("seconds", 59.7, "1 min 0 s"),
        ("seconds", 86.2, "1 min 26 s"),
        ("seconds", 7500.0, "2 h 5 min"),
        ("parameters", 25610.0, "25,610"),
        ("peak_memory_mib", 512.4, "512 MiB"),
        ("peak_memory_mib", 2048.0, "2.0 GiB"),
        ("frechet_distance", 0.3912, "0.391"),
        ("loss", 0.25, "0.250"),
        ("loss", 999.6, "1,000"),
        ("loss", 99.96, "100"),
        ("loss", None, "–"),
        ("seconds", float("nan"), "–"),
        ("share_mae", 0.5, "0.500"),
        ("seconds_loss", 86.2, "86.2"),
        ("loss", float("nan"), "nan"),
        ("loss", float("inf"), "inf"),
    ],
)
def test_metrics_have_one_look(name, value, shown):
    assert format_metric(name, value) == shown


def test_only_all_is_a_hundred_percent():
    assert format_share(0.9997) == "99.97 %"
    assert format_share(0.9999999) == "99.99 %"
    assert format_share(0.0002) == "0.02 %"


def test_metrics_are_called_what_they_are_and_our_distances_not_fid():
    assert label_of("val_frechet_distance") == "validation Fréchet distance"
    assert label_of("kernel_distance_floor") == "kernel distance (training images)"
    assert label_of("fid") == "fid"  # somebody's own, perhaps of Inception
    assert label_of("inception_fid") == "Inception FID"
    assert label_of("accuracy_l2") == "accuracy L2"


def test_the_curves_of_one_epoch_are_points():
    (axes,) = curves([{"loss": 1.0, "val_loss": 0.5}], best_epoch=1).figure.axes
    assert [line.get_marker() for line in axes.lines] == ["o", "o", "None"]  # the last one marks the epoch
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_curves_without_validation_are_of_the_training():
    figure = curves([{"loss": 1.0, "accuracy": 0.5}, {"loss": 0.5, "accuracy": 0.7}], best_epoch=2)
    assert [axes.get_title() for axes in figure.figure.axes] == ["loss", "accuracy"]
    assert [line.get_label() for line in figure.figure.axes[0].lines] == ["training", "kept"]


def test_a_share_has_percent_on_its_axis_and_panels_wrap_on_a_phone():
    rows = [{name: 0.5 + i / 4 for name in ("accuracy", "val_accuracy", "loss", "val_loss")} for i in range(2)]
    figure = curves(rows, best_epoch=2)
    shares, losses = (axes.yaxis.get_major_formatter()(0.5) for axes in figure.figure.axes)
    assert (shares.endswith(" %"), losses.endswith(" %")) == (True, False)
    html = render_report(CONFIG, {}, summary="", headline=[], blocks=[figure, drawn()])
    parsed = Page(html)
    assert {"class": "panels", "style": "--columns: 2"} in parsed.every("div")
    alts = [image["alt"] for image in parsed.every("img")]
    assert alts == ["Learning curves: accuracy", "Learning curves: loss", 'Line: A "line".']
    assert len({source["srcset"] for source in parsed.every("source")}) == 3
    assert re.search(r"\.panels \{ display: grid; [^}]*var\(--columns\)", html)
    assert list(figure.files()) == ["curves.png"]  # all in one file


def test_a_wide_figure_of_one_panel_scrolls_on_a_phone():
    rows = [{"loss": 0.5, "val_loss": 0.6}]
    html = render_report(CONFIG, {}, summary="", headline=[], blocks=[curves(rows, best_epoch=1), drawn()])
    assert [box.get("class") for box in Page(html).every("div") if "tabindex" in box] == ["wide"]
    assert re.search(r"\.wide \{ overflow-x: auto; \}", html)


def test_scripts_are_a_comfort_that_report_and_index_share(tmp_path):
    pages = [page(), render_index(tmp_path, [])]
    assert all(html.count("function sort(") == 1 for html in pages)
    assert all("<button" not in html for html in pages)  # what a script alone can do is made by the script
    assert '<th scope="col"' in pages[0]
    assert 'data-sort="1.5"' in pages[0]


def test_an_image_alone_fits_a_phone():
    figure = new_figure(9, 6)
    axes = add_axes(figure)
    assert Figure("text", "", figure).wide
    axes.set_axis_off()
    assert not Figure("image", "", figure).wide


def test_highlights_color_words_by_what_they_speak_for():
    text = Highlighted(["not", "a", "very", "<good>", "film"], np.array([-2.0, 0.01, 0.0, 4.0, 0.3]), "good, truly bad")
    assert text.pieces() == [("not", -0.5), ("a very", 0.0), ("<good>", 1.0), ("film", 0.0)]
    html = Highlights("Mistakes", "", [text]).html()
    colors = [attributes["style"] for attributes in Page(html).every("mark")]
    assert colors == ["background: rgba(37, 99, 168, 0.30)", "background: rgba(217, 130, 43, 0.60)"]
    assert "&lt;good&gt;" in html
    assert Highlighted([], np.zeros(0), "empty").pieces() == []
    assert Highlighted(["one"], np.zeros(1), "no weight").pieces() == [("one", 0.0)]


def test_columns_of_text_stand_at_the_left_and_long_texts_wrap():
    rows = [["a", "x" * 50, 1.0, "3", None], ["b", "y", None, "1,024", "–"], ["c", None, "x" * 50, "", None]]
    html = Table("", ["name", "text", "mixed", "written", "nothing"], rows).html()
    assert html.count('<th scope="col" class="text">') == 3
    assert html.count('class="text long"') == 2
    assert re.findall(r"<td[^>]*>(?:3|1,024)</td>", html) == ["<td>3</td>", "<td>1,024</td>"]
    assert "<th" in Table("", ["a", "b"], []).html()
