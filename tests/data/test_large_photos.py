"""Photographs of many pixels: read reduced, or one at a time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image

from cnn import UserError
from cnn.data import photos
from cnn.data.datasets import CIFAR10
from cnn.data.photos import VIEWED_SIDE, open_photo, views_from_photo


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_photo_reduced_for_its_views_gives_nearly_the_same_ones(tmp_path, ending):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((1600, 1200), Image.Resampling.BICUBIC)
    photo.save(tmp_path / f"a.{ending}")
    whole, reduced = (open_photo(tmp_path / f"a.{ending}", side) for side in (1024, VIEWED_SIDE))
    assert (whole.size, reduced.size) == ((1600, 1200), (800, 600))
    expected = views_from_photo(whole, CIFAR10)
    assert torch.allclose(views_from_photo(reduced, CIFAR10), expected, atol=1.01 / 255)


def test_a_panorama_is_read_unless_it_is_progressive(tmp_path):
    large = Image.new("L", (12_000, 4000))
    large.save(tmp_path / "a.jpg")
    large.save(tmp_path / "b.jpg", progressive=True)
    assert open_photo(tmp_path / "a.jpg").info["size"] == (12_000, 4000)
    with pytest.raises(UserError, match="12000 x 4000"):
        open_photo(tmp_path / "b.jpg")


def test_a_phones_largest_heic_is_read(tmp_path, monkeypatch):
    pillow_heif.from_pillow(Image.new("RGB", (80, 60))).save(tmp_path / "a.heic")
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    for name in ("MAX_PIXELS", "MAX_HEIC_PIXELS"):  # in hundredths of their megapixels
        monkeypatch.setattr(photos, name, getattr(photos, name) // 10_000)
    assert open_photo(tmp_path / "a.heic").size == (80, 60)
    with pytest.raises(UserError, match="80 x 60"):
        open_photo(tmp_path / "a.png")


def test_large_images_are_decoded_one_at_a_time_and_others_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "LARGE_PIXELS", 100)
    for name, side in (("large", 20), ("small", 10)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    decode, go, begun = photos._transpose, threading.Event(), threading.Semaphore(0)
    at_once, most = [], []

    def wait(image, side):
        if image.width == 10:
            return decode(image, side)
        at_once.append(image)
        most.append(len(at_once))
        begun.release()
        assert go.wait(60)
        at_once.pop()
        return decode(image, side)

    monkeypatch.setattr(photos, "_transpose", wait)
    with ThreadPoolExecutor() as beside:
        large = [beside.submit(open_photo, tmp_path / "large.png") for _ in range(3)]
        assert begun.acquire(timeout=60)
        assert open_photo(tmp_path / "small.png").size == (10, 10)
        go.set()
        assert [photo.result().size for photo in large] == [(20, 20)] * 3
    assert most == [1, 1, 1]
