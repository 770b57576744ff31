"""Hands on the pad: a resting palm, cancelled and lost pointers, Clear in mid-stroke."""

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

ANSWERED = ".pad-panel .headline:not([aria-busy])"
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}


@pytest.fixture
def page(visit):
    page = visit(**PHONE)
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    expect(page.locator(f"{ANSWERED} .label")).to_have_text("3")
    page.keyboard.press("Escape")
    page.fingers = page.context.new_cdp_session(page)
    return page


def touch(page, kind, *places):
    points = [{"x": x, "y": y} for x, y in visitor.on_pad(page, [places])[0]] if places else []
    page.fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def ink(page):
    """The number of pixels with ink on the pad."""
    return page.locator("canvas.pad").evaluate(
        """pad => {
            const { data } = pad.getContext("2d").getImageData(0, 0, pad.width, pad.height);
            return data.filter((value, index) => index % 4 === 3 && value > 0).length;
        }"""
    )


def test_a_mouse_takes_over_from_a_resting_palm(page):
    touch(page, "touchStart", (1.2, 1.2))
    visitor.draw_digit(page, 7)
    touch(page, "touchEnd")
    expect(page.locator(f"{ANSWERED} .label")).to_have_text("7")
    drawn = ink(page)
    page.get_by_role("button", name="Clear").click()
    visitor.draw_digit(page, 7)
    expect(page.locator(f"{ANSWERED} .label")).to_have_text("7")
    assert ink(page) == pytest.approx(drawn, rel=0.02)  # the palm left nothing


def test_a_cancelled_pointer_leaves_nothing(page):
    touch(page, "touchStart", (0.2, 0.2))
    touch(page, "touchMove", (0.7, 0.7))
    assert ink(page) > 0
    touch(page, "touchCancel")
    page.wait_for_function("document.querySelector('.surface').classList.contains('blank')")
    assert ink(page) == 0


def test_clear_in_mid_stroke_throws_nothing_and_the_next_stroke_is_whole(page):
    (start, end) = visitor.on_pad(page, [[(0.2, 0.2), (0.8, 0.8)]])[0]
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end)
    page.locator(".clear").evaluate("button => button.click()")
    page.mouse.move(*start)
    page.mouse.up()
    assert ink(page) == 0
    visitor.draw_digit(page, 7)
    expect(page.locator(f"{ANSWERED} .label")).to_have_text("7")
    assert page.faults == []


def test_a_lost_pointerup_does_not_stick(page):
    (start, middle, end) = visitor.on_pad(page, [[(0.2, 0.2), (0.3, 0.3), (0.9, 0.1)]])[0]
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*middle)
    page.locator("canvas.pad").evaluate(
        "pad => pad.dispatchEvent(new PointerEvent('pointermove', { pointerId: 1, buttons: 0 }))"
    )
    before = ink(page)
    page.mouse.move(*end)
    assert ink(page) == before > 0
    page.mouse.up()
    visitor.draw_digit(page, 1)
    assert ink(page) > before
    assert page.faults == []
