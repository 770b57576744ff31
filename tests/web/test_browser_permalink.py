"""A link to what one sees, copied and opened in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from cnn.data import strokes, synthetic

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

SEVEN = strokes.encode(synthetic.example(7))


@pytest.fixture
def open_link(browser, address):
    contexts = []

    def open_link(query, **options):
        contexts.append(browser.new_context(reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.goto(f"{address}/?{query}")
        return page

    yield open_link
    for context in contexts:
        context.close()


def test_a_link_opens_its_tab_with_its_network_and_its_drawing(open_link):
    page = open_link(f"tab=inside&network=mnist-three-conv&drawing={SEVEN}")
    expect(page.locator(".prediction:visible .label")).to_have_text("7")
    expect(page.locator(".chooser:visible input")).to_have_value("mnist-three-conv")
    page.get_by_role("tab", name="Draw").click()
    expect(page.locator(".headline .label").first).to_have_text("7")
    expect(page.locator(".source").first).to_contain_text("three-conv")


def test_a_copied_link_leads_another_visitor_to_the_same(open_link):
    page = open_link("tab=draw", permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".headline .label").first).to_have_text("3")
    page.keyboard.press("5")
    expect(page.locator(".headline .label").first).to_have_text("5")
    page.get_by_role("tab", name="Probabilities").click()
    expect(page.locator("#predictions table").first).to_be_visible()
    page.get_by_role("button", name="Copy a link").click()
    status = page.locator(".permalink [role=status]")
    expect(status).to_have_text("Copied.")
    expect(status).to_have_text("")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    asked = parse_qs(urlsplit(copied).query)
    assert asked["tab"] == ["probabilities"]
    other = open_link(urlsplit(copied).query)
    expect(other.locator(".by-hand .best th")).to_have_text("5")


def choose_network(page, name):
    page.locator(".chooser:visible input").click()
    page.get_by_role("option", name=name, exact=True).click()


def test_the_chosen_network_is_in_the_address_and_back_returns_to_the_one_before(open_link):
    page = open_link("tab=inside")
    chosen = page.locator(".chooser:visible input")
    expect(page.locator("#network .layer").first).to_be_visible()
    first = chosen.input_value()
    choose_network(page, "mnist-three-conv")
    page.wait_for_url("**network=mnist-three-conv*")
    choose_network(page, "mnist-two-conv")
    page.wait_for_url("**network=mnist-two-conv*")
    page.go_back()
    expect(chosen).to_have_value("mnist-three-conv")
    page.go_back()
    expect(chosen).to_have_value(first)
    page.go_forward()
    expect(chosen).to_have_value("mnist-three-conv")
    page.reload()
    expect(chosen).to_have_value("mnist-three-conv")
    expect(page.locator("#network .layer-head").first).to_be_visible()
    assert "network=mnist-three-conv" in page.url


def test_a_link_holds_the_network_for_photographs_beside_the_one_for_drawings(open_link):
    page = open_link("tab=photo&network=mnist-three-conv")
    names = page.locator(".chooser:visible input")
    expect(names).to_have_value(re.compile("^cifar10"))
    expect(page.locator(".headline:visible .label")).not_to_be_empty()
    first = names.input_value()
    names.click()
    other = page.get_by_role("option").locator("visible=true").last
    name = other.get_attribute("aria-label")
    other.click()
    page.wait_for_url(f"**photo_network={name}*")
    assert "network=mnist-three-conv" in page.url
    page.go_back()
    expect(names).to_have_value(first)


def test_a_link_holds_an_example_and_no_image_of_ones_own(open_link, tmp_path):
    page = open_link("tab=photo", permissions=["clipboard-write"])
    page.locator("#examples img").first.click()
    expect(page.locator(".headline:visible .label")).not_to_be_empty()
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator(".permalink [role=status]")).to_have_text("Copied.")
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "mine.png")
    visitor.give_photograph(page, tmp_path / "mine.png")
    expect(page.locator(".prediction:visible")).to_contain_text("64 x 64 pixels")
    page.get_by_role("button", name="Copy a link").click()
    expect(page.locator(".permalink [role=status]")).to_have_text("Copied, without the image.")


def test_a_link_that_is_not_whole_says_so_and_the_page_goes_on(open_link):
    page = open_link("tab=nowhere&drawing=abc")
    expect(page.get_by_text("not whole")).to_be_visible()
    expect(page.locator(".headline .label").first).to_have_text("3")


def test_a_link_to_a_network_that_is_gone_still_opens_its_tab_and_drawing(open_link):
    page = open_link(f"tab=inside&network=gone&drawing={SEVEN}")
    expect(page.get_by_text("network of this link is not")).to_be_visible()
    expect(page.locator(".prediction:visible .label")).to_have_text("7")


def test_a_link_cannot_bring_markup_to_the_page(open_link):
    page = open_link("network=%3Cimg%20src%3Dx%20id%3Devil%3E&tab=inside")
    expect(page.get_by_text("network of this link is not")).to_be_visible()
    assert page.locator("#evil").count() == 0
