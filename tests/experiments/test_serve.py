"""The page as a person meets it: the real command, the real painter, a real browser, and a server that is killed."""

import contextlib
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sklearn  # noqa: F401 - sets variables of the environment, which no test may leave behind
from PIL import Image

from experiments import serve
from experiments.shared import trying
from kerasapps.errors import UserError
from kerasapps.serving import child, forms, gallery, guard, precisions

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "tests" / "fixtures" / "saved"
QUICK = ("--max-size", "48", "--precision", "float32", "--per-visitor", "30")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None, reason="no Chromium or no Playwright"
)


class Server:
    """The command in a separate process, which ends with that of the tests, however that ends."""

    def __init__(self, out: Path, *options: object, **streams):
        begun = time.monotonic()
        words = ["--port", "0", "--out", out, *QUICK, *options]
        streams = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True} | streams
        self.process = child.start("experiments.serve", *map(str, words), **streams)
        try:
            line = self.process.stdout.readline()
            self.url = re.match(r"http://[\d.:]+", line)[0]
            self.get("/health")
        except BaseException:
            self.kill()
            raise
        self.seconds = time.monotonic() - begun

    def get(self, path: str) -> bytes:
        return urllib.request.urlopen(self.url + path, timeout=600).read()

    def state(self, path: str) -> dict:
        return json.loads(self.get(f"{path}/state"))

    def send(self, photo: Path, **values: str) -> str:
        """Sends a photo, and returns the path of its page."""
        edge, parts = "edge", []
        for name, value in values.items():
            parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode())
        head = f'Content-Disposition: form-data; name="content"; filename="{photo.name}"\r\n\r\n'
        parts.append(head.encode() + photo.read_bytes())
        body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
        request = urllib.request.Request(
            self.url, body, {"Content-Type": f"multipart/form-data; boundary={edge}"}, method="POST"
        )
        return urllib.request.urlopen(request, timeout=600).url.removeprefix(self.url)

    def wait(self, path: str, state: str = "done", seconds: float = 600) -> dict:
        end = time.monotonic() + seconds
        while (told := self.state(path))["state"] != state:
            assert time.monotonic() < end, told
            time.sleep(0.1)
        return told

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(600)
        finally:
            self.kill()
            self.process.stdout.close()


