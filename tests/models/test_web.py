"""Networks for browsers, in a real Chromium: what they compute is what torch computes."""

import base64
import functools
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from support import learner
from torch import nn

from cnn import UserError
from cnn.data import synthetic
from cnn.data.datasets import MNIST
from cnn.data.drawings import digit_from_strokes
from cnn.evaluation import prediction
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import BUNDLED, Checkpoint
from cnn.models.web import ASSETS, to_web, worker_script

DRAWINGS = 500
ODD_DRAWINGS = (
    [],
    [[]],
    [[[0.5, 0.5]]],
    [[[0.2, 0.2], [0.8, 0.8]], [[0.5, 0.1]]],
    [[[0.3, 0.3]] * 700],
    [[[i / 3000, (i * 7 % 3000) / 3000] for i in range(900)]],
)
PREDICT = """async ({ script, file, drawings }) => {
  const network = await startNetwork(script, fromBase64(file));
  const predictions = [];
  for (const strokes of drawings) {
    const { probabilities, verdict } = await network.predict(strokes);
    predictions.push({ probabilities, verdict });
  }
  network.stop();
  return predictions;
}"""
PIXELS = """async ({ script, file, drawings }) => {
  const network = await startNetwork(script, fromBase64(file));
  const images = [];
  for (const strokes of drawings) images.push(Array.from((await network.predict(strokes)).pixels));
  network.stop();
  return images;
}"""
LAYERS = """async ({ script, file, strokes }) => {
  const network = await startNetwork(script, fromBase64(file));
  const { layers } = await network.predict(strokes);
  return layers.map(({ name, shape, values }) => [name, shape, Array.from(values)]);
}"""
LOAD = """async ({ script, file }) => {
  try {
    (await startNetwork(script, fromBase64(file))).stop();
  } catch (error) {
    return error.message;
  }
}"""


