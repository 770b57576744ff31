"""The tab Models as its visitors use it, in a real browser."""

import os
from pathlib import Path

import pytest
from support.server import ROOT

from cnn.models import checkpoints

expect = pytest.importorskip("playwright.sync_api").expect

HAS_DATA = Path(os.environ.get("CNN_DATA", "no folder")).is_dir()
needs_data = pytest.mark.skipif(
    not HAS_DATA, reason="CNN_DATA names no folder with MNIST and CIFAR-10"
)
SLOW = 120_000  # milliseconds, on a busy core


@pytest.fixture
def models(visit):
    """Opens the tab and waits for its report: `models(width=390, theme="dark")`."""

    def open_tab(**options):
        page = visit(tab="Models", **options)
        expect(page.locator(".models tbody tr")).not_to_have_count(0)
        expect(page.locator(".confusion:visible .diagonal")).to_have_count(10)
        return page

    return open_tab


def column(page, number):
    return page.locator(f".models >> nth=0 >> tbody tr > :nth-child({number})").all_text_contents()


def press(page, name):
    page.locator("#models").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#card h2")).to_have_text(name)


def test_a_table_is_sorted_by_the_column_whose_head_is_pressed(models):
    page = models()
    head = page.locator(".models").first.locator("thead th").nth(1)
    for direction, backwards in (("ascending", False), ("descending", True)):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", direction)
        parameters = [int(text.replace(",", "")) for text in column(page, 2)]
        assert parameters == sorted(parameters, reverse=backwards)


def test_the_latency_of_each_model_is_measured_on_this_machine(models):
    page = models()
    expect(page.locator("#models")).not_to_contain_text("measuring", timeout=SLOW)
    assert all(text.endswith(" ms") for text in column(page, 8))


def test_a_pressed_model_predicts_in_every_tab(models):
    page = models()
    press(page, "mnist-three-conv")
    page.get_by_text("Train it again").click()
    expect(page.locator("#card code")).to_contain_text("python -m cnn train --model three-conv")
    page.get_by_role("tab", name="Draw", exact=True).click()
    expect(page.locator(".chooser:visible input").first).to_have_value("mnist-three-conv")


def test_a_pressed_point_of_the_plot_chooses_its_model(models):
    page = models()
    page.locator("#accuracy-plot [data-pick='mnist-two-conv']").click()
    expect(page.locator("#card h2")).to_have_text("mnist-two-conv")
    expect(page.locator("#models tr.chosen")).to_contain_text("mnist-two-conv")


def test_of_three_models_pressed_in_a_row_the_last_is_reported(models):
    page = models()
    for name in ("mnist-two-conv", "cifar10-vgg", "mnist-six-conv-norm"):
        page.locator("#models").get_by_role("button", name=name, exact=True).click()
    expect(page.locator("#card h2")).to_have_text("mnist-six-conv-norm")
    expect(page.locator(".confusion:visible [data-pick='0,0']")).to_have_text("980")


def test_a_pressed_cell_is_ringed_and_named(models):
    page = models()
    page.locator(".confusion:visible [data-pick='9,4']").click()
    ringed = page.locator(".confusion:visible [aria-pressed=true]")
    expect(ringed).to_have_count(1)
    expect(ringed).to_have_attribute("data-pick", "9,4")
    if HAS_DATA:
        expect(page.locator("#cell")).to_contain_text("true 9, predicted 4")
        expect(page.locator("#cell img").first).to_be_visible()


def test_two_models_are_compared_image_by_image(models):
    page = models()
    page.get_by_role("tab", name="Compare").click()
    page.get_by_label("Compare with").click()
    page.get_by_role("option", name="mnist-two-conv", exact=True).click()
    expect(page.locator(".comparison")).to_contain_text("recall: 9")
    expect(page.get_by_text("McNemar")).to_be_visible()
    expect(page.locator(".compared .confusion")).to_have_count(2)


def test_a_model_is_downloaded_as_checkpoint_and_as_a_page_that_predicts(models, browser, tmp_path):
    page = models()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download checkpoint").locator("visible=true").click()
    download.value.save_as(tmp_path / "model.safetensors")
    assert checkpoints.load(tmp_path / "model.safetensors").card.dataset == "mnist"
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as a page").locator("visible=true").click()
    assert download.value.suggested_filename == "digits.html"
    download.value.save_as(tmp_path / "digits.html")
    alone = browser.new_page()
    alone.context.set_offline(True)
    alone.goto((tmp_path / "digits.html").as_uri())
    expect(alone.locator(".headline .label")).to_have_text("3")
    alone.close()


def test_a_model_for_photographs_has_no_page(models):
    page = models()
    press(page, "cifar10-vgg")
    expect(
        page.get_by_role("button", name="Download as a page").locator("visible=true")
    ).to_have_count(0)


@needs_data
def test_a_pressed_test_image_becomes_the_input(models):
    page = models()
    page.get_by_role("tab", name="Test images").click()
    page.locator("#test-images button").first.click()
    expect(page.get_by_text("Now the input of Probabilities and Inside")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_tab_is_no_wider_than_the_screen(models, width):
    page = models(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_uploaded_model_is_the_visitors_own_and_a_damaged_one_is_an_error(models, tmp_path):
    page = models()
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a checkpoint")
    upload = page.locator("input[type=file][accept*=safetensors]")
    upload.set_input_files(damaged)
    expect(page.get_by_test_id("toast-text")).to_contain_text("not a whole safetensors file")
    upload.set_input_files(ROOT / "checkpoints" / "mnist-two-conv.safetensors")
    expect(page.locator("#models")).to_contain_text("mine (mnist-two-conv)")
