"""What somebody might send to do harm is answered with a sentence, at every door."""

import functools
import json
import math
import re

import httpx
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from support import hostile
from support.server import ROOT

from cnn import UserError
from cnn.__main__ import main
from cnn.data.drawings import digit_from_strokes
from cnn.data.photos import open_photo
from cnn.models import checkpoints

FILES = hostile.FILES | hostile.HARMLESS


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """All of them, written; gives the path to each name."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {name: folder / name for name in FILES}
    for name, make in FILES.items():
        paths[name].write_bytes(make())
    return paths


def is_a_sentence(words):
    return words[0] == words[0].upper() and words.endswith(".") and "\n" not in words


def test_there_are_enough_of_them():
    assert len(hostile.FILES) >= 60


@pytest.mark.parametrize("name", FILES)
def test_as_a_photograph_it_is_read_or_refused(files, name):
    if name in hostile.HARMLESS:
        assert open_photo(files[name]).mode == "RGB"
        return
    with pytest.raises(UserError) as refusal:
        open_photo(files[name])
    assert is_a_sentence(str(refusal.value))


@pytest.mark.parametrize("name", FILES)
def test_as_a_checkpoint_it_is_refused(files, name):
    with pytest.raises(UserError) as refusal:
        checkpoints.load(files[name])
    assert is_a_sentence(str(refusal.value))


def test_the_lies_of_a_checkpoint_are_all_that_is_wrong_with_it(tmp_path):
    (tmp_path / "honest.safetensors").write_bytes(hostile.checkpoint())
    assert checkpoints.load(tmp_path / "honest.safetensors").card.model == "two-conv"


@pytest.mark.parametrize("name", FILES)
def test_the_endpoint_answers_or_says_why_not(client, files, name):
    def ask():
        return client.predict(handle_file(files[name]), api_name="/classify_photo")

    if name in hostile.HARMLESS:
        assert math.isfinite(ask()["probability"])
        return
    with pytest.raises(AppError) as refusal:
        ask()
    assert str(refusal.value).endswith(".")
    assert "<" not in str(refusal.value)


@pytest.fixture(scope="module")
def networks():
    """Lets the command line load its networks once for all."""
    with pytest.MonkeyPatch.context() as place:
        place.setattr(checkpoints, "load_default", functools.cache(checkpoints.load_default))
        yield


@pytest.mark.usefixtures("networks")
@pytest.mark.parametrize("name", hostile.FILES)
def test_the_command_line_says_why_not_and_ends_with_2(files, name, capsys):
    for command in ("predict", "evaluate"):
        assert main([command, str(files[name])]) == 2
        said = capsys.readouterr()
        assert is_a_sentence(said.err.strip())
        assert said.out == ""


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": ""}}], ids=str)
def test_no_function_of_the_page_reads_a_file_that_was_not_uploaded(hosted, meta):
    own = {"path": str(next((ROOT / "assets" / "examples").glob("*.jpg")))} | meta
    page = httpx.get(f"{hosted}config").json()
    files = {c["id"] for c in page["components"] if c["type"] in ("image", "uploadbutton", "api")}
    takers = [one for one in page["dependencies"] if files & {*one["inputs"]}]
    assert len(takers) > 8
    for function in takers:
        data = [own if number in files else None for number in function["inputs"]]
        body = {"data": data, "fn_index": function["id"], "session_hash": "a"}
        answer = httpx.post(f"{hosted}gradio_api/run/predict", json=body, timeout=60)
        assert answer.status_code in (400, 500), function["api_name"]


# Drawings that are none: whatever JSON can say, and what only Python can.


def _has_no_json(value: object) -> bool:
    """Return whether a value holds NaN, Infinity or an integer of more than 64 bits."""
    if isinstance(value, list | dict):
        return any(map(_has_no_json, value.values() if isinstance(value, dict) else value))
    if isinstance(value, int):
        return value.bit_length() >= 64
    return isinstance(value, float) and not math.isfinite(value)


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda inner: some.lists(inner, max_size=5) | some.dictionaries(some.text(), inner, max_size=3),
    max_leaves=20,
)
POINTS = some.lists(some.lists(some.floats() | some.integers(), min_size=2, max_size=2))
DRAWINGS = VALUES | some.lists(POINTS | VALUES, max_size=8)
GENTLY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@GENTLY
@given(DRAWINGS)
def test_any_drawing_gives_a_picture_or_a_sentence(drawing):
    try:
        picture = digit_from_strokes(drawing)
    except UserError as refusal:
        assert is_a_sentence(str(refusal))
    else:
        assert picture.isfinite().all()
        assert 0 <= picture.min() <= picture.max() <= 1


@GENTLY
@given(DRAWINGS)
def test_the_pad_is_answered_whatever_it_sends(pad, drawing):
    try:
        answer = pad(drawing)
    except httpx.HTTPStatusError as refusal:
        assert _has_no_json(drawing) and refusal.response.status_code == 400
    else:
        assert "probabilities" in answer or is_a_sentence(answer["error"])


@pytest.fixture
def faults(capfd):
    """Gives the lines of ours that the tracebacks printed since it was last asked went through."""
    line = re.compile(rf'File "{re.escape(str(ROOT))}/(cnn/.*), in')
    return lambda: line.findall(capfd.readouterr().err)


@GENTLY
@given(
    payload=some.lists(DRAWINGS | some.sampled_from(["cifar10", "conv1", 0, [[[0, 0], [9, 9]]]]))
)
@example(payload=[[[[0, 0], [1e-308, 0]]]])
def test_every_endpoint_answers_whatever_it_is_sent(client, hosted, faults, payload):
    for name in client.view_api(return_format="dict")["named_endpoints"]:
        answer = httpx.post(
            f"{hosted}gradio_api/run{name}",
            content=json.dumps({"data": payload}),
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        assert answer.status_code in (200, 400, 422, 500)
        assert "Traceback" not in answer.text
        if answer.status_code == 500:
            said = answer.json()["error"]
            assert said is None or is_a_sentence(said), (name, said)
        assert faults() == [], name


OUTSIZE = {
    "a million points": lambda: json.dumps([[[0.5, 0.5]] * 1_000_000]),
    "a million strokes": lambda: json.dumps([[[0, 0]]] * 1_000_000),
    "a long text": lambda: json.dumps("x" * 5_000_000),
    "no number": lambda: "[[[NaN, 0], [1, 1]]]",
    "no end": lambda: "[[[Infinity, 0], [1, 1]]]",
    "a huge whole number": lambda: f"[[[1{'0' * 400}, 0], [1, 1]]]",
    "a longer whole number": lambda: f"[[[1{'0' * 9000}, 0], [1, 1]]]",
    "deep lists": lambda: "[" * 100_000 + "]" * 100_000,
    "deep objects": lambda: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "half a list": lambda: "[[[1, 2], [3",
    "half a letter": lambda: '"\\ud800"',
    "a line for the log": lambda: json.dumps("\nWARNING all is well\x1b[31m"),
    "nothing": lambda: "",
}


DOORS = {  # and where the answer to what they let in is given
    "predictions/drawing": None,
    "gradio_api/call/classify_digit": "gradio_api/call/classify_digit/{event_id}",
    "gradio_api/queue/join": "gradio_api/queue/data?session_hash=a",
}


@pytest.mark.parametrize("kind", OUTSIZE)
@pytest.mark.parametrize("door", DOORS)
def test_a_payload_of_any_size_and_shape_is_answered_and_the_server_lives(
    hosted, pad, faults, door, kind
):
    payload = OUTSIZE[kind]()
    body = {
        "predictions/drawing": f'{{"token": null, "final": true, "strokes": {payload}}}',
        "gradio_api/call/classify_digit": f'{{"data": [{payload}]}}',
        "gradio_api/queue/join": '{"session_hash": "a", "fn_index": 0, '
        f'"data": [{payload}, null]}}',
    }[door]
    json_type = {"Content-Type": "application/json"}
    answer = httpx.post(f"{hosted}{door}", content=body, headers=json_type, timeout=60)
    assert answer.status_code in (200, 400, 413, 422, 500)
    assert "Traceback" not in answer.text
    assert "Something went wrong" not in answer.text
    if answer.status_code == 200 and DOORS[door]:
        httpx.get(f"{hosted}{DOORS[door].format(**answer.json())}", timeout=60)
    assert faults() == []
    assert pad([]) is not None