@functools.cache
def drawings():
    """Strokes as people draw them: from `CNN_DATA` where it has some, the rest synthetic."""
    path = Path(os.environ.get("CNN_DATA", ""), "strokes", "pendigits_train.npz")
    drawn = list(_pendigits(path, DRAWINGS // 2)) if path.exists() else []
    generator = np.random.default_rng(0)
    for number in range(DRAWINGS - len(drawn)):
        strokes = synthetic.sample_strokes(number % 10, generator)
        drawn.append([stroke.round(4).tolist() for stroke in strokes])
    return [*drawn, *ODD_DRAWINGS]


def _pendigits(path, count):
    with np.load(path) as file:
        points, strokes, samples = (file[k] for k in ("points", "stroke_start", "sample_start"))
    ends = [*strokes[1:], len(points)]
    for first, last in list(zip(samples, samples[1:], strict=False))[:: len(samples) // count]:
        yield [(points[strokes[i] : ends[i]] * (1, -1) / 500).tolist() for i in range(first, last)]


@functools.cache
def images():
    return [digit_from_strokes(strokes) for strokes in drawings()]


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    page.add_script_tag(content=(ASSETS / "browser_inference.js").read_text())
    yield page
    page.close()


@functools.cache
def small():
    return to_web(learner.checkpoint(), "small")


def encoded(file):
    return base64.b64encode(file).decode()


def mnist_networks():
    return [path for path in checkpoints.list_files(BUNDLED) if "mnist" in path.stem]


def test_a_browser_sees_the_pixels_that_the_server_sees(page):
    given = {"script": worker_script(), "file": encoded(small()), "drawings": drawings()}
    for image, pixels in zip(images(), page.evaluate(PIXELS, given), strict=True):
        assert np.abs(255 * (image.numpy().ravel() - pixels)).max() <= 1


@pytest.mark.parametrize("path", mnist_networks(), ids=lambda path: path.stem)
def test_a_browser_predicts_what_torch_predicts(page, path):
    checkpoint = checkpoints.load(path)
    checkpoints.round_to_half(checkpoint.network)
    file = encoded(to_web(checkpoint, path.stem))
    some = slice(None, None, 1 if checkpoint.card.is_default else 5)
    given = {"script": worker_script(), "file": file, "drawings": drawings()[some]}
    for image, seen in zip(images()[some], page.evaluate(PREDICT, given), strict=True):
        expected = prediction.predict(checkpoint, image)
        assert np.abs(np.subtract(expected.probabilities, seen["probabilities"])).max() <= 1e-3
        assert expected.verdict == seen["verdict"]
        if expected.verdict != "blank":
            assert np.argmax(seen["probabilities"]) == np.argmax(expected.probabilities)


@pytest.mark.parametrize("model", architectures.MODELS)
def test_every_layer_of_every_architecture_computes_what_torch_computes(page, model):
    torch.manual_seed(0)
    network = architectures.build(model, MNIST).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.normal_(layer.bias, std=0.1)
    checkpoints.round_to_half(network)
    card = checkpoints.read_card(mnist_networks()[0])
    file = encoded(to_web(Checkpoint(network, card), model))
    strokes = drawings()[3]
    layers = page.evaluate(LAYERS, {"script": worker_script(), "file": file, "strokes": strokes})
    values = digit_from_strokes(strokes)
    assert [name for name, _, _ in layers] == [name for name, _ in network.named_children()]
    with torch.inference_mode():
        for (name, shape, computed), layer in zip(layers, network, strict=True):
            values = layer(values)
            assert shape == list(values.shape[1:]), name
            tolerance = 1e-4 * max(1, values.abs().max().item())
            assert np.abs(values.numpy().ravel() - computed).max() <= tolerance, name


def with_header(file, change):
    length = struct.unpack("<I", file[4:8])[0]
    header = json.loads(file[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return file[:4] + struct.pack("<I", len(text)) + text + file[8 + length :]


def _set(*path, value):
    def change(header):
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = value

    return change


ABSURD_HEADERS = {
    "huge filters": _set("layers", 1, "filters", value=1 << 40),
    "huge padding": _set("layers", 1, "padding", value=1 << 20),
    "no kernel": _set("layers", 1, "kernel", value=0),
    "a fraction of a stride": _set("layers", 1, "stride", value=0.5),
    "an unknown layer": _set("layers", 1, "type", value="toString"),
    "no layers": _set("layers", value=None),
    "many layers": lambda header: header["layers"].extend([{"type": "identity"}] * 300),
    "a huge image": _set("layers", 0, value={"type": "to_color", "size": 1 << 14}),
    "a photo": _set("input", value=[3, 32, 32]),
    "other classes": _set("classes", value=["a", "b"]),
    "no temperature": _set("temperature", value=0),
    "an unknown score": _set("ood", "score", value="constructor"),
}


@pytest.mark.parametrize("change", ABSURD_HEADERS.values(), ids=ABSURD_HEADERS)
def test_an_absurd_header_is_refused(page, change):
    file = encoded(with_header(small(), change))
    assert page.evaluate(LOAD, {"script": worker_script(), "file": file})


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: b"",
        lambda file: file[:100],
        lambda file: file[:-2],
        lambda file: file + b"\0\0",
        lambda file: b"PK" + file[2:],
        lambda file: file[:4] + b"\xff\xff\xff\xff" + file[8:],
        lambda file: file[:8] + b"{" * 100 + file[108:],
        lambda file: file[:-2] + b"\0\x7c",
    ],
    ids=["empty", "cut", "short", "long", "magic", "length", "json", "infinite"],
)
def test_a_damaged_file_is_refused(page, damage):
    assert page.evaluate(LOAD, {"script": worker_script(), "file": encoded(damage(small()))})


def test_a_whole_file_is_not_refused(page):
    assert page.evaluate(LOAD, {"script": worker_script(), "file": encoded(small())}) is None


def test_the_file_is_small():
    assert len(small()) < 2.1 * learner.checkpoint().card.parameters + 2_000


def test_a_layer_that_browsers_cannot_compute_is_an_error():
    checkpoint = learner.checkpoint()
    network = nn.Sequential(*checkpoint.network, nn.Softplus())
    with pytest.raises(UserError, match="Softplus"):
        to_web(checkpoint._replace(network=network), "softplus")


def test_a_network_for_photos_is_an_error():
    path = next(path for path in checkpoints.list_files(BUNDLED) if "cifar10" in path.stem)
    with pytest.raises(UserError, match="photo"):
        to_web(checkpoints.load(path), "photos")
