"""The tab Models: every network's Card, and how one of them does on its test pictures."""

import dataclasses
import html
from pathlib import Path

import gradio as gr

from cnn.data import datasets
from cnn.evaluation.report import (
    evaluate_test_set,
    generalization_gap,
    latency,
    seconds_per_image,
    size_in_bytes,
)
from cnn.models import checkpoints
from cnn.models.checkpoints import Checkpoint, ModelCard
from cnn.plots import charts
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.tabs import models_evaluation

NETWORKS = (
    "Every network of this page with what was measured when its training was over. Press a "
    "column's head to sort by it, and a network's name to make it answer in every tab."
)
LEARNT = (
    "Each epoch shows the network all its training pictures once, often changed at random, which "
    "makes them the harder ones. Where training runs ahead of validation, it learns by heart."
)
LONGEST_NAME = 40
FAMILIES = ("mnist", "cifar10")
HEADS = (
    *("network", "pictures", "parameters", "size", "test pictures right", "tutorial's claim"),
    *("calibration error", "an answer takes"),
)


def tab(visit: gr.State, subject: gr.State) -> None:
    """Add the tab, showing the shipped networks and the visitor's own."""
    with gr.Tab("Models", id="models", elem_classes="inside") as shown:
        if not components.can_answer(visit.value.shipped, "mnist"):
            return
        name = gr.State("")
        components.heading("The networks", NETWORKS)
        table = components.pickable(elem_id="networks")
        upload = gr.UploadButton(
            "Add a network of yours", file_types=[checkpoints.SUFFIX], elem_classes="upload"
        )
        card = gr.HTML(apply_default_css=False, elem_id="card")
        components.heading("How it learnt", LEARNT)
        with gr.Row(elem_classes="pair"):
            curves = [
                components.picture(
                    f"The {measure} by epoch, for training and validation", "chart still"
                )
                for measure in ("loss", "accuracy")
            ]
        drift = gr.HTML(apply_default_css=False)
        reviewed = models_evaluation.views(visit, name, subject)
        _endpoints(visit.value)
    views = [name, table, card, *curves, drift]

    def look(visit: VisitorSession, subject: components.Subject, name: str) -> tuple:
        name = name if name in _all(visit) else visit.chosen(subject.dataset)
        return name, _table(visit, name), *_learnt(visit.named(name))

    def choose(visit: VisitorSession, event: gr.EventData) -> tuple:
        with components.toast():
            visit.choose(str(event.value))
        name = str(event.value)
        return name, _table(visit, name), *_learnt(visit.named(name))

    def clock(visit: VisitorSession, name: str) -> str:
        for network in _all(visit).values():
            seconds_per_image(network)
        return _table(visit, name)

    def add(path: str, visit: VisitorSession, subject: components.Subject) -> tuple:
        with components.toast():
            name = f"mine ({Path(path).stem[:LONGEST_NAME]})"
            visit.keep(name, checkpoints.load(path))
        return look(visit, subject, name)

    added = upload.upload(add, [upload, visit, subject], views, **components.HIDDEN_ENDPOINT)
    looked = shown.select(look, [visit, subject, name], views, **components.HIDDEN_ENDPOINT)
    picked = table.select(choose, visit, views, **components.HIDDEN_ENDPOINT)
    for done in (looked, picked, added):
        done.then(clock, [visit, name], table, **components.HIDDEN_ENDPOINT).then(**reviewed)


def _all(visit: VisitorSession) -> dict[str, Checkpoint]:
    return {name: one for family in FAMILIES for name, one in visit.all(family).items()}


