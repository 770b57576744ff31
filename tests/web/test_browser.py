"""The page as its visitors use it, in a real browser."""

import json
import re

import pytest
from PIL import Image

from cnn.data import synthetic
from cnn.data.datasets import CIFAR10

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

LEARNING = {"timeout": 120_000}  # milliseconds, on a machine that does much else
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
QUESTIONS = "**/predictions/drawing"
ANSWERED = ".prediction:visible .headline:not([aria-busy])"


def has_settled(page, label):
    """Wait until the page shows `label` as its answer to what is finished on the pad."""
    expect(page.locator(f"{ANSWERED} .label")).to_have_text(label)
    page.wait_for_function(
        "label => document.querySelector(`[role=meter][aria-label='${label}']`)"
        ".getAttribute('aria-valuenow') > 0.5",
        arg=label,
    )


def is_empty(page):
    expect(page.locator(f"{ANSWERED} .words")).to_contain_text("Draw a digit")
    return all(visitor.meter(page, str(digit)) == 0 for digit in range(10))


def test_on_opening_one_of_our_digits_is_there_and_answered(visit):
    has_settled(visit(), "3")


def test_a_digit_drawn_with_the_mouse_is_read(visit):
    page = visit()
    has_settled(page, "3")
    visitor.draw_digit(page, 7)
    has_settled(page, "7")


def test_the_bars_move_while_the_pen_is_down(visit):
    page = visit()
    has_settled(page, "3")
    visitor.draw_digit(page, 2, lift=False)
    expect(page.locator(".headline .label").first).to_have_text("2")
    assert visitor.meter(page, "3") < 0.5


def test_only_the_answer_to_what_is_finished_is_announced(visit):
    page = visit()
    has_settled(page, "3")
    visitor.draw_digit(page, 2, lift=False)
    expect(page.locator(".headline .label").first).to_have_text("2")
    assert page.locator(ANSWERED).count() == 0
    page.mouse.up()
    has_settled(page, "2")


def test_between_questions_the_pad_rests_until_the_pen_is_lifted(visit):
    page = visit()
    has_settled(page, "3")
    page.clock.install(time="2026-01-01")
    page.clock.pause_at("2026-01-02")
    asked = []
    page.on("request", lambda one: QUESTIONS[3:] in one.url and asked.append(one.post_data_json))
    with page.expect_response(QUESTIONS):
        visitor.draw_digit(page, 2, lift=False)
    for _ in range(20):
        page.mouse.move(*visitor.on_pad(page, [[(0.9, 0.9)]])[0][0])
    with page.expect_response(QUESTIONS):
        page.mouse.up()
    final = [question["final"] for question in asked]
    assert final[final.index(False) :] == [False, True]


def test_while_a_digit_of_ours_is_written_the_pad_rests_as_with_a_pen(visit):
    page = visit()
    has_settled(page, "3")
    asked = []
    page.on("request", lambda one: QUESTIONS[3:] in one.url and asked.append(one.post_data_json))
    with page.expect_request(lambda one: QUESTIONS[3:] in one.url and one.post_data_json["final"]):
        page.keyboard.press("7")
    has_settled(page, "7")
    final = [question["final"] for question in asked]
    assert final == [False] * (len(final) - 1) + [True]


def test_a_digit_drawn_with_a_finger_is_read_and_the_page_stays_where_it_is(visit):
    page = visit(**PHONE)
    has_settled(page, "3")
    finger = page.context.new_cdp_session(page)
    for stroke in visitor.on_pad(page, synthetic.example(2)):
        for kind, (x, y) in zip(
            ["touchStart"] + ["touchMove"] * (len(stroke) - 1), stroke, strict=True
        ):
            touch = {"type": kind, "touchPoints": [{"x": x, "y": y}]}
            finger.send("Input.dispatchTouchEvent", touch)
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    has_settled(page, "2")
    assert page.evaluate("scrollY") == 0


def test_undo_takes_back_one_stroke_and_escape_all_of_them(visit):
    page = visit()
    has_settled(page, "3")
    visitor.draw_digit(page, 7)
    has_settled(page, "7")
    before = visitor.meter(page, "7")
    page.mouse.click(*visitor.on_pad(page, [[(0, 0.5)]])[0][0])
    visitor.draw_digit(page, 0)
    page.wait_for_function(
        "before => Math.abs(document.querySelector(`[role=meter][aria-label='7']`)"
        ".getAttribute('aria-valuenow') - before) > 0.1",
        arg=before,
    )
    for _ in range(1 + len(synthetic.example(0))):
        page.keyboard.press("Control+z")
    has_settled(page, "7")
    page.keyboard.press("Escape")
    assert is_empty(page)


