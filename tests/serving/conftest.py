"""Sites whose painter needs no network, and images of many kinds."""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from kerasapps.serving.app import Order, Service, Site, Uploads
from kerasapps.serving.forms import Field
from kerasapps.serving.gallery import Gallery, Style
from kerasapps.serving.jobs import Limits, Queue

STEPS = tuple((str(n), str(n)) for n in (1, 3, 500))
ENDS = tuple((end, end) for end in ("", "refuse", "break", "memory", "deaf", "abort", "hangup"))
FIELDS = (
    Field("content", "Your photo", "image"),
    Field("chosen", "The style", "gallery", "red", choices=(("red", "Red"), ("blue", "Blue"))),
    Field("style", "Or a style of your own", "image", required=False),
    Field("steps", "Steps", "choice", "1", choices=STEPS),
    Field("end", "End", "choice", "", choices=ENDS, required=False),
)


def image_bytes(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    colors = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(colors).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def order(values: Mapping[str, Any], folder: Path) -> Order:
    options = ("--steps", values["steps"], "--end", values["end"])
    own = f", {values['style'].name}" if values["style"] else ""
    arguments = ("run", "--content", values["content"].path.name, *options)
    return Order(arguments, f"{values['content'].name} in {values['chosen']}{own}", ("paint", values["content"].name))


def service(folder: Path) -> Service:
    styles = [Style(key, key, draw=lambda: np.zeros((30, 40, 3), np.uint8)) for key in ("red", "blue")]
    return Service("Paint", "It paints.", FIELDS, order, Gallery(styles, folder / "thumbnails"))


@pytest.fixture
def make_site(tmp_path) -> Callable[..., Site]:
    """Makes sites; their queues are stopped at the end."""
    made = []

    def make(
        *, limits: Limits = Limits(), uploads: Uploads = Uploads(), start: bool = True, notify=None, **more
    ) -> Site:
        queue = Queue(tmp_path, module="tests.serving.painter", limits=limits, notify=notify)
        made.append(queue)
        if start:
            queue.start()
        return Site(service(tmp_path), queue, uploads=uploads, **more)

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def site(make_site) -> Site:
    """A site that paints."""
    return make_site()


def client_of(site: Site) -> TestClient:
    app = site.app(hosts=["127.0.0.1", "localhost"])
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=True)


def send(client: TestClient, content: bytes | None = None, name: str = "photo.png", **data: str):
    files = {"content": (name, image_bytes() if content is None else content)}
    return client.post("/", files=files, data=data, follow_redirects=False)


def wait_for(client: TestClient, address: str, state: str, seconds: float = 600) -> dict[str, Any]:
    """Waits until a job is so far, and returns what its page would be told."""
    end = time.monotonic() + seconds
    while (told := client.get(f"{address}/state").json())["state"] != state:
        assert time.monotonic() < end, told
        time.sleep(0.02)
    return told