def _table(visit: VisitorSession, looked_at: str) -> str:
    """A row a network, with what can be sorted by in `data-value`, as HTML."""
    answering = {visit.chosen(family) for family in FAMILIES if visit.names(family)}
    head = "".join(f"<th scope='col'><button>{name}</button></th>" for name in HEADS)
    rows = "".join(
        _row(name, network, name == looked_at, name in answering)
        for name, network in _all(visit).items()
    )
    return (
        "<div class='wide'><table class='networks'>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(name: str, network: Checkpoint, chosen: bool, answers: bool) -> str:
    card, label = network.card, html.escape(name)
    seconds = latency(network)
    cells = (
        (datasets.get_dataset(card.dataset).title,) * 2,
        (card.parameters, f"{card.parameters:,}"),
        (size := size_in_bytes(network.network), f"{size / 1e3:,.0f} kB"),
        (card.test_accuracy, f"{100 * card.test_accuracy:.2f} %"),
        (card.claim or "", f"{100 * card.claim:.2f} %" if card.claim else ""),
        (card.ece, f"{100 * card.ece:.2f} %"),
        (seconds or "", f"{1000 * seconds:.1f} ms" if seconds else "measuring"),
    )
    mark = " <small>answers</small>" * answers
    row = "".join(f"<td data-value='{value}'>{words}</td>" for value, words in cells)
    return (
        f"<tr class='{'chosen' * chosen}' data-pick='{label}'><th scope='row'>"
        f"<button aria-pressed='{str(chosen).lower()}'>{label}</button>{mark}</th>{row}</tr>"
    )


def _learnt(network: Checkpoint) -> tuple:
    """The Card in words, the curves of its training, and whether they part."""
    history = network.card.history
    if not history:
        curves = [gr.update(visible=False)] * 2
    else:
        pictures = [charts.curves(history, measure) for measure in ("loss", "accuracy")]
        curves = [gr.update(value=picture, visible=True) for picture in pictures]
    return _words(network.card), *curves, f"<p class='museum'>{generalization_gap(history)}</p>"


def _words(card: ModelCard) -> str:
    averaged = card.test_accuracy_averaged
    more = f", {100 * averaged:.2f} % as the mean over mirror images and shifts" if averaged else ""
    return (
        f"<h2>{html.escape(card.model)}</h2>"
        f"<p class='museum'>Right on {100 * card.test_accuracy:.2f} % of the test pictures of "
        f"{datasets.get_dataset(card.dataset).title}{more}. It learnt for {card.seconds:,.0f} s on "
        f"{html.escape(card.hardware)}, {html.escape(card.date[:10])}, by"
        f"{' the start of' * _stopped_early(card)}</p>"
        f"<code>{html.escape(card.command)}</code>"
    )


def _stopped_early(card: ModelCard) -> bool:
    return not card.history or card.history[-1]["step"] < card.history[-1]["steps"]


def _endpoints(visit: VisitorSession) -> None:
    def networks() -> list[dict[str, object]]:
        return [
            {"name": name} | dataclasses.asdict(dataclasses.replace(one.card, history=[]))
            for name, one in _all(visit).items()
        ]

    def review_network(network: str) -> dict[str, object]:
        with components.toast():
            found = evaluate_test_set(visit.shipped.named(str(network)))
        reliability = found.reliability._asdict()
        return {
            "classes": found.classes,
            "accuracy": found.accuracy,
            "per_class": found.per_class,
            "confusion": found.confusion.tolist(),
            "reliability": {name: values.tolist() for name, values in reliability.items()},
            "mistakes": found.mistakes(100).tolist(),
        }

    gr.api(
        networks,
        api_name="networks",
        api_description="The Cards of all networks of this page: `name`, data set, classes, "
        "parameters, test accuracy, calibration, recipe, and the command that trains it anew.",
    )
    gr.api(
        review_network,
        api_name="review",
        api_description="How the `network` of that name does on its data set's test pictures: "
        "`accuracy`, `per_class`, `confusion` (rows: what a picture is, columns: what it is taken "
        "for), `reliability` in steps of confidence, and the numbers of its surest `mistakes`. "
        "The first time takes seconds.",
        concurrency_limit=1,
        concurrency_id="review",
    )
