"""A photograph of handwritten digits, given in Draw, in a real browser."""

import re

import pytest
from PIL import Image, ImageDraw

from cnn.data import synthetic

expect = pytest.importorskip("playwright.sync_api").expect
visitor = pytest.importorskip("support.visitor")

READINGS = ".readings button"
WORDS = ".sheet-panel .headline .words"


def write(path, lines):
    """Write lines of digits in ink on a sheet of paper of 1200 x 800 pixels."""
    sheet = Image.new("RGB", (1200, 800), (206, 200, 190))
    pen = ImageDraw.Draw(sheet)
    rows, columns = len(lines), max(map(len, lines), default=1)
    size = min(150, 1000 // columns * 2 // 3, 700 // max(rows, 1) * 2 // 3)
    for row, digits in enumerate(lines):
        for column, digit in enumerate(digits):
            left, top = 80 + column * size * 3 // 2, 60 + row * size * 3 // 2
            for stroke in synthetic.example(int(digit)):
                points = [(left + 0.7 * size * float(x), top + size * float(y)) for x, y in stroke]
                pen.line(points, fill=(30, 34, 60), width=max(3, size // 12), joint="curve")
    sheet.save(path)
    return path


@pytest.fixture
def sheet(tmp_path):
    return write(tmp_path / "sheet.jpg", ["12345"])


def give(page, path):
    page.locator(".pad-panel [data-photograph]").set_input_files(path)


def test_the_digits_of_a_photograph_are_read_from_left_to_right(visit, sheet):
    page = visit()
    give(page, sheet)
    expect(page.locator(READINGS)).to_have_count(5)
    texts = page.locator(READINGS).all_inner_texts()
    assert [text.split()[0] for text in texts] == list("12345")
    assert all(re.search(r"\d\d\.\d\s%$", text) for text in texts)
    boxes = [box.bounding_box() for box in page.locator(".boxes div").all()]
    frame = page.locator(".paper").bounding_box()
    assert sorted(box["x"] for box in boxes) == [box["x"] for box in boxes]
    assert all(frame["x"] < box["x"] < frame["x"] + frame["width"] - box["width"] for box in boxes)


def test_a_pressed_digit_is_what_every_tab_looks_at(visit, sheet):
    page = visit()
    give(page, sheet)
    page.locator(".boxes button").nth(3).click()
    expect(page.locator(".sheet-panel .headline .label")).to_have_text("4")
    page.get_by_role("tab", name="Probabilities").click()
    expect(page.locator("#softmax .best th")).to_have_text("4")
    page.locator(".boxes button").nth(1).click()
    expect(page.locator("#softmax .best th")).to_have_text("2")


def test_the_pad_comes_back_with_its_drawing(visit, sheet):
    page = visit()
    give(page, sheet)
    expect(page.locator(READINGS)).to_have_count(5)
    page.get_by_role("button", name="Draw instead").click()
    expect(page.locator(".pad-panel .headline .label")).to_have_text("3")
    page.get_by_role("tab", name="Probabilities").click()
    expect(page.locator("#softmax .best th")).to_have_text("3")
    page.get_by_role("button", name="Sheet", exact=True).click()
    expect(page.locator("#softmax .best th")).to_have_text("1")


def test_another_network_reads_the_sheet_again(visit, sheet):
    page = visit()
    give(page, sheet)
    expect(page.locator(READINGS)).to_have_count(5)
    page.locator(".chooser:visible input").click()
    page.get_by_role("option", name="mnist-three-conv", exact=True).click()
    expect(page.locator(".sheet-panel .source")).to_contain_text("three-conv,")
    expect(page.locator(READINGS)).to_have_count(5)
    assert page.locator(".paper img").evaluate("image => image.naturalWidth") == 1200


def test_a_pasted_photograph_is_read(visit, sheet):
    page = visit()
    visitor.paste(page, sheet)
    expect(page.locator(READINGS)).to_have_count(5)


def test_an_empty_sheet_a_page_of_text_and_a_broken_file_are_told_apart(visit, tmp_path):
    page = visit()
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image at all")
    for path, words in (
        (write(tmp_path / "empty.jpg", []), "nothing to see"),
        (write(tmp_path / "text.jpg", ["1234567890"] * 5), "a page of text"),
        (broken, "broken.jpg"),
    ):
        give(page, path)
        expect(page.locator(WORDS)).to_contain_text(words)
        expect(page.locator(READINGS)).to_have_count(0)
        expect(page.locator(".sheet-panel .headline .label")).to_be_empty()
