"""In the tab Models: how one model does on the test set."""

import secrets

import gradio as gr

from cnn import UserError
from cnn.evaluation.prediction import predict
from cnn.evaluation.report import EvaluationReport, evaluate_test_set
from cnn.web import components, curves, report_views
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject, test_image
from cnn.web.tabs import models_views

CONFUSION = (
    "Rows are true classes, columns predicted ones; the strongest colour is the most frequent "
    "mistake. Press a cell to see its images."
)
CURVES = (
    "Accuracy and loss after each epoch. Training images are often augmented, which makes them "
    "harder; where training runs ahead of validation, the model overfits."
)
IMAGES = (
    "Images that the model never learned from, with the true class above the predicted one. "
    "Press one, and it becomes the input of Probabilities and Inside."
)
TILES = 24
NONE = "none"


def views(session: gr.State, name: gr.State, subject: gr.State) -> tuple[list, object]:
    """Add the sub-tabs; return their components and the function that fills them.

    The function takes (session, name) and returns a value for each component.
    """
    cell = gr.State("")
    with gr.Tabs(elem_classes="subtabs"):
        with gr.Tab("Confusion matrix"):
            matrix, images = _confusion_matrix(session, name, cell, subject)
        with gr.Tab("Accuracy by class"):
            class_metrics = gr.HTML(apply_default_css=False)
        with gr.Tab("Calibration"):
            reliability = gr.HTML(apply_default_css=False)
        with gr.Tab("Learning curves"):
            components.caption(CURVES)
            with gr.Row(elem_classes="pair"):
                charts = [curves.canvas(curves.of_history([], m)) for m in ("loss", "accuracy")]
        with gr.Tab("Test images"):
            examples = _examples(session, name, subject)
        with gr.Tab("Compare"):
            other, comparison = _comparison(session, name)

    def show(session: VisitorSession, name: str) -> tuple:
        checkpoint = session.get(name)
        history = checkpoint.card.history
        views = [curves.of_history(history, metric) for metric in ("loss", "accuracy")]
        rivals = [rival for rival in session.names(checkpoint.card.dataset) if rival != name]
        choice = gr.update(choices=[NONE, *rivals], value=NONE)
        try:
            report = evaluate_test_set(checkpoint)
        except UserError as error:
            message = components.inline_error(error)
            return "", message, "", message, message, *views, message, choice, ""
        return (
            "",
            report_views.confusion_matrix(report.confusion, report.classes),
            "",
            report_views.class_metrics(report),
            report_views.reliability_diagram(report),
            *views,
            _tiles(report, report.examples(TILES), "examples"),
            choice,
            "",
        )

    outputs = [cell, matrix, images, class_metrics, reliability, *charts, examples]
    return [*outputs, other, comparison], show


def _confusion_matrix(session: gr.State, name: gr.State, cell: gr.State, subject: gr.State):
    components.caption(CONFUSION)
    with gr.Row(elem_classes="pair"):
        matrix = components.pickable(elem_id="confusion")
        images = components.pickable(elem_id="cell", elem_classes="cell-images")

    def choose(session: VisitorSession, name: str, event: gr.EventData) -> tuple[str, str, str]:
        with components.toast():
            report = evaluate_test_set(session.get(name))
            key = str(components.event_field(event, "value"))
            true, predicted = _cell(report, key)
        matrix = report_views.confusion_matrix(report.confusion, report.classes, key)
        return key, matrix, _cell_images(report, true, predicted)

    matrix.select(choose, [session, name], [cell, matrix, images], **components.HIDDEN_ENDPOINT)
    _make_subject(images, session, name, subject)
    return matrix, images


def _examples(session: gr.State, name: gr.State, subject: gr.State) -> gr.HTML:
    components.caption(IMAGES)
    with gr.Row(elem_classes="controls"):
        mistakes = gr.Button("Most confident mistakes", min_width=120)
        shuffle = gr.Button("Random images", min_width=120)
    tiles = components.pickable(elem_id="test-images")

    def show_mistakes(session: VisitorSession, name: str) -> str:
        with components.toast():
            report = evaluate_test_set(session.get(name))
        return _tiles(report, report.mistakes(TILES), "mistakes")

    def show_random(session: VisitorSession, name: str) -> str:
        with components.toast():
            report = evaluate_test_set(session.get(name))
        return _tiles(report, report.examples(TILES, secrets.randbelow(2**31)), "examples")

    mistakes.click(show_mistakes, [session, name], tiles, **components.HIDDEN_ENDPOINT)
    shuffle.click(show_random, [session, name], tiles, **components.HIDDEN_ENDPOINT)
    _make_subject(tiles, session, name, subject)
    return tiles


def _comparison(session: gr.State, name: gr.State) -> tuple[gr.Dropdown, gr.HTML]:
    other = gr.Dropdown([NONE], value=NONE, label="Compare with", elem_classes="choice")
    comparison = gr.HTML(apply_default_css=False)

    def compare(session: VisitorSession, name: str, other: str) -> str:
        if other == NONE:
            return ""
        with components.toast():
            checkpoints = [session.get(name), session.get(other)]
            reports = [evaluate_test_set(checkpoint) for checkpoint in checkpoints]
            return models_views.comparison([name, other], checkpoints, reports)

    other.input(compare, [session, name, other], comparison, **components.HIDDEN_ENDPOINT)
    return other, comparison


def _make_subject(tiles: gr.HTML, session: gr.State, name: gr.State, subject: gr.State) -> None:
    """Make an image that is pressed the page's subject, and say so with its prediction."""

    def take(session: VisitorSession, name: str, event: gr.EventData) -> Subject:
        number = components.event_field(event, "value")
        with components.toast():
            checkpoint = session.get(name)
            image = test_image(evaluate_test_set(checkpoint), number)
        prediction = predict(checkpoint, image.views)
        gr.Info(
            f"True class: {image.truth}, predicted: {prediction.label}. "
            "Now the input of Probabilities and Inside.",
            duration=4,
        )
        return image

    taken = tiles.select(take, [session, name], subject, **components.HIDDEN_ENDPOINT)
    taken.success(None, js=components.TEST_IMAGE_SHOWN, **components.HIDDEN_ENDPOINT)


def _tiles(report: EvaluationReport, indices, name: str) -> str:
    if report.images is None:
        return components.inline_error(
            UserError(
                "The test images are not on this machine. Train on this data set once, or set "
                "CNN_DATA to the folder that holds it."
            )
        )
    return components.tiles(report, indices, name)


def _cell(report: EvaluationReport, key: str) -> tuple[int, int]:
    """Read a cell's key, "true,predicted". A `UserError` names one that is none."""
    count = range(len(report.classes))
    cells = {f"{true},{predicted}": (true, predicted) for true in count for predicted in count}
    if key not in cells:
        raise UserError(f"There is no cell {key!r}. Press one in the matrix.")
    return cells[key]


def _cell_images(report: EvaluationReport, true: int, predicted: int) -> str:
    indices = report.cell_indices(true, predicted)
    count = f"{len(indices):,} image{'s' * (len(indices) != 1)}"
    if len(indices) > TILES:
        count += f", the {TILES} most confident"
    title = components.render(
        "cell_title.html",
        true_class=report.classes[true],
        predicted_class=report.classes[predicted],
        count=count,
    )
    return title + _tiles(report, indices[:TILES], "cell")
