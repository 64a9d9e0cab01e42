"""The page over all runs of a folder."""

import html.parser
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from kerasapps.index import MOST, render_index, setting, write_index
from kerasapps.records import read_runs
from tests.made_runs import make_run

SAVED = Path(__file__).parent / "fixtures" / "saved"


class Page(html.parser.HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = text
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def page(root: Path) -> Page:
    return Page(render_index(root, read_runs(root)))


def test_the_page_needs_nothing_beside_it_and_links_to_the_reports(tmp_path):
    search = make_run(tmp_path / "search", title="Toy search", metrics={"accuracy": 0.5})
    make_run(search / "trials" / "00", metrics={"val_accuracy": 0.25}, params={"units": 8})
    make_run(tmp_path / "unfinished")
    shown = page(tmp_path)
    assert sorted(set(shown.all("a", "href"))) == ["search/report.html", "search/trials/00/report.html"]
    assert not shown.all("script", "src")
    assert not shown.all("link", "href")
    assert not [one for one in shown.all("img", "src") if not one.startswith("data:")]
    for part in ("1 trial of search", "25.0 %", "units", "unfinished", "Toy search"):
        assert part in shown.text


def test_runs_are_side_by_side_in_what_differs_with_their_curves(tmp_path):
    for i, rate in enumerate((0.1, 0.2)):
        metrics = {"accuracy": 0.5 + i / 4, "seconds": 86.0, "epochs": 2}
        make_run(tmp_path / f"run{i}", metrics=metrics, learning_rate=rate, data="digits", out=f"runs/{i}", seed=0)
    make_run(tmp_path / "tried", metrics={"accuracy": 0.1}, smoke=True, started="2026-12-01 00:00:00")
    text = page(tmp_path).text
    assert text.count('<polyline class="curve"') == text.count('<polyline class="curve dashed"') == 3
    assert "--learning-rate" in text
    assert "--out" not in text  # where a run is does not tell runs apart
    assert ">smoke<" in text
    assert "1 min 26 s" in text
    settings = [attrs for tag, attrs in page(tmp_path).tags if tag == "tr" and attrs.get("class") == "setting"]
    assert len(settings) == 4  # learning_rate, data, seed, smoke: the smoke run has other ones


def test_an_option_that_the_runs_shown_share_is_left_out(tmp_path):
    for i in range(8):
        make_run(tmp_path / f"run{i}", started=f"2026-11-2{i} 00:00:00", metrics={}, seed=i, size=1 if i == 0 else 2)
    rows = {tag.get("class"): tag for name, tag in page(tmp_path).tags if name == "tr" and "hidden" in tag}
    assert list(rows) == ["setting"]  # --size: only the oldest differs, which is not shown at first


def test_of_many_runs_the_newest_can_be_compared(tmp_path):
    for i in range(MOST + 3):
        make_run(tmp_path / f"run{i:02}", started=f"2026-11-01 00:{i:02}:00", metrics={"accuracy": 0.5}, seed=i)
    shown = page(tmp_path)
    assert len(shown.all("input", "data-choose")) == MOST
    assert f"The newest {MOST} of {MOST + 3} runs can be compared" in shown.text
    assert "run00" in shown.text


def test_every_saved_run_is_on_the_page_filtered_by_experiment():
    shown = page(SAVED)
    assert {"gan", "qa", "price", "profile", "image_classification", "style_transfer"} == set(
        shown.all("a", "data-filter")
    ) - {""}
    assert shown.text.count('<figure class="chart">') >= 10
    assert "1 network of gan" in shown.text


def test_hostile_names_stay_text_and_links_stay_in_the_folder(tmp_path):
    hostile = 'javascript:alert(1)"><script>evil()<'
    run = make_run(
        tmp_path / hostile, experiment=hostile, title=hostile, metrics={hostile: 1.0}, data=hostile, other=hostile
    )
    make_run(tmp_path / "b", experiment=hostile, title=hostile, metrics={}, params={hostile: {hostile: [hostile]}})
    shown = page(tmp_path)
    assert "<script>evil" not in shown.text
    assert not shown.all("a", "onclick")
    links = [one for one in shown.all("a", "href") if one.endswith("report.html")]
    assert links
    assert all((tmp_path / unquote(one)).is_file() and ":" not in one for one in links)
    name = os.fsencode(tmp_path) + b"/\xff"
    os.rename(run, name)
    links = [one for one in page(tmp_path).all("a", "href") if one.startswith("%FF")]
    assert links[0] == "%FF/report.html"


@pytest.mark.parametrize(
    "history",
    [
        "",
        "epoch,loss\n",
        "epoch,loss\n1,nan\n",
        "epoch,loss\n1,2\n",
        "loss\n1\n1\n",
        "a\nx\n",
        "step,total\n5,1e300\n9,-1e300\n",
    ],
)
def test_odd_histories_make_no_error(history, tmp_path):
    make_run(tmp_path / "run", history=history, metrics={"loss": float("inf")}, tasks=[], inner=[{"a": None}])
    make_run(tmp_path / "other", metrics={}, tasks=[1, 2, 3, 4, 5])
    assert "1 to 5" in page(tmp_path).text


def test_a_damaged_run_is_named_on_the_page(tmp_path):
    (make_run(tmp_path / "broken") / "config.json").write_text("{")
    path = write_index(tmp_path, read_runs(tmp_path))
    assert path == tmp_path / "index.html"
    assert "broken/config.json is not valid JSON" in path.read_text()


def test_options_are_short():
    values = (None, True, 0.30000000000000004, [1, 2], [], "a\x1b", {"a": [1]})
    assert [setting(value) for value in values] == [
        "–",
        "true",
        "0.3",
        "1, 2",
        "–",
        "a\N{REPLACEMENT CHARACTER}",
        '{"a": [1]}',
    ]
