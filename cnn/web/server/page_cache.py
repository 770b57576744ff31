"""Keeps the page and its description as they were first sent: building them takes 45 and 31 ms."""

import asyncio
import collections

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnn.web.server.limits import RateLimiter, address_key

MAX_KEPT = 16
MISSES_PER_SECOND = 5  # of one address, which may vary the headers to have the page built anew
# What Gradio writes addresses from.
VARYING = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")


class PageCache:
    """Answers GET requests for a few paths from memory; the query is for scripts in the browser."""

    def __init__(self, app: ASGIApp, paths: set[str]):
        self.app, self.paths = app, paths
        self._kept: collections.OrderedDict[tuple, list[Message]] = collections.OrderedDict()
        self._misses = RateLimiter(MISSES_PER_SECOND)
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as ASGI defines it."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in self.paths:
            await self.app(scope, receive, send)
            return
        scope = scope | {"query_string": b"", "headers": _with_one_encoding(scope["headers"])}
        headers = Headers(scope=scope)
        key = (scope["path"], scope["scheme"], *map(headers.get, (*VARYING, "accept-encoding")))
        if key not in self._kept:
            async with self._one_at_a_time:
                if key not in self._kept:
                    answer = await self._build(scope, receive)
                    if answer[0]["status"] == 200:
                        self._kept[key] = answer
        if key in self._kept:
            answer = self._kept[key]
            self._kept.move_to_end(key)
            if len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        for message in answer:
            await send(
                message | {"headers": list(message["headers"])} if "headers" in message else message
            )

    async def _build(self, scope: Scope, receive: Receive) -> list[Message]:
        app, messages = self.app, []
        if not self._misses.allows(address_key((scope["client"] or ("",))[0])):
            detail = "That was too much at once. Try again in a moment."
            app = JSONResponse({"detail": detail}, 429, {"Retry-After": "1"})

        async def keep(message: Message) -> None:
            messages.append(message)

        await app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        return [messages[0], {"type": "http.response.body", "body": body}]


def _with_one_encoding(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return headers that accept only the encoding that Gradio would choose."""
    mutable = MutableHeaders(raw=list(headers))
    accepted = mutable.get("accept-encoding", "")
    mutable["accept-encoding"] = next((e for e in ("br", "gzip") if e in accepted), "identity")
    return mutable.raw
