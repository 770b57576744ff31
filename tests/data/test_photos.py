"""Photographs of every kind are read, or refused in a sentence."""

import io
import pickle
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from support import hostile

from cnn import UserError
from cnn.data.datasets import CIFAR10, MNIST
from cnn.data.photos import describe_photo, open_photo, square_from_photo, views_from_photo

TURNS = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen, -1),
    7: lambda seen: np.rot90(seen, 2).transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen),
}


def scene(width=90, height=60):
    """Four corners of different colours, so that every turn shows."""
    colours = np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]], np.uint8)
    return Image.fromarray(colours.repeat(height // 2, 0).repeat(width // 2, 1))


def pixels(photo):
    return np.asarray(photo).astype(int)


# Photographs


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tif", "avif"])
def test_every_usual_kind_of_file_is_read(tmp_path, ending):
    scene().save(tmp_path / f"a.{ending}")
    photo = open_photo(str(tmp_path / f"a.{ending}"))
    assert photo.mode == "RGB"
    assert photo.size == (90, 60)
    assert pixels(photo)[15, 20] == pytest.approx([250, 0, 0], abs=12)
    assert photo.info == {"size": (90, 60), "notes": ()}


def test_the_ending_of_the_name_does_not_matter(tmp_path):
    scene().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert open_photo(tmp_path / "a.jpg").size == (90, 60)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_photo_from_a_turned_camera_is_upright(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene().save(tmp_path / f"a.{ending}", exif=exif, quality=95)
    photo = open_photo(tmp_path / f"a.{ending}")
    expected = TURNS[orientation](pixels(scene()))
    assert photo.size == photo.info["size"] == expected.shape[1::-1]
    middles = [(photo.height * i // 4, photo.width * j // 4) for i in (1, 3) for j in (1, 3)]
    for middle in middles:
        assert pixels(photo)[middle] == pytest.approx(expected[middle], abs=30)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_a_broken_orientation_tag_is_ignored(tmp_path, ending):
    scene().save(tmp_path / f"a.{ending}", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    scene().save(tmp_path / f"b.{ending}", exif=b"Exif\0\0junk and more")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_photo(tmp_path / f"a.{ending}").size == (90, 60)
        assert open_photo(tmp_path / f"b.{ending}").size == (90, 60)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(tmp_path, mode):
    picture = scene().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    assert (pixels(photo) == 255).all()
    assert photo.info["notes"] == ("laid on white",)


def test_half_transparent_pixels_are_half_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert pixels(open_photo(tmp_path / "a.png")) == pytest.approx(127, abs=1)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, ending):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    Image.fromarray(ramp).save(tmp_path / f"a.{ending}")
    assert pixels(open_photo(tmp_path / f"a.{ending}"))[0, :, 0] == pytest.approx(
        np.arange(256), abs=1
    )


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 3e7])
def test_floating_point_greys_are_scaled(tmp_path, white):
    ramp = np.linspace(0, white, 256, dtype=np.float32)[None].repeat(8, 0)
    ramp[7] = np.nan
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    grey = pixels(open_photo(tmp_path / "a.tif"))[:, :, 1]
    assert grey[0] == pytest.approx(np.arange(256), abs=1)
    assert not grey[7].any()


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_cmyk_is_read(tmp_path, ending):
    scene().convert("CMYK").save(tmp_path / f"a.{ending}")
    assert pixels(open_photo(tmp_path / f"a.{ending}"))[45, 20] == pytest.approx(
        [0, 0, 250], abs=25
    )


def test_black_and_white_without_grey_is_read(tmp_path):
    Image.fromarray(np.eye(40, dtype=bool)).save(tmp_path / "a.png")
    assert (pixels(open_photo(tmp_path / "a.png"))[:, :, 0] == 255 * np.eye(40)).all()


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation_is_read(tmp_path, ending):
    red, blue = (Image.new("RGB", (30, 20), colour) for colour in ("red", "blue"))
    red.save(tmp_path / f"a.{ending}", save_all=True, append_images=[blue])
    photo = open_photo(tmp_path / f"a.{ending}")
    assert pixels(photo)[5, 5] == pytest.approx([255, 0, 0], abs=3)
    assert photo.info["notes"] == ("its first frame",)


def test_a_palette_gif_keeps_its_colors(tmp_path):
    scene().quantize(4).save(tmp_path / "a.gif")
    assert pixels(open_photo(tmp_path / "a.gif"))[45, 70] == pytest.approx([250, 250, 0])


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_large_photo_comes_back_reduced_but_remembers_its_size(tmp_path, ending):
    scene(3600, 2400).save(tmp_path / f"a.{ending}")
    photo = open_photo(tmp_path / f"a.{ending}")
    assert photo.size == (1800, 1200)
    assert photo.info["size"] == (3600, 2400)


def test_heic_is_read(tmp_path):
    heif = pillow_heif.from_pillow(scene())
    heif.save(tmp_path / "a.heic", quality=95)
    photo = open_photo(tmp_path / "a.heic")
    assert pixels(photo)[15, 20] == pytest.approx([250, 0, 0], abs=12)
    assert photo.info == {"size": (90, 60), "notes": ()}


@pytest.mark.parametrize("orientation", TURNS)
def test_heic_is_upright_as_its_orientation_says(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    heif = pillow_heif.from_pillow(scene())
    heif.info["exif"] = exif.tobytes()
    heif.save(tmp_path / "a.heic", quality=95)
    photo = open_photo(tmp_path / "a.heic")
    expected = TURNS[orientation](pixels(scene()))
    assert photo.size == expected.shape[1::-1]
    assert np.abs(pixels(photo) - expected).mean() < 6


def test_a_jpeg_beyond_its_limit_says_which(tmp_path):
    content = bytearray(encoded("jpg"))
    frame = content.index(b"\xff\xc0") + 5
    content[frame : frame + 4] = struct.pack(">HH", 11_000, 11_000)
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UserError, match="11000 x 11000 pixels.*smaller than 120 megapixels"):
        open_photo(tmp_path / "a.jpg")


def test_a_broken_color_profile_is_ignored(tmp_path):
    scene().save(tmp_path / "a.png", icc_profile=b"broken" * 40)
    assert (pixels(open_photo(tmp_path / "a.png")) == pixels(scene())).all()


def test_colors_of_another_profile_become_srgb(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "Test".encode("utf-16-be"))
    profile = profile.replace(b"rXYZ", b"swap").replace(b"gXYZ", b"rXYZ").replace(b"swap", b"gXYZ")
    scene().save(tmp_path / "a.png", icc_profile=profile)
    photo = pixels(open_photo(tmp_path / "a.png"))
    assert photo[15, 20] == pytest.approx(
        [0, 250, 0], abs=8
    )  # red, where red and green are swapped


def test_white_on_transparent_lies_on_black(tmp_path):
    image = Image.new("RGBA", (40, 40), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (10, 10, 20, 30))
    image.save(tmp_path / "a.png")
    photo = open_photo(tmp_path / "a.png")
    assert pixels(photo)[0, 0].max() == 0
    assert photo.info["notes"] == ("laid on black",)


def test_a_transparent_grey_of_sixteen_bits_is_transparent(tmp_path):
    deep = np.full((8, 8), 30_000, np.uint16)
    deep[:4] = 1000
    Image.fromarray(deep).save(tmp_path / "a.png", transparency=1000)
    photo = open_photo(tmp_path / "a.png")
    assert (pixels(photo)[0, 0] == 255).all()
    assert (pixels(photo)[7, 7] == 117).all()


def encoded(ending="png"):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, {"jpg": "jpeg", "tif": "tiff"}.get(ending, ending))
    return file.getvalue()


def png_of(width, height):
    """A black PNG of one bit a pixel, which packs any size into a few kilobytes."""

    def chunk(kind, data):
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + (width + 7) // 8) * height))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


REFUSED = {
    "empty.jpg": (b"", "is empty"),
    "a byte.jpg": (b"\xff", "damaged, or not an image"),
    "page.png": (b"<!doctype html><title>no</title>", "not an image"),
    "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "pickle.png": (pickle.dumps({"weights": [1, 2]}), "not an image"),
    "text.jpg": ("Grüße".encode(), "not an image"),
    "head.png": (encoded()[:20], "damaged"),
    "cut.png": (encoded()[:3000], "damaged, cut short"),
    "cut.jpg": (encoded("jpg")[:1500], "damaged, cut short"),
    "cut.gif": (encoded("gif")[:2000], "damaged, cut short"),
    "cut.bmp": (encoded("bmp")[:3000], "damaged, cut short"),
    "cut.tif": (encoded("tif")[:3000], "damaged"),
    "cut.webp": (encoded("webp")[:400], "damaged"),
    "nothing.png": (png_of(0, 10), "damaged"),
    "bomb.png": (png_of(12_000, 12_000), "12000 x 12000 pixels.*40 megapixels"),
    "huge.png": (png_of(20_000, 20_000), "40 megapixels"),
    "just over.png": (png_of(8000, 5001), "8000 x 5001"),
    "strip.png": (png_of(1, 9000), "too narrow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_unreadable_file_is_an_error_that_names_it_without_its_folder(tmp_path, name):
    content, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserError, match=reason) as refusal:
            open_photo(tmp_path / name)
    assert f"“{name}”" in str(refusal.value)
    assert tmp_path.name not in str(refusal.value)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png_of(12_000, 12_000))
    monkeypatch.setattr(Image.core, "zip_decoder", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UserError):
        open_photo(tmp_path / "a.png")


def test_forty_megapixels_are_not_too_many(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(8000, 5000))
    assert open_photo(tmp_path / "a.png").info["size"] == (8000, 5000)


def test_a_folder_and_a_missing_file_are_named_as_such(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        open_photo(tmp_path)
    with pytest.raises(UserError, match="no file “gone.jpg”"):
        open_photo(tmp_path / "gone.jpg")
    with pytest.raises(UserError, match="no file"):
        open_photo("nul\0.jpg")


def test_line_breaks_in_a_file_name_do_not_reach_a_message(tmp_path):
    with pytest.raises(UserError, match="“goneWARNING all is well.jpg”"):
        open_photo(tmp_path / "gone\nWARNING all is well\x1b.jpg")


def test_a_photo_in_another_format_is_refused_even_where_pillow_reads_it(tmp_path):
    scene().save(tmp_path / "a.ppm")
    with pytest.raises(UserError, match="not an image of a kind"):
        open_photo(tmp_path / "a.ppm")


# Squares


def test_an_image_of_the_right_size_passes_bit_for_bit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    views = views_from_photo(open_photo(tmp_path / "a.png"), CIFAR10)
    assert views.dtype == torch.float32
    assert torch.equal(views, torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)


def test_the_middle_square_is_the_middle_and_the_whole_is_whole():
    photo = Image.new("RGB", (300, 100), "red")
    photo.paste("blue", (100, 0, 200, 100))
    red, blue = torch.tensor([[1.0, 0, 0], [0, 0, 1.0]])[:, None, :, None, None]
    middle, whole = (square_from_photo(photo, CIFAR10, whole) for whole in (False, True))
    assert torch.allclose(middle, blue.expand(1, 3, 32, 32))
    assert torch.allclose(whole[..., 12:20], blue)
    assert torch.allclose(whole[..., :8], red)
    assert torch.equal(views_from_photo(photo, CIFAR10), torch.cat([middle, whole]))


def test_reducing_averages_and_does_not_pick():
    chess = np.indices((640, 640)).sum(0) % 2 * 255
    photo = Image.fromarray(chess.astype(np.uint8)).convert("RGB")
    assert square_from_photo(photo, CIFAR10) == pytest.approx(0.5, abs=0.02)


def test_a_photo_fits_a_grey_data_set_too():
    assert square_from_photo(scene(), MNIST).shape == (1, 1, 28, 28)


def test_a_sentence_describes_what_was_done_to_a_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    scene().save(tmp_path / "a.png", exif=exif)
    assert describe_photo(open_photo(tmp_path / "a.png"), CIFAR10) == (
        "60 x 90 pixels, turned upright; looked at as the square in its middle and as a whole, "
        "scaled to 32 x 32 pixels."
    )


def test_a_dark_photo_is_brightened_and_the_sentence_says_so():
    bright = Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 50).convert("RGB")
    bright.putpixel((0, 0), (255, 255, 255))
    bright.paste((255, 255, 255), (0, 0, 64, 4))
    dark = bright.point(lambda value: value // 4)
    views = views_from_photo(dark, CIFAR10)
    assert views == pytest.approx(0.8 * views_from_photo(bright, CIFAR10), abs=0.02)
    assert "brightened 3.2 times" in describe_photo(dark, CIFAR10)
    assert "brightened" not in describe_photo(bright, CIFAR10)


def test_a_black_photo_stays_black():
    views = views_from_photo(Image.new("RGB", (40, 30)), CIFAR10)
    assert not views.any()


# The pictures that come with the page

ASSETS = Path(__file__).parents[2] / "assets"


def test_every_example_is_small_and_credited():
    credits = (ASSETS / "CREDITS.md").read_text(encoding="utf-8")
    examples = sorted((ASSETS / "examples").iterdir())
    assert 6 <= len(examples) <= 8
    for path in examples:
        assert f"`examples/{path.name}`" in credits
        assert path.stat().st_size <= 60_000
        assert 256 <= max(open_photo(path).size) <= 512


@pytest.mark.parametrize(("count", "is_read"), [(4, True), (5, False)])
def test_the_notes_of_a_png_are_read_up_to_four_megabytes(tmp_path, count, is_read):
    path = tmp_path / "notes.png"
    path.write_bytes(hostile.text_bomb(b"zTXt", b"\0", count))
    if is_read:
        assert open_photo(path).size == (8, 8)
    else:
        with pytest.raises(UserError, match="damaged"):
            open_photo(path)
