"""The tab Train as its visitors use it, in a real browser."""

import pytest
from PIL import Image

from cnn.models import checkpoints

expect = pytest.importorskip("playwright.sync_api").expect

TRAINING = {"timeout": 120_000}  # milliseconds, on a machine that does much else


@pytest.fixture
def train(visit):
    """Opens the tab Train with the preset chosen that needs no download."""

    def train(epochs=None, **options):
        page = visit(tab="Train", **options)
        page.get_by_text("no download").click()
        expect(page.get_by_label("dataset", exact=True)).to_have_value("synthetic", **TRAINING)
        if epochs:
            page.get_by_label("epochs", exact=True).fill(str(epochs))
        return page

    return train


def start(page):
    page.get_by_role("button", name="Start", exact=True).click()
    return page


def started(page):
    start(page)
    expect(page.locator(".run-status")).to_contain_text("images per second", **TRAINING)


def finished(page):
    """Wait for the end of a run; return its test accuracy in percent."""
    status = page.locator(".run-status")
    expect(status).to_contain_text("test accuracy", **TRAINING)
    return float(status.locator("b").inner_text().split()[0])


def test_a_run_draws_its_curves_in_place_and_its_results_can_be_downloaded(train, tmp_path):
    page = train()
    canvases = page.locator(".curves canvas:visible")
    expect(canvases).to_have_count(2)
    charts = [chart.element_handle() for chart in canvases.all()]
    start(page)
    expect(page.get_by_role("button", name="Stop and keep")).to_be_visible()
    expect(page.get_by_role("img", name="Loss by step: training")).to_be_visible(**TRAINING)
    expect(page.locator(".samples figure:visible")).to_have_count(8)
    assert finished(page) >= 97
    assert all(chart.evaluate("chart => chart.isConnected") for chart in charts)
    expect(page.locator(".confusion:visible .diagonal")).to_have_count(10)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.locator(".curves .saved:visible").first.click()
    assert Image.open(download.value.path()).width >= int(charts[0].bounding_box()["width"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download checkpoint").click()
    download.value.save_as(tmp_path / "mine.safetensors")
    assert checkpoints.load(tmp_path / "mine.safetensors").card.test_accuracy >= 0.97
    with page.expect_download() as download:
        page.get_by_role("button", name="Download curves").click()
    download.value.save_as(tmp_path / "curves.csv")
    assert (tmp_path / "curves.csv").read_text().startswith("step,seconds,learning_rate,split")


def test_the_networks_of_two_visitors_stay_apart(train, visit):
    page, another = train(epochs=0.3), visit()
    finished(start(page))
    page.get_by_role("button", name="Draw for it").click()
    expect(page.locator(".chooser:visible input").first).to_have_value("mine (Synthetic digits)")
    another.get_by_role("tab", name="Train").click()
    another.get_by_role("tab", name="Draw").click()
    another.locator(".chooser:visible input").first.click()
    expect(another.get_by_role("option")).not_to_have_count(0)
    expect(another.get_by_role("option", name="mine")).to_have_count(0)


def test_a_run_is_continued_compared_and_discarded(train):
    page = train(epochs=0.2)
    finished(start(page))
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".runs thead th")).to_have_count(3, **TRAINING)
    expect(page.locator(".runs")).to_contain_text("continues run 1")
    page.get_by_text("by seconds", exact=True).click()
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(".run-status")).to_have_text("Discarded.")
    expect(page.get_by_role("button", name="Draw for it")).to_be_hidden()


def test_a_stopped_run_is_kept_and_a_closed_tab_frees_its_place(train):
    page, another = train(epochs=500), train(epochs=500)
    started(page)
    start(another)
    expect(another.locator(".run-status")).to_contain_text("1 run is ahead of yours", **TRAINING)
    page.close()
    expect(another.locator(".run-status")).to_contain_text("images per second", **TRAINING)
    another.get_by_role("button", name="Stop and keep").click()
    assert finished(another) > 10


def test_an_error_is_a_sentence_and_the_next_run_starts(train):
    page = train(epochs=500)
    page.get_by_label("learning rate", exact=True).fill("1000")
    start(page)
    expect(page.locator(".run-status")).to_contain_text("learning rate below", **TRAINING)
    page.get_by_label("batch size", exact=True).fill("99000")
    start(page)
    expect(page.get_by_test_id("toast-text")).to_contain_text("smaller batch size", **TRAINING)
    expect(page.locator(".run-status")).to_contain_text("smaller batch size")
    page.get_by_label("batch size", exact=True).fill("256")
    page.get_by_label("epochs", exact=True).fill("0.2")
    page.get_by_label("learning rate", exact=True).fill("0.01")
    assert finished(start(page)) > 10


@pytest.mark.parametrize("width", [390, 1280])
def test_the_tab_is_no_wider_than_the_screen(train, width):
    page = train(width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
