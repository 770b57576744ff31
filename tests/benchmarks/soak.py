"""Whether the page could run for weeks: what it holds after many events, and after many more.

    python tests/benchmarks/soak.py [-n EVENTS]

Starts the page on a free port, lets twenty visitors at a time draw, show photographs, look
inside, ask for what they do not read, start runs that they do not watch, and leave again. Prints
the resident memory, threads, descriptors and files of the server every thousand events (default:
20,000 in all), and once more when what nobody reads has been dropped. Exits 1 where, after the
first thousand, memory grew by more than 50 MB, or threads, descriptors or files increased, or
where a run cannot begin in the end.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.crowd import (  # noqa: E402
    DIGITS,
    Asked,
    Page,
    Visitor,
    look,
    photograph,
    show,
    train,
)
from support.server import process  # noqa: E402

VISITORS = 20
STAY = 50  # events
REST = 90  # seconds, longer than an unread answer is kept
MEGABYTES_GOAL = 50
SPARE = 12  # threads and descriptors that come and go


class Held(NamedTuple):
    """What the server holds: megabytes of resident memory, and counts."""

    megabytes: float
    threads: int
    descriptors: int
    files: int

    @classmethod
    def by(cls, pid: int, uploads: Path) -> "Held":
        """Ask Linux, and the folder of uploads."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        files = sum(path.is_file() for path in uploads.rglob("*"))
        return cls(
            int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), descriptors, files
        )

    def grew_from(self, before: "Held") -> bool:
        """Whether more is held than may be."""
        return (
            self.megabytes > before.megabytes + MEGABYTES_GOAL
            or self.threads > before.threads + SPARE
            or self.descriptors > before.descriptors + SPARE
            or self.files > before.files
        )


async def stay(address: str, page: Page, photo: bytes, asked: Asked, number: int) -> None:
    """One visit: fifty events, each of another kind than the one before."""
    visitor = Visitor(address, number)
    for event in range(STAY):
        digit = DIGITS[event % 10]
        try:
            match event % 10:
                case 0:
                    await show(visitor, photo, asked)
                case 2:
                    await visitor.call("probabilities", digit, None)
                case 4:
                    await visitor.call("feature_maps", "conv1", digit, None, None)
                case 6:
                    await visitor.call("attribution", "3", "grad-cam", digit, None, None)
                case 8:
                    await visitor.ask("/config")
                case 7 if event == 7 and number % 4 == 0:
                    await forget(visitor, page, digit)
                case 9:
                    visitor.session = secrets.token_hex(6)  # as if it were somebody else
                case _:
                    await look(visitor, page, digit, event % 3 == 0, asked)
        except Exception as fault:  # whatever goes wrong is counted
            asked.faults.append(repr(fault))
    visitor.close()


async def forget(visitor: Visitor, page: Page, digit: list) -> None:
    """Ask for maps and for a run in sessions that nobody listens to."""
    visit, preset, _, *others = page.choices
    choices = [visit, preset, "synthetic", *others]
    start = {"fn_index": page.start, "data": choices, "session_hash": secrets.token_hex(6)}
    await visitor.ask("/gradio_api/queue/join", start)
    maps = {"data": ["conv1", digit, None, None], "session_hash": secrets.token_hex(6)}
    await visitor.ask("/gradio_api/call/feature_maps", maps)


async def has_a_seat(address: str, page: Page) -> bool:
    """Whether a run that is watched can begin and end, when all others have been given up."""
    trained = Asked()
    await train(Visitor(address), page, trained)
    print(f"a run in the end: {trained}")
    return len(trained.milliseconds) == 1


async def soak(
    address: str, pid: int, uploads: Path, events: int, visitors: int = VISITORS
) -> tuple[list[Held], Asked]:
    """Let them come and go; gives what was held after fifty events of each visitor, each time."""
    page, photo, asked = await Page.of(Visitor(address)), photograph(), Asked()
    held, done, number = [], 0, 0
    while done < events:
        crowd = range(number, number + visitors)
        await asyncio.gather(*(stay(address, page, photo, asked, one) for one in crowd))
        number, done = (number + visitors) % 1000, done + visitors * STAY
        held.append(Held.by(pid, uploads))
        print(f"{done:,} events: {held[-1]}", flush=True)
    return held, asked


async def soak_and_rest(address: str, pid: int, uploads: Path, events: int) -> tuple:
    """Soak, then wait until unread answers are dropped; gives `soak`'s results and whether a run
    can begin."""
    held, asked = await soak(address, pid, uploads, events)
    await asyncio.sleep(REST)
    held.append(Held.by(pid, uploads))
    print(f"{REST} s later: {held[-1]}", flush=True)
    return held, asked, await has_a_seat(address, await Page.of(Visitor(address)))


def run(events: int) -> bool:
    """Start the page and soak it; says whether it held no more in the end."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w") as log:
        place = {"GRADIO_TEMP_DIR": folder, "CNN_RATE_LIMIT": "10000", "CNN_TRAIN_SECONDS": "6"}
        with process(log, **place) as (address, app):
            held, asked, free = asyncio.run(soak_and_rest(address, app.pid, Path(folder), events))
    print(asked)
    print(
        f"{held[0].megabytes:.0f} MB after the first thousand events, {held[-1].megabytes:.0f} in "
        f"the end: {held[-1].megabytes - held[0].megabytes:+.0f}, goal at most {MEGABYTES_GOAL}"
    )
    return free and not held[-1].grew_from(held[0]) and not asked.faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=20_000, help="events (default: 20,000)")
    kept = run(parser.parse_args().n)
    print("it holds no more than at first" if kept else "it grew, or something went wrong")
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
