"""The pages: a form whose jobs are worked off one by one, the page of a job, and trained networks to be tried."""

import contextlib
import shlex
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import jinja2
from python_multipart.multipart import parse_options_header
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kerasapps.errors import UserError, no_room
from kerasapps.files import write_atomically
from kerasapps.serving.answers import Answer, Answerer, Trained
from kerasapps.serving.forms import Field, Picture, check_picture, read_values, shown_name
from kerasapps.serving.gallery import Gallery, small
from kerasapps.serving.guard import HEADERS, POLICY, Guard, TooLarge
from kerasapps.serving.jobs import Job, Queue

MIB = 2**20
COOKIE, REMEMBERED = "pictures", 12
FORM_BYTES = MIB  # of all that is no file
BEFORE, BEFORE_SIDE = "before.jpg", 1024  # what is shown of a photo: its file, and its longer side in pixels
SENDING_SECONDS, ASKING_SECONDS = 600, 60  # that a form with its files, and a question, may take to arrive
ASKING = 8  # questions to networks at a time, of which one is answered
# Blocks of reports color words and cells where they stand.
STYLED = {"content-security-policy": POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")}
UNREADABLE = "What your browser sent could not be read: please try again."
EXPIRED = "There is no such picture. It may have been removed, or its time may have run out."


@dataclass(frozen=True)
class Order:
    """What a form asks the queue for.

    Args:
        arguments: Of the command, which runs in the folder of the job.
        title: What the page of the job is headed.
        command: How a person would type it.
    """

    arguments: tuple[str, ...]
    title: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """A form whose answers are done by a command.

    Args:
        title: What the page is headed.
        lead: What it does, in a sentence or two.
        fields: What is asked.
        order: From the values, and the folder that their files are in, to what is to be done.
        gallery: Pictures to choose from.
    """

    title: str
    lead: str
    fields: tuple[Field, ...]
    order: Callable[[Mapping[str, Any], Path], Order]
    gallery: Gallery


@dataclass(frozen=True)
class Uploads:
    """What is taken.

    Args:
        mib: Size of a file at most.
        megapixels: Pixels of an image at most, in millions.
    """

    mib: float = 20.0
    megapixels: float = 50.0


def pages() -> jinja2.Environment:
    """Returns the templates."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kerasapps", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


class Site:
    """All pages.

    Args:
        service: The form on the first page.
        queue: Its jobs.
        uploads: What is taken.
        answerer: The process of the trained networks.
        trained: The networks by key, of those that have been opened so far.
        opening: The thread that opens them; None if there are none.
    """

    def __init__(
        self,
        service: Service,
        queue: Queue,
        *,
        uploads: Uploads = Uploads(),
        answerer: Answerer | None = None,
        trained: Mapping[str, Trained] | None = None,
        opening: threading.Thread | None = None,
    ):
        self.service, self.queue, self.uploads = service, queue, uploads
        self.answerer, self.trained, self.opening = answerer, {} if trained is None else trained, opening
        self.templates = pages()
        self.decoding = anyio.CapacityLimiter(1)  # so that images sent at once are not in memory at once
        self.answering = anyio.CapacityLimiter(1)  # so that questions do not hold the threads that serve pages
        self.asking: Counter[str] = Counter()

    def app(self, *, hosts: Sequence[str]) -> Starlette:
        """Returns the application.

        Args:
            hosts: Names that the server goes by.
        """
        routes = [
            Route("/", self.form, methods=["GET"]),
            Route("/", self.submit, methods=["POST"]),
            Route("/pictures/{token}", self.job),
            Route("/pictures/{token}/state", self.state),
            Route("/pictures/{token}/stop", self.stop, methods=["POST"]),
            Route("/pictures/{token}/remove", self.remove, methods=["POST"]),
            Route("/pictures/{token}/picture.png", self.picture),
            Route("/pictures/{token}/before.jpg", self.before),
            Route("/styles/{key}.jpg", self.style),
            Route("/try", self.networks),
            Route("/try/{key}", self.network, methods=["GET"]),
            Route("/try/{key}", self.ask, methods=["POST"]),
            Route("/page.css", self.look),
            Route("/health", self.health),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ]
        most = int(2 * self.uploads.mib * MIB) + FORM_BYTES
        guard = Middleware(Guard, hosts=hosts, most_bytes=most)
        handlers = {HTTPException: self.missing, TooLarge: self.too_large, Exception: self.broken}
        return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)

    # --- the form, and what is sent by it

    def form(self, request: Request) -> Response:
        """Shows the form, and links to what was ordered with this browser."""
        return self._form(request)

    def _form(self, request: Request, *, error: str = "", status: int = 200, values: Mapping = {}) -> Response:
        tokens = request.cookies.get(COOKIE, "").split(".")
        known = [job for job in map(self.queue.find, tokens) if job is not None]
        yours = [(job, self.queue.state(job)) for job in known]
        context = {"service": self.service, "yours": yours, "error": error, "values": values}
        return self._page(request, "form", status=status, **context)

    async def submit(self, request: Request) -> Response:
        """Puts a job into the queue, and shows its page."""
        values: dict[str, Any] = {}
        try:
            place = await run_in_threadpool(self.queue.enter, _visitor(request))
        except UserError as error:
            return self._form(request, error=str(error), status=400)
        try:
            job = await self._submitted(request, place, values)
        except UserError as error:
            return await run_in_threadpool(self._form, request, error=str(error), status=400, values=values)
        except OSError as error:  # the disk is full, or a painting of the gallery is gone
            print(f"An order failed: {error}", file=sys.stderr, flush=True)
            sentence = "There is no room left here at the moment." if no_room(error) else "That did not work here."
            return await run_in_threadpool(self._form, request, error=sentence, status=503, values=values)
        finally:
            self.queue.leave(place)
        response = RedirectResponse(f"/pictures/{job.token}", 303)
        tokens = [job.token, *filter(None, request.cookies.get(COOKIE, "").split("."))]
        look = {"httponly": True, "samesite": "lax", "secure": request.url.scheme == "https"}
        age = int(86_400 * self.queue.limits.keep_days)
        response.set_cookie(COOKIE, ".".join(tokens[:REMEMBERED]), max_age=age, **look)
        return response

    async def _submitted(self, request: Request, place: object, values: dict[str, Any]) -> Job:
        """Puts into the queue what was sent, and fills in the values."""
        form = await self._sent(request, self.service.fields)
        folder = await run_in_threadpool(self.queue.folder)  # only now: who sends slowly has no folder meanwhile
        try:
            await self._take(form, self.service.fields, folder, values)
            given = read_values(self.service.fields, values)
            order = await run_in_threadpool(self.service.order, given, folder)
            pictures = [values[field.name] for field in self.service.fields if isinstance(given[field.name], Picture)]
            notes = [note for picture in pictures for note in picture.notes]
            content = pictures[0]
            await anyio.to_thread.run_sync(_keep_small, content.path, folder / BEFORE, limiter=self.decoding)
            shown = {
                "title": order.title,
                "command": shlex.join(order.command),
                "notes": notes,
                "content": content.path.name,
                "name": content.name,
            }
            asked = {"place": place, "arguments": order.arguments, "shown": shown}
            return await run_in_threadpool(self.queue.submit, folder, **asked)
        except BaseException:  # it is refused, the visitor has left, or a defect of ours
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def _sent(self, request: Request, fields: Sequence[Field], *, seconds: int = SENDING_SECONDS) -> FormData:
        """Returns what was sent, within so many seconds."""
        images = [field for field in fields if field.kind == "image"]
        _, named = parse_options_header(request.headers.get("content-type", ""))  # as it will be read
        if named.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):  # some encodings take minutes to decode
            raise UserError(UNREADABLE)
        try:
            with anyio.fail_after(seconds):
                return await request.form(max_files=len(images) + 2, max_fields=50, max_part_size=FORM_BYTES)
        except TimeoutError:
            raise UserError(f"It was not sent within {seconds} seconds: please try smaller files.") from None
        except HTTPException as error:
            if "files" in str(error.detail):
                raise UserError(f"Too many files were sent: at most {len(images)} are taken.") from None
            raise UserError(UNREADABLE) from None

    async def _take(self, form: FormData, fields: Sequence[Field], folder: Path, values: dict[str, Any]) -> None:
        """Adds what was sent to the values: text, and images as files of the folder under the names of their fields."""
        images = {field.name: field for field in fields if field.kind == "image"}
        items = form.multi_items()
        # All text first: a form that is shown again because of an image keeps it.
        values |= {name: value for name, value in items if not isinstance(value, UploadFile)}
        async with contextlib.AsyncExitStack() as end:
            end.push_async_callback(form.close)
            for name, value in items:
                if isinstance(value, UploadFile) and name in images and (value.filename or value.size):
                    if isinstance(values.get(name), Picture):
                        raise UserError(f"Please choose one file for {images[name].label.lower()}, not several.")
                    values[name] = await self._picture(name, value, folder)

    async def _picture(self, name: str, file: UploadFile, folder: Path) -> Picture:
        """Keeps an image that was sent, under a name of ours."""
        shown = shown_name(file.filename)
        if (file.size or 0) > self.uploads.mib * MIB:
            size = (file.size or 0) / MIB
            raise UserError(f"{shown} has {size:.3g} MiB. The limit is {self.uploads.mib:g} MiB.")

        def keep() -> Picture:
            path = folder / name
            with path.open("wb") as kept:
                while piece := file.file.read(MIB):
                    kept.write(piece)
            return check_picture(path, shown, most_pixels=int(self.uploads.megapixels * 1e6))

        return await anyio.to_thread.run_sync(keep, limiter=self.decoding)

    # --- a job

    def job(self, request: Request) -> Response:
        """Shows how far a job is, or what came of it."""
        job = self._job(request)
        state = self.queue.state(job)
        context = {"job": job, "state": state, "days": self.queue.limits.keep_days}
        context |= {"position": self.queue.position(job) if state == "waiting" else 0}
        return self._page(request, "job", **context)

    def state(self, request: Request) -> Response:
        """Returns how far a job is, for the script of its page."""
        job = self._job(request)
        state = self.queue.state(job)
        told = {"state": state, "stop": job.stop, **job.progress}
        told["position"] = self.queue.position(job) if state == "waiting" else 0
        told["picture"] = job.picture.stat().st_mtime_ns if job.picture else 0
        return JSONResponse(told)

    def stop(self, request: Request) -> Response:
        """Stops a job."""
        job = self._job(request)
        self.queue.stop(job)
        return RedirectResponse(f"/pictures/{job.token}", 303)

    def remove(self, request: Request) -> Response:
        """Removes a job with its pictures."""
        self.queue.remove(self._job(request))
        return RedirectResponse("/", 303)

    def picture(self, request: Request) -> Response:
        """Returns the result, or what there is of it; with ?download it is saved."""
        job = self._job(request)
        if job.picture is None:
            raise HTTPException(404)
        name = f"{Path(job.shown['name']).stem}-painted.png" if "download" in request.query_params else None
        return FileResponse(job.picture, filename=name, media_type="image/png")

    def before(self, request: Request) -> Response:
        """Returns what was sent, small and without what its camera noted."""
        path = self._job(request).folder / BEFORE
        if not path.is_file():  # it was stopped, and the photo removed
            raise HTTPException(404)
        return FileResponse(path, media_type="image/jpeg")

    def _job(self, request: Request) -> Job:
        job = self.queue.find(request.path_params["token"])
        if job is None:
            raise HTTPException(404, EXPIRED)
        return job

    async def style(self, request: Request) -> Response:
        """Returns a picture of the gallery, small."""
        key = request.path_params["key"]
        path = await run_in_threadpool(self.service.gallery.ready, key)
        if path is None:  # while an image that was sent is read, all that is ready is still shown
            path = await anyio.to_thread.run_sync(self.service.gallery.thumbnail, key, limiter=self.decoding)
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type="image/jpeg", headers={"cache-control": "max-age=3600"})

    # --- trained networks

    def networks(self, request: Request) -> Response:
        """Lists the networks that can be tried."""
        waiting = self.opening is not None and self.opening.is_alive()
        return self._page(request, "networks", trained=list(self.trained.values()), waiting=waiting)

    def network(self, request: Request) -> Response:
        """Shows what a network can be asked."""
        return self._page(
            request, "network", trained=self._trained(request), error="", values={}, answer=None, command=""
        )

    async def ask(self, request: Request) -> Response:
        """Shows what a network answers."""
        trained, values, answer, command, error = self._trained(request), {}, None, "", ""
        try:
            with self._turn(_visitor(request)):
                form = await self._sent(request, trained.fields, seconds=ASKING_SECONDS)
                answer, command = await self._answered(form, trained, values)
        except UserError as refused:
            error = str(refused)
        context = {"trained": trained, "error": error, "values": values, "answer": answer, "command": command}
        return self._page(request, "network", status=400 if error else 200, headers=STYLED, **context)

    @contextlib.contextmanager
    def _turn(self, visitor: str) -> Iterator[None]:
        """Holds a place among those who ask, one a visitor."""
        if self.asking[visitor]:
            raise UserError("Your last question is still being answered: please ask one at a time.")
        if self.asking.total() >= ASKING:
            raise UserError("Too many people ask at the moment: please try again in a minute.")
        self.asking[visitor] += 1
        try:
            yield
        finally:
            del self.asking[visitor]

    async def _answered(self, form: FormData, trained: Trained, values: dict[str, Any]) -> tuple[Answer, str]:
        """Returns the answer to what was sent and the command that gives the same, and fills in the values."""
        with tempfile.TemporaryDirectory(prefix="asked-") as folder:
            await self._take(form, trained.fields, Path(folder), values)
            given = read_values(trained.fields, values)
            sent = {name: str(one.path) if isinstance(one, Picture) else one for name, one in given.items()}
            names = {str(one.path): one.name for one in given.values() if isinstance(one, Picture)}
            answer = await anyio.to_thread.run_sync(self.answerer.answer, trained, sent, limiter=self.answering)
        return answer, shlex.join(names.get(word, word) for word in answer.command)

    def _trained(self, request: Request) -> Trained:
        trained = self.trained.get(request.path_params["key"])
        if trained is None:
            raise HTTPException(404, "There is no such network here.")
        return trained

    # --- what all pages share

    def health(self, request: Request) -> Response:
        """Tells a supervisor whether pictures are painted."""
        return PlainTextResponse("ok\n") if self.queue.healthy else PlainTextResponse("the queue has stopped\n", 503)

    def look(self, request: Request) -> Response:
        """Returns the style sheet, which begins with that of the reports."""
        sheet = self.templates.get_template("serve.css.j2").render()
        return Response(sheet, media_type="text/css", headers={"cache-control": "max-age=300"})

    def _page(self, request: Request, name: str, *, status: int = 200, headers: Any = None, **context) -> Response:
        shared = {"path": request.url.path, "tabs": self.opening is not None, "uploads": self.uploads}
        html = self.templates.get_template(f"serve_{name}.html.j2").render(**shared, **context)
        return HTMLResponse(html, status, headers=headers)

    def missing(self, request: Request, error: Exception) -> Response:
        """Shows what is not there, or not allowed."""
        status = error.status_code
        known = {404: "There is no such page.", 405: "This address takes no such request."}
        sentence = error.detail if error.detail.endswith(".") else known.get(status, error.detail)
        return self._page(request, "missing", status=status, sentence=sentence)

    def broken(self, request: Request, error: Exception) -> Response:
        """Says that something went wrong, which the log tells; the guard, which adds headers, is within what failed."""
        sentence = "Something went wrong here: please try again."
        return self._page(request, "missing", status=500, sentence=sentence, headers=HEADERS)

    def too_large(self, request: Request, error: Exception) -> Response:
        """Says that files are too large."""
        sentence = f"That was too large. The limit is {self.uploads.mib:g} MiB a file."
        return self._page(request, "missing", status=413, sentence=sentence)


def _visitor(request: Request) -> str:
    """Returns who asks: an address, which --proxy passes on."""
    return request.client.host if request.client else ""


def _keep_small(photo: Path, path: Path) -> None:
    """Writes what is shown of a photo."""
    write_atomically(path, small(photo, BEFORE_SIDE))
