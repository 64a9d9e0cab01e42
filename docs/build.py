"""Builds the web site into site/: pages that are there already, an API reference from docstrings, no copies.

python -m docs.build                  # off line; a warning or a dead link is an error
python -m docs.build --out FOLDER
"""

import argparse
import ast
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import kerasapps
from experiments.__main__ import experiments
from kerasapps.errors import UserError

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "docs" / "mkdocs.yml"
# Where pages of the repository are on the site; READMEs of experiments and the reference are found.
PAGES = {
    "README.md": "index.md",
    "docs/running.md": "running.md",
    "docs/exporting.md": "exporting.md",
    "docs/own_models.md": "own_models.md",
    "docs/results.md": "results.md",
    "docs/scaling.md": "scaling.md",
    "docs/serving.md": "serving.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r'(\]\(|(?:src|href)=")(?!https?:|#|data:)([^)"\s]+)')
FENCE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


# --- what is on the site


def guides() -> dict[str, str]:
    """Returns where the README of each experiment is on the site."""
    return {f"experiments/{name}/README.md": f"guides/{name}.md" for name in experiments()}


def how() -> dict[str, str]:
    """Returns where the pages on how something works are."""
    return {str(path.relative_to(ROOT)): f"how/{path.name}" for path in sorted(ROOT.glob("docs/how/*.md"))}


def modules() -> dict[str, str]:
    """Returns the page of each module of the package that has public names, by its file."""
    found = {}
    for path in sorted((ROOT / "kerasapps").rglob("*.py")):
        if public(path):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[str(path.relative_to(ROOT))] = f"reference/{name}.md"
    return found


def source_of(module: str) -> Path:
    """Returns the file of a module."""
    return ROOT / f"{module.replace('.', '/')}.py"


def public(path: Path) -> list[str]:
    """Returns the public functions and classes of a module."""
    nodes = ast.parse(path.read_text(encoding="utf-8")).body
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in nodes if isinstance(node, kinds) and not node.name.startswith("_")]


# --- pages as they are, with links that lead to the pages of the site


class Site:
    """A folder that MkDocs reads.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.places = PAGES | guides() | how() | modules()

    def write(self, place: str, text: str) -> None:
        """Writes a page."""
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def take(self, source: str, text: str | None = None) -> str:
        """Returns a page of the repository, or a part of it, with its links led to the site."""
        text = (ROOT / source).read_text(encoding="utf-8") if text is None else text
        here, depth = (ROOT / source).parent, self.places[source].count("/")

        def lead(match: re.Match) -> str:
            target, _, anchor = match[2].partition("#")
            path = (here / target).resolve().relative_to(ROOT)
            if not (ROOT / path).exists():
                raise UserError(f"{source}: {match[2]} leads nowhere.")
            if str(path) in self.places:
                return f"{match[1]}{'../' * depth}{self.places[str(path)]}{'#' * bool(anchor)}{anchor}"
            if path.suffix in (".jpg", ".png"):
                place = f"images/{'/'.join(path.parts[-2:])}"  # two may have one name
                (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / path, self.folder / place)
                return f"{match[1]}{'../' * depth}{place}"
            return f"{match[1]}nowhere:"  # a file of the repository that is no page: its name is enough

        without = lambda part: re.sub(r"\[([^\]]+)\]\(nowhere:\)", r"\1", LINK.sub(lead, part))  # noqa: E731
        return outside_code(text, without)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Changes what is no code of a page; a link may have code in it."""
    codes: list[str] = []

    def hide(code: re.Match) -> str:
        codes.append(code[0])
        return f"\0{len(codes) - 1}\0"

    changed = change(FENCE.sub(hide, text))
    return re.sub(r"\0(\d+)\0", lambda number: codes[int(number[1])], changed)


