"""A web page that paints photos in a style, and one to try trained networks.

python -m experiments.serve
python -m experiments.serve --styles paintings/ --runs runs/digits runs/qa --port 8080
"""

import contextlib
import importlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kerasapps import startup
from kerasapps.errors import UserError
from kerasapps.files import regular_file, user_path
from kerasapps.settings import Count, Positive, Side, memory_of, or_none, ranged
from kerasapps.startup import typed

from .shared import tool

PAINTER, ANSWERER, MEASURER = "style_transfer", "shared.trying", "shared.measuring"
SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
CARE = {"20": "quick", "60": "usual", "150": "thorough"}
STRENGTH = {"3": "faint", "10": "usual", "40": "strong"}
COLORS = {"style": "of the style", "luminance": "of the photo", "free": "left to the network"}
DRAWN = "drawn"
BACKLOG, CONNECTIONS = 128, 256


def serve(
    *,
    host: str = "127.0.0.1",
    port: ranged(int, least=0, most=65_535) = 8000,
    out: Path = Path("runs/serve"),
    styles: Path | None = None,
    runs: tuple[Path, ...] = (),
    queue: Count = 50,
    per_visitor: Count = 5,
    max_minutes: Positive = 60.0,
    max_upload: Positive = 20.0,
    max_megapixels: Positive = 50.0,
    max_size: Side = 1024,
    max_memory: str = "4GB",
    keep_days: Positive = 7.0,
    max_kept: Count = 1000,
    max_kept_per_visitor: Count = 100,
    max_disk: str = "20GB",
    notify: str | None = None,
    url: str | None = None,
    allow_host: tuple[str, ...] = (),
    proxy: str = "127.0.0.1",
    network: Literal["vgg16", "vgg19", "compact"] = "compact",
    weights: or_none(Path) = None,
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto",
) -> None:
    """Serves a page on which photos are painted, and one to try trained networks, until Ctrl-C.

    Args:
        host: Address to listen on; others than 127.0.0.1 let other machines in.
        port: Port to listen on; 0 takes a free one.
        out: Folder of the pictures; a server that is started again finds and finishes them.
        styles: Folder of paintings to choose from, next to one that this program draws.
        runs: Run folders of trained networks to try.
        queue: Pictures in the queue at most.
        per_visitor: Pictures of one visitor in the queue at most.
        max_minutes: Time for a picture, after which the best so far is kept.
        max_upload: Size of a file at most, in MiB.
        max_megapixels: Size of an image at most, in millions of pixels.
        max_size: Longer side of a painting at most, in pixels.
        max_memory: Most memory for a painting, such as 4GB; a larger one is computed in tiles.
        keep_days: Days after which a picture is removed.
        max_kept: Pictures that are kept at most, those in the queue included.
        max_kept_per_visitor: The same, per visitor.
        max_disk: Disk space of all pictures, such as 20GB; one visitor may use a quarter of it.
        notify: Command to run when a picture is finished, stopped or failed, with KERASAPPS_STATE, KERASAPPS_TITLE and
            KERASAPPS_URL in its environment.
        url: Address by which visitors reach the page, if it is behind a proxy.
        allow_host: Names that the page goes by, next to those of this machine; * for any, which is the default where
            `host` is 0.0.0.0.
        proxy: Addresses of proxies, separated by commas, whose X-Forwarded-For is trusted.
        network: As for style transfer.
        weights: As for style transfer; a file.
        precision: As for all experiments; "auto" is measured once, when the server starts.
    """
    needed()
    from kerasapps.serving import gallery, guard, jobs, precisions

    memory_of(max_memory)
    most_bytes = memory_of(max_disk, option="--max-disk")
    fixed = ["--max-memory", max_memory, "--network", network]
    fixed += ["--weights", str(regular_file(weights).absolute())] if weights else []
    out, drawn = user_path(out), gallery.Style(DRAWN, "Drawn strokes", draw=draw)
    pictures = gallery.Gallery([drawn, *(gallery.styles_of(user_path(styles)) if styles else ())], out / "thumbnails")
    listening = bind(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/"
    limits = jobs.Limits(queue, per_visitor, max_minutes, keep_days, max_kept, max_kept_per_visitor, most_bytes / 2**20)
    tell = partial(announce, shlex.split(notify), url or address) if notify else None
    with contextlib.ExitStack() as end:
        waiting = jobs.Queue(out, module=module(PAINTER), limits=limits, notify=tell)
        end.callback(waiting.close)
        settled = precisions.Precision(precision, module(MEASURER))
        end.callback(settled.close)
        service = page(pictures, max_size, partial(order, pictures, fixed, settled))
        networks = end.enter_context(opened(runs, out / "answers.log"))
        site = app_of(service, waiting, mib=max_upload, megapixels=max_megapixels, networks=networks)
        end.enter_context(startup.when_stopped(startup.stop))
        waiting.start()
        print(f"{url or address}  (Ctrl-C stops it; pictures are in {out})", flush=True)
        run(site.app(hosts=guard.names(host, allow_host)), listening, proxy)


def needed() -> None:
    """Imports what the extra `web` installs.

    Raises:
        UserError: If something is missing.
    """
    try:
        for name in ("jinja2", "starlette", "python_multipart", "uvicorn"):
            importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"The page needs {error.name}: pip install '.[web]'") from None


