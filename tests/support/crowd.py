"""Many visitors at once, each with a connection and an address of its own on this machine."""

import asyncio
import io
import json
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from cnn.data import synthetic

DIGITS = [
    [[[0.2 + 0.6 * float(at) for at in point] for point in stroke] for stroke in specimen]
    for specimen in map(synthetic.example, range(10))
]


def photograph() -> bytes:
    """A JPEG of two megapixels."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


class Refused(Exception):  # noqa: N818
    """An answer that is none: its status and what it says."""


class Visitor:
    """Speaks HTTP over one connection at a time. Every visitor has another loopback address."""

    def __init__(self, address: str, number: int = 0):
        where = urlsplit(address)
        self.host, self.port = where.hostname, where.port
        self.own = f"127.0.{number // 250}.{number % 250 + 2}"
        self.session = secrets.token_hex(6)
        self._one_at_a_time = asyncio.Lock()
        self._one_call = asyncio.Lock()  # gradio tells the first listener of all calls
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, data: object = None, kind: str = "application/json") -> bytes:
        """GET, or POST where there is data; gives the body."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        lines = [f"{'GET' if data is None else 'POST'} {path} HTTP/1.1", f"Host: {self.host}"]
        if data is not None:
            lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        request = "\r\n".join([*lines, "", ""]).encode() + (b"" if data is None else body)
        async with self._one_at_a_time:
            used = self._stream is not None
            try:
                reader, status, headers = await self._begin(request)
            except (ConnectionError, asyncio.IncompleteReadError):
                if not used:
                    raise
                self._stream = None  # idle for 5 s, it was ended as we wrote: browsers do the same
                reader, status, headers = await self._begin(request)
            answer = await self._body(reader, headers)
        if status != 200:
            raise Refused(f"{status} {answer[:200].decode(errors='replace')}")
        return answer

    async def _begin(self, request: bytes) -> tuple[asyncio.StreamReader, int, dict[str, str]]:
        reader, writer = await self._connection()
        writer.write(request)
        return reader, *await self._head(reader)

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is None or self._stream[0].at_eof():
            self._stream = await asyncio.open_connection(
                self.host, self.port, local_addr=(self.own, 0), limit=2**24
            )
        return self._stream

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers

    async def _body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self._line(reader), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        line = await reader.readline()
        if not line:
            raise asyncio.IncompleteReadError(line, None)
        return line

    def close(self) -> None:
        """Leave."""
        if self._stream:
            self._stream[1].close()

    async def call(self, endpoint: str, *data: object) -> object:
        """Use a named endpoint, as a program does; gives what it returns."""
        at, sent = f"/gradio_api/call/{endpoint}", {"data": data, "session_hash": self.session}
        async with self._one_call:
            event = json.loads(await self.ask(at, sent))["event_id"]
            events = (await self.ask(f"{at}/{event}")).decode().split("\n\n")
        kind, answer = (
            events[-2].split("\n")[:2] if events[-1] == "" else events[-1].split("\n")[:2]
        )
        if kind != "event: complete":
            raise Refused(f"{endpoint}: {kind} {answer}")
        return json.loads(answer.removeprefix("data: "))[0]

    async def upload(self, name: str, content: bytes) -> dict:
        """Send a file; gives what an endpoint takes for it."""
        edge = secrets.token_hex(8)
        head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        kind = f"multipart/form-data; boundary={edge}"
        (path,) = json.loads(await self.ask("/gradio_api/upload", body, kind))
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


@dataclass
class Page:
    """What a visitor's browser knows of the page: the pad, what Start sends, and pen-up."""

    pad: int
    start: int
    choices: list
    settle: int

    @classmethod
    async def of(cls, visitor: Visitor) -> "Page":
        """Read from the page's own description."""
        config = json.loads(await visitor.ask("/config"))
        parts = {part["id"]: part["props"] for part in config["components"]}
        pad = next(i for i, props in parts.items() if "web_model" in props.get("server_fns", []))
        button = next(i for i, props in parts.items() if props.get("value") == "Start")

        def event(*target: object) -> dict:
            return next(
                f for f in config["dependencies"] if list(target) in f["targets"] and f["inputs"]
            )

        clicked = next(f for f in config["dependencies"] if [button, "click"] in f["targets"])
        start = next(f for f in config["dependencies"] if f["trigger_after"] == clicked["id"])
        settle = event(pad, "stroke_end")
        choices = [parts[i].get("value") for i in start["inputs"]]
        return cls(pad, start["id"], choices, settle["id"])


