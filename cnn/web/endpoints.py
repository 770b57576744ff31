"""The endpoint that predicts a drawing while it is drawn, beside Gradio's own.

`POST /predictions/drawing` takes a JSON object: the visitor's `token` or null, `strokes` as in
`digit_from_strokes`, and whether the drawing is `final`. It returns the object that
`components.prediction_message` makes, or `{"error": sentence}`, or `{"busy": true}` where so many
wait that only final drawings are predicted.
"""

import json

import torch
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from torch import Tensor

from cnn import UserError
from cnn.data.datasets import MNIST
from cnn.data.drawings import digit_from_strokes
from cnn.evaluation.prediction import predict_batch
from cnn.models.checkpoints import Checkpoint
from cnn.web import components
from cnn.web.server.batching import MicroBatcher
from cnn.web.server.routes import DRAWING
from cnn.web.session import VisitorSession

MAX_BATCH = 32
MAX_WAITING = 128


def routes(template: VisitorSession) -> list[Route]:
    """Return the route, if there is a network for it; `template` finds sessions by tokens."""
    if not template.names(MNIST.name):
        return []
    batcher = MicroBatcher(predict_drawings, MAX_BATCH)

    async def endpoint(request: Request) -> JSONResponse:
        try:
            question = json.loads(await request.body())
            token, strokes, final = (question[key] for key in ("token", "strokes", "final"))
        except (ValueError, RecursionError, KeyError, TypeError):
            return JSONResponse({"detail": "token, strokes and final must be given as JSON."}, 400)
        if not final and len(batcher) >= MAX_WAITING:
            return JSONResponse({"busy": True})
        checkpoint = template.by_token(token).checkpoint(MNIST.name)
        return JSONResponse(await batcher.submit(checkpoint, strokes))

    return [Route(DRAWING, endpoint, methods=["POST"])]


def predict_drawings(checkpoint: Checkpoint, drawings: list) -> list[dict]:
    """Predict drawings in one forward pass; return a message or an error for each."""
    images = [_image(strokes) for strokes in drawings]
    readable = [image for image in images if isinstance(image, Tensor)]
    predictions = iter(predict_batch(checkpoint, torch.cat(readable)) if readable else ())
    return [
        components.prediction_message(checkpoint.card, next(predictions), image)
        if isinstance(image, Tensor)
        else {"error": str(image)}
        for image in images
    ]


def _image(strokes: object) -> Tensor | UserError:
    try:
        return digit_from_strokes(strokes)
    except UserError as error:
        return error