@contextlib.contextmanager
def serving(out: Path, *options: object) -> Iterator[Server]:
    server = Server(out, *options)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "my photo.png"
    colors = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(colors).resize((64, 48), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def styles(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    colors = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(colors).save(folder / "red_dots.png")
    return folder


def key_of(styles: Path) -> str:
    return gallery.styles_of(styles)[0].key


def painted(photo: Path, style: Path, out: Path, steps: int) -> bytes:
    """What the command paints without a page."""
    options = ["--size", "48", "--steps", str(steps), "--style-weight", "10", "--precision", "float32"]
    options += ["--max-memory", "4GB", "--content", str(photo), "--style", str(style), "--out", str(out)]
    command = [sys.executable, "-m", "experiments.style_transfer", "run", *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return (out / "result.png").read_bytes()


def test_a_server_that_is_killed_goes_on_to_the_same_picture(tmp_path, photo, styles):
    chosen = {"chosen": key_of(styles), "size": "48", "steps": "20"}
    with serving(tmp_path / "out", "--styles", styles) as server:
        assert server.seconds < 10
        path = server.send(photo, **chosen)
        wait_until(lambda: [*(tmp_path / "out").glob("jobs/*/run/config.json")])  # the run has begun
        server.kill()
    with serving(tmp_path / "out", "--styles", styles) as server:
        server.wait(path)
        log = next((tmp_path / "out").glob("jobs/*/log.txt")).read_text()
        picture = server.get(f"{path}/picture.png")
    assert picture == painted(photo, styles / "red_dots.png", tmp_path / "run", 20)
    assert "my photo.png" not in log


@pytest.mark.slow  # minutes: each kill costs a start of TensorFlow
def test_twenty_kills_at_random_moments(tmp_path, photo, styles):
    rng, out = random.Random(0), tmp_path / "out"
    wanted = painted(photo, styles / "red_dots.png", tmp_path / "run", 60)
    paths: list[str] = []
    for _ in range(20):
        with serving(out, "--styles", styles) as server:
            paths.append(server.send(photo, chosen=key_of(styles), size="48", steps="60"))
            time.sleep(rng.uniform(0, 8))
            server.kill()
    with serving(out, "--styles", styles) as server:
        for path in paths:
            server.wait(path, seconds=600)
            assert server.get(f"{path}/picture.png") == wanted
    assert len(set(paths)) == 20


@pytest.mark.slow  # a start of TensorFlow for each picture
def test_twenty_photographs_at_once_are_all_painted_in_bounded_memory(tmp_path, photo, styles):
    large = tmp_path / "large.jpg"
    with Image.open(photo) as image:
        image.resize((4000, 3000)).save(large, quality=90)  # 12 megapixels, 36 MB of colors each
    chosen = {"chosen": key_of(styles), "size": "48", "steps": "20"}
    with serving(tmp_path / "out", "--styles", styles) as server:
        with ThreadPoolExecutor(20) as pool:
            paths = list(pool.map(lambda _: server.send(large, **chosen), range(20)))
        for path in paths:
            server.wait(path, seconds=1200)
        pictures = {server.get(f"{path}/picture.png") for path in paths}
        most = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert len(set(paths)) == 20
    assert len(pictures) == 1
    assert int(most[1]) < 600_000  # 20 images in full would be 720 MB


def test_what_the_command_refuses(tmp_path, capsys):
    with serving(tmp_path / "out") as server:
        port = server.url.rpartition(":")[2]
        for arguments, sentence in {
            ("--port", port, "--out", str(tmp_path / "other")): "Address already in use.",
            ("--port", "0", "--out", str(tmp_path / "out")): "Another server uses",
            ("--port", "0", "--out", str(tmp_path), "--styles", str(tmp_path / "none")): "is no folder",
            (
                "--port",
                "70000",
            ): "--port must be in [0, 65535]. Received: 70000",
            ("--port", "0", "--host", "192.0.2.1"): "cannot be used",
            ("--port", port, "--max-memory", "much"): "--max-memory takes an amount such as 4GB",
            ("--port", port, "--max-disk", "much"): "--max-disk takes an amount such as 4GB",
            ("--port", port, "--weights", str(tmp_path / "none.h5")): "none.h5 cannot be read",
        }.items():
            with pytest.raises(SystemExit) as left:
                serve.main(arguments)
            assert left.value.code == 2
            assert sentence in capsys.readouterr().err


def test_what_is_not_installed_is_said_before_the_port_is_taken(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    monkeypatch.setattr(serve, "bind", None)
    with pytest.raises(SystemExit) as left:
        serve.main(["--port", "0"])
    assert left.value.code == 2
    assert "The page needs python_multipart: pip install '.[web]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "allowed", "found"),
    [
        ("127.0.0.1", [], set()),
        ("0.0.0.0", [], {"0.0.0.0", "*"}),
        ("0.0.0.0", ["Paint.Example.org:8080"], {"0.0.0.0", "paint.example.org"}),
        (
            "::",
            ["https://paint.example.org/", "[FE80::1]:80", "fe80::2"],
            {"::", "paint.example.org", "fe80::1", "fe80::2"},
        ),
        ("127.0.0.1", ["*"], {"*"}),
    ],
)
def test_names_of_the_page(host, allowed, found):
    assert guard.names(host, allowed) == {"127.0.0.1", "localhost", "::1"} | found


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "\nStopped.\n")]
)
def test_a_server_that_is_stopped_says_no_more_than_that(tmp_path, number, status, said):
    server = Server(tmp_path / "out", stderr=subprocess.PIPE)
    server.process.send_signal(number)
    assert server.process.communicate(timeout=600)[1] == said
    assert server.process.returncode == status


@pytest.mark.slow  # a start of TensorFlow
def test_precision_is_measured_once():
    precision = precisions.Precision("auto", "experiments.shared.measuring")
    assert precision.get() in ("float32", "mixed_bfloat16")
    assert precision.process is None
    assert precisions.Precision("mixed_bfloat16", "").get() == "mixed_bfloat16"


def test_commands_name_no_folder_of_the_server(tmp_path):
    content = forms.Picture(tmp_path / "content.png", "photo.png")
    pictures = gallery.Gallery([gallery.Style("drawn", "Drawn", draw=serve.draw)], tmp_path)
    values = {"content": content, "style": None, "chosen": "drawn", "size": "48", "strength": "10", "colors": "style"}
    fixed = ["--weights", str(tmp_path / "mine.h5")]
    ordered = serve.order(pictures, fixed, precisions.Precision("float32", ""), values | {"steps": "20"}, tmp_path)
    assert str(tmp_path / "mine.h5") in ordered.arguments
    assert "mine.h5" in ordered.command
    assert str(tmp_path) not in " ".join(ordered.command)
    assert ordered.command[ordered.command.index("--precision") + 1] == "float32"


