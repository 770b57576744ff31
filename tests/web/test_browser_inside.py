"""The views of a network's inside as their visitors use them, in a real browser."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

expect = pytest.importorskip("playwright.sync_api").expect

FOUND = Path(os.environ.get("CNN_DATA", "no folder")).is_dir()
needs_data = pytest.mark.skipif(
    not FOUND, reason="CNN_DATA names no folder with MNIST and CIFAR-10"
)
SHEET = ".picture.sheet:not(.still) img"
LOADED = "[...document.querySelectorAll('.trio img')].every(picture => picture.naturalWidth)"


@pytest.fixture
def inside(visit):
    """Opens the tab Inside, its pictures shown: `inside(width=390, theme="dark")`."""

    def open_tab(**options):
        page = visit(tab="Inside", **options)
        page.locator(SHEET).wait_for()
        expect(page.locator("#sums .steps")).to_be_visible()
        expect(page.locator("#shape tbody tr")).not_to_have_count(0)
        page.wait_for_function(LOADED)
        return page

    return open_tab


def number(page, label):
    return int(page.locator(".numbers").get_by_label(label, exact=True).input_value())


def tells_of_a_stroke(response):
    asked = response.request
    return "/run/predict" in asked.url and asked.post_data_json["data"][0]


@contextmanager
def changes(page, picture):
    """Do what stands in the block, then wait until a picture is another one than before."""
    before = page.locator(picture).get_attribute("src")
    yield
    expect(page.locator(picture)).not_to_have_attribute("src", before)


def test_on_opening_there_is_a_digit_to_look_into(inside):
    page = inside()
    expect(page.locator(".glance .label").first).to_have_text("3")
    page.locator(".counted").scroll_into_view_if_needed()
    expect(page.locator(".counted img")).to_be_visible()
    expect(page.locator("#shape tfoot")).to_contain_text("together")


def test_what_was_drawn_last_is_what_is_looked_at(visit):
    page = visit(reduced_motion="reduce")
    expect(page.locator(".headline .label").first).to_have_text("3")
    with page.expect_response(tells_of_a_stroke):
        page.keyboard.press("7")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".glance .label").first).to_have_text("7")


def test_a_photograph_is_looked_into_with_a_network_that_knows_photographs(visit, photograph):
    page = visit(tab="Photo")
    page.locator(".frame input[type=file]").first.set_input_files(photograph)
    expect(page.locator(".bench .note")).to_contain_text("300 x 200 pixels")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator(".inside .choice input").first).to_have_value(re.compile("cifar10"))
    expect(page.locator("#shape tbody tr").first).to_contain_text("3 x 32 x 32")


def test_one_number_is_followed_all_the_way_to_the_answer(inside):
    page = inside()
    expect(page.locator("#sums .steps li").last).to_contain_text("softmax")


def test_the_network_is_drawn_beside_its_table(inside):
    page = inside()
    page.locator("#shape").scroll_into_view_if_needed()
    expect(page.locator(".shapes img")).to_be_visible()


@needs_data
def test_the_nine_test_pictures_that_excite_a_filter_are_shown_and_follow_it(inside):
    page = inside()
    page.locator("#exciting").scroll_into_view_if_needed()
    nine = page.locator(".inside:visible .sheet.still img")
    expect(nine).to_be_visible(timeout=60_000)
    with changes(page, ".inside:visible .sheet.still img"):
        page.locator(".numbers").get_by_label("Filter", exact=True).fill("5")


@pytest.mark.skipif(FOUND, reason="the pictures are there")
def test_where_there_are_no_test_pictures_it_says_so(inside):
    page = inside()
    expect(page.locator("#exciting")).to_contain_text("not on this machine")


def test_choosing_a_stage_shows_its_maps(inside):
    page = inside()
    with changes(page, SHEET):
        page.locator(".stages").get_by_text("relu1", exact=True).click()


def test_clicking_a_tile_follows_the_number_of_its_filter(inside):
    page = inside()
    with changes(page, ".trio .picture >> nth=1 >> img"):
        sheet = page.locator(SHEET)
        box = sheet.bounding_box()
        sheet.click(position={"x": box["width"] * 3.5 / 8, "y": 20})
    assert number(page, "Filter") == 3


def test_clicking_the_map_moves_the_frame_there(inside):
    page = inside()
    made = page.locator(".trio img").nth(2)
    box = made.bounding_box()
    before = page.locator("#sums .sum").first.text_content()
    made.click(position={"x": box["width"] * 4.5 / 28, "y": box["height"] * 9.5 / 28})
    expect(page.locator("#sums .sum").first).not_to_have_text(before)
    assert (number(page, "Row"), number(page, "Column")) == (9, 4)


def test_a_filter_that_is_rubbed_out_is_the_first_one(inside):
    page = inside()
    typed = page.locator(".numbers").get_by_label("Filter", exact=True)
    with changes(page, ".trio .picture >> nth=1 >> img"):
        typed.fill("5")
    typed.fill("")
    expect(typed).to_have_value("0")


def test_another_method_or_class_colours_other_pixels(inside):
    page = inside()
    with changes(page, ".counted img"):
        page.get_by_text("Integrated gradients").click()
    expect(page.locator(".counted .museum")).to_contain_text("fades in from nothing")


def test_the_slider_fades_the_colours_and_the_rest_stays_as_it_was(inside):
    page = inside()
    slider = page.get_by_label("range slider for Opacity")
    faint, strong = ({"x": share * slider.bounding_box()["width"], "y": 5} for share in (0.1, 0.9))
    pictures = []
    for place in (faint, strong, faint):
        with changes(page, ".counted img"):
            slider.click(position=place)
        pictures.append(page.request.get(page.locator(".counted img").get_attribute("src")).body())
    assert pictures[0] == pictures[2] != pictures[1]


def test_every_picture_is_a_png_to_download_and_is_described(inside):
    page = inside()
    pictures = page.locator(".inside:visible .picture img")
    assert pictures.count() >= 5
    for picture in pictures.all():
        assert picture.get_attribute("src").endswith(".png")
        assert len(picture.get_attribute("alt")) > 10


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_inside_reaches_over_the_side_of_the_screen(inside, width):
    page = inside(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_tab_that_nobody_looks_at_asks_the_server_nothing(visit):
    asked = []
    page = visit()
    expect(page.locator(".headline .label").first).to_have_text("3")
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("1")
    expect(page.locator(".headline .label").first).to_have_text("1")
    assert not [url for url in asked if "queue/join" in url]


def test_the_first_maps_stand_under_the_pad_and_follow_it(visit):
    page = visit(reduced_motion="reduce")
    maps = page.locator(".strip img")
    expect(maps).to_have_count(4)
    before = maps.first.get_attribute("src")
    page.keyboard.press("7")
    expect(maps.first).not_to_have_attribute("src", before)


def test_every_network_has_a_row_and_the_last_is_their_mean(visit):
    page = visit(tab="Probabilities")
    rows = page.locator(".beliefs").first.locator("tbody tr")
    expect(rows.last).to_contain_text("mean of all")
    assert all(row.locator("td").count() == 10 for row in rows.all())


def test_a_row_that_is_pressed_makes_its_network_the_pages(visit):
    page = visit(tab="Probabilities")
    page.locator(".beliefs").get_by_role("button", name="mnist-three-conv", exact=True).click()
    pressed = page.locator(".beliefs button[aria-pressed=true]")
    expect(pressed).to_have_text("mnist-three-conv")
    page.get_by_role("tab", name="Inside").click()
    expect(page.locator("#shape tbody")).to_contain_text("dense_relu")


def test_heat_makes_the_best_class_less_sure(visit):
    page = visit(tab="Probabilities")
    best = page.locator(".by-hand .best td").last
    share = float(best.text_content().split()[0])
    before = best.text_content()
    page.get_by_label("number input for Temperature").fill("10")
    expect(best).not_to_have_text(before)
    assert float(best.text_content().split()[0]) < share


def test_a_drawing_is_shown_on_its_way_to_the_middle(visit):
    page = visit(tab="Probabilities")
    expect(page.locator(".quartet img")).to_have_count(4)
    expect(page.locator(".beliefs").last.locator("tbody th")).to_have_text(["as drawn", "centred"])


@pytest.mark.parametrize("width", [390, 1280])
def test_no_probability_reaches_over_the_side_of_the_screen(visit, width):
    page = visit(tab="Probabilities", width=width)
    page.locator(".quartet").scroll_into_view_if_needed()
    page.locator(".quartet img").nth(3).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
