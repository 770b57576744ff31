"""How long a visitor waits for the page, and a host for the server.

    python tests/benchmarks/first_paint.py [-n VISITS]

Starts the page on a free port, and prints the seconds until it answers; then opens it anew in
Chromium so often (default: 10), and prints the median and the longest of the seconds from the
navigation until the first paint (first contentful paint), until the pad has predicted its opening
digit, and until the browser predicts by itself. Exits 1 where a start took more than 10 s, or half
of the visits more than 1.5 s to the first paint or 2 s to the prediction.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.server import running_app  # noqa: E402
from support.visitor import start_browser  # noqa: E402

START_GOAL = 10  # seconds
PAINT_GOAL = 1.5
USABLE_GOAL = 2
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
ALONE = "document.querySelector('[data-inference=browser]')"
ANSWERED = "document.querySelector('.headline .label')?.textContent !== ''"
DRAWABLE = "document.querySelector('canvas.pad')?.width > 0"


class Seconds(NamedTuple):
    """Seconds from the navigation: to the first paint, to the prediction of the opening digit, and
    until the browser has the network."""

    painted: float
    usable: float
    alone: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=10, help="visits (default: 10)")
    count = parser.parse_args().n
    start = time.perf_counter()
    with tempfile.TemporaryFile("w") as log, running_app(log) as address:
        started = time.perf_counter() - start
        with sync_playwright() as playwright:
            browser = start_browser(playwright)
            visits = [open_page(browser, address) for _ in range(count)]
            browser.close()
    medians = [statistics.median(times) for times in zip(*visits, strict=True)]
    print(f"start {started:.1f} s, n {count}")
    for name, median, times in zip(
        Seconds._fields, medians, zip(*visits, strict=True), strict=True
    ):
        print(f"{name:10} {median:.2f} s (median), {max(times):.2f} s")
    met = started <= START_GOAL and medians[0] <= PAINT_GOAL and medians[1] <= USABLE_GOAL
    goals = f"{START_GOAL} s, {PAINT_GOAL} s to the first paint, {USABLE_GOAL} s until usable"
    print(f"goals: {goals}: {'met' if met else 'missed'}")
    return int(not met)


def open_page(browser: Browser, address: str) -> Seconds:
    """Open the page as a new visitor does."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_function(f"{DRAWABLE} && {ANSWERED}")
    usable = time.perf_counter() - start
    page.wait_for_function(ALONE)
    alone = time.perf_counter() - start
    painted = page.evaluate(PAINTED) / 1000
    page.close()
    return Seconds(painted, usable, alone)


if __name__ == "__main__":
    sys.exit(main())
