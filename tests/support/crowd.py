"""Simulated visitors: HTTP clients, each with a loopback address, and what they ask of the page."""

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
    """Return a JPEG of 1600 x 1200 pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


class Refused(Exception):  # noqa: N818
    """An answer that is an error: its status and text."""


class Visitor:
    """An HTTP client with a session of Gradio and one connection, which stays open.

    `number` determines the loopback address that it connects from. The session also serves as the
    token of questions about drawings.
    """

    def __init__(self, address: str, number: int = 0):
        where = urlsplit(address)
        self.host, self.port = where.hostname, where.port
        self.own = f"127.0.{number // 250}.{number % 250 + 2}"
        self.session = secrets.token_hex(6)
        self._one_at_a_time = asyncio.Lock()
        self._one_call = asyncio.Lock()  # a stream of Gradio carries the answers of all calls
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, path: str, data: object = None, kind: str = "application/json") -> bytes:
        """Send a GET, or a POST where there is data; return the body or raise `Refused`."""
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
                self._stream = None  # closed after 5 idle seconds; browsers try again as well
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
        """Close the connection."""
        if self._stream:
            self._stream[1].close()

    async def call(self, endpoint: str, *data: object) -> object:
        """Call a named endpoint of the API; return its first value."""
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
        """Upload a file; return it in the form that endpoints take."""
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
    """Numbers of the functions for Start, with its inputs, and for a finished drawing."""

    start: int
    choices: list
    settle: int

    @classmethod
    async def of(cls, visitor: Visitor) -> "Page":
        """Read them from `/config`."""
        config = json.loads(await visitor.ask("/config"))
        parts = {part["id"]: part["props"] for part in config["components"]}
        pad = next(i for i, props in parts.items() if "web_model" in props.get("server_fns", []))
        button = next(i for i, props in parts.items() if props.get("value") == "Start")

        functions = config["dependencies"]
        clicked = next(f for f in functions if [button, "click"] in f["targets"])
        start = next(f for f in functions if f["trigger_after"] == clicked["id"])
        settle = next(f for f in functions if [pad, "stroke_end"] in f["targets"] and f["inputs"])
        choices = [parts[i].get("value") for i in start["inputs"]]
        return cls(start["id"], choices, settle["id"])


Ask = Callable[[Visitor, "Page", list, bool, "Asked"], Awaitable[None]]


@dataclass
class Asked:
    """Latencies of answers in milliseconds, and errors.

    `turned_away` counts what may be refused under load: questions within a stroke, and training
    jobs while the queue is full.
    """

    milliseconds: list[float] = field(default_factory=list)
    turned_away: int = 0
    faults: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return a percentile of the latencies; `share` is in [0, 1]."""
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
    """Draw digits, asking twice a second; 30 % of the questions are about finished drawings.

    `ask` is what the pad sends: `look` by default, or `tell`.
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
    """Ask for the prediction of a drawing, as the pad does where the server predicts."""
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
    """Send a finished drawing, as the pad does where the browser predicts."""
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
    """Upload a photograph and ask for its prediction, by the endpoint of the API."""
    start = time.perf_counter()
    try:
        sent = await visitor.upload("photo.jpg", photo)
        answer = await visitor.call("classify_photo", sent)
        assert len(answer["probabilities"]) == 10
        asked.milliseconds.append(1000 * (time.perf_counter() - start))
    except (Refused, OSError, asyncio.IncompleteReadError) as fault:
        asked.faults.append(str(fault))


async def train(visitor: Visitor, page: Page, asked: Asked) -> None:
    """Start a training job on synthetic digits and follow it until its end."""
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
