"""Files that somebody might send to do harm, each made here: a name -> what makes its bytes.

The name is the file's. Where a file can be read all the same it stands in `HARMLESS`.
"""

import io
import json
import math
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import safetensors.torch
import torch
from PIL import Image, PngImagePlugin

from cnn.data import datasets
from cnn.models import architectures

CARD = {
    **dict.fromkeys(
        ("train_accuracy", "train_loss", "validation_accuracy", "test_accuracy", "test_loss"), 0.5
    ),
    **dict.fromkeys(("test_accuracy_tta", "ece", "ece_uncalibrated", "train_seconds"), 0.5),
    **dict.fromkeys(("hardware", "device", "precision", "date", "command"), ""),
    **{"dataset": "mnist", "model": "two-conv", "classes": [*"0123456789"], "parameters": 1},
    **{"config": {}, "seed": 0, "temperature": 1.0, "versions": {}, "tta": "none"},
    **{"ood_score": "energy", "ood_threshold": 0.0, "ood_fitted_on": "", "ood_auroc": {}},
    **{"is_default": False, "reference_accuracy": None, "interrupted": False, "history": []},
    "format_version": 2,
}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def encode(kind: str = "PNG", mode: str = "RGB", size=(60, 40), **options) -> bytes:
    """Encode a small image of noise with Pillow."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).resize(size).convert(mode).save(file, kind, **options)
    return file.getvalue()


def deep(kind: str, numbers: np.ndarray) -> bytes:
    """Encode numbers, of 16 or 32 bits or floating, as a grey image."""
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, kind)
    return file.getvalue()


def animation(kind: str, frames: int) -> bytes:
    """Encode an animation of different frames."""
    file = io.BytesIO()
    first, *rest = [Image.new("RGB", (8, 8), (number % 256, 0, 0)) for number in range(frames)]
    first.save(file, kind, save_all=True, append_images=rest)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """Build one chunk of a PNG."""
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png(width: int, height: int, *, extra: bytes = b"", pixels: bytes | None = None) -> bytes:
    """Build a black PNG with one bit per pixel: any size fits into a few kilobytes."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    if pixels is None:
        packer = zlib.compressobj()
        row = bytes(1 + (width + 7) // 8)
        pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    parts = chunk(b"IHDR", header), extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text_bomb(kind: bytes, before: bytes, count: int) -> bytes:
    """Build a PNG with compressed text chunks of a megabyte each."""
    note = chunk(kind, b"note\0" + before + zlib.compress(bytes(1_000_000)))
    return png(8, 8, extra=note * count)


def jpeg(width: int, height: int) -> bytes:
    """Build a JPEG whose header claims another size than its pixels have."""
    data = bytearray(encode("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def many_scans(count: int) -> bytes:
    """Build a progressive JPEG that repeats its last scan `count` times."""
    file = io.BytesIO()
    Image.new("L", (2000, 2000)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def with_exif(kind: str, exif: bytes) -> bytes:
    return encode(kind, exif=b"Exif\0\0" + exif)


def exif_loop() -> bytes:
    """Build an EXIF directory that names itself as the next one."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 8)


def tiff(*entries: tuple[int, int, int, int], after: int = 0, rest: bytes = b"") -> bytes:
    """A TIFF of one directory: (tag, type, count, value) each."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + rows + struct.pack("<I", after)
    ) + rest


def tiff_of(width: int, height: int, **lies: int) -> bytes:
    """A grey TIFF of 8 bits whose pixels are missing; `t258=9` replaces the value of tag 258."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: height}
    tags |= {279: min(width * height, 2**32 - 1)} | {int(tag[1:]): v for tag, v in lies.items()}
    return tiff(*((tag, 4, 1, value) for tag, value in tags.items()), rest=bytes(100))


def bmp(width: int, height: int, bits: int = 24, compression: int = 0) -> bytes:
    """A BMP's header, and hardly a pixel."""
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + sizes + bytes(64)


def gif(at: int, width: int, height: int) -> bytes:
    """A GIF that claims this size for its screen (6 bytes in) or for its frame."""
    data = bytearray(encode("GIF"))
    at = at or data.rindex(b"\x2c\0\0\0\0\x3c\0\x28\0") + 5
    data[at : at + 4] = struct.pack("<HH", width, height)
    return bytes(data)


def webp(width: int, height: int) -> bytes:
    """A WebP whose extended header claims a canvas of that size."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sides + encode("WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif() -> bytes:
    """An AVIF whose boxes claim more than there is."""
    data = bytearray(encode("AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 60_000, 60_000)
    return bytes(data)


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("../../escape.txt", "out")
    return file.getvalue()


class Trap:
    """Unpickled, it would end the process."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def torch_file() -> bytes:
    file = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "trap": Trap()}, file)
    return file.getvalue()


def weights(card: object = None, **tensors: torch.Tensor) -> bytes:
    """A safetensors file, with that Card as JSON where there is one."""
    tensors = tensors or {"weight": torch.zeros(3)}
    metadata = None if card is None else {"card": json.dumps(card)}
    return safetensors.torch.save(tensors, metadata=metadata)


def checkpoint(value: float = 0.0, model: str = "two-conv", **lies: object) -> bytes:
    """A checkpoint whose weights all have that value, and whose Card tells some lies."""
    state = architectures.build(model, datasets.MNIST).state_dict()
    tensors = {name: torch.full_like(tensor, value) for name, tensor in state.items()}
    return weights(CARD | lies, **tensors)


def header(text: bytes, length: int | None = None, rest: bytes = bytes(16)) -> bytes:
    """A safetensors file with this header, told to be `length` long."""
    return struct.pack("<Q", len(text) if length is None else length) + text + rest


def tensor(shape: list, offsets: list, dtype: str = "F32") -> bytes:
    description = {"weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    return header(json.dumps(description).encode())


FILES: dict[str, Callable[[], bytes]] = {
    # empty files, and files that are not images
    "nothing.jpg": lambda: b"",
    "a byte.png": lambda: b"\xff",
    "zeros.jpg": lambda: bytes(5000),
    "noise.png": lambda: PIXELS.tobytes(),
    "page.png": lambda: b"<!doctype html><script>alert(1)</script>",
    "drawing.svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "entities.svg": lambda: b'<!DOCTYPE s [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    "script.py": lambda: b"import os",
    "program.jpg": lambda: b"\x7fELF" + bytes(200),
    "printed.pdf": lambda: b"%PDF-1.7\n",
    "printed.eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
    "archive.png": archive,
    "photo.ppm": lambda: encode("PPM"),
    "photo.ico": lambda: encode("ICO"),
    "photo.jp2": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "movie.mp4": lambda: b"\0\0\0\x18ftypmp42" + bytes(40),
    "<img src=x onerror=alert(1)>.png": lambda: b"not an image",
    # cut short
    "head.png": lambda: encode()[:20],
    "cut.png": lambda: encode()[:3000],
    "cut.jpg": lambda: encode("JPEG")[:1200],
    "cut.gif": lambda: encode("GIF")[:1500],
    "cut.bmp": lambda: encode("BMP")[:3000],
    "cut.tif": lambda: encode("TIFF")[:3000],
    "cut.webp": lambda: encode("WEBP")[:400],
    "cut.avif": lambda: encode("AVIF")[:500],
    # larger than they look
    "bomb.png": lambda: png(12_000, 12_000),
    "strip.png": lambda: png(1, 9000),
    "no width.png": lambda: png(0, 10),
    "giant.png": lambda: png(2**31 - 1, 2**31 - 1, pixels=b""),
    "missing pixels.png": lambda: png(6000, 6000, pixels=zlib.compress(bytes(100))),
    "notes.png": lambda: text_bomb(b"zTXt", b"\0", 80),
    "more notes.png": lambda: text_bomb(b"iTXt", b"\1\0\0\0", 80),
    "profile.png": lambda: png(8, 8, extra=chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(10**8)))),
    "giant.jpg": lambda: jpeg(65_500, 65_500),
    "scans.jpg": lambda: many_scans(300),
    "giant.gif": lambda: gif(6, 65_535, 65_535),
    "giant frame.gif": lambda: gif(0, 65_535, 65_535),
    "giant.webp": lambda: webp(16_384, 16_384),
    "giant.avif": avif,
    "giant.bmp": lambda: bmp(60_000, 60_000),
    "upside down.bmp": lambda: bmp(100, -(2**31)),
    "packed.bmp": lambda: bmp(6000, 6000, 8, 1),
    "giant.tif": lambda: tiff_of(2**31, 2**31),
    "missing pixels.tif": lambda: tiff_of(6000, 6000),
    "far strips.tif": lambda: tiff_of(60, 40, t273=2**32 - 1),
    "many samples.tif": lambda: tiff_of(60, 40, t277=65_535),
    "odd bits.tif": lambda: tiff_of(60, 40, t258=9),
    "many rows.tif": lambda: tiff((256, 4, 2**31, 8), (257, 4, 2**31, 8)),
    "circle.tif": lambda: tiff((256, 4, 1, 8), (257, 4, 1, 8), after=8),
    # checkpoints that are none
    "pickle.png": lambda: pickle.dumps(Trap()),
    "pickle.safetensors": lambda: pickle.dumps(Trap()),
    "torch.safetensors": torch_file,
    "torch.jpg": torch_file,
    "no card.safetensors": weights,
    "text card.safetensors": lambda: weights("a card"),
    "short card.safetensors": lambda: weights(CARD),
    "nested card.safetensors": lambda: safetensors.torch.save(
        {"weight": torch.zeros(3)}, metadata={"card": "[" * 100_000}
    ),
    "no numbers.safetensors": lambda: checkpoint(math.nan),
    "no end.safetensors": lambda: checkpoint(math.inf),
    "another network.safetensors": lambda: checkpoint(model="three-conv"),
    "odd card.safetensors": lambda: checkpoint(recip={}),
    "another set.safetensors": lambda: checkpoint(dataset="cifar10"),
    "wrong classes.safetensors": lambda: checkpoint(classes=["<script>"] * 10),
    "cold card.safetensors": lambda: checkpoint(temperature=-1),
    "lost card.safetensors": lambda: checkpoint(threshold=math.nan),
    "endless header.safetensors": lambda: header(b"{}", 2**40),
    "negative header.safetensors": lambda: header(b"{}", 2**64 - 1),
    "no header.safetensors": lambda: header(b"", 0),
    "broken header.safetensors": lambda: header(b'{"weight":'),
    "nested header.safetensors": lambda: header(b'{"a":' * 50_000),
    "far weights.safetensors": lambda: tensor([4], [10**12, 10**12 + 16]),
    "short weights.safetensors": lambda: tensor([1_000_000], [0, 16]),
    "overflowing weights.safetensors": lambda: tensor([2**62, 2**62], [0, 16]),
    "backward weights.safetensors": lambda: tensor([4], [16, 0]),
    "odd weights.safetensors": lambda: tensor([4], [0, 16], "PICKLE"),
}

