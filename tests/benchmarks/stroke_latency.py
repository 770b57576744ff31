"""How long after the pen is lifted the bars stand, and how often they move while it is down.

    python tests/benchmarks/stroke_latency.py [-n STROKES] [--visitors 10] [--training]

Starts the page on a free port, draws our digits in Chromium with a moving pen, and prints the
median and the 95th percentile of the milliseconds from pen-up until the bars show the answer
to the finished stroke, and the updates a second during a stroke. Exits 1 on a missed goal.
The other visitors ask as the pad does, without a browser: theirs run on their own machines.
With --training somebody trains a network all the while, and the page's memory is printed.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support import crowd  # noqa: E402
from support.server import running_app  # noqa: E402
from support.visitor import on_pad, start_browser  # noqa: E402

from cnn.data import synthetic  # noqa: E402

GOALS = 25, 60  # ms: median and 95th percentile
GOALS_TOGETHER = 40, 100  # with others, or with somebody training
UPDATES_GOAL = 20  # a second
MOVES_A_SECOND = 60
BETWEEN_STROKES = 0.3  # s

WATCH = """() => {
  const watched = window.watched = { penUp: null, latency: null, updates: 0 };
  let penUp = null, asked = null, answered = false;
  const ask = window.fetch;
  window.fetch = async (...given) => {
    if (!String(given[0]).includes("component_server")) return ask(...given);
    const start = asked = performance.now();
    answered = false;
    const answer = await ask(...given);
    answered = start === asked;
    return answer;
  };
  addEventListener("pointerdown", () => {
    penUp = null;
    watched.latency = null;
    watched.updates = 0;
  }, true);
  addEventListener("pointerup", (event) => { penUp = event.timeStamp; }, true);
  new MutationObserver(() => {
    if (penUp === null) watched.updates++;
    else if (watched.latency === null && answered && asked >= penUp)
      watched.latency = performance.now() - penUp;
  }).observe(document.querySelector(".meters"), { attributes: true, subtree: true });
}"""


def draw(page: Page, stroke: list) -> tuple[float, float]:
    """Draw one stroke; gives the latency in ms and the updates a second while it was drawn."""
    page.mouse.move(*stroke[0])
    page.mouse.down()
    start = time.perf_counter()
    for number, place in enumerate(stroke[1:], 1):
        time.sleep(max(0, start + number / MOVES_A_SECOND - time.perf_counter()))
        page.mouse.move(*place)
    seconds = time.perf_counter() - start
    updates = page.evaluate("watched.updates") / seconds
    page.mouse.up()
    page.wait_for_function("watched.latency !== null")
    return page.evaluate("watched.latency"), updates


def measure(browser: Browser, address: str, count: int) -> tuple[list[float], list[float]]:
    """Latencies in ms and updates a second of `count` strokes of our digits."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.locator("canvas.pad").wait_for()
    page.keyboard.press("Escape")
    page.evaluate(WATCH)
    results = []
    digits = itertools.cycle(range(10))
    while len(results) < count:
        for stroke in on_pad(page, synthetic.example(next(digits))):
            results.append(draw(page, stroke))
        page.keyboard.press("Escape")
    return tuple(zip(*results[:count], strict=True))


@contextlib.contextmanager
def others(address: str, count: int) -> Iterator[crowd.Asked]:
    """So many more visitors who draw meanwhile; gives what came of their questions."""
    asked, end = crowd.Asked(), threading.Event()

    async def come() -> None:
        page = await crowd.Page.of(crowd.Visitor(address, count))
        visitors = [crowd.Visitor(address, number) for number in range(count)]
        await asyncio.gather(*(draw_on(visitor, page, asked, end) for visitor in visitors))

    drawing = threading.Thread(target=asyncio.run, args=(come(),))
    drawing.start()
    yield asked
    end.set()
    drawing.join()


async def draw_on(
    visitor: crowd.Visitor, page: crowd.Page, asked: crowd.Asked, end: threading.Event
) -> None:
    """Draw one digit after another, one request at a time and a rest after each, as pad.js does."""
    for digit in itertools.cycle(random.sample(range(10), 10)):
        whole = [[list(point) for point in stroke] for stroke in synthetic.example(digit)]
        for drawn in range(len(whole)):
            start, lifted = time.perf_counter(), False
            while not lifted:
                before = time.perf_counter()
                points = 1 + int((before - start) * MOVES_A_SECOND)
                lifted = points >= len(whole[drawn])
                strokes = [*whole[:drawn], whole[drawn][:points]]
                await crowd.look(visitor, page, strokes, lifted, asked)
                took = time.perf_counter() - before
                await asyncio.sleep(0 if lifted else max(took, 1 / MOVES_A_SECOND - took))
            event = {"fn_index": page.settle, "data": [whole[: drawn + 1], None]}
            event["session_hash"] = visitor.session
            await visitor.ask("/gradio_api/run/predict", event)
            await asyncio.sleep(BETWEEN_STROKES)
            if end.is_set():
                return


@contextlib.contextmanager
def training(browser: Browser, address: str) -> Iterator[None]:
    """Somebody trains a network on photographs and goes on and on."""
    page = browser.new_page()
    page.goto(address)
    page.locator("canvas.pad").wait_for()
    page.get_by_role("tab", name="Train").click()
    page.get_by_text("CIFAR-10 to 80 %").click()
    page.get_by_text("Every choice").click()
    expect(page.get_by_label("dataset", exact=True)).to_have_value("cifar10", timeout=60_000)
    page.get_by_label("epochs", exact=True).fill("1000")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".status", has_text="pictures a second").wait_for(timeout=180_000)
    yield
    print("training:", page.locator(".status").inner_text())
    page.close()


def memory() -> str:
    """Resident memory of the page and its processes, in MB, shared pages counted once."""
    found = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True)
    processes = found.stdout.split()
    for process in processes:
        found = subprocess.run(["pgrep", "-P", process], capture_output=True, text=True)
        processes += found.stdout.split()
    shares = []
    for process in processes:
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            if b"app.py" in command or b"forkserver" in command:
                lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
                shares += [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    return f"memory: {sum(shares) / 1000:.0f} MB in {len(shares)} processes"


def percentiles(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=20)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=200, help="strokes to draw (default: 200)")
    parser.add_argument("--visitors", type=int, default=1, help="who draw at once (default: 1)")
    parser.add_argument("--training", action="store_true", help="let somebody train meanwhile")
    given = parser.parse_args()
    with running_app() as address, sync_playwright() as playwright:
        browser = start_browser(playwright)
        run = training(browser, address) if given.training else contextlib.nullcontext()
        with run, others(address, given.visitors - 1) as asked:
            latencies, updates = measure(browser, address, given.n)
            if given.training:
                print(memory())
    (median, p95), pace = percentiles(latencies), statistics.median(updates)
    print(f"pen-up to bars: median {median:.1f} ms, p95 {p95:.1f} ms, n {len(latencies)}")
    print(f"during a stroke: {pace:.0f} updates a second (median)")
    if asked.milliseconds:
        print(f"the others: p95 {asked.percentile(0.95):.1f} ms, {asked}")
    together = given.training or given.visitors > 1
    goals = GOALS_TOGETHER if together else GOALS
    missed = median > goals[0] or p95 > goals[1] or (pace < UPDATES_GOAL and not together)
    missed |= bool(asked.faults)
    print(f"goals: {goals[0]} ms, {goals[1]} ms, alone {UPDATES_GOAL} a second:", end=" ")
    print("missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
