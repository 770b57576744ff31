"""Charts whose pixels can be told beforehand."""

import numpy as np
import pytest
import torch

from cnn.data.datasets import Split
from cnn.evaluation.metrics import Reliability
from cnn.interpret.layers import LayerSummary
from cnn.plots import charts
from cnn.plots.colormaps import GREY, ORANGE, sequential

CLASSES = ("cat", "automobile", "x")
COUNTS = torch.tensor([[90, 10, 0], [1, 99, 0], [0, 0, 100]])
BRIGHT = (255, 250, 242)


def place(row: int, column: int) -> tuple[int, int]:
    """A pixel within a cell of the matrix, beside its number."""
    start = charts.confusion(COUNTS, CLASSES).width - 3 * charts.CELL
    return start + column * charts.CELL + 6, start + row * charts.CELL + 6


def test_the_most_frequent_mistake_is_the_brightest_and_the_diagonal_is_grey():
    picture = charts.confusion(COUNTS, CLASSES)
    assert picture.getpixel(place(0, 1))[:3] == BRIGHT
    assert picture.getpixel(place(2, 0))[:3] == (0, 0, 0)
    assert {picture.getpixel(place(n, n))[:3] for n in range(3)} == {charts.CORRECT_CELL}


def test_a_click_on_a_cell_finds_it_and_one_on_a_name_finds_none():
    for row in range(3):
        for column in range(3):
            assert charts.cell_at(*place(row, column), CLASSES) == (row, column)
    assert charts.cell_at(3, 3, CLASSES) is None


def test_a_matrix_without_a_mistake_can_be_drawn():
    assert charts.confusion(torch.eye(3).long(), CLASSES).getpixel(place(0, 1))[:3] == (0, 0, 0)


def test_a_bar_is_as_high_as_the_network_is_right():
    heights = []
    for accuracy in (0.25, 0.5, 1.0):
        found = Reliability(torch.tensor([8.0]), torch.tensor([0.5]), torch.tensor([accuracy]))
        colored = torch.from_numpy(np.array(charts.reliability(found)))[..., :3]
        heights.append((colored == torch.tensor(ORANGE[:3])).all(2).any(1).sum().item())
    assert heights[0] == pytest.approx(heights[2] / 4, abs=3)
    assert heights[1] == pytest.approx(heights[2] / 2, abs=3)


@pytest.mark.parametrize("measure", ["loss", "accuracy"])
@pytest.mark.parametrize("epochs", [1, 2, 30])
def test_the_curves_of_a_run_of_any_length_show_both_splits(measure, epochs):
    history = [
        {
            "epoch": n,
            "train_loss": 2 / n,
            "validation_loss": 2.2 / n,
            "train_accuracy": 1 - 0.5 / n,
            "validation_accuracy": 1 - 0.6 / n,
        }
        for n in range(1, epochs + 1)
    ]
    colors = {color for _, color in charts.curves(history, measure).getcolors(1_000_000)}
    assert {GREY, ORANGE} <= colors


def test_a_heat_map_has_a_row_a_network_and_a_column_a_class():
    one = charts.heat_map({"a": (0.0, 1.0)}, ("cat", "dog"))
    two = charts.heat_map({"a": (0.0, 1.0), "b": (1.0, 0.0)}, ("cat", "dog"))
    assert two.width == one.width
    assert one.height < two.height
    assert one.getpixel((one.width - 80, one.height - 10)) == BRIGHT
    assert one.getpixel((one.width - 164, one.height - 10)) == (0, 0, 0)


def test_the_funnel_is_as_wide_as_what_leaves_a_stage_and_orange_where_it_multiplies():
    stages = [
        LayerSummary("conv1", "", (1, 28, 28), 10, 100),
        LayerSummary("pool1", "", (1, 14, 14), 0, 0),
        LayerSummary("dense", "", (10,), 10, 100),
    ]
    picture = charts.architecture_diagram(stages)
    bars = [picture.crop((0, y, 380, y + 1)) for y in (55, 87, 119)]
    boxes = [bar.getbbox() for bar in bars]
    widths = [right - left for left, _, right, _ in boxes]
    assert widths[0] > 1.8 * widths[1] > widths[2]
    colors = [bar.getpixel((190, 0)) for bar in bars]
    assert colors == [ORANGE, GREY, ORANGE]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_in_a_row_an_album_and_by_class_keep_their_pixels(channels):
    images = torch.full((9, channels, 8, 8), 200, dtype=torch.uint8)
    split = Split(images, torch.arange(9) % 3)
    shades = (200,) * 3
    row = charts.strip(images, [(3, 3, 2, 2)] * 9)
    album = charts.captioned_grid(images, [("cat", "dog · 99 %")] * 9)
    samples = charts.samples(split, CLASSES, count=3)
    assert row.getpixel((38, 50))[:3] == (255, 255, 255), "the frame"
    assert row.getpixel((5, 5))[:3] == album.getpixel((5, 5))[:3] == shades
    assert samples.getpixel((samples.width - 5, 5))[:3] == shades


def test_the_scale_from_black_begins_black_and_ends_nearly_white():
    assert sequential(torch.tensor([-1.0, 0.0, 5.0, 9.0]), 0, 5).tolist() == [
        [0, 0, 0],
        [0, 0, 0],
        [*BRIGHT],
        [*BRIGHT],
    ]
