"""What every request passes before it reaches the page: limits, headers, and a line in the log."""

import collections
import logging
import time
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import cnn
from cnn.models.checkpoints import ModelRegistry
from cnn.settings import env_float

UPLOAD = "/gradio_api/upload"
MEGABYTE = 1_000_000
MAX_CONCURRENT = 400  # requests that ask for work, of all visitors together
ADDRESSES = 10_000  # whose pace is remembered
RETRY = {"Retry-After": "1"}

# Whose word uvicorn takes on a Space for who asks, where it is this machine's alone elsewhere: its
# proxies add the visitor's address to what a visitor may have made up; the last not theirs counts.
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


def requests_per_second() -> float:
    """How much one address may ask for: `CNN_REQUESTS_A_SECOND`, else 100."""
    return env_float("CNN_REQUESTS_A_SECOND", 100)


def app_kwargs(folder: Path) -> dict:
    """What `launch(app_kwargs=...)` takes: the gate, and /healthz with a folder's networks."""
    networks = list(ModelRegistry(folder))

    def health(_: Request) -> JSONResponse:
        return JSONResponse({"version": cnn.__version__, "networks": networks})

    return {"middleware": [Middleware(RequestGuard)], "routes": [Route("/healthz", health)]}


class RequestGuard:
    """Refuses what is too large, too much, or asked for by the page of another site.

    A request that asks for work is a POST. What is refused gets a status and a sentence as
    JSON; each request gets one line in the log: method, route, status, milliseconds. A route
    is the pattern that a path fits, so that nothing a visitor wrote or is stands there.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        self.at_once = 0
        self.pace = RateLimiter(requests_per_second())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._admit(scope, receive, answer)
        except Exception:
            _log.exception("A request ended in a fault.")
            if status is None:  # else an answer has begun, and there is one to a request
                await _refused(500, "Something went wrong here.")(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "(no route)")
            milliseconds = 1000 * (time.perf_counter() - start)
            _log.info("%s %s %d %.1f ms", scope["method"], route, status or 500, milliseconds)

    async def _admit(self, scope: Scope, receive: Receive, answer: Send) -> None:
        refusal = self._refusal(scope)
        if refusal:
            await refusal(scope, receive, answer)
            return
        asks_for_work = scope["method"] == "POST"
        self.at_once += asks_for_work
        try:
            await self.app(scope, _limit_body(receive, _most_bytes(scope)), answer)
        finally:
            self.at_once -= asks_for_work

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if _is_cross_site(headers, scope["method"]):
            return _refused(403, "Another site's page asked for this. Open the page itself.")
        if int(headers.get("content-length") or 0) > _most_bytes(scope):
            return _refused(413, "That is too large.")
        if scope["method"] != "POST":
            return None
        if self.at_once >= MAX_CONCURRENT:
            return _refused(503, "Too many are asking just now. Try again in a moment.", RETRY)
        if not self.pace.allows((scope["client"] or ("",))[0]):
            return _refused(429, "That was too much at once. Try again in a moment.", RETRY)
        return None


class RateLimiter:
    """So many requests a second from each address, twice as many in a burst."""

    def __init__(self, a_second: float):
        self.a_second = a_second
        self._spent: collections.OrderedDict[str, tuple[float, float]] = collections.OrderedDict()

    def allows(self, address: str, now: float | None = None) -> bool:
        """Whether one more is within the pace; `now` is in seconds."""
        now = time.monotonic() if now is None else now
        spent, since = self._spent.pop(address, (0.0, now))
        spent = max(0.0, spent - (now - since) * self.a_second)
        allowed = spent + 1 <= 2 * self.a_second
        self._spent[address] = (spent + allowed, now)
        if len(self._spent) > ADDRESSES:
            self._spent.popitem(last=False)
        return allowed


def _most_bytes(scope: Scope) -> int:
    return 11 * MEGABYTE if scope["path"].rstrip("/") == UPLOAD else MEGABYTE


def _is_cross_site(headers: Headers, method: str) -> bool:
    """Whether a script of another site asks. To open the page, in a frame too, is not that."""
    site = headers.get("sec-fetch-site")
    if site:
        opens = headers.get("sec-fetch-mode") == "navigate" and method == "GET"
        return site in ("cross-site", "same-site") and not opens
    origin = headers.get("origin")  # older browsers, and pages without https
    own = headers.get("host"), headers.get("x-forwarded-host")
    return origin is not None and urlsplit(origin).netloc not in own


def _limit_body(receive: Receive, most: int) -> Receive:
    """The same, ending where a body that told no length grows too large."""
    seen = 0

    async def measured() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise HTTPException(413, "That is too large.")
        return message

    return measured


def _refused(status: int, sentence: str, headers: dict | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)