def test_keys_of_runs_are_their_own():
    assert list(serve.keyed([Path("a/x y"), Path("b/x-y"), Path("b/z")])) == ["x-y", "x-y-2", "z"]


def test_the_end_is_announced_by_a_command(tmp_path):
    job = type("Job", (), {"shown": {"title": 'A "b"'}, "token": "secret"})
    command = ["sh", "-c", f'echo "$KERASAPPS_STATE $KERASAPPS_TITLE $KERASAPPS_URL" > {tmp_path}/told']
    serve.announce(command, "https://paint.example.org/", job, "done")
    assert (tmp_path / "told").read_text() == 'done A "b" https://paint.example.org/pictures/secret\n'
    serve.announce(["no-such-command"], "", job, "done")


def test_a_child_ends_with_its_parent_and_minds_ctrl_c(tmp_path):
    code = (
        "import signal, sys, time\n"
        "from kerasapps.serving import child\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(child.start('tests.serving.painter', 'run', '--content', sys.argv[1], '--steps', '9999',\n"
        "                  '--out', sys.argv[2]).pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    words = [sys.executable, "-c", code, str(tmp_path / "a.png"), str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        pid = int(parent.stdout.readline())
        wait_until(lambda: (tmp_path / "run" / "progress.json").exists())
        parent.kill()
        wait_until(lambda: not is_alive(pid))
    assert not (tmp_path / "run" / "metrics.json").exists()
    words = ["run", "--content", str(tmp_path / "a.png"), "--steps", "9999", "--out", str(tmp_path / "second")]
    process = child.start("tests.serving.painter", *words)
    wait_until(lambda: (tmp_path / "second" / "progress.json").exists())
    process.send_signal(signal.SIGINT)
    assert process.wait(600) == 0
    assert (tmp_path / "second" / "metrics.json").exists()


def wait_until(happened) -> None:
    end = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


# --- trained networks


@pytest.mark.parametrize(
    ("name", "values", "shown", "command"),
    [
        ("image", {"image": "photo"}, "What it depends on", "image_classification predict --run"),
        ("qa_memory", {"story": "Mary went home.", "question": "Where is Mary?"}, "hop 1", "qa predict --run"),
        ("profile", {"text": "a game of football with beer"}, "prediction", "profile predict --run"),
        ("gan", {"n": 4, "seed": 1}, "New images", "gan sample --run"),
        ("price", {"number0": "3"}, "estimated price", "price predict --run"),
    ],
)
def test_trained_networks_can_be_asked(name, values, shown, command, photo):
    asked = {"run": str(SAVED / name), "values": None}
    described = trying.respond(asked)
    assert {field["name"] for field in described["fields"]} >= values.keys()
    given = {field["name"]: field["value"] for field in described["fields"]} | values
    given |= {"image": str(photo)} if "image" in values else {}
    told = trying.respond(asked | {"values": given})
    assert shown in "".join(section["title"] + section["html"] for section in told["sections"])
    assert command in " ".join(told["command"])


def test_other_runs_are_refused_in_a_sentence(monkeypatch):
    with pytest.raises(UserError, match=r"style has no model\.keras yet"):
        trying.respond({"run": str(SAVED / "style"), "values": None})
    monkeypatch.setattr(trying.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="price is a run of price, whose networks cannot be tried on a page"):
        trying.opened.__wrapped__(SAVED / "price")


@pytest.mark.parametrize(("values", "sentence"), [({}, "Nothing is known"), ({"number0": "many"}, "must be a number")])
def test_a_price_needs_something_to_go_by(values, sentence):
    with pytest.raises(UserError, match=sentence):
        trying.respond({"run": str(SAVED / "price"), "values": values})


# --- a browser


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, styles) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("out"), "--styles", styles, "--runs", SAVED / "qa_memory") as server:
        yield server


def opened(browser, server: Server, *, script: bool = True, **look):
    """A page that notes what it asks other sites for, and what the console says."""
    page = browser.new_context(java_script_enabled=script, **look).new_page()
    page.noted = []
    allowed = (server.url, "data:")
    page.on("request", lambda request: request.url.startswith(allowed) or page.noted.append(request.url))
    page.on("console", lambda message: page.noted.append(message.text))
    page.on("pageerror", lambda error: page.noted.append(str(error)))
    return page


