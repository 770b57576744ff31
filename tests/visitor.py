"""What the browser tests and benchmarks share: the app as a process, a Chromium, a hand."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

ROOT = Path(__file__).parents[1]
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


@contextmanager
def running_app() -> Iterator[str]:
    """Run `python app.py` on a free port of this machine; gives its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env={**os.environ, **place})
    try:
        address = f"http://127.0.0.1:{port}"
        while not _answers(address):
            if app.poll() is not None:
                raise RuntimeError(f"app.py ended with exit code {app.returncode}")
            try:
                app.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        yield address
    finally:
        app.terminate()
        app.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


def start_browser(playwright: Playwright) -> Browser:
    """Chromium as the system has it, else the one that Playwright installed."""
    path = CHROMIUM if CHROMIUM.exists() else None
    return playwright.chromium.launch(executable_path=path, args=FLAGS)


def meter(page: Page, label: str) -> float:
    """The probability that the page shows for a class, in [0, 1]."""
    return float(page.locator(f"[role=meter][aria-label='{label}']").get_attribute("aria-valuenow"))


def on_pad(page: Page, strokes: list) -> list[list[tuple[float, float]]]:
    """Strokes of the unit square as places on the screen, over the middle of the pad."""
    box = page.locator("canvas.pad").bounding_box()
    side = box["width"]

    def place(point):
        x, y = point
        return box["x"] + (0.2 + 0.6 * float(x)) * side, box["y"] + (0.2 + 0.6 * float(y)) * side

    return [[place(point) for point in stroke] for stroke in strokes]
