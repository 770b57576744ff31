"""How long a visitor waits from a click to the picture, for each view, on this machine.

    python tests/benchmarks/click_to_picture.py [--times 5]

Prints the median and the worst of each in milliseconds, and the machine's load.
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

# What is clicked, by the text of a tab or label or as a selector, and the picture that follows.
CLICKS = {
    "Probabilities, with centring": ("[role=tab]:Probabilities", ".quartet > :nth-child(4) img"),
    "Inside": ("[role=tab]:Inside", ".counted img"),
    "maps of a stage": (".stages label:relu2", ".picture.sheet:not(.still) img"),
    "one number": (".picture.sheet:not(.still) img:", ".trio > :nth-child(2) img"),
    "integrated gradients": (".counted label:Integrated gradients", ".counted img"),
    "occlusion": (".counted label:Occlusion", ".counted img"),
    "Models, its curves": ("[role=tab]:Models", ".pair .chart img"),
}
CLICK = """async ([clicked, words, picture]) => {
  const image = () => document.querySelector(picture);
  const before = image()?.src;
  const target = [...document.querySelectorAll(clicked)].find((e) => e.textContent.includes(words));
  const { left, top, width, height } = target.getBoundingClientRect();
  const at = { bubbles: true, clientX: left + width / 2, clientY: top + height / 2 };
  const start = performance.now();
  target.dispatchEvent(new MouseEvent("click", at));
  while (!image()?.src || image().src === before) await new Promise(requestAnimationFrame);
  image().loading = "eager";
  await image().decode();
  return performance.now() - start;
}"""
PATIENCE = 120_000  # milliseconds
SETTLING = 1_500  # milliseconds, for what follows the picture


def stay(page: Page) -> dict[str, float]:
    """One visit to each view: milliseconds by what was clicked."""
    found = {}
    for name, (clicked, picture) in CLICKS.items():
        found[name] = page.evaluate(CLICK, [*clicked.rsplit(":", 1), picture])
        page.wait_for_timeout(SETTLING)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5, help="visits, each in a new page")
    times = parser.parse_args().times
    found: dict[str, list[float]] = {}
    with sync_playwright() as playwright, running_app() as address:
        browser = start_browser(playwright)
        for visit in range(times + 1):  # the first one warms the server up
            page = browser.new_page()
            page.goto(address)
            expect(page.locator(".headline .label").first).to_have_text("3", timeout=PATIENCE)
            for name, waited in stay(page).items():
                found.setdefault(name, []).extend([waited] if visit else [])
            page.close()
        browser.close()
    print(f"n = {times}, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    for name, waited in found.items():
        median, worst = statistics.median(waited), max(waited)
        print(f"{name:30} median {median:6.0f} ms   worst {worst:6.0f} ms")


if __name__ == "__main__":
    main()
