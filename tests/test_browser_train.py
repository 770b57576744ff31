"""The tab Train in a real Chromium: watch a network learn, stop it, keep it."""

import re

import pytest

from cnn import checkpoints

STATUS = ".status"


@pytest.fixture
def train(visit):
    """Opens the tab with the lesson that needs no download chosen."""

    def train(**options):
        page = visit(tab="Train", **options)
        page.get_by_text("no download").click()
        return page

    return train


def _started(page):
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator(STATUS, has_text="pictures a second").wait_for(timeout=60_000)
    return page


def _finished(page) -> float:
    """Waits for the end of the run; the share of test pictures it had right, in percent."""
    page.locator(STATUS, has_text="test pictures right").wait_for(timeout=180_000)
    return float(re.match(r"[\d.]+", page.locator(STATUS).inner_text())[0])


def test_train_learns_the_synthetic_digits_and_gives_the_network_away(train, tmp_path):
    page = _started(train())
    assert page.locator(".opinions figure").count() == 8
    assert _finished(page) >= 97
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the network").click()
    download.value.save_as(tmp_path / "mine.safetensors")
    card = checkpoints.load(tmp_path / "mine.safetensors").card
    assert card.dataset == "synthetic"
    assert card.test_accuracy >= 0.97


def test_train_draws_into_the_same_chart_all_along(train):
    page = train()
    chart = page.locator(".vega-embed").first.element_handle()
    _started(page)
    _finished(page)
    assert chart.evaluate("element => element.isConnected")


def test_train_stops_when_asked_and_keeps_what_was_learnt(train):
    page = train()
    page.get_by_text("Every choice").click()
    page.get_by_role("spinbutton", name="epochs").fill("500")
    _started(page)
    page.get_by_role("button", name="Stop and keep").click()
    assert _finished(page) > 10


@pytest.mark.parametrize("width", [390, 1280])
def test_train_reaches_over_no_side_of_the_screen(train, width):
    page = train(width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