def test_a_tap_leaves_a_dot(visit):
    page = visit()
    page.keyboard.press("Escape")
    page.mouse.click(*visitor.on_pad(page, [[(0.5, 0.5)]])[0][0])
    seen = "pad => pad.getContext('2d').getImageData(pad.width / 2, pad.height / 2, 1, 1).data[3]"
    assert page.locator("canvas.pad").evaluate(seen) == 255


def test_the_buttons_undo_and_clear_and_write_a_digit_of_ours(visit):
    page = visit()
    page.get_by_role("button", name="9", exact=True).click()
    has_settled(page, "9")
    page.get_by_role("button", name="Undo").click()
    assert is_empty(page)
    visitor.draw_digit(page, 7)
    has_settled(page, "7")
    page.get_by_role("button", name="Clear").click()
    assert is_empty(page)


def test_a_typed_digit_is_written(visit):
    page = visit()
    page.keyboard.press("6")
    has_settled(page, "6")


def test_who_asked_for_little_motion_sees_the_digit_at_once(visit):
    asked = []
    page = visit(reduced_motion="reduce")
    has_settled(page, "3")
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("7")
    has_settled(page, "7")
    assert len([url for url in asked if url.endswith("/predictions/drawing")]) == 1


def test_one_request_is_under_way_and_the_newest_drawing_is_asked_next(visit):
    page = visit()
    has_settled(page, "3")
    held, asked = [], []

    def hold_the_first(route):
        asked.append(json.loads(route.request.post_data)["strokes"])
        if len(asked) == 1:
            held.append(route)
        else:
            route.continue_()

    page.route(QUESTIONS, hold_the_first)
    with page.expect_request(QUESTIONS):
        visitor.draw_digit(page, 7)
    page.evaluate("new Promise(requestAnimationFrame)")
    assert len(asked) == 1
    assert page.locator(ANSWERED).count() == 0
    held.pop().continue_()
    has_settled(page, "7")
    end = [0.2 + 0.6 * float(at) for at in synthetic.example(7)[-1][-1]]
    assert len(asked) == 2
    assert asked[1][-1][-1] == pytest.approx(end, abs=0.01)


def test_a_server_that_falls_silent_is_named_and_asked_again(visit):
    page = visit()
    has_settled(page, "3")
    page.route(QUESTIONS, lambda route: route.abort())
    visitor.draw_digit(page, 7)
    expect(page.locator(".headline .words").first).to_contain_text("does not answer")
    page.unroute(QUESTIONS)
    has_settled(page, "7")


def test_the_chosen_network_answers_in_every_tab_and_only_for_who_chose_it(visit):
    page, another = visit(), visit()
    has_settled(page, "3")
    page.locator(".chooser:visible input").click()
    page.get_by_role("option", name="mnist-three-conv", exact=True).click()
    expect(page.locator(".source").first).to_contain_text(
        "three-conv, three convolutions and a hidden layer"
    )
    expect(page.locator(".strip figure")).to_have_count(3)
    page.get_by_role("tab", name="Probabilities").click()
    pressed = page.locator("#predictions button[aria-pressed=true]")
    expect(pressed).to_have_text("mnist-three-conv")
    another.keyboard.press("7")
    has_settled(another, "7")
    expect(another.locator(".source").first).to_contain_text("four-conv-norm")


def test_a_busy_server_answers_when_the_pen_is_lifted(visit):
    page = visit()
    has_settled(page, "3")

    def busy_within_strokes(route):
        if json.loads(route.request.post_data)["final"]:
            route.continue_()
        else:
            route.fulfill(json={"busy": True})

    page.route(QUESTIONS, busy_within_strokes)
    visitor.draw_digit(page, 2, lift=False)
    expect(page.locator(".headline .words").first).to_contain_text("Many are drawing")
    page.mouse.up()
    has_settled(page, "2")


def test_a_drawing_that_is_refused_leaves_no_answer_to_another(visit):
    page = visit()
    has_settled(page, "3")
    page.route(QUESTIONS, lambda route: route.fulfill(json={"error": "Too long. Begin again."}))
    visitor.draw_digit(page, 2)
    expect(page.locator(".headline .words").first).to_have_text("Too long. Begin again.")
    assert visitor.meter(page, "3") == 0


