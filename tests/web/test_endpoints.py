"""The endpoint that predicts drawings while they are drawn: its answers, limits and batches."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait

import httpx
import pytest
import torch
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.learner import checkpoint

from cnn.data import synthetic
from cnn.data.drawings import digit_from_strokes
from cnn.evaluation.prediction import predict, predict_batch
from cnn.models.checkpoints import BUNDLED, ModelRegistry
from cnn.web import components, endpoints
from cnn.web.server import middleware, routes
from cnn.web.session import VisitorSession

DIGITS = [synthetic.example(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def template():
    return VisitorSession(ModelRegistry(BUNDLED))


@pytest.fixture(scope="module")
def bundled(template):
    return template.checkpoint("mnist")


def test_the_pad_gets_bars_pixels_and_words(pad):
    answer = pad(synthetic.example(7))
    assert len(answer["probabilities"]) == 10
    assert len(answer["pixels"]) == 28 * 28
    assert (answer["label"], answer["words"]) == ("7", "confident")


@pytest.mark.parametrize("drawing", [None, 7, "7", [7], [["7"]], [[[1]]], [[[1, 2]]] * 1000])
def test_the_pad_answers_nonsense_with_a_sentence(pad, drawing):
    assert pad(drawing)["error"].endswith(".")


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[" * 100_000, b"7", b"null", b"[]", b'"a"', b"{}", b'{"strokes": []}']
)
def test_a_malformed_question_is_refused_with_a_sentence(hosted, body):
    answer = httpx.post(f"{hosted}predictions/drawing", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].endswith(".")


def test_only_post_asks_for_predictions(hosted):
    assert httpx.get(f"{hosted}predictions/drawing").status_code == 404


def test_a_script_of_another_site_asks_for_nothing(hosted):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    answer = httpx.post(f"{hosted}predictions/drawing", content=b"{}", headers=headers)
    assert answer.status_code == 403


def test_a_question_of_more_than_a_megabyte_is_refused(hosted):
    body = b" " * (middleware.MAX_BODY + 1)
    assert httpx.post(f"{hosted}predictions/drawing", content=body).status_code == 413


def test_drawings_predicted_together_are_predicted_as_one_by_one(bundled):
    messages = endpoints.predict_drawings(bundled, [*DIGITS, []])
    for drawing, message in zip([*DIGITS, []], messages, strict=True):
        image = digit_from_strokes(drawing)
        alone = components.prediction_message(bundled.card, predict(bundled, image), image)
        assert message.pop("probabilities") == pytest.approx(alone.pop("probabilities"), abs=1e-5)
        assert message == alone
    assert messages[-1]["verdict"] == "blank"


def test_a_faulty_drawing_spoils_no_other(bundled):
    good, bad, other = endpoints.predict_drawings(bundled, [DIGITS[7], "7", DIGITS[2]])
    assert (good["label"], other["label"]) == ("7", "2")
    assert bad["error"].endswith(".")
    assert endpoints.predict_drawings(bundled, ["7"])[0]["error"]


def test_each_image_of_a_batch_gets_its_own_verdict(bundled):
    noise = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    images = [digit_from_strokes(DIGITS[7]), torch.zeros(1, 1, 28, 28), noise]
    verdicts = [prediction.verdict for prediction in predict_batch(bundled, torch.cat(images))]
    assert verdicts == ["confident", "blank", "out_of_distribution"]


def _client(template) -> TestClient:
    app = Starlette(routes=endpoints.routes(template))
    return TestClient(app, raise_server_exceptions=False)


def _ask(client, token, strokes=DIGITS[7], final=True) -> dict:
    question = {"token": token, "strokes": strokes, "final": final}
    return client.post(routes.DRAWING, json=question).json()


def test_a_token_lets_the_visitors_own_network_predict(template, bundled):
    visitor = template.open()
    visitor.keep("mine", checkpoint())
    visitor.choose("mine")
    client = _client(template)
    own = components.describe_network(checkpoint().card)
    assert _ask(client, visitor.token)["source"] == own
    for stranger in (None, "guess", visitor.token[:-1], 7, [visitor.token], {}):
        assert _ask(client, stranger)["source"] == components.describe_network(bundled.card)


def test_without_a_network_there_is_no_route(tmp_path):
    assert endpoints.routes(VisitorSession(ModelRegistry(tmp_path))) == []


def test_an_error_of_one_visitors_network_is_theirs_alone(template):
    visitor = template.open()
    visitor.keep("mine", checkpoint()._replace(network=None))
    visitor.choose("mine")
    with _client(template) as client:
        question = {"token": visitor.token, "strokes": DIGITS[7], "final": True}
        assert client.post(routes.DRAWING, json=question).status_code == 500
        assert _ask(client, None)["label"] == "7"


@pytest.fixture
def held(monkeypatch):
    """Holds every batch back until the event is set."""
    go, compute = threading.Event(), endpoints.predict_drawings

    def predict_drawings(*given):
        go.wait(60)
        return compute(*given)

    monkeypatch.setattr(endpoints, "predict_drawings", predict_drawings)
    yield go
    go.set()


def test_under_pressure_what_is_asked_within_a_stroke_is_dropped_and_what_ends_one_never(
    template, held, monkeypatch
):
    monkeypatch.setattr(endpoints, "MAX_WAITING", 5)
    with _client(template) as client, ThreadPoolExecutor(max_workers=60) as visitors:
        final = [visitors.submit(_ask, client, None) for _ in range(20)]
        live = []
        while not any(answer.done() for answer in live):
            live.append(visitors.submit(_ask, client, None, final=False))
            wait(live, timeout=0.1)
        assert {"busy": True} in [answer.result() for answer in live if answer.done()]
        final.append(visitors.submit(_ask, client, None))
        held.set()
        assert all(answer.result()["label"] == "7" for answer in final)
        assert _ask(client, None, final=False)["label"] == "7"


def test_a_token_has_a_rate_of_its_own(monkeypatch):
    monkeypatch.setenv("CNN_RATE_LIMIT", "1")

    async def done(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    client = TestClient(middleware.RequestGuard(done, blocks=object()))
    greedy = [client.post(routes.DRAWING, content=b'{"token": "greedy"}') for _ in range(3)]
    assert [answer.status_code for answer in greedy] == [200, 200, 429]
    assert client.post(routes.DRAWING, content=b'{"token": "other"}').status_code == 200
    assert client.post(routes.DRAWING, content=b'{"token": null}').status_code == 200
