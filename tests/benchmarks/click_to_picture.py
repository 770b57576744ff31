"""How long a visitor waits from a press to what it shows, for each view, on this machine.

    python tests/benchmarks/click_to_picture.py [--times 5]

Prints the median and the worst of each in milliseconds, and the machine's load. Exits 1 where a
median is above 300 ms.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from support.server import running_app  # noqa: E402
from support.visitor import start_browser  # noqa: E402

GOAL = 300  # milliseconds, of each median
PRESSES = {  # what is pressed, by a selector and its text, and what changes then
    "Probabilities": ("[role=tab]", "Probabilities", "#predictions"),
    "Inside": ("[role=tab]", "Inside", "#network .layers"),
    "maps of a layer": (".layer-head button[data-layer=relu3]", "relu3", ".layer-maps .maps"),
    "one activation": (".layer-maps .maps button:nth-of-type(7)", "", "#activation .sums"),
    "trace": (".sections button", "Trace", "#trace"),
    "attribution": (".sections button", "Attribution", "#attribution"),
    "another class": (".class-choice [data-class='8']", "8", "#attribution"),
    "filters": (".sections button", "Filters", "#filters"),
    "Models": ("[role=tab]", "Models", "#confusion"),
    "another model": ("#models tr:nth-child(3) button", "", "#card"),
    "a cell": (".confusion [data-pick='4,9']", "", "#cell"),
}
PRESS = """async ([pressed, words, shown]) => {
  const look = () => {
    const view = document.querySelector(shown);
    const canvases = [...(view?.querySelectorAll("canvas") || [])].map((one) => one.toDataURL());
    const images = [...(view?.querySelectorAll("img") || [])].map((one) => one.src);
    return [view?.textContent.trim(), ...canvases, ...images].join("");
  };
  const before = look();
  const target = [...document.querySelectorAll(pressed)].find((e) => e.textContent.includes(words));
  const start = performance.now();
  target.click();
  while (!look() || look() === before) await new Promise(requestAnimationFrame);
  await Promise.all([...document.querySelectorAll(`${shown} img`)].map((image) => image.decode()));
  return performance.now() - start;
}"""
PATIENCE = 120_000  # milliseconds
SETTLING = 1_500  # milliseconds, for what follows


def stay(page: Page) -> dict[str, float]:
    """Press everything once: milliseconds by what was pressed."""
    waits = {}
    for name, press in PRESSES.items():
        waits[name] = page.evaluate(PRESS, press)
        page.wait_for_timeout(SETTLING)
    return waits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="visits, each in a new page")
    times = parser.parse_args().times
    waits: dict[str, list[float]] = {}
    with sync_playwright() as playwright, running_app() as address:
        browser = start_browser(playwright)
        for visit in range(times + 1):  # the first one warms the server up
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            expect(page.locator(".headline .label").first).to_have_text("3", timeout=PATIENCE)
            for name, milliseconds in stay(page).items():
                waits.setdefault(name, []).extend([milliseconds] if visit else [])
            page.close()
        browser.close()
    print(f"n = {times}, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for name, values in waits.items():
        print(f"{name:20} median {statistics.median(values):6.0f} ms   worst {max(values):6.0f} ms")
    met = all(statistics.median(values) <= GOAL for values in waits.values())
    print(f"goal: {GOAL} ms: {'met' if met else 'missed'}")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
