"""The page in one file, opened from disk in a real Chromium without a network."""

import html
import re

import pytest

from cnn import UserError
from cnn.models import checkpoints
from cnn.models.checkpoints import BUNDLED
from cnn.models.html import to_html

visitor = pytest.importorskip("support.visitor")
MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def checkpoint():
    return checkpoints.load_default(BUNDLED, "mnist")


@pytest.fixture(scope="module")
def file(checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "digits.html"
    path.write_text(to_html(checkpoint, "my <b>digits</b>"), encoding="utf-8")
    return path


@pytest.fixture(params=[(390, 844), (1280, 800)], ids=["phone", "desktop"])
def page(browser, file, request):
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    page = context.new_page()
    page.requests, page.faults = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.faults.append(error))
    page.goto(file.as_uri())
    yield page
    context.close()


def draw(page, digit):
    page.locator(".clear").click()
    visitor.draw_digit(page, digit)


def has_settled(page, label):
    page.wait_for_function(
        "label => document.querySelector('.headline .label').textContent === label"
        " && !document.querySelector('.headline').hasAttribute('aria-busy')",
        arg=label,
    )


def test_it_is_small(file):
    assert file.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("digit", [2, 5, 8])
def test_a_digit_drawn_on_it_is_predicted_without_a_network(page, digit):
    has_settled(page, "3")
    draw(page, digit)
    has_settled(page, str(digit))
    assert visitor.meter(page, str(digit)) > 0.9
    assert page.locator(".strip canvas").count() == 4
    assert not page.faults
    assert all(url.startswith(("file:", "blob:")) for url in page.requests)


def test_nothing_lies_beside_the_page(page):
    has_settled(page, "3")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_clearing_leaves_nothing(page):
    has_settled(page, "3")
    page.locator(".clear").click()
    has_settled(page, "")
    assert visitor.meter(page, "3") == 0


def test_the_foot_says_which_network_it_is(page, checkpoint):
    card = checkpoint.card
    foot = page.locator("footer").inner_text()
    for text in (f"{100 * card.test_accuracy:.2f} %", f"{card.parameters:,}", card.date):
        assert text in foot
    assert card.command.split()[0] in foot


def test_a_network_for_photos_is_an_error():
    with pytest.raises(UserError, match="CIFAR-10"):
        to_html(checkpoints.load_default(BUNDLED, "cifar10"), "photos")


def test_a_name_is_text_and_not_markup(file):
    page = file.read_text(encoding="utf-8")
    assert html.escape("my <b>digits</b>") in page
    assert not re.search(r"my <b>", page)
