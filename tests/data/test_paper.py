"""Digits are found on photographed sheets, and on nothing else."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnn import UserError
from cnn.data.paper import find_digits

SEVEN = [(10, 10), (60, 10), (30, 90)]
PAPER, INK, TABLE = (225, 224, 220), (40, 40, 60), (60, 50, 45)


def sheet(width=600, height=500, color=PAPER):
    return Image.new("RGB", (width, height), color)


def write(image, left=200, top=120, scale=2.5, color=INK, width=14):
    points = [(left + x * scale, top + y * scale) for x, y in SEVEN]
    ImageDraw.Draw(image).line(points, fill=color, width=width, joint="curve")
    return image


def boxes(image):
    return [digit.box for digit in find_digits(image)]


def is_at(box, left=225, top=145, right=350, bottom=345):
    return np.abs(np.subtract(box, (left, top, right, bottom))).max() < 20


def test_a_digit_lies_in_its_box_and_has_the_shape_of_mnist():
    (digit,) = find_digits(write(sheet()))
    assert is_at(digit.box)
    assert digit.image.shape == (1, 1, 28, 28)
    assert 0.9 < digit.image.max() <= 1


@pytest.mark.parametrize("rim", [6, 20, 60, 180])
def test_a_table_around_the_sheet_is_no_ink(rim):
    table = sheet(600 + 2 * rim, 500 + 2 * rim, TABLE)
    table.paste(write(sheet()), (rim, rim))
    (box,) = boxes(table)
    assert is_at(np.subtract(box, rim))
    table.paste(sheet(), (rim, rim))
    assert boxes(table) == []


@pytest.mark.parametrize("darker", [0.3, 0.5])
def test_the_edge_of_a_shadow_is_no_ink(darker):
    light = np.where(np.arange(600) < 290, 1, 1 - darker)[None, :, None]
    for bare, count in ((sheet(), 0), (write(sheet()), 1)):
        assert len(boxes(Image.fromarray((np.array(bare) * light).astype(np.uint8)))) == count


def test_rules_and_a_printed_box_are_no_ink():
    image = sheet()
    draw = ImageDraw.Draw(image)
    for y in range(20, 500, 40):
        draw.line([(0, y), (600, y)], fill=(175, 190, 215), width=2)
    assert boxes(image) == []
    draw.rectangle([150, 90, 450, 400], outline=(60, 60, 60), width=4)
    (box,) = boxes(write(image))
    assert is_at(box)


@pytest.mark.parametrize("tilt", [-3, 0, 1.5])
@pytest.mark.parametrize("is_squared", [False, True])
def test_slanted_rules_and_squares_are_no_ink(tilt, is_squared):
    lines = Image.new("RGB", (900, 800), PAPER)
    draw = ImageDraw.Draw(lines)
    for place in range(10, 900, 44):
        draw.line([(0, place), (900, place)], fill=(165, 175, 200), width=2)
        if is_squared:
            draw.line([(place, 0), (place, 800)], fill=(165, 175, 200), width=2)
    lines = lines.rotate(tilt, Image.Resampling.BICUBIC).crop((150, 150, 750, 650))
    assert boxes(lines) == []
    (box,) = boxes(write(lines))
    assert is_at(box)


@pytest.mark.parametrize("gap", [0, 30])
@pytest.mark.parametrize("outline", [(60, 60, 60), (170, 150, 150)])
def test_a_row_of_printed_boxes_gives_the_digits_in_them(gap, outline):
    image = sheet(800)
    for number in range(5):
        left = 40 + number * (120 + gap)
        ImageDraw.Draw(image).rectangle([left, 150, left + 120, 270], outline=outline, width=3)
        write(image, left + 25, 165, 0.9, width=9)
    found = boxes(image.rotate(1.5, Image.Resampling.BICUBIC, fillcolor=PAPER))
    assert len(found) == 5
    assert all(70 < bottom - top < 100 for _, top, _, bottom in found)


def test_a_fold_is_no_ink_and_a_thin_one_that_fills_its_image_is_no_fold():
    image = sheet()
    ImageDraw.Draw(image).line([(300, 0), (302, 500)], fill=(185, 184, 180), width=5)
    assert boxes(image) == []
    assert len(boxes(write(image))) == 1
    one = sheet(120, 500)
    ImageDraw.Draw(one).line([(62, 25), (58, 470)], fill=INK, width=5)
    ((left, top, right, bottom),) = boxes(one)
    assert top < 40 and bottom > 455


@pytest.mark.parametrize("grain", [2, 9, 14])
@pytest.mark.parametrize("slope", [0, 60])
def test_an_empty_sheet_stays_empty_under_grain_and_slanted_light(grain, slope):
    light = 200 + slope * np.linspace(-0.5, 0.5, 600)[None, :, None]
    noise = np.random.default_rng(0).normal(0, grain, (500, 600, 1))
    pixels = np.repeat((light + noise).clip(0, 255), 3, axis=2).astype(np.uint8)
    assert boxes(Image.fromarray(pixels)) == []


def test_a_zero_that_fills_its_image_is_no_table_around_a_sheet():
    image = sheet(400, 300)
    ImageDraw.Draw(image).rounded_rectangle((20, 16, 380, 284), 120, outline=INK, width=30)
    assert len(boxes(image)) == 1


def test_a_one_resized_to_a_square_is_narrow_again():
    image = Image.new("L", (600, 600))
    ImageDraw.Draw(image).line([(560, 0), (50, 300), (380, 599)], 255, 120, "curve")
    (digit,) = find_digits(image.resize((16, 16), Image.Resampling.BOX))
    assert 4 <= (digit.image[0, 0] > 0.2).any(0).sum() <= 8
    assert digit.image[0, 0].any(1).sum() == 20


def test_a_seven_that_fills_its_image_keeps_its_width():
    image = Image.new("L", (600, 600))
    seven = [(0, 35), (560, 35), (280, 599)]
    ImageDraw.Draw(image).line(seven, fill=255, width=70, joint="curve")
    (digit,) = find_digits(image.resize((16, 16), Image.Resampling.BOX))
    assert digit.image[0, 0].any(0).sum() >= 18


def test_several_digits_come_line_by_line_from_left_to_right():
    image = sheet(900, 600)
    places = [(left, top) for top in (40, 330) for left in (40, 280, 520)]
    for left, top in reversed(places):
        write(image, left, top, 1.6)
    found = boxes(image)
    assert len(found) == 6
    for box, (left, top) in zip(found, places, strict=True):
        assert box[:2] == pytest.approx((left + 16, top + 16), abs=20)


def test_a_neighbor_s_ink_at_the_edge_is_left_out():
    (box,) = boxes(write(write(sheet()), left=-100))
    assert is_at(box)


@pytest.mark.parametrize(
    ("paper", "ink"),
    [((30, 40, 35), (225, 225, 220)), ((90, 160, 90), (215, 95, 95)), (PAPER, (185, 185, 185))],
    ids=["chalk", "same lightness", "pencil"],
)
def test_ink_of_any_color_is_found(paper, ink):
    (box,) = boxes(write(sheet(color=paper), color=ink))
    assert is_at(box)


def test_a_page_of_text_is_refused():
    image = sheet(900, 900)
    for left in range(20, 860, 120):
        for top in range(20, 860, 120):
            write(image, left, top, 0.7, width=6)
    with pytest.raises(UserError, match="Crop one digit"):
        find_digits(image)


@pytest.mark.parametrize("size", [(2000, 3), (3, 2000), (1, 65), (480, 10)])
def test_a_strip_of_noise_holds_no_digit(size):
    noise = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    assert boxes(Image.fromarray(noise)) == []