def follow(page, button: str):
    """Press what sends a form; the page that answers is there when this returns (`click` alone need not wait)."""
    with page.expect_navigation(timeout=600_000):
        page.click(button)


@pytest.fixture(scope="module")
def link(browser, server, photo, styles) -> str:
    """The address of a picture that was ordered with a browser, whose window was closed before it was done."""
    page = opened(browser, server)
    page.goto(server.url)
    page.set_input_files("#content", photo)
    page.check(f"[value='{key_of(styles)}']")
    page.select_option("#steps", "20")
    follow(page, "text=Paint it")
    address = page.url
    assert page.inner_text("h1") == "my photo.png in the style of Red dots"
    assert page.inner_text("#told")
    assert page.noted == []
    page.context.close()
    server.wait(address.removeprefix(server.url))
    return address


@needs_browser
@pytest.mark.parametrize("script", [True, False])
def test_who_comes_back_finds_the_picture(browser, server, link, script):
    page = opened(browser, server, script=script)
    page.goto(link)
    assert page.inner_text("h2 >> nth=0") == "The painting"
    assert [page.locator("img").nth(i).bounding_box()["width"] > 40 for i in (0, 1)] == [True, True]
    assert page.locator(".slide").count() == script
    if script:
        page.locator(".slide").fill("0")
        assert page.evaluate("document.querySelector('.compare').style.getPropertyValue('--share')") == "0%"
    with page.expect_download() as download:
        page.click("text=Download it as PNG")
    assert download.value.suggested_filename == "my photo-painted.png"
    with Image.open(download.value.path()) as image:
        assert (image.format, image.size, image.info.get("exif")) == ("PNG", (48, 36), None)
    assert page.noted == []
    page.context.close()


@needs_browser
def test_without_a_script_it_is_sent_stopped_and_removed(browser, server, photo):
    page = opened(browser, server, script=False)
    page.goto(server.url)
    page.set_input_files("#content", photo)
    page.set_input_files("#style", photo)
    follow(page, "text=Paint it")
    assert page.inner_text("h1") == "my photo.png in the style of my photo.png"
    assert page.locator("meta[http-equiv=refresh]").count() == 1
    follow(page, "text=Stop")
    server.wait(page.url.removeprefix(server.url), "stopped")
    page.reload()
    follow(page, "text=Remove them now")
    assert page.url == f"{server.url}/"
    assert page.noted == []
    page.context.close()


LOOKS = {
    "wide": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 800}},
    "dark": {"color_scheme": "dark"},
}
SLOW = {"wide": pytest.mark.slow, "phone": (), "dark": pytest.mark.slow}


@needs_browser
@pytest.mark.parametrize("look", [pytest.param(LOOKS[one], marks=marks, id=one) for one, marks in SLOW.items()])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_page(browser, server, link, look):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    wait_until(lambda: b"/try/qa-memory" in server.get("/try"))
    page = opened(browser, server, **look)
    for path in ("/", link.removeprefix(server.url), "/try", "/try/qa-memory", "/nowhere"):
        page.goto(server.url + path)
        if path == "/try/qa-memory":
            page.fill("#story", "Mary went home.")
            page.fill("#question", "Where is Mary?")
            follow(page, "button.main")
            assert page.locator("mark, .hop").count()
        page.evaluate(axe)
        found = page.evaluate("axe.run()")["violations"]
        assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in found], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert [note for note in page.noted if "404" not in note] == []
    page.context.close()


@needs_browser
def test_the_keyboard_is_enough(browser, server):
    page = opened(browser, server)
    page.goto(server.url)
    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.name || document.activeElement.textContent"
            )
        )
    for name in (
        "Skip to the content",
        "content",
        "chosen",
        "style",
        "size",
        "strength",
        "colors",
        "steps",
        "Paint it",
    ):
        assert name in seen
    page.context.close()


@needs_browser
def test_a_file_that_is_too_large_is_named_before_it_is_sent(browser, server, tmp_path):
    (tmp_path / "huge.jpg").write_bytes(b"x")
    os.truncate(tmp_path / "huge.jpg", 21 * 2**20)
    page = opened(browser, server)
    page.goto(server.url)
    page.set_input_files("#content", tmp_path / "huge.jpg")
    assert page.inner_text("[role=alert]:visible") == "huge.jpg has 21 MiB. The limit is 20 MiB."
    page.context.close()