HARMLESS: dict[str, Callable[[], bytes]] = {
    "wrong ending.jpg": encode,
    "no ending": lambda: encode("WEBP"),
    "polyglot.png": lambda: encode() + archive(),
    "script behind.gif": lambda: encode("GIF") + b"<script>alert(1)</script>",
    "huge exif.jpg": lambda: with_exif("JPEG", exif_loop() + bytes(65_000)),
    "huge exif.png": lambda: with_exif("PNG", exif_loop() + bytes(3_000_000)),
    "broken exif.jpg": lambda: with_exif("JPEG", b"II*\0" + b"\xff" * 200),
    "long note.png": lambda: encode(pnginfo=_note("x" * 500_000)),
    "animated.gif": lambda: animation("GIF", 300),
    "animated.png": lambda: animation("PNG", 300),
    "animated.webp": lambda: animation("WEBP", 300),
    "animated.tif": lambda: animation("TIFF", 300),
    "palette.png": lambda: encode(mode="P"),
    "one bit.png": lambda: encode(mode="1"),
    "one bit.tif": lambda: encode("TIFF", "1"),
    "sixteen bits.png": lambda: deep("PNG", np.arange(2400, dtype=np.uint16).reshape(40, 60)),
    "signed.tif": lambda: deep("TIFF", np.arange(-1200, 1200, dtype=np.int32).reshape(40, 60)),
    "printer.jpg": lambda: encode("JPEG", "CMYK"),
    "printer.tif": lambda: encode("TIFF", "CMYK"),
    "transparent.png": lambda: encode(mode="RGBA"),
    "transparent grey.png": lambda: encode(mode="LA"),
    "no numbers.tif": lambda: deep("TIFF", np.full((40, 60), np.nan, np.float32)),
    "endless.tif": lambda: deep("TIFF", np.full((40, 60), np.inf, np.float32)),
    "faint.tif": lambda: deep("TIFF", np.full((40, 60), -1e38, np.float32)),
    "one pixel.png": lambda: encode(size=(1, 1)),
}


def _note(text: str) -> PngImagePlugin.PngInfo:
    note = PngImagePlugin.PngInfo()
    note.add_text("note", text)
    return note