def section(text: str, heading: str) -> str:
    """Returns a section of a page, its heading included."""
    return re.search(rf"^## {heading}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[0]


# --- pages that are made


def start(site: Site) -> str:
    """Returns the first page: what it is, a gallery with one picture and one figure an application, installation."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lead = re.search(r"^# kerasapps\n\n(.*?)\n\n", readme, re.DOTALL)[1]
    cards = []
    for line in section(readme, "Applications").splitlines():
        found = re.match(r"\| \[([^\]]+)\]\(experiments/(\w+)/README\.md\) \| [^|]+ \| ([^|]+) \| ([^|]+) \|", line)
        if found:
            title, name, result, other = found.groups()
            shown = ""
            for picture in ROOT.glob(f"docs/images/gallery/{name}.*"):
                shutil.copyfile(picture, site.folder / "images" / picture.name)
                shown = f"[![](images/{picture.name})](guides/{name}.md)\n\n    "
            told = f"{result.strip()}; {other.strip()}"
            cards.append(f"-   {shown}**[{title}](guides/{name}.md)**\n\n    {told}\n")
    taken = (site.take("README.md", section(readme, heading)) for heading in ("Install it", "Background"))
    gallery = '<div class="grid cards" markdown>\n\n' + "\n".join(cards) + "\n</div>\n"
    template = (ROOT / "docs" / "site" / "start.md.in").read_text(encoding="utf-8")
    install, background = taken
    return template.format(lead=lead, gallery=gallery, install=install, background=background)


def builders(site: Site) -> dict[str, str]:
    """Writes a page for each builder, with its example and its search space, and returns them by name."""
    pages = {}
    for name in sorted(name for name in kerasapps.__all__ if name.startswith("build_")):
        module = f"kerasapps.{kerasapps._MODULES[name]}"
        own = f"search_space_{name.removeprefix('build_')}"
        spaces = [one for one in (own, "search_space") if one in public(source_of(module))][:1]
        text = f"::: {module}.{name}\n"
        text += "".join(f"\n::: {module}.{space}\n    options: {{heading_level: 2}}\n" for space in spaces)
        pages[name] = f"builders/{name}.md"
        site.write(pages[name], text)
    return pages


def reference(site: Site, pages: dict[str, str]) -> None:
    """Writes a page for each module, and a list of all names that `import kerasapps` gives."""
    rows = []
    for name in sorted(kerasapps.__all__, key=str.lower):
        module = f"kerasapps.{kerasapps._MODULES[name]}"
        anchor = f"#{module}.{name}" if name in public(source_of(module)) else ""  # else a variable of the module
        place = f"../{pages[name]}" if name in pages else f"{module}.md{anchor}"
        rows.append(f"| [`{name}`]({place}) | {summary(module, name)} |")
    listed = ["# Reference", "", "What `import kerasapps` gives:", "", "| name | |", "|---|---|", *rows]
    listed += ["", "Every module:", "", "| module | |", "|---|---|"]
    for file, place in modules().items():
        name = place.removeprefix("reference/").removesuffix(".md")
        first = (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").partition("\n")[0]
        listed.append(f"| [`{name}`]({name}.md) | {cell(first)} |")
        site.write(place, f"::: {name}\n    options: {{show_root_full_path: true}}\n")
    site.write("reference/index.md", "\n".join(listed) + "\n")


def summary(module: str, name: str) -> str:
    """Returns the first sentence of a docstring, without importing its module."""
    tree = ast.parse(source_of(module).read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if getattr(node, "name", None) == name]
    return cell((ast.get_docstring(nodes[0]) or "").partition("\n")[0]) if nodes else ""


def cell(text: str) -> str:
    """Returns a text for a table."""
    return text.replace("|", "\\|")


def prepare(folder: Path) -> list:
    """Writes all pages into a folder; returns what the site's navigation holds."""
    site = Site(folder)
    (folder / "images").mkdir()
    for source, place in site.places.items():
        if source.endswith(".md") and source != "README.md":
            site.write(place, site.take(source))
    site.write("index.md", start(site))
    pages = builders(site)
    reference(site, pages)
    for path in (ROOT / "docs" / "site").glob("*.css"):
        shutil.copyfile(path, folder / path.name)
    usual = ["running.md", "own_models.md", "serving.md", "exporting.md", "scaling.md", "results.md"]
    return [
        "index.md",
        {"Applications": [*guides().values()]},
        {"Using it": usual},
        {"Builders": [{name: place} for name, place in pages.items()]},
        {"How it works": [*how().values()]},
        {"Reference": ["reference/index.md"]},
        {"Project": ["contributing.md", "changelog.md"]},
    ]


# --- what is checked of the finished site


class Links(HTMLParser):
    """The addresses and anchors of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Notes what an element refers to."""
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value:
                (self.links if tag == "a" else self.loaded).append(value)


def problems(out: Path) -> Iterator[str]:
    """Yields a sentence for each dead link of the site, and for each file that would be loaded from elsewhere."""
    pages = {path: Links(path.read_text(encoding="utf-8")) for path in out.rglob("*.html")}
    for path, page in pages.items():
        name = path.relative_to(out)
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{name} loads {link}"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if name.name == "404.html":
                continue  # its links are absolute
            if not target.is_file():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {link} has no such heading"


def build(out: Path) -> list[str]:
    """Builds the site and returns what is wrong with it.

    Raises:
        mkdocs.exceptions.Abort: If MkDocs warned of something.
    """
    import mkdocs.commands.build
    import mkdocs.config

    with tempfile.TemporaryDirectory() as folder:
        nav = prepare(Path(folder))
        config = mkdocs.config.load_config(str(CONFIG), docs_dir=folder, site_dir=str(out), nav=nav, strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        mkdocs.commands.build.build(config)
    return [*problems(out)]


def main() -> None:
    """Builds the site."""
    parser = argparse.ArgumentParser(prog="python -m docs.build")
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    out = parser.parse_args().out.absolute()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    found = build(out)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        sys.exit(1)
    print(out / "index.html")


if __name__ == "__main__":
    main()