def test_a_photograph_is_answered_and_shown_as_the_network_sees_it(visit, photograph):
    page = visit(tab="Photo")
    visitor.give_photograph(page, photograph)
    panel = page.locator(".columns .prediction")
    expect(panel.locator(".note")).to_contain_text("300 x 200 pixels")
    assert sum(visitor.meter(page, name) for name in CIFAR10.classes) == pytest.approx(1, abs=1e-4)
    corner = panel.locator("canvas").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]"
    )
    assert corner == pytest.approx([0, 0, 200, 255], abs=12)


def test_a_broken_file_is_named_and_leaves_an_empty_frame_even_while_the_example_opens(
    visit, tmp_path
):
    broken = tmp_path / "holiday.jpg"
    broken.write_bytes(b"no image at all")
    page = visit(tab="Photo")
    visitor.give_photograph(page, broken)
    expect(page.locator(".prediction:visible .words")).to_contain_text("holiday.jpg")
    expect(page.locator(".frame").get_by_text("Drop or paste")).to_be_visible()
    expect(page.get_by_test_id("toast-text")).to_have_count(0)


def test_a_tiff_is_shown_and_a_photograph_has_maps_and_milliseconds(visit, photograph, tmp_path):
    tiff = tmp_path / "meadow.tiff"
    Image.open(photograph).save(tiff)
    page = visit(tab="Photo")
    page.locator("#photo-maps canvas").first.wait_for()
    visitor.give_photograph(page, tiff)
    expect(page.locator(".photo .note")).to_contain_text("300 x 200 pixels")
    expect(page.locator(".photo .source .time")).to_contain_text(" ms")
    page.wait_for_function("document.querySelector('.frame img').naturalWidth === 300")


def test_a_pasted_image_is_the_photograph_wherever_the_focus_is(visit, photograph):
    page = visit(tab="Photo")
    expect(page.locator(".photo .note")).to_contain_text("400 x 300 pixels")
    visitor.paste(page, photograph)
    expect(page.locator(".photo .note")).to_contain_text("300 x 200 pixels")


def test_where_there_is_no_camera_the_page_says_so(visit):
    page = visit(tab="Photo")
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    expect(page.locator(".camera-note")).to_contain_text("no camera")


@pytest.mark.parametrize("tab", ["Draw", "Photo"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_reaches_over_the_side_of_the_screen(visit, tab, width):
    page = visit(tab=tab, width=width)
    page.locator(".meters:visible").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_drawing_and_its_maps_need_no_scrolling_on_a_desktop(visit):
    page = visit()
    page.locator(".strip:visible canvas").first.wait_for()
    strip = page.locator(".strip:visible").bounding_box()
    assert strip["y"] + strip["height"] <= 800


def test_pad_and_answer_stand_side_by_side_on_a_phone_that_lies(visit):
    page = visit(width=844, height=390)
    pad, answer = (
        page.locator(part).bounding_box() for part in ("canvas.pad", ".prediction:visible")
    )
    assert pad["height"] < 390 and answer["x"] > pad["x"] + pad["width"]


def test_the_pad_is_the_first_thing_on_a_phone(visit):
    page = visit(**PHONE)
    pad, answer = page.locator("canvas.pad").bounding_box(), page.locator(".headline").first
    assert pad["width"] > 340
    assert pad["y"] + pad["height"] < answer.bounding_box()["y"] < 844


@pytest.mark.parametrize(("theme", "is_dark"), [("light", False), ("dark", True)])
def test_the_page_follows_the_theme(visit, theme, is_dark):
    page = visit(theme=theme)
    for part in ("gradio-app", "body"):
        ground = page.locator(part).evaluate("part => getComputedStyle(part).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
        assert (brightness < 60) if is_dark else (brightness > 200)


def test_the_page_asks_nobody_but_its_own_server(visit, address):
    asked = []
    page = visit()
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    has_settled(page, "3")
    own = (address, "data:", "blob:")
    assert asked
    assert [url for url in asked if not url.startswith(own)] == []


def test_two_digits_side_by_side_get_a_hint_until_one_is_cleared(visit):
    page = visit()
    has_settled(page, "3")
    page.keyboard.press("Escape")
    for left in (-0.15, 0.65):
        narrow = [[(left + 0.45 * float(x), y) for x, y in s] for s in synthetic.example(2)]
        for stroke in visitor.on_pad(page, narrow):
            page.mouse.move(*stroke[0])
            page.mouse.down()
            for place in stroke[1:]:
                page.mouse.move(*place)
            page.mouse.up()
    words = page.locator(f"{ANSWERED} .words")
    expect(words).to_have_text("2 digits, it seems: the network reads one at a time.")
    page.keyboard.press("Control+z")
    expect(words).not_to_contain_text("one at a time")
