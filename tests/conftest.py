"""One running page and one browser for all the tests that want them."""

import json
import os
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests, servers and workers share the cores

from cnn.web import app  # noqa: E402


@pytest.fixture(scope="session")
def browser():
    """A Chromium. Where there is none its tests are skipped, but not where `CI` is set."""
    api = pytest.importorskip("playwright.sync_api")
    from support.visitor import start_browser

    api.expect.set_options(timeout=30_000)  # milliseconds: how fast it is, the benchmarks say
    with api.sync_playwright() as playwright:
        try:
            chromium = start_browser(playwright)
        except api.Error as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no browser: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def address(browser):
    """Where the page, started as a person would start it, can be visited: the server predicts.

    Browsers that predict have tests of their own.
    """
    from support.server import running_app

    with running_app(CNN_BROWSER_INFERENCE="0") as address:
        yield address


@pytest.fixture
def visit(browser, address):
    """Opens the page: `visit(tab="Photo", width=390, height=844, theme="dark", **context)`."""
    contexts = []

    def visit(tab="Draw", width=1280, height=800, theme="light", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{address}/?__theme={theme}")
        page.locator("canvas.pad").wait_for()
        page.get_by_role("tab", name=tab).click()
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    """The page served by this process: its address, ending in a slash."""

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        environment.setenv("CNN_RATE_LIMIT", "10000")  # the tests all come from one address
        blocks = app.serve(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        yield blocks.local_url
        blocks.close()


@pytest.fixture(scope="module")
def client(hosted):
    """A program that uses the endpoints of the page served by this process."""
    from gradio_client import Client

    return Client(hosted, verbose=False)


@pytest.fixture(scope="module")
def pad(hosted):
    """Ask for the prediction of a drawing, as pad.js does."""

    def ask(strokes, token=None, final=True):
        question = json.dumps({"token": token, "strokes": strokes, "final": final})
        answer = httpx.post(f"{hosted}predictions/drawing", content=question, timeout=60)
        answer.raise_for_status()
        return answer.json()

    return ask


@pytest.fixture(scope="session")
def photograph(tmp_path_factory):
    """A picture file of 300 x 200 pixels, blue above and green below."""
    photo = Image.new("RGB", (300, 200), (0, 0, 200))
    photo.paste((30, 120, 30), (0, 120, 300, 200))
    path = tmp_path_factory.mktemp("photographs") / "meadow.png"
    photo.save(path)
    return path
