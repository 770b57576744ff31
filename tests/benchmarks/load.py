"""Whether the page stays quick for a crowd: visitors who draw, show photographs, and train.

    python tests/benchmarks/load.py [--seconds SECONDS] [--browsers]

Starts the page on a free port and lets visitors in, each from an address of its own: 100 who
draw, two questions a second each; then 20 photographs a second besides; then 20 who ask to
train at once besides. Prints the milliseconds of the answers and exits 1 on a missed goal. It
takes three times SECONDS (default: 60), and as long as the runs take that were asked for. With
--browsers the drawings are predicted by the visitors' browsers, and the server is told those
that are final.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.crowd import (  # noqa: E402
    Ask,
    Asked,
    Page,
    Visitor,
    draw,
    look,
    photograph,
    show,
    tell,
    train,
)
from support.server import running_app  # noqa: E402

DRAWING = 100
PHOTOS_A_SECOND = 20
TRAINING = 20
DRAWING_GOALS = (60, 250), (60, 250), (150, 400)  # ms: median and 99th percentile in each phase
PHOTO_GOALS = 250, 1000  # ms
LESSON_SECONDS = 6


async def showing(visitors: list[Visitor], seconds: float, asked: Asked) -> None:
    """Show so many photographs a second, whether or not those before are answered."""
    photo, under_way = photograph(), set()
    start = time.perf_counter()
    for number in range(int(seconds * PHOTOS_A_SECOND)):
        await asyncio.sleep(max(0.0, start + number / PHOTOS_A_SECOND - time.perf_counter()))
        visitor = visitors[number % len(visitors)]
        under_way.add(asyncio.create_task(show(visitor, photo, asked)))
    await asyncio.gather(*under_way)


async def crowd(address: str, seconds: float, ask: Ask) -> bool:
    """Let them all in; says whether the goals were met."""
    visitors = [Visitor(address, number) for number in range(DRAWING)]
    page = await Page.of(visitors[0])
    met = True
    for phase in range(3):
        drawn, shown, learnt = Asked(), Asked(), Asked()
        tasks = [draw(visitor, page, seconds, drawn, ask) for visitor in visitors]
        if phase >= 1:
            watchers = [Visitor(address, DRAWING + number) for number in range(100)]
            tasks.append(showing(watchers, seconds, shown))
        if phase >= 2:
            learners = [Visitor(address, 2 * DRAWING + number) for number in range(TRAINING)]
            tasks += [train(learner, page, learnt) for learner in learners]
        await asyncio.gather(*tasks)
        print(["drawing", "drawing and photographs", "drawing, photographs and training"][phase])
        for name, asked in (("drawings", drawn), ("photographs", shown), ("runs", learnt)):
            if asked.milliseconds or asked.faults:
                print(f"  {name}: {asked}", flush=True)
            met &= not asked.faults
        for asked, (median, p99) in ((drawn, DRAWING_GOALS[phase]), (shown, PHOTO_GOALS)):
            if asked.milliseconds:
                met &= asked.percentile(0.5) <= median and asked.percentile(0.99) <= p99
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="each phase (default: 60)")
    parser.add_argument("--browsers", action="store_true", help="browsers predict the drawings")
    given = parser.parse_args()
    ask = tell if given.browsers else look
    with tempfile.TemporaryFile("w") as log:
        with running_app(log, CNN_TRAIN_SECONDS=str(LESSON_SECONDS)) as address:
            met = asyncio.run(crowd(address, given.seconds, ask))
    print(
        f"goals: drawings {DRAWING_GOALS}, photographs {PHOTO_GOALS} ms, no faults: "
        f"{'met' if met else 'missed'}"
    )
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
