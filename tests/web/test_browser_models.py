"""The tab Models as its visitors use it, in a real browser."""

import os
import re
from pathlib import Path

import pytest
from support.server import ROOT

expect = pytest.importorskip("playwright.sync_api").expect

FOUND = Path(os.environ.get("CNN_DATA", "no folder")).is_dir()
needs_data = pytest.mark.skipif(
    not FOUND, reason="CNN_DATA names no folder with MNIST and CIFAR-10"
)
PATIENCE = 120_000  # milliseconds, for ten thousand pictures on a busy core


@pytest.fixture
def models(visit):
    """Opens the tab, its table and curves shown: `models(width=390, theme="dark")`."""

    def open_tab(**options):
        page = visit(tab="Models", **options)
        expect(page.locator(".networks tbody tr")).not_to_have_count(0)
        expect(page.locator(".chart img").first).to_be_visible()
        return page

    return open_tab


@pytest.fixture
def reviewed(models):
    """Opens the tab and waits until the network was asked about all test pictures."""

    def open_tab(**options):
        page = models(**options)
        expect(page.locator("#examples-shown img")).to_have_count(24, timeout=PATIENCE)
        return page

    return open_tab


def column(page, number):
    return page.locator(f".networks tbody tr > :nth-child({number})").all_text_contents()


def test_the_table_is_sorted_by_the_column_whose_head_is_pressed(models):
    page = models()
    head = page.locator(".networks thead th").nth(2)
    for direction, backwards in (("ascending", False), ("descending", True)):
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", direction)
        parameters = [int(text.replace(",", "")) for text in column(page, 3)]
        assert parameters == sorted(parameters, reverse=backwards)


def test_networks_without_a_value_come_last_either_way(models):
    page = models()
    for _ in range(2):
        page.locator(".networks thead th").nth(5).get_by_role("button").click()
        expect(page.locator(".networks tbody tr").first.locator("td").nth(4)).not_to_be_empty()
        claims = column(page, 6)
        assert claims == sorted(claims, key=lambda claim: not claim)


def test_the_speed_of_each_network_is_measured_on_this_machine(models):
    page = models()
    expect(page.locator(".networks tbody")).not_to_contain_text("measuring", timeout=PATIENCE)
    assert all(text.endswith(" ms") for text in column(page, 8))


def test_a_network_that_is_pressed_answers_in_every_tab(models):
    page = models()
    page.locator(".networks").get_by_role("button", name="mnist-three-conv", exact=True).click()
    expect(page.locator("#card h2")).to_have_text("three-conv")
    expect(page.locator("#card code")).to_contain_text("python -m cnn train --model three-conv")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".inside .choice input").first).to_have_value("mnist-three-conv")


def test_the_networks_that_answer_are_marked_whichever_is_looked_at(models):
    page = models()
    answering = page.locator(".networks tr", has_text="answers").get_by_role("button")
    expect(answering).to_have_text([re.compile("mnist"), re.compile("cifar10")])
    page.locator(".networks").get_by_role("button", name="mnist-tiny-cnn", exact=True).click()
    expect(answering).to_have_text(["mnist-tiny-cnn", re.compile("cifar10")])


def test_overfitting_is_told_beside_the_curves(models):
    page = models()
    page.locator(".networks").get_by_role(
        "button", name="cifar10-three-conv-norm", exact=True
    ).click()
    expect(page.get_by_text("knows its training pictures better")).to_be_visible()


@pytest.mark.skipif(FOUND, reason="the pictures are there")
def test_without_the_pictures_it_says_how_to_get_them(models):
    page = models()
    expect(page.locator("#examined")).to_contain_text("not on this machine")


@needs_data
def test_a_cell_of_the_confusion_matrix_shows_its_pictures(reviewed):
    page = reviewed()
    matrix = page.locator(".matrix img")
    box = matrix.bounding_box()
    matrix.click(position={"x": box["width"] * 0.97, "y": box["height"] * 0.97})
    expect(page.locator("#cell")).to_contain_text("9 taken for 9")
    expect(page.locator("#cell img").first).to_have_attribute("alt", "9, taken for 9 · 99\u00a0%")


@needs_data
def test_a_test_picture_that_is_pressed_is_what_inside_looks_at(reviewed):
    page = reviewed()
    picture = page.locator("#examples-shown button").first
    truth = picture.locator("span").text_content()
    picture.click()
    expect(page.get_by_text("now what Probabilities and Inside look at")).to_be_visible()
    expect(page.locator("#looked-at")).to_contain_text(f"It is: {truth}")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".glance:visible")).to_contain_text(f"It is: {truth}")


@needs_data
def test_a_random_test_picture_stands_with_its_truth_beside_the_answer(reviewed):
    page = reviewed()
    page.get_by_role("button", name="A random test picture").click()
    expect(page.locator("#looked-at")).to_contain_text("It is: ")
    page.get_by_role("button", name="mnist-two-conv", exact=True).click()
    expect(page.locator("#looked-at")).to_be_empty(timeout=PATIENCE)


@needs_data
@pytest.mark.parametrize("width", [390, 1280])
def test_no_review_reaches_over_the_side_of_the_screen(reviewed, width):
    page = reviewed(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@needs_data
def test_every_picture_of_a_review_can_be_saved_as_png_and_is_described(reviewed):
    page = reviewed()
    pictures = page.locator(".inside:visible .picture img")
    expect(pictures).to_have_count(5)
    for picture in pictures.all():
        assert picture.get_attribute("src").endswith(".png")
        assert len(picture.get_attribute("alt")) > 10
    assert page.locator("a.saved[download$='.png']").count() == 2


def test_the_pad_asks_again_when_another_network_has_the_name_of_the_one_before(models, tmp_path):
    page = models()
    for model in ("two-conv", "three-conv"):
        own = tmp_path / model / "own.safetensors"
        own.parent.mkdir()
        own.write_bytes((ROOT / "checkpoints" / f"mnist-{model}.safetensors").read_bytes())
        page.get_by_role("tab", name="Models").click()
        page.locator("input[type=file][accept*=safetensors]").set_input_files(own)
        expect(page.locator("#card h2")).to_have_text(model)
        page.locator("#networks").get_by_role("button", name="mine (own)", exact=True).click()
        expect(page.locator("#networks [aria-pressed=true]")).to_have_text("mine (own)")
        page.get_by_role("tab", name="Draw").click()
        expect(page.locator(".source").first).to_contain_text(f"Network {model}")


def test_an_uploaded_network_is_the_visitors_own_and_a_bad_one_is_told(models, tmp_path):
    page = models()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no network at all")
    upload = page.locator(".upload input[type=file], input[type=file][accept*=safetensors]").first
    upload.set_input_files(broken)
    expect(page.get_by_test_id("toast-text")).to_contain_text("not a whole safetensors file")
    upload.set_input_files(ROOT / "checkpoints" / "mnist-two-conv.safetensors")
    expect(page.locator("#networks")).to_contain_text("mine (mnist-two-conv)")
