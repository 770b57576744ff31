"""Measure what an ordinary visitor feels while somebody attacks the page.

    python tests/benchmarks/abuse.py [--seconds SECONDS]

Starts the page on a free port of this machine and lets ten visitors draw, two questions a second
each; first alone, then beside each attack for SECONDS (default: 12): fetching a public address,
hostile checkpoints, runs that nobody watches, uploads that never end, answers that nobody reads,
made-up sessions, a flood of GET requests, malformed requests, and three of them at once. Every
attack comes from one address of this machine and ends by itself. Prints errors, p50, p99 and the
server's memory for each, and by how much p50 rose: as a factor and in milliseconds. Exits 1 if
visitors met an error or their p50 rose by more than half.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.crowd import DIGITS, Asked, Page, Refused, Visitor, draw  # noqa: E402
from support.server import process  # noqa: E402

VISITORS = 10
ATTACKER = 900  # the number of the attacker's address
GREATEST_RISE = 1.5  # of the visitors' p50
PAUSE = 0.05  # seconds between requests of a connection: the attacker shares the processor
Attack = Callable[[str, Page, float, Counter], Awaitable[None]]


def attacker(address: str) -> Visitor:
    """Return a connection of the attacker, all of them from one address."""
    return Visitor(address, ATTACKER)


async def repeat(seconds: float, once: Callable[[], Awaitable], results: Counter) -> None:
    """Do something again and again, and count what the server answers."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        try:
            await asyncio.wait_for(once(), 10)
            results["200"] += 1
        except Refused as refusal:
            results[str(refusal)[:3]] += 1
        except (OSError, EOFError, asyncio.TimeoutError):
            results["no answer"] += 1
        await asyncio.sleep(PAUSE)


async def many(address: str, count: int, seconds: float, results: Counter, once: Callable) -> None:
    """Repeat `once(connection)` over `count` connections at once."""
    connections = [attacker(address) for _ in range(count)]
    await asyncio.gather(
        *(repeat(seconds, lambda c=connection: once(c), results) for connection in connections)
    )
    for connection in connections:
        connection.close()


async def public_address(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 1: ask the server to fetch somebody else's page."""
    path = "/gradio_api/file=https://public.example/x.png"
    await many(address, 5, seconds, results, lambda visitor: visitor.ask(path))


async def hostile_checkpoints(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 2: send checkpoints whose card is 8 MB of empty lists."""
    card = json.dumps({"card": "[" + "[]," * 2_700_000 + "[]]"})
    header = json.dumps({"__metadata__": {"card": card}}).encode()
    body = len(header).to_bytes(8, "little") + header
    await many(address, 3, seconds, results, lambda visitor: visitor.upload("a.safetensors", body))


async def unwatched_runs(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Rows 3 and 7: start training in sessions that nobody listens to."""
    session, preset, _, *others = page.choices
    data = [session, preset, "synthetic", *others]

    async def start(visitor: Visitor) -> None:
        body = {"data": data, "fn_index": page.start, "session_hash": secrets.token_hex(6)}
        await visitor.ask("/gradio_api/queue/join", body)
        await asyncio.sleep(0.5)

    await many(address, 3, seconds, results, start)


async def endless_uploads(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 4: begin 400 uploads and send one byte a second of each."""
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    end = time.perf_counter() + seconds

    async def upload() -> None:
        visitor = attacker(address)
        while time.perf_counter() < end:
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection(
                    visitor.host, visitor.port, local_addr=(visitor.own, 0)
                )
                writer.write(head.encode())
                while time.perf_counter() < end and not reader.at_eof():
                    writer.write(b"x")
                    await writer.drain()
                    with contextlib.suppress(asyncio.TimeoutError):
                        answer = await asyncio.wait_for(reader.readline(), 1)
                        results[answer.split()[1].decode() if answer else "closed"] += 1
                        break
                writer.close()
            await asyncio.sleep(1)

    await asyncio.gather(*(upload() for _ in range(400)))


async def unread_answers(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 5: ask for feature maps, and never fetch the answers."""
    body = {"data": ["conv1", DIGITS[3], None, None]}
    call = "/gradio_api/call/feature_maps"

    async def ask(visitor: Visitor) -> None:
        await visitor.ask(call, body)
        await asyncio.sleep(0.2)

    await many(address, 4, seconds, results, ask)


async def made_up_sessions(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 6: question the pad in a new session each time."""

    def ask(visitor: Visitor) -> Awaitable:
        body = {"data": [], "fn_index": page.settle, "session_hash": secrets.token_hex(6)}
        return visitor.ask("/gradio_api/queue/join", body | {"data": [DIGITS[4]]})

    await many(address, 4, seconds, results, ask)


async def flood(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 9: fetch the page's description over twenty connections."""
    await many(address, 20, seconds, results, lambda visitor: visitor.ask("/config"))


async def malformed(address: str, page: Page, seconds: float, results: Counter) -> None:
    """Row 12: send bodies that Gradio cannot read."""
    bodies = [b"[", b"{}", b'{"data": 7}', b'{"data": [], "fn_index": 99999}', b"[" * 90_000]

    async def ask(visitor: Visitor) -> None:
        await visitor.ask("/gradio_api/queue/join", secrets.choice(bodies))

    await many(address, 5, seconds, results, ask)


async def three_at_once(address: str, page: Page, seconds: float, results: Counter) -> None:
    """A flood, endless uploads and made-up sessions at the same time."""
    attacks = (flood, endless_uploads, made_up_sessions)
    await asyncio.gather(*(attack(address, page, seconds, results) for attack in attacks))


ATTACKS: list[Attack] = [
    *(public_address, hostile_checkpoints, unwatched_runs, endless_uploads, unread_answers),
    *(made_up_sessions, flood, malformed, three_at_once),
]


def megabytes(pid: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


async def visit(address: str, page: Page, seconds: float) -> Asked:
    """Let ten visitors draw, each from an address of its own."""
    visitors, asked = [Visitor(address, number) for number in range(VISITORS)], Asked()
    await asyncio.gather(*(draw(visitor, page, seconds, asked) for visitor in visitors))
    for visitor in visitors:
        visitor.close()
    return asked


async def play(address: str, pid: int, seconds: float) -> bool:
    """Play all attacks one after another; return whether the visitors were served as before."""
    page = await Page.of(Visitor(address))
    await visit(address, page, 3)  # what is imported late is imported now
    alone = await visit(address, page, seconds)
    print(f"{'alone':20s} {alone}, {megabytes(pid):.0f} MB", flush=True)
    served = not alone.faults
    for attack in ATTACKS:
        results: Counter = Counter()
        attacking = asyncio.create_task(attack(address, page, seconds, results))
        asked = await visit(address, page, seconds)
        await attacking
        before, during = alone.percentile(0.5), asked.percentile(0.5)
        kept = not asked.faults and during <= GREATEST_RISE * before
        name = attack.__name__.replace("_", " ")
        print(f"{name:20s} {asked}, {megabytes(pid):.0f} MB", flush=True)
        rise = f"p50 x {during / max(before, 1e-9):.2f}, {during - before:+.1f} ms"
        print(f"{'':20s} {rise}: {'as before' if kept else 'worse'}", flush=True)
        print(f"{'':20s} the attacker got {dict(results.most_common(5))}", flush=True)
        served &= kept
    return served


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=12, help="each attack (default: 12)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w") as log:
        with process(log, GRADIO_TEMP_DIR=folder) as (address, app):
            served = asyncio.run(play(address, app.pid, seconds))
    print("visitors were served as before" if served else "visitors felt it")
    return int(not served)


if __name__ == "__main__":
    sys.exit(main())
