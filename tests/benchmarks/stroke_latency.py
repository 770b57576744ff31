"""How long after the pen is lifted the bars stand, and how often they move while it is down.

    python tests/benchmarks/stroke_latency.py [-n STROKES]

Starts the page on a free port, draws our digits in Chromium with a moving pen, and prints the
median and the 95th percentile of the milliseconds from pen-up until the bars show the answer
to the finished stroke, and the updates a second during a stroke. Exits 1 on a missed goal.
"""

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from server import running_app  # noqa: E402
from visitor import on_pad, start_browser  # noqa: E402

from cnn import handwriting  # noqa: E402

MEDIAN_GOAL = 25  # ms
P95_GOAL = 60  # ms
UPDATES_GOAL = 20  # a second
MOVES_A_SECOND = 60

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


def measure(count: int) -> tuple[list[float], list[float]]:
    """Latencies in ms and updates a second of `count` strokes of our digits."""
    with running_app() as address, sync_playwright() as playwright:
        page = start_browser(playwright).new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.locator("canvas.pad").wait_for()
        page.keyboard.press("Escape")
        page.evaluate(WATCH)
        results = []
        digits = itertools.cycle(range(10))
        while len(results) < count:
            for stroke in on_pad(page, handwriting.specimen(next(digits))):
                results.append(draw(page, stroke))
            page.keyboard.press("Escape")
        return tuple(zip(*results[:count], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=200, help="strokes to draw (default: 200)")
    latencies, updates = measure(parser.parse_args().n)
    median = statistics.median(latencies)
    p95 = statistics.quantiles(latencies, n=20)[-1]
    pace = statistics.median(updates)
    print(f"pen-up to bars: median {median:.1f} ms, p95 {p95:.1f} ms, n {len(latencies)}")
    print(f"during a stroke: {pace:.0f} updates a second (median)")
    missed = median > MEDIAN_GOAL or p95 > P95_GOAL or pace < UPDATES_GOAL
    print(f"goals: {MEDIAN_GOAL} ms, {P95_GOAL} ms, {UPDATES_GOAL} a second:", end=" ")
    print("missed" if missed else "met")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