Ask = Callable[[Visitor, "Page", list, bool, "Asked"], Awaitable[None]]


@dataclass
class Asked:
    """What came of many questions: milliseconds of each answer, and what went wrong.

    Turned away are updates within a stroke while many draw, and runs while the line is full.
    """

    milliseconds: list[float] = field(default_factory=list)
    turned_away: int = 0
    faults: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def __str__(self) -> str:
        count = len(self.milliseconds)
        half, most = self.percentile(0.5), self.percentile(0.99)
        away = f", {self.turned_away} turned away" if self.turned_away else ""
        faults = f", {len(self.faults)} faults: {self.faults[0]}" if self.faults else ", no faults"
        return f"p50 {half:.1f} ms, p99 {most:.1f} ms, n {count}{away}{faults}"


async def draw(
    visitor: Visitor, page: Page, seconds: float, asked: Asked, ask: Ask | None = None
) -> None:
    """Draw digits for so long, two questions a second: while the pen is down, and when it lifts.

    `ask` is what the pad does then: `look` by default, or `tell`.
    """
    dice = random.Random(visitor.session)
    end = time.perf_counter() + seconds
    await asyncio.sleep(dice.random() / 2)
    while (now := time.perf_counter()) < end:
        digit = dice.choice(DIGITS)
        final = dice.random() < 0.3
        shown = digit if final else [*digit[:-1], digit[-1][: dice.randint(1, len(digit[-1]))]]
        await (ask or look)(visitor, page, shown, final, asked)
        await asyncio.sleep(max(0.0, now + 0.5 - time.perf_counter()))


async def look(visitor: Visitor, page: Page, strokes: list, final: bool, asked: Asked) -> None:
    """One question of the pad. Where the pen is final it is asked until it is answered."""
    question = {"token": visitor.session, "strokes": strokes, "final": final}
    start = time.perf_counter()
    try:
        answer = json.loads(await visitor.ask("/predictions/drawing", question))
    except (Refused, OSError, asyncio.IncompleteReadError) as fault:
        asked.faults.append(str(fault))
        return
    if "probabilities" in answer:
        asked.milliseconds.append(1000 * (time.perf_counter() - start))
    elif answer.get("busy") and not final:
        asked.turned_away += 1
    else:
        asked.faults.append(str(answer)[:200])


async def tell(visitor: Visitor, page: Page, strokes: list, final: bool, asked: Asked) -> None:
    """What a pad does that predicts by itself: it tells the server the final drawing."""
    if not final:
        return
    event = {"fn_index": page.settle, "data": [strokes], "session_hash": visitor.session}
    start = time.perf_counter()
    try:
        await visitor.ask("/gradio_api/run/predict", event)
        asked.milliseconds.append(1000 * (time.perf_counter() - start))
    except (Refused, OSError, asyncio.IncompleteReadError) as fault:
        asked.faults.append(str(fault))


async def show(visitor: Visitor, photo: bytes, asked: Asked) -> None:
    """Show one photograph."""
    start = time.perf_counter()
    try:
        sent = await visitor.upload("photo.jpg", photo)
        answer = await visitor.call("classify_photo", sent)
        assert len(answer["probabilities"]) == 10
        asked.milliseconds.append(1000 * (time.perf_counter() - start))
    except (Refused, OSError, asyncio.IncompleteReadError) as fault:
        asked.faults.append(str(fault))


async def train(visitor: Visitor, page: Page, asked: Asked) -> None:
    """Press Start for digits that need no download, wait for the turn, and watch until the end."""
    start = time.perf_counter()
    visit, preset, _, *others = page.choices
    choices = [visit, preset, "synthetic", *others]
    body = {"data": choices, "fn_index": page.start, "session_hash": visitor.session}
    try:
        await visitor.ask("/gradio_api/queue/join", body)
        told = (
            await visitor.ask(f"/gradio_api/queue/data?session_hash={visitor.session}")
        ).decode()
        if "Too many jobs" in told:
            asked.turned_away += 1
            return
        if '"success":true' not in told.replace(" ", "").rsplit("process_completed", 1)[-1]:
            raise Refused(told[-300:])
        asked.milliseconds.append(1000 * (time.perf_counter() - start))
    except (Refused, OSError, asyncio.IncompleteReadError) as fault:
        asked.faults.append(str(fault))
