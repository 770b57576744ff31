"""What the browser tests and benchmarks share: a Chromium and a hand."""

import base64
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

from cnn.data import synthetic

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def start_browser(playwright: Playwright) -> Browser:
    """Chromium as the system has it, else the one that Playwright installed."""
    path = CHROMIUM if CHROMIUM.exists() else None
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def meter(page: Page, label: str) -> float:
    """The probability that the page shows for a class, in [0, 1]."""
    bar = page.locator(f".prediction:visible [role=meter][aria-label='{label}']")
    return float(bar.get_attribute("aria-valuenow"))


def on_pad(page: Page, strokes: list) -> list[list[tuple[float, float]]]:
    """Strokes of the unit square as places on the screen, over the middle of the pad."""
    box = page.locator("canvas.pad").bounding_box()
    side = box["width"]

    def place(point):
        x, y = point
        return box["x"] + (0.2 + 0.6 * float(x)) * side, box["y"] + (0.2 + 0.6 * float(y)) * side

    return [[place(point) for point in stroke] for stroke in strokes]


def draw_digit(page: Page, digit: int, lift: bool = True) -> None:
    """Draw a digit on the pad with the mouse, which stays pressed unless it is to `lift`."""
    for stroke in on_pad(page, synthetic.example(digit)):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for place in stroke[1:]:
            page.mouse.move(*place)
        if lift:
            page.mouse.up()


def give_photograph(page: Page, path: Path) -> None:
    """Choose a file in Photo, again where Gradio replaces its field just then."""
    page.evaluate(
        """() => {
            window.given = false;
            const given = () => (window.given = true);
            document.addEventListener("change", given, { capture: true, once: true });
        }"""
    )
    while not page.evaluate("given"):
        page.locator(".frame input[type=file]").first.set_input_files(path)


def paste(page: Page, path: Path) -> None:
    """Paste an image file as Ctrl+V does, wherever the focus is."""
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            const pasted = new ClipboardEvent("paste", { clipboardData, bubbles: true });
            (document.activeElement || document.body).dispatchEvent(pasted);
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
