"""Drawings that a visitor keeps, and a network that learns from them, in a real browser."""

import pytest
from support.visitor import on_pad

from cnn.data import synthetic

expect = pytest.importorskip("playwright.sync_api").expect

TRAINING = {"timeout": 240_000}  # milliseconds, on a machine that does much else
MINE = "mine (my drawings)"


def draw(page, strokes, predicted):
    for stroke in on_pad(page, strokes):
        page.mouse.move(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*point)
        page.mouse.up()
    expect(page.locator(".headline .label").first).to_have_text(predicted)


def keep(page, digit):
    page.get_by_role("button", name=f"This is a {digit}").click()
    expect(page.locator(".kept-now")).to_have_text(f"Kept as {digit}.")


def test_drawings_are_kept_one_after_another_and_removed(visit):
    page = visit()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="This is a 7")).to_be_hidden()
    draw(page, synthetic.example(7), "7")
    keep(page, 1)
    draw(page, synthetic.example(4), "4")  # the next stroke begins another drawing
    expect(page.locator(".kept-now")).to_be_empty()
    keep(page, 4)
    count = page.locator(".kept-examples b")
    expect(count).to_have_text("2 drawings kept")
    page.get_by_role("button", name="Remove this 1").click()
    expect(count).to_have_text("1 drawing kept")
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".kept-examples")).to_have_count(0)
    expect(page.get_by_role("button", name="Learn from my drawings")).to_be_hidden()


def test_without_a_drawing_nothing_is_kept(visit):
    page = visit()
    expect(page.locator(".headline .label").first).to_have_text("3")
    page.get_by_role("button", name="This is a 3").click()
    expect(page.get_by_test_id("toast-text")).to_contain_text("Draw a digit first")
    expect(page.locator(".kept-examples")).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1280])
def test_a_network_learns_from_the_kept_drawings_and_predicts_again(visit, width):
    page = visit(width=width, height=844)
    draw(page, synthetic.example(7), "7")
    keep(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_role("button", name="Learn from my drawings").click()
    expect(page.locator(".learned")).to_contain_text(f"{MINE} predicts now", **TRAINING)
    expect(page.locator(".learned")).to_contain_text("0 of 1")
    expect(page.locator(".learned")).to_contain_text("1 of 1")
    expect(page.locator(".chooser:visible input").first).to_have_value(MINE)
    expect(page.locator(".headline .label").first).to_have_text("1")
    expect(page.get_by_role("button", name="Learn from my drawings")).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.reload()
    expect(page.locator(".kept-examples b")).to_have_text("1 drawing kept")
    expect(page.locator(".chooser:visible input").first).to_have_value(MINE)