def page(pictures: Any, max_size: int, ordered: Any) -> Any:
    """Returns the form on the first page."""
    from kerasapps.serving.app import Service

    lead = (
        "A network paints your photo as if it were made with the strokes and colors of another picture. It takes a "
        "minute or two, and more for a large one."
    )
    return Service("Paint a photo in a style", lead, form_fields(pictures, max_size), ordered, pictures)


@contextlib.contextmanager
def opened(runs: Sequence[Path], log: Path) -> Iterator[dict[str, Any]]:
    """Yields the trained networks of runs, which a thread opens, as `Site` takes them."""
    from kerasapps.serving import answers

    answerer = answers.Answerer(module(ANSWERER), log)
    trained: dict[str, Any] = {}
    folders = {key: user_path(folder).absolute() for key, folder in keyed(runs).items()}
    opening = threading.Thread(target=answers.open_runs, args=(answerer, folders, trained), daemon=True)
    opening.start()
    try:
        yield {"answerer": answerer, "trained": trained, "opening": opening if runs else None}
    finally:
        answerer.close()


def app_of(service: Any, queue: Any, *, mib: float, megapixels: float, networks: Mapping[str, Any]) -> Any:
    """Returns the site."""
    from kerasapps.serving.app import Site, Uploads

    return Site(service, queue, uploads=Uploads(mib, megapixels), **networks)


def module(name: str) -> str:
    """Returns the address of a module of the experiments, which are a part of the package once it is installed."""
    return f"{__spec__.parent}.{name}"


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Raises:
        UserError: If the port is taken, or the address is not of this machine.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)  # who connects before the first page is ready waits
    except OSError as error:
        listening.close()
        raise UserError(f"--host {host} --port {port} cannot be used: {error.strerror or error}.") from None
    return listening


def run(app: Any, listening: socket.socket, proxy: str) -> None:
    """Serves until SIGINT or SIGTERM, which uvicorn raises again once it has ended."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=5,
        lifespan="off",
        limit_concurrency=CONNECTIONS,
        forwarded_allow_ips=proxy,
    )
    uvicorn.Server(config).run(sockets=[listening])


def keyed(runs: Sequence[Path]) -> dict[str, Path]:
    """Returns run folders by a name for addresses, each its own."""
    found: dict[str, Path] = {}
    for folder in runs:
        name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.absolute().name)
        key, number = name, 2
        while key in found:
            key, number = f"{name}-{number}", number + 1
        found[key] = folder
    return found


def announce(command: Sequence[str], url: str, job: Any, state: str) -> None:
    """Calls the command of --notify; what becomes of it is its own affair."""
    told = {"STATE": state, "TITLE": job.shown["title"], "URL": f"{url.rstrip('/')}/pictures/{job.token}"}
    environment = os.environ | {f"KERASAPPS_{name}": value for name, value in told.items()}
    try:
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"--notify: {error}", file=sys.stderr, flush=True)


# --- the form


def draw() -> Any:
    """Returns the painting that style transfer draws where none is given."""
    from kerasapps.data.paintings import draw_painting

    return draw_painting(seed=0)


def form_fields(pictures: Any, max_size: int) -> tuple[Any, ...]:
    """Returns what the page asks."""
    from kerasapps.serving.forms import Field

    sizes = [size for size in SIZES if size <= max_size] or [max_size]
    usual = str(max(size for size in sizes if size <= 512) if sizes[0] <= 512 else sizes[0])
    choices = tuple((style.key, style.label) for style in pictures.styles.values())
    return (
        Field("content", "Your photo", "image", hint="JPEG, PNG, WebP, TIFF or another image file."),
        Field("chosen", "The style", "gallery", DRAWN, choices=choices),
        Field("style", "Or a style of your own", "image", hint="It is taken instead of those above.", required=False),
        Field("size", "Longer side", "choice", usual, choices=tuple((str(one), f"{one} pixels") for one in sizes)),
        Field("strength", "Strength of the style", "choice", "10", choices=tuple(STRENGTH.items())),
        Field("colors", "Colors", "choice", "style", choices=tuple(COLORS.items())),
        Field("steps", "Effort", "choice", "60", choices=tuple(CARE.items())),
    )


def order(pictures: Any, fixed: Sequence[str], precision: Any, values: Mapping[str, Any], folder: Path) -> Any:
    """Returns what style transfer is asked for; the files are in the folder of the job, where it runs."""
    from kerasapps.serving.app import Order

    content, own, chosen = values["content"], values["style"], pictures.styles[values["chosen"]]
    style, label, typed_style = None, chosen.label, chosen.path and chosen.path.name
    if own is not None:
        style, label, typed_style = own.path.name, own.name, own.name
    elif chosen.path is not None:
        # A copy: the gallery may change before it is this picture's turn.
        style = shutil.copyfile(chosen.path, folder / f"style{chosen.path.suffix.lower()}").name
    options = ["--size", values["size"], "--steps", values["steps"]]
    options += ["--style-weight", values["strength"], "--colors", values["colors"], *fixed]
    options += ["--precision", precision.get()]
    given = ["--style", style] if style else []
    shown = ["--style", typed_style] if typed_style else []
    told = [Path(word).name if os.path.isabs(word) else word for word in options]
    command = [*typed(module(PAINTER)), "run", "--content", content.name, *shown, *told, "--out", "painting.png"]
    return Order(
        ("run", "--content", content.path.name, *given, *options),
        f"{content.name} in the style of {label}",
        tuple(command),
    )


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command and exits with its status.

    Args:
        args: The arguments; those of the process by default.
    """
    tool.main(serve, __spec__.name, args)


if __name__ == "__main__":
    main()
