"""The page built and asked in this process: its endpoints, and what it does without networks."""

import json
import shutil

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from gradio_client import handle_file
from gradio_client.exceptions import AppError

from cnn import UserError
from cnn.data import synthetic
from cnn.data.datasets import CIFAR10, DIGITS
from cnn.evaluation.report import EvaluationReport
from cnn.models import checkpoints
from cnn.models.checkpoints import ModelRegistry
from cnn.web import app, components, subject
from cnn.web.session import VisitorSession

ENDPOINTS = [
    "/attribution",
    "/classify_digit",
    "/classify_photo",
    "/evaluation",
    "/feature_maps",
    "/filters",
    "/models",
    "/network_stages",
    "/probabilities",
]


@pytest.mark.parametrize("digit", range(10))
def test_the_endpoint_reads_each_digit(client, digit):
    answer = client.predict(synthetic.example(digit), api_name="/classify_digit")
    assert answer["label"] == str(digit)
    assert answer["probability"] == answer["probabilities"][str(digit)]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_nothing_drawn_is_empty(client):
    assert client.predict([], api_name="/classify_digit")["verdict"] == "blank"


def test_what_is_no_drawing_is_told_in_words(client):
    with pytest.raises(AppError, match="stroke"):
        client.predict([["a"]], api_name="/classify_digit")


def test_the_endpoint_classifies_a_photograph(client, photograph):
    answer = client.predict(handle_file(photograph), api_name="/classify_photo")
    assert tuple(answer["probabilities"]) == CIFAR10.classes
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_a_file_that_is_not_an_image_is_refused_in_words(client, tmp_path):
    (tmp_path / "notes.png").write_text("not an image")
    with pytest.raises(AppError, match="notes.png"):
        client.predict(handle_file(tmp_path / "notes.png"), api_name="/classify_photo")


def test_a_file_of_the_server_cannot_be_named_as_a_photograph(hosted, photograph):
    photo = {"path": str(photograph), "meta": {"_type": "gradio.FileData"}}
    endpoint = f"{hosted}gradio_api/call/classify_photo"
    called = httpx.post(endpoint, json={"data": [photo]})
    if called.is_success:
        answer = httpx.get(f"{endpoint}/{called.json()['event_id']}").text
        assert "event: error" in answer
        assert "probabilities" not in answer


def test_the_endpoints_are_named_and_described(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert sorted(endpoints) == ENDPOINTS
    assert all(len(endpoint["description"]) > 40 for endpoint in endpoints.values())


@pytest.mark.parametrize("digit", [0, 7])
def test_what_is_inside_can_be_asked_for_as_numbers(client, digit):
    strokes = synthetic.example(digit)
    network = client.predict(strokes, api_name="/probabilities")
    name = next(iter(network))
    stages = client.predict(name, api_name="/network_stages")
    maps = np.array(client.predict(stages[1]["name"], strokes, api_name="/feature_maps"))
    assert list(maps.shape) == list(stages[1]["shape"])
    counted = np.array(client.predict(str(digit), "occlusion", strokes, api_name="/attribution"))
    assert counted.shape == (28, 28)
    assert abs(counted.max()) > abs(counted.min())
    assert np.array(client.predict(name, api_name="/filters")).ndim == 4


def test_ten_who_ask_at_once_each_get_the_answer_to_their_own_drawing(client):
    jobs = [
        client.submit(synthetic.example(digit), api_name="/probabilities") for digit in range(10)
    ]
    for digit, job in enumerate(jobs):
        mean = job.result(timeout=60)["mean of all"]
        assert max(mean, key=mean.get) == str(digit)


@pytest.mark.parametrize(
    ("asked", "endpoint"),
    [
        (["magic", [[[0, 0]]]], "feature_maps"),
        (["3", "magic", [[[0, 0]]]], "attribution"),
        (["eleven", "occlusion", [[[0, 0]]]], "attribution"),
        (["magic"], "filters"),
        (["magic"], "network_stages"),
    ],
)
def test_what_is_not_inside_is_told_in_words(client, asked, endpoint):
    with pytest.raises(AppError, match="There is no .*Choose"):
        client.predict(*asked, api_name=f"/{endpoint}")


def test_every_models_card_can_be_asked_for(client):
    cards = {card["name"]: card for card in client.predict(api_name="/models")}
    assert cards["mnist-three-conv"]["reference_accuracy"] == 0.98
    assert {card["dataset"] for card in cards.values()} == {"mnist", "cifar10"}


def test_an_evaluation_agrees_with_the_card(client):
    report = client.predict("mnist-three-conv", api_name="/evaluation")
    card = checkpoints.read_card(checkpoints.BUNDLED / "mnist-three-conv.safetensors")
    assert report["accuracy"] == pytest.approx(card.test_accuracy, abs=1e-4)
    assert np.array(report["confusion_matrix"]).sum() == 10_000
    assert len(report["mistakes"]) == min(100, round(10_000 * (1 - report["accuracy"])))


def _page(folder):
    return app.page(VisitorSession(ModelRegistry(folder)))


def test_without_checkpoints_each_tab_says_which_command_makes_one(tmp_path):
    page = json.dumps(_page(tmp_path).get_config_file(), default=str)
    assert "python -m cnn train --dataset mnist" in page
    assert "python -m cnn train --dataset cifar10" in page


def test_one_missing_network_leaves_the_other_tab_working(tmp_path):
    for path in checkpoints.list_files(checkpoints.BUNDLED):
        if checkpoints.read_card(path).dataset == "mnist":
            shutil.copy(path, tmp_path)
    names = {block.api_name for block in _page(tmp_path).fns.values()}
    assert "classify_digit" in names
    assert "classify_photo" not in names


@pytest.mark.parametrize("number", ["²", "-1", "1.0", "3", "9" * 5_000, None, [0]])
def test_a_test_image_that_is_not_there_is_refused_in_words(number):
    labels, images = torch.tensor([4, 5, 6]), torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    report = EvaluationReport(DIGITS, labels, labels, torch.ones(3), images)
    assert subject.test_image(report, "2").truth == "6"
    with pytest.raises(UserError, match="Choose from 0 to 2"):
        subject.test_image(report, number)


def test_a_toast_shows_words_and_never_markup():
    with pytest.raises(gr.Error) as shown, components.toast():
        raise UserError("<img src=x>")
    assert shown.value.message == "&lt;img src=x&gt;"


def test_a_toast_lets_bugs_through():
    with pytest.raises(ZeroDivisionError), components.toast():
        raise ZeroDivisionError


def test_what_may_be_refused_waits_in_the_queue_for_gradio_shows_no_toast_elsewhere(hosted):
    events = httpx.get(f"{hosted}config").json()["dependencies"]
    passing_by = {e["api_name"] for e in events if not e["queue"] and e["backend_fn"]}
    assert passing_by == {
        "settle",
        "show_maps",
        "load",
        "copy",
        "load_example",
        "busy",
        "busy_1",
        "busy_2",
        "remove",
        "resume",
        "lambda",
        "choose_1",
    }  # the pad tells its own faults
