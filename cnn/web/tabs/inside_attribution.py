"""In the tab Inside: which pixels speak for a class, by three methods, and the verdict's reason."""

import gradio as gr

from cnn.evaluation import prediction as predictions
from cnn.evaluation.percentages import percentages
from cnn.evaluation.prediction import predict
from cnn.interpret import attribution
from cnn.interpret.attribution import METHODS
from cnn.models.checkpoints import Checkpoint
from cnn.plots import grids
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

ATTRIBUTION = (
    "Why this class? Three methods ask which pixels made the network say so, and each asks "
    "something else: orange speaks for the class, blue against. Below, the same for a second class."
)
OPACITY = 0.8


def view(session: gr.State, subject: gr.State) -> None:
    """Add the view: the predicted class, and below it the runner-up or a class of one's choice."""
    components.heading("Attribution (saliency)", ATTRIBUTION)
    rows = components.derived("attribution", components.asset("attribution.js"))
    queue = {"concurrency_id": "attribution", "concurrency_limit": 1}
    components.answer(rows.follow, "attribution", _rows, [subject, session], rows, **queue)


def _rows(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    version = components.event_version(event)
    if subject.is_empty:
        return components.render("empty.html", version=version)
    checkpoint = session.checkpoint(subject.dataset)
    prediction = predict(checkpoint, subject.views)
    ranked = [name for name, _ in prediction.ranked]
    wanted = components.event_field(event, "label")
    second = wanted if wanted in ranked else ranked[1]
    texts = percentages(prediction.probabilities)
    probabilities = dict(zip(checkpoint.card.classes, texts, strict=True))
    labels = (ranked[0], second)
    words = ("predicted", "runner-up" if second == ranked[1] else "chosen")
    images = _images(checkpoint, subject, labels)
    rows = [
        (label, word, probabilities[label], shown)
        for label, word, shown in zip(labels, words, images, strict=True)
    ]
    return components.render(
        "attribution.html",
        version=version,
        original=components.inline(grids.enlarged_image(subject.image[0])),
        rows=rows,
        methods=METHODS.values(),
        classes=checkpoint.card.classes,
        second=second,
        verdict=prediction.verdict,
        score=predictions.ood_score(checkpoint, predictions.logits(checkpoint, subject.views)),
        card=checkpoint.card,
    )


def _images(
    checkpoint: Checkpoint, subject: Subject, labels: tuple[str, str]
) -> list[list[tuple[str, str]]]:
    """Return (method, image as a data URL) pairs for each of the classes."""
    indices = [checkpoint.card.classes.index(label) for label in labels]
    images: list[list[tuple[str, str]]] = [[] for _ in labels]
    for name, method in METHODS.items():
        maps = attribution.attribute_classes(checkpoint.network, subject.image, name, indices)
        for row, map_ in zip(images, maps, strict=True):
            overlay = grids.overlay(subject.image[0], map_, OPACITY)
            row.append((method.title, components.inline(overlay)))
    return images
