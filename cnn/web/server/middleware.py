"""What requests pass before they reach Gradio: routes, limits, headers, a line in the log."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from urllib.parse import urlsplit

from gradio import Blocks
from gradio.utils import get_upload_folder
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import cnn
from cnn import settings
from cnn.web.server import cleanup, gradio_internals, logs, routes
from cnn.web.server.limits import OpenRequest, OpenRequests, OpenStreams, RateLimiter, address_key
from cnn.web.server.page_cache import PageCache
from cnn.web.server.presence import Presence

MEGABYTE = 1_000_000
MAX_BODY = MEGABYTE
MAX_UPLOAD = 11 * MEGABYTE
BODY_SECONDS = 15.0  # for a body to arrive
UPLOAD_SECONDS = 90.0
SESSIONS_PER_ADDRESS = 20  # a class of thirty, each drawing at 30 questions a second
EVENTS_PER_ADDRESS = 4  # sessions' rates; each of Gradio's events takes as long as five drawings
PAGES_PER_SECOND = 25  # of one address, / and /config, and 50 at once: a class opens the page
NEW_SESSIONS_PER_SECOND = 15  # of one address, and 30 at once: each costs as much as ten drawings
UPLOADS_PER_SECOND = 15  # of one address, and 30 at once: a class shows its photographs
BYTES_PER_SECOND = 10 * MEGABYTE  # of one address's bodies, and twice as many at once
MAX_EVENTS = 20  # of one session, begun and not yet read
MAX_EVENTS_PER_ADDRESS = 150  # of one address, not yet ended: half of the queue
MAX_PARTS = 10  # files and fields of one upload
BYTES_PER_REQUEST = 4_000  # of a body that count as another request: a megabyte is read for 60 ms
STREAMS_PER_SESSION = 10
STREAMS_PER_ADDRESS = 400
EVENT_STREAMS_PER_ADDRESS = 100  # each may hold an answer of 1.3 MB that nobody reads
RETRY = {"Retry-After": "1"}
WAIT_SECONDS = 1.0  # until who asks too much is told so, and can ask again

# Proxies trusted to set X-Forwarded-For on a Space. uvicorn takes the right-most address that is
# not one of these, so a forged prefix is ignored.
TRUSTED_PROXIES = "127.0.0.1,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

CSP = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'"  # gradio makes functions of its templates
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "Permissions-Policy": "camera=(self), clipboard-write=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger(__name__)


class Refusal(Exception):  # noqa: N818
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str, headers: dict | None = None):
        self.response = JSONResponse({"detail": sentence}, status, headers)


def health_route(networks: Iterable[str]) -> Route:
    """Return the route /healthz, which names the version and the networks."""
    health = JSONResponse({"version": cnn.__version__, "networks": list(networks)})

    async def endpoint(_: Request) -> JSONResponse:
        return health

    return Route("/healthz", endpoint)


def app_kwargs(
    blocks: Blocks,
    presence: Presence,
    endpoints: Sequence[BaseRoute],
    allowed_hosts: Set[str] | None = None,
) -> dict:
    """Return what `launch(app_kwargs=...)` takes: the middleware, and routes besides Gradio's.

    `allowed_hosts` are names of this server besides localhost; None if any may be used.
    """
    guard = Middleware(RequestGuard, blocks, presence, allowed_hosts)
    cache = Middleware(PageCache, routes.PAGES)
    return {"middleware": [guard, cache], "routes": list(endpoints)}


class RequestGuard:
    """Refuses what is unknown, malformed, too large, too much, or sent by another site's page.

    A refusal has a status and a sentence as JSON. Each request gets one line in the log: method,
    route, status, milliseconds. The route is the pattern that a path matches, so that nothing
    that a visitor wrote or is stands there.
    """

    def __init__(
        self,
        app: ASGIApp,
        blocks: Blocks | None = None,
        presence: Presence | None = None,
        allowed_hosts: Set[str] | None = None,
    ):
        self.app, self.blocks, self.allowed_hosts = app, blocks, allowed_hosts
        self.presence = presence or Presence()
        self._requests = OpenRequests()
        self._streams = OpenStreams(STREAMS_PER_ADDRESS)
        self._event_streams = OpenStreams(EVENT_STREAMS_PER_ADDRESS)
        self._session_streams = OpenStreams(STREAMS_PER_SESSION)
        rate = settings.rate_limit()
        self._session_rate = RateLimiter(rate)
        self._address_rate = RateLimiter(SESSIONS_PER_ADDRESS * rate)
        self._event_rate = RateLimiter(EVENTS_PER_ADDRESS * rate)
        self._page_rate = RateLimiter(PAGES_PER_SECOND)
        self._session_begin_rate = RateLimiter(NEW_SESSIONS_PER_SECOND)
        self._upload_rate = RateLimiter(UPLOADS_PER_SECOND)
        self._byte_rate = RateLimiter(BYTES_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as ASGI defines it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # websockets are not used
        start, status = time.perf_counter(), None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                if message["status"] == 500 and gradio_internals.was_refused(scope):
                    message["status"] = 400
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._admit(scope, receive, answer)
        except Refusal as refusal:
            if status is None:
                if refusal.response.status_code == 429:
                    await asyncio.sleep(WAIT_SECONDS)
                await refusal.response(scope, receive, answer)
        except Exception as error:
            logs.log_exception(_log, "A request ended with an error.", error)
            if status is None:  # else a response has begun, and there is one per request
                await _error(500, "Something went wrong here.").response(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "(no route)")
            milliseconds = 1000 * (time.perf_counter() - start)
            _log.info("%s %s %d %.1f ms", scope["method"], route, status or 500, milliseconds)

    async def _admit(self, scope: Scope, receive: Receive, answer: Send) -> None:
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        address = address_key((scope["client"] or ("",))[0])
        if not self._address_rate.allows(address):
            raise _too_fast()
        if self.allowed_hosts is not None and not routes.is_allowed_host(
            headers.get("host", ""), self.allowed_hosts
        ):
            raise _error(421, "This server has another name. Add it to CNN_ALLOWED_HOSTS.")
        if _is_cross_site(headers, method):
            raise _error(403, "Another site's page sent this. Open the page itself.")
        if not routes.is_served(method, path):
            raise _error(404, "There is nothing here.")
        if method == "POST":
            await self._admit_post(scope, headers, receive, answer, address)
        else:
            await self._admit_get(scope, receive, answer, address)

    async def _admit_get(self, scope: Scope, receive: Receive, answer: Send, address: str) -> None:
        if scope["path"] in routes.PAGES and not self._page_rate.allows(address):
            raise _too_fast()
        session = self._stream_session(scope)
        counts = [(self._streams, address)]
        if scope["path"].startswith((f"{routes.API}/queue/data", f"{routes.API}/call/")):
            counts.append((self._event_streams, address))
        if session:
            counts.append((self._session_streams, session))
        if scope["path"].startswith(routes.FILE):  # Gradio cannot read every range
            scope = scope | {"headers": [h for h in scope["headers"] if h[0] != b"range"]}
        with contextlib.ExitStack() as ended:
            for streams, key in counts:
                if not streams.admit(key):
                    raise _error(
                        503, "Too many connections are open from there. Close some.", RETRY
                    )
                ended.callback(streams.release, key)
            if session:
                self._see(session, address)
                self.presence.opened(session, address)
                ended.callback(self.presence.closed, session)
            await self.app(scope, receive, answer)

    def _stream_session(self, scope: Scope) -> str | None:
        """Return the session whose heartbeat or events a GET request listens to."""
        path, last = scope["path"], scope["path"].rsplit("/", 1)[-1]
        if path.startswith(f"{routes.API}/heartbeat/"):
            return last
        if (
            path.startswith(f"{routes.API}/call/")
            and self.blocks
            and not gradio_internals.is_event(self.blocks, last)
        ):
            raise _error(404, "There is no such event, or its answer has been read.")
        if path == f"{routes.API}/upload_progress":
            _name(scope, "upload_id")
        if path != f"{routes.API}/queue/data":
            return None
        session = _name(scope, "session_hash")
        if self.blocks and not gradio_internals.has_events(self.blocks, session):
            raise _error(404, "This session has no answers to wait for.")
        return session

    async def _admit_post(
        self, scope: Scope, headers: Headers, receive: Receive, answer: Send, address: str
    ) -> None:
        is_upload = scope["path"] == routes.UPLOAD
        limit = MAX_UPLOAD if is_upload else MAX_BODY
        if int(headers.get("content-length") or 0) > limit:
            raise _error(413, "That is too large.")
        if is_upload and not self._upload_rate.allows(address):
            raise _too_fast()
        if is_upload and cleanup.disk_is_full(Path(get_upload_folder())):
            raise _error(507, "The server's disk is full. Try again in a few minutes.", RETRY)
        request = self._requests.admit(address, time.monotonic())
        if request is None:
            raise _error(503, "Too many requests are open. Try again in a moment.", RETRY)
        seconds = UPLOAD_SECONDS if is_upload else BODY_SECONDS
        deadline = asyncio.get_running_loop().call_later(seconds, request.drop)
        try:
            receive = _limit_body(receive, limit, request, self._byte_rate)
            if is_upload:
                await self._upload(scope, headers, receive, answer)
                return
            body = await _read(receive)
            if self.blocks:  # else there is nothing behind that reads it
                self._check(body, scope["path"], address)
            await self._post(scope, _replay(body, receive), answer)
        except asyncio.CancelledError:
            if not request.dropped:
                raise
            _uncancel(request.task)
            raise _error(408, "The request came too slowly.", {"Connection": "close"}) from None
        finally:
            deadline.cancel()
            self._requests.release(request)

    def _check(self, body: bytes, path: str, address: str) -> None:
        """Refuse a body that cannot be read, and who asks for too much."""
        if not self._address_rate.allows(address, len(body) // BYTES_PER_REQUEST):
            raise _too_fast()
        message = routes.parse_object(body)
        if message is None:
            raise _error(400, "The body is not a JSON object.")
        session = routes.session_of(message, path)
        if not self._session_rate.allows(session or address):
            raise _too_fast()
        if path == routes.DRAWING:  # whose endpoint checks the rest
            return
        error = routes.describe_error(message, body, path, self.blocks)
        if error:
            raise _error(400, error)
        if not self._event_rate.allows(address):
            raise _too_fast()
        if session:
            self._see(session, address)
        if not path.startswith((f"{routes.API}/queue/join", f"{routes.API}/call/")):
            return
        if session and gradio_internals.count_events(self.blocks, session) >= MAX_EVENTS:
            raise _error(429, "Too many answers wait to be read. Read them first.", RETRY)
        if gradio_internals.count_events_from(self.blocks, address) >= MAX_EVENTS_PER_ADDRESS:
            raise _error(503, "Too many requests from there wait. Try again in a moment.", RETRY)

    def _see(self, session: str, address: str) -> None:
        """Note a session; refuse one more of an address that begins too many."""
        if not (self.presence.knows(session) or self._session_begin_rate.allows(address)):
            raise _too_fast()
        self.presence.see(session, address)

    async def _post(self, scope: Scope, receive: Receive, answer: Send) -> None:
        """Pass a body of JSON on; Gradio raises for parameters that an endpoint does not have."""
        try:
            await self.app(scope, receive, answer)
        except (KeyError, TypeError, ValueError):
            if not scope["path"].startswith(f"{routes.API}/call/v2/"):
                raise
            raise _error(400, "There is no such endpoint, or none with these parameters.") from None

    async def _upload(self, scope: Scope, headers: Headers, receive: Receive, answer: Send) -> None:
        """Pass an upload on; Gradio raises for what is no form of files."""
        _name(scope, "upload_id", default="none")
        try:
            mark = routes.parts_mark(headers.get("content-type", ""))
            await self.app(scope, _limit_parts(receive, mark), answer)
        except (TypeError, ValueError):
            raise _error(400, "That is no form with files.", {"Connection": "close"}) from None


def _error(status: int, sentence: str, headers: dict | None = None) -> Refusal:
    return Refusal(status, sentence, headers)


def _too_fast() -> Refusal:
    return _error(429, "That was too much at once. Try again in a moment.", RETRY)


def _is_cross_site(headers: Headers, method: str) -> bool:
    """Return whether a script of another site sends this; opening the page is not that."""
    site = headers.get("sec-fetch-site")
    if site:
        opens = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
        return site in ("cross-site", "same-site") and not opens
    origin = headers.get("origin")  # older browsers, and pages without https
    own = headers.get("host"), headers.get("x-forwarded-host")
    return origin is not None and urlsplit(origin).netloc not in own


def _limit_body(receive: Receive, limit: int, request: OpenRequest, rate: RateLimiter) -> Receive:
    """Wrap `receive` to end where a body grows too large, and to note when it is complete.

    What comes faster than an address's rate of bytes is read later.
    """
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        request.receiving = request.receiving and message.get("more_body", False)
        if size > limit:
            raise _error(413, "That is too large.", {"Connection": "close"})
        if seconds := rate.delay(request.address, len(message.get("body", b""))):
            await asyncio.sleep(seconds)
        return message

    return limited


def _limit_parts(receive: Receive, mark: bytes) -> Receive:
    """Wrap `receive` to end where a form has too many parts, before each of which `mark` stands."""
    count, end = 0, b""

    async def limited() -> Message:
        nonlocal count, end
        message = await receive()
        data = end + message.get("body", b"")
        count, end = count + data.count(mark), data[1 - len(mark) :]
        if count > MAX_PARTS + 1:  # one stands at the end
            raise _error(413, f"Send at most {MAX_PARTS} files at once.", {"Connection": "close"})
        return message

    return limited


def _name(scope: Scope, key: str, default: str = "") -> str:
    """Return the name of a session or an upload in the query; refuse what is too long for one."""
    name = QueryParams(scope.get("query_string", b"")).get(key) or default
    if not routes.SESSION.fullmatch(name):
        raise _error(400, f"{key} must be 1 to 64 letters, digits, - or _.")
    return name


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _error(400, "The request ended before its body was complete.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once, then what comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replayed() -> Message:
        message = next(messages, None)
        return message if message is not None else await receive()

    return replayed


def _uncancel(task: asyncio.Task) -> None:
    if hasattr(task, "uncancel"):  # Python 3.11
        task.uncancel()
