"""Measure how soon the bars follow the pen, computed by the browser and by the server.

    python tests/benchmarks/stroke_latency.py [-n STROKES] [--visitors 10] [--training]

Draws synthetic digits in Chromium with a moving pen, on a page that predicts in the browser and on
one that leaves it to the server, without and with 100 ms of network delay. Prints the median and
the 95th percentile of the milliseconds from each event of the pen, and from its lifting, to the
bars that show it, the points whose bars came more than one frame after the pen (their share, and
the most frames), and the updates per second during a stroke. They count from the page's event:
Chromium hands over the pen's moves once per frame. Exits 1 on a missed goal; the goal of points is
for the browser's way and that of lifting for the server's without delay.
The other visitors ask the server, without a browser: theirs run on their own machines. With
--training somebody trains a network all the while, and the page's memory is printed.
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
from typing import NamedTuple

from playwright.sync_api import Browser, Page, expect, sync_playwright

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support import crowd  # noqa: E402
from support.server import running_app  # noqa: E402
from support.visitor import on_pad, start_browser  # noqa: E402

from cnn.data import synthetic  # noqa: E402

BROWSER_GOAL = 12  # ms: median from a point to the bars
GOALS = 25, 60  # ms: median and 95th percentile from lifting the pen to the bars, by the server
GOALS_TOGETHER = 40, 100  # with others, or with somebody training
UPDATES_GOAL = 20  # a second
MOVES_A_SECOND = 60
BETWEEN_STROKES = 0.3  # s
DELAY = 100  # ms that the network takes in the second half

WATCH = """() => {
  const watched = window.watched = { points: [], frames: [], lifted: null, updates: 0 };
  let waiting = [], asked = [], frame = 0;
  const count = () => {
    frame++;
    requestAnimationFrame(count);
  };
  count();
  const ask = () => {
    asked.push(...waiting);
    waiting = [];
  };
  const { fetch } = window, { postMessage } = Worker.prototype;
  window.fetch = (...given) => {
    if (String(given[0]).includes("predictions/drawing")) ask();
    return fetch(...given);
  };
  Worker.prototype.postMessage = function (message, ...given) {
    if (message.strokes) ask();
    return postMessage.call(this, message, ...given);
  };
  for (const kind of ["pointerdown", "pointermove", "pointerup"]) {
    addEventListener(kind, ({ buttons }) => {
      if (!buttons && kind !== "pointerup") return;
      waiting.push({ kind, at: frame, start: performance.now() });
    }, true);
  }
  new MutationObserver(() => {
    watched.updates++;
    const now = performance.now();
    for (const { kind, at, start } of asked) {
      watched.points.push(now - start);
      watched.frames.push(frame - at);
      if (kind === "pointerup") watched.lifted = now - start;
    }
    asked = [];
  }).observe(document.querySelector(".meters"), { attributes: true, subtree: true });
}"""


class Latencies(NamedTuple):
    """Milliseconds and frames from events of the pen, and milliseconds from lifting it, to the
    bars; updates per second."""

    points: list[float]
    frames: list[int]
    lifted: list[float]
    updates: list[float]


def draw(page: Page, stroke: list, latencies: Latencies) -> None:
    """Draw one stroke and add what was measured."""
    page.evaluate(
        "watched.points = []; watched.frames = []; watched.lifted = null; watched.updates = 0"
    )
    page.mouse.move(*stroke[0])
    page.mouse.down()
    start = time.perf_counter()
    for number, place in enumerate(stroke[1:], 1):
        time.sleep(max(0, start + number / MOVES_A_SECOND - time.perf_counter()))
        page.mouse.move(*place)
    seconds = time.perf_counter() - start
    latencies.updates.append(page.evaluate("watched.updates") / seconds)
    page.mouse.up()
    page.wait_for_function("watched.lifted !== null")
    latencies.lifted.append(page.evaluate("watched.lifted"))
    latencies.points.extend(page.evaluate("watched.points"))
    latencies.frames.extend(page.evaluate("watched.frames"))


def measure(browser: Browser, address: str, way: str, delay: int, count: int) -> Latencies:
    """Draw `count` strokes of synthetic digits over a network that takes `delay` ms."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.locator("canvas.pad").wait_for()
    if way == "browser":
        page.locator("[data-inference=browser]").wait_for()
    page.keyboard.press("Escape")
    page.evaluate(WATCH)
    network = {"offline": False, "latency": delay, "downloadThroughput": -1, "uploadThroughput": -1}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", network)
    latencies = Latencies([], [], [], [])
    digits = itertools.cycle(range(10))
    while len(latencies.lifted) < count:
        for stroke in on_pad(page, synthetic.example(next(digits))):
            draw(page, stroke, latencies)
        page.keyboard.press("Escape")
    page.close()
    return latencies


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
            event = {"fn_index": page.settle, "data": [whole[: drawn + 1]]}
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
    page.get_by_text("CIFAR-10 to 79").click()
    expect(page.get_by_label("dataset", exact=True)).to_have_value("cifar10", timeout=60_000)
    page.get_by_label("epochs", exact=True).fill("1000")
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(".run-status", has_text="images per second").wait_for(timeout=180_000)
    yield
    print("training:", page.locator(".run-status p").inner_text())
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
    parser.add_argument("-n", type=int, default=200, help="strokes each time (default: 200)")
    parser.add_argument("--visitors", type=int, default=1, help="who draw at once (default: 1)")
    parser.add_argument("--training", action="store_true", help="let somebody train meanwhile")
    given = parser.parse_args()
    together = given.training or given.visitors > 1
    goals = GOALS_TOGETHER if together else GOALS
    missed = False
    print(
        "computed by, delay     point to bars          pen lifted to bars     updates per second"
        "   over a frame behind"
    )
    for way, setting in (("browser", "1"), ("server", "0")):
        with running_app(CNN_BROWSER_INFERENCE=setting) as address, sync_playwright() as playwright:
            browser = start_browser(playwright)
            run = training(browser, address) if given.training else contextlib.nullcontext()
            with run, others(address, given.visitors - 1) as asked:
                for delay in (0, DELAY):
                    latencies = measure(browser, address, way, delay, given.n)
                    points, lifted = percentiles(latencies.points), percentiles(latencies.lifted)
                    pace = statistics.median(latencies.updates)
                    late = statistics.mean(frames > 1 for frames in latencies.frames)
                    print(
                        f"{way:8} {delay:5d} ms    {points[0]:6.1f}, p95 {points[1]:6.1f} ms"
                        f"    {lifted[0]:6.1f}, p95 {lifted[1]:6.1f} ms    {pace:3.0f}"
                        f"{late:20.1%}, at most {max(latencies.frames)}"
                    )
                    if way == "browser":
                        missed |= points[0] > BROWSER_GOAL
                    elif not delay:
                        missed |= lifted[0] > goals[0] or lifted[1] > goals[1]
                        missed |= pace < UPDATES_GOAL and not together
                if given.training:
                    print(memory())
            if asked.milliseconds:
                print(f"the others: p95 {asked.percentile(0.95):.1f} ms, {asked}")
            missed |= bool(asked.faults)
    print(f"goals: browser {BROWSER_GOAL} ms, server {goals[0]} and {goals[1]} ms:", end=" ")
    print("missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
