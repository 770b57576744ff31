"""Charts have the pixels that their numbers demand."""

import numpy as np
import pytest
import torch

from cnn.evaluation.metrics import Reliability
from cnn.plots import charts
from cnn.plots.colormaps import ORANGE, sequential

CLASSES = ("cat", "automobile", "x")
COUNTS = torch.tensor([[90, 10, 0], [1, 99, 0], [0, 0, 100]])
BRIGHT = (255, 250, 242)


def _pixel(row: int, column: int) -> tuple[int, int]:
    """Return a pixel within a cell of the matrix, beside its number."""
    start = charts.confusion(COUNTS, CLASSES).width - 3 * charts.CELL
    return start + column * charts.CELL + 6, start + row * charts.CELL + 6


def test_the_most_frequent_mistake_is_the_brightest_and_the_diagonal_is_grey():
    image = charts.confusion(COUNTS, CLASSES)
    assert image.getpixel(_pixel(0, 1))[:3] == BRIGHT
    assert image.getpixel(_pixel(2, 0))[:3] == (0, 0, 0)
    assert {image.getpixel(_pixel(n, n))[:3] for n in range(3)} == {charts.CORRECT_CELL}


def test_a_matrix_without_a_mistake_can_be_drawn():
    assert charts.confusion(torch.eye(3).long(), CLASSES).getpixel(_pixel(0, 1))[:3] == (0, 0, 0)


def test_a_bar_is_as_high_as_the_accuracy():
    heights = []
    for accuracy in (0.25, 0.5, 1.0):
        diagram = Reliability(torch.tensor([8.0]), torch.tensor([0.5]), torch.tensor([accuracy]))
        colored = torch.from_numpy(np.array(charts.reliability(diagram)))[..., :3]
        heights.append((colored == torch.tensor(ORANGE[:3])).all(2).any(1).sum().item())
    assert heights[0] == pytest.approx(heights[2] / 4, abs=3)
    assert heights[1] == pytest.approx(heights[2] / 2, abs=3)


def test_a_heat_map_has_a_row_per_network_and_a_column_per_class():
    one = charts.heat_map({"a": (0.0, 1.0)}, ("cat", "dog"))
    two = charts.heat_map({"a": (0.0, 1.0), "b": (1.0, 0.0)}, ("cat", "dog"))
    assert two.width == one.width
    assert one.height < two.height
    assert one.getpixel((one.width - 80, one.height - 10)) == BRIGHT
    assert one.getpixel((one.width - 164, one.height - 10)) == (0, 0, 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_in_a_strip_and_a_grid_keep_their_pixels(channels):
    images = torch.full((9, channels, 8, 8), 200, dtype=torch.uint8)
    color = (200,) * 3
    strip = charts.strip(images, [(3, 3, 2, 2)] * 9)
    grid = charts.captioned_grid(images, [("cat", "dog · 99 %")] * 9)
    assert strip.getpixel((38, 50))[:3] == (255, 255, 255), "the frame"
    assert strip.getpixel((5, 5))[:3] == grid.getpixel((5, 5))[:3] == color


def test_the_sequential_color_map_runs_from_black_to_nearly_white():
    assert sequential(torch.tensor([-1.0, 0.0, 5.0, 9.0]), 0, 5).tolist() == [
        [0, 0, 0],
        [0, 0, 0],
        [*BRIGHT],
        [*BRIGHT],
    ]
