"""The tab Models: every model's card, and how one of them does on its test set."""

import dataclasses
from pathlib import Path
from weakref import WeakKeyDictionary

import gradio as gr
from torch import nn

from cnn.evaluation.report import evaluate_test_set, seconds_per_image
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject
from cnn.web.tabs import models_evaluation, models_views

MODELS = (
    "Every model of this page with what was measured after its training. Press a column's head to "
    "sort by it, and a model's name or point to use it in every tab."
)
MAX_NAME_LENGTH = 40
DATASETS = ("mnist", "cifar10")


def tab(session: gr.State, subject: gr.State) -> None:
    """Add the tab, showing the bundled models and the visitor's own."""
    with gr.Tab("Models", id="models", elem_classes="models-tab") as shown:
        if not components.can_predict(session.template.bundled, "mnist"):
            return
        name = gr.State("")
        components.heading("Models", MODELS)
        with gr.Row(elem_classes="overview"):
            with gr.Column(scale=3):
                table = components.pickable(elem_id="models")
                upload = gr.UploadButton(
                    "Add a model of yours",
                    file_types=[checkpoints.SUFFIX],
                    elem_classes="upload",
                )
            with gr.Column(scale=2):
                plot = components.pickable(elem_id="accuracy-plot")
        card = gr.HTML(apply_default_css=False, elem_id="card")
        with gr.Row(elem_classes="afterwards"):
            files = [
                gr.DownloadButton("Download checkpoint", min_width=150),
                gr.DownloadButton("Download as a page", min_width=150, visible=False),
            ]
        evaluated, evaluate = models_evaluation.views(session, name, subject)
        _endpoints(session.template)
    views = [name, table, plot, card, *evaluated]

    def show(session: VisitorSession, name: str) -> tuple:
        lists = _list(session, name)
        report = evaluate(session, name)
        return name, *lists, models_views.card(name, session.get(name)), *report

    def open_tab(session: VisitorSession, subject: Subject, name: str) -> tuple:
        known = name in {n for models in _grouped(session).values() for n in models}
        return show(session, name if known else session.chosen(subject.dataset))

    def choose(session: VisitorSession, event: gr.EventData) -> tuple:
        name = str(components.event_field(event, "value"))
        with components.toast():
            session.choose(name)
        return show(session, name)

    def add(path: str, session: VisitorSession) -> tuple:
        with components.toast():
            name = session.own_name(Path(path).stem[:MAX_NAME_LENGTH])
            session.keep(name, checkpoints.load(path))
        return show(session, name)

    def write_files(session: VisitorSession, name: str) -> tuple[str, dict]:
        with components.toast():
            checkpoint, page = _files(session.get(name), name)
        return checkpoint, gr.update(value=page, visible=page is not None)

    def measure_latency(session: VisitorSession, name: str) -> str:
        for models in _grouped(session).values():
            for checkpoint in models.values():
                seconds_per_image(checkpoint)
        return _list(session, name)[0]

    options = {"trigger_mode": "always_last", **components.HIDDEN_ENDPOINT}
    added = upload.upload(add, [upload, session], views, **components.HIDDEN_ENDPOINT)
    opened = shown.select(open_tab, [session, subject, name], views, **options)
    in_order = {"trigger_mode": "multiple", **components.HIDDEN_ENDPOINT}
    chosen = [part.select(choose, session, views, **in_order) for part in (table, plot)]
    for event in (opened, added, *chosen):
        event.then(write_files, [session, name], files, **options)
        event.then(measure_latency, [session, name], table, **options)


def _files(checkpoint: Checkpoint, name: str) -> tuple[str, str | None]:
    """Write a model as a checkpoint and, where one can hold it, as a page; once while they last."""
    paths = _FILES.get(checkpoint.network)
    if paths is None or not Path(paths[0]).exists():
        folder = components.download_folder()
        path = folder / f"{checkpoint.card.dataset}-{checkpoint.card.model}{checkpoints.SUFFIX}"
        checkpoints.save(path, checkpoint)
        paths = str(path), components.html_page(folder, checkpoint, name)
        _FILES[checkpoint.network] = paths
    return paths


_FILES: WeakKeyDictionary[nn.Module, tuple[str, str | None]] = WeakKeyDictionary()


def _grouped(session: VisitorSession) -> models_views.Grouped:
    return {dataset: session.all(dataset) for dataset in DATASETS}


def _list(session: VisitorSession, chosen: str) -> tuple[str, str]:
    groups = _grouped(session)
    predicting = {session.chosen(dataset) for dataset, models in groups.items() if models}
    return (
        models_views.model_list(groups, chosen, predicting),
        models_views.accuracy_plot(groups, chosen),
    )


def _endpoints(session: VisitorSession) -> None:
    def models() -> list[dict[str, object]]:
        return [
            {"name": name} | dataclasses.asdict(dataclasses.replace(checkpoint.card, history=[]))
            for models in _grouped(session).values()
            for name, checkpoint in models.items()
        ]

    def evaluation(model: str) -> dict[str, object]:
        with components.toast():
            report = evaluate_test_set(session.bundled.get(str(model)))
        reliability = report.reliability._asdict()
        return {
            "classes": report.classes,
            "accuracy": report.accuracy,
            "recall": report.recall,
            "precision": report.precision,
            "confusion_matrix": report.confusion.tolist(),
            "reliability": {name: values.tolist() for name, values in reliability.items()},
            "mistakes": report.mistakes(100).tolist(),
        }

    gr.api(
        models,
        api_name="models",
        api_description="The cards of all models of this page: `name`, data set, classes, "
        "parameters, test accuracy, calibration error, config, and the command that trains it.",
    )
    gr.api(
        evaluation,
        api_name="evaluation",
        api_description="How the `model` of that name does on its test set: `accuracy`, `recall` "
        "and `precision` per class, `confusion_matrix` (rows: true, columns: predicted), "
        "`reliability` in steps of confidence, and the indices of its most confident `mistakes`.",
        concurrency_limit=1,
        concurrency_id="evaluation",
    )
