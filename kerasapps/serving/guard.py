"""What every request passes: the right host, no post from another site, no body without end, and headers."""

from collections.abc import Collection, Sequence
from urllib.parse import SplitResult, urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'",
        "img-src 'self' data:",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # A link is a secret: no other site gets it. "no-referrer" would also hide from us where our own posts come from.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-robots-tag": "noindex",
    "cache-control": "no-store",
}
# What is left of a body when it is refused is read and dropped, at most so many times the limit and so long: a browser
# whose upload is cut off shows no sentence.
DRAINED, DRAIN_SECONDS = 10, 30.0
READING = ("GET", "HEAD")  # requests that change nothing, and have no body


class TooLarge(Exception):
    """A request with more bytes than are taken."""


class Guard:
    """Wraps an application.

    Args:
        app: The application.
        hosts: Names that this server goes by, without ports; another is an attack, or a name to be added.
        most_bytes: Bytes of a request at most; beyond, the application meets `TooLarge`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], most_bytes: int):
        self.app, self.hosts, self.most_bytes = app, {*hosts}, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        body = _Body(receive, self.most_bytes)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["method"] not in READING:
                    await body.drain()
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["method"])
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, body.receive, send_with_headers)

    def _refusal(self, headers: Headers, method: str) -> PlainTextResponse | None:
        if "*" not in self.hosts and _parts(f"//{headers.get('host', '')}").hostname not in self.hosts:
            return PlainTextResponse("This server does not go by that name: see --allow-host.", 421)
        if method in READING:
            return None
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        foreign = site not in (None, "same-origin", "none")
        # The scheme is not compared: a proxy in front of this server may speak https.
        foreign |= origin is not None and _parts(origin).netloc != headers.get("host")
        return PlainTextResponse("This was sent by another site and is refused.", 403) if foreign else None


class _Body:
    """The body of a request, of which no more is received than is taken."""

    def __init__(self, receive: Receive, most_bytes: int):
        self.source, self.most_bytes = receive, most_bytes
        self.received, self.ended = 0, False

    async def receive(self) -> Message:
        """Receives the next piece."""
        message = await self.source()
        self.received += len(message.get("body", b""))
        self.ended = self.ended or not message.get("more_body")
        if self.received > self.most_bytes:
            raise TooLarge
        return message

    async def drain(self) -> None:
        """Reads and drops what is left."""
        with anyio.move_on_after(DRAIN_SECONDS):
            while not self.ended and self.received < DRAINED * self.most_bytes:
                message = await self.source()
                self.received += len(message.get("body", b""))
                self.ended = not message.get("more_body")


def _parts(address: str) -> SplitResult:
    """Returns the parts of an address, empty ones if it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def names(host: str, allowed: Sequence[str]) -> set[str]:
    """Returns the names that the page goes by: those given, this machine's own, and any if it listens everywhere.

    Example:
        >>> sorted(names("0.0.0.0", ["Paint.Example.org:8080"]))
        ['0.0.0.0', '127.0.0.1', '::1', 'localhost', 'paint.example.org']
    """
    found = {host.lower(), "127.0.0.1", "localhost", "::1"}
    if not allowed and host in ("0.0.0.0", "::"):
        found.add("*")
    for name in allowed:
        name = name.lower().rpartition("//")[2].rstrip("/")
        bare = name.count(":") > 1 and "[" not in name  # an IPv6 address, which has colons and no port
        found.add(name if bare else urlsplit(f"//{name}").hostname or name)
    return found
