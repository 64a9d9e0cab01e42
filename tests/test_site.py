"""The web site: every public name is on it, links lead somewhere, and nothing is copied by hand."""

import importlib.util
import re
import time
from pathlib import Path

import pytest

import kerasapps
from docs import build
from experiments.__main__ import experiments

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    build.prepare(folder)
    return folder


def test_every_public_name_and_every_experiment_has_a_place(pages):
    listed = (pages / "reference" / "index.md").read_text()
    for name in kerasapps.__all__:
        assert f"[`{name}`]" in listed
        if name.startswith("build_"):
            assert f".{name}\n" in (pages / "builders" / f"{name}.md").read_text()
    modules = {path.stem for path in (pages / "reference").glob("kerasapps*.md")}
    assert {"kerasapps.training", "kerasapps.inside.occlusion", "kerasapps.serving.jobs"} <= modules
    start = (pages / "index.md").read_text()
    for name in experiments():
        assert (pages / "guides" / f"{name}.md").is_file()
        assert f"guides/{name}.md" in start, f"{name} is not in the gallery of the first page"


def test_a_guide_is_the_readme_with_other_links(pages):
    text = (pages / "guides" / "qa.md").read_text()
    readme = (ROOT / "experiments" / "qa" / "README.md").read_text()
    assert re.sub(r"\([^)]*\)", "", text) == re.sub(r"\([^)]*\)", "", readme)
    assert "(../running.md)" in text
    assert "../../docs" not in text


def test_code_stays_as_it_is():
    text = "[a](b.md) `[c](d.md)` [`e`](f.md)\n```\n[g](h.md)\n```\n"
    changed = build.outside_code(text, lambda part: re.sub(r"\]\((\w)\.md\)", r"](\1.html)", part))
    assert changed == "[a](b.html) `[c](d.md)` [`e`](f.html)\n```\n[g](h.md)\n```\n"


def test_dead_links_and_foreign_files_are_found(tmp_path):
    (tmp_path / "b.html").write_text('<h1 id="top">B</h1>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#top">fine</a> <a href="https://example.org">fine</a> <img src="data:,">'
        '<a href="c.html">dead</a> <a href="b.html#bottom">dead</a> <script src="https://cdn.example.org/x.js"></script>'
    )
    assert list(build.problems(tmp_path)) == [
        "a.html: c.html leads nowhere",
        "a.html: b.html#bottom has no such heading",
        "a.html loads https://cdn.example.org/x.js",
    ]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_site_is_built_without_a_warning(tmp_path):
    begun = time.process_time()
    assert build.build(tmp_path / "site") == []
    assert time.process_time() - begun < 120
    page = (tmp_path / "site" / "builders" / "build_text_cnn.html").read_text()
    text = re.sub(r"<[^>]+>", "", page)  # the example is code in colors: a mark around each word
    assert re.search(
        r"(?:&gt;|>){3} (?:kerasapps\.)?build_text_cnn\(|(?:&gt;|>){3} \w+ = (?:kerasapps\.)?build_text_cnn\(", text
    )
    assert 'data-md-component="search"' in page
