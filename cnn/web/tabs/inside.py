"""The tab Inside: the network as a picture, one activation computed, attribution, architecture."""

import base64
import dataclasses

import gradio as gr
import torch
from gradio import FileData
from torch import Tensor, nn

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation import prediction as predictions
from cnn.evaluation.prediction import predict
from cnn.interpret import attribution, examples
from cnn.interpret import layers as layers_of
from cnn.interpret.attribution import METHODS
from cnn.interpret.layers import activations, summarize
from cnn.models import layers
from cnn.models.checkpoints import Checkpoint, ModelRegistry
from cnn.plots import grids
from cnn.web import components
from cnn.web import subject as subjects
from cnn.web.session import VisitorSession
from cnn.web.subject import Strokes, Subject
from cnn.web.tabs import inside_activation, inside_attribution, inside_filters

STRONGEST = 6  # maps of each layer in the picture of the network
NETWORK = (
    "A column per layer, from the input to the classes: its shape and its strongest feature maps. "
    "Press a layer for all its maps, a map to see how its numbers are computed, and ? for what its "
    "kind of layer does."
)
SECTIONS = {
    "layers": "Layers",
    "trace": "Trace to the output",
    "attribution": "Attribution",
    "filters": "Filters",
    "architecture": "Architecture",
}
ARCHITECTURE = (
    "What leaves each layer for one image, and what it costs. Most parameters and most "
    "multiply-adds seldom stand in the same layer."
)
GIVE = (
    "Give `strokes` (lists of [x, y] points, y down) or a `photo`, and the name of a `network`, "
    "else the default one predicts."
)
KINDS = {  # what a layer is called, and which of the explanations is about it
    nn.Conv2d: "convolution",
    nn.BatchNorm2d: "batch norm",
    nn.ReLU: "ReLU",
    nn.GELU: "GELU",
    nn.MaxPool2d: "pooling",
    nn.AdaptiveMaxPool2d: "pooling",
    nn.AdaptiveAvgPool2d: "pooling",
    nn.Linear: "dense",
}
UNSEEN = (nn.Dropout, nn.Flatten, layers.Normalize, layers.ToColor32)  # no column of their own


def tab(session: gr.State, subject: gr.State) -> None:
    """Add the tab, looking into the visitor's chosen network at the visitor's subject."""
    with gr.Tab("Inside", id="inside", elem_classes="inside"):
        bundled = session.template.bundled
        if not components.can_predict(bundled, "mnist"):
            return
        gr.HTML(
            components.render("sections.html", sections=SECTIONS),
            js_on_load=components.asset("sections.js"),
            apply_default_css=False,
            elem_classes="sections-bar",
        )
        with gr.Column(elem_classes="section section-layers"):
            components.heading("Layers and feature maps", NETWORK)
            _network(session, subject)
        with gr.Column(elem_classes="section section-trace"):
            inside_activation.trace_view(session, subject)
        with gr.Column(elem_classes="section section-attribution"):
            inside_attribution.view(session, subject)
        with gr.Column(elem_classes="section section-filters"):
            inside_filters.views(session, subject)
        with gr.Column(elem_classes="section section-architecture"):
            components.heading("Architecture", ARCHITECTURE)
            table = components.derived("architecture")
            inputs = [subject, session]
            components.answer(table.follow, "architecture", _architecture, inputs, table)
        _endpoints(bundled)


def _network(session: gr.State, subject: gr.State) -> None:
    """Add the picture of the network, all maps of a layer, and one activation beside them."""
    network = components.derived(
        "network",
        components.asset("colors.js") + components.asset("network.js"),
        html_template=components.asset("network.html"),
    )
    with gr.Row(elem_classes="map-views"):
        gr.HTML(
            "<section class='layer-maps' aria-label='All maps of the selected layer'>"
            "<h3></h3><div class='maps'></div></section>",
            apply_default_css=False,
        )
        inside_activation.view(session, subject)
    gr.HTML(components.render("explanations.html"), apply_default_css=False)
    components.answer(network.follow, "network", _network_message, [subject, session], network)


def _network_message(subject: Subject, session: VisitorSession, event: gr.EventData) -> dict:
    """Describe every layer with its strongest maps, and all maps of the selected one."""
    checkpoint = session.checkpoint(subject.dataset)
    steps = [
        step
        for step in activations(checkpoint.network, subject.image)
        if not isinstance(step.layer, (*UNSEEN, layers.Scale))
    ]
    with_maps = [step.name for step in steps if step.output.dim() == 4]
    selected = components.event_field(event, "layer")
    selected = selected if selected in with_maps else with_maps[0]
    columns = [_column("input", "input", subject.image[0], STRONGEST)]
    for step in steps:
        kind = KINDS.get(type(step.layer), "block")
        count = None if step.name == selected else STRONGEST
        column = _column(step.name, kind, step.output[0].float(), count)
        columns.append(column | {"example": examples.layer_example(step)})
    return {
        "version": components.event_version(event),
        "empty": subject.is_empty,
        "network": session.chosen(subject.dataset),
        "layers": columns,
        "selected": selected,
        "strongest": STRONGEST,
        "output": _output(checkpoint, subject),
    }


def _output(checkpoint: Checkpoint, subject: Subject) -> dict:
    """Describe the classes: logits, probabilities, and an example of each."""
    card = checkpoint.card
    logits = predictions.logits(checkpoint, subject.views).tolist()
    return {
        "classes": list(card.classes),
        "logits": logits,
        "probabilities": list(predict(checkpoint, subject.views).probabilities),
        "examples": {
            "logit": examples.logit_example(logits, card.classes),
            "softmax": examples.softmax_example(logits, card.classes, card.temperature),
        },
    }


def _column(name: str, kind: str, values: Tensor, count: int | None) -> dict:
    """Describe a layer: `maps` are its `channels`, the strongest first, as bytes about 128."""
    largest = values.abs().max().clamp(min=1e-12)
    is_map = values.dim() == 3
    strengths = values.amax((1, 2)) if is_map else values
    order = strengths.argsort(descending=True)[:count] if is_map else torch.arange(len(values))
    levels = (values[order] / largest * 127 + 128).round().clamp(0, 255).byte()
    return {
        "name": name,
        "kind": kind,
        "shape": list(values.shape),
        "signed": bool(values.min() < 0),
        "largest": largest.item(),
        "channels": order.tolist(),
        "maps": base64.b64encode(levels.contiguous().numpy().tobytes()).decode(),
    }


def _architecture(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    stages = summarize(session.checkpoint(subject.dataset).network, subject.image)
    totals = [sum(getattr(s, cost) for s in stages) for cost in ("parameters", "multiply_adds")]
    largest = [
        max(*(getattr(s, cost) for s in stages), 1) for cost in ("parameters", "multiply_adds")
    ]
    return components.render(
        "architecture.html",
        version=components.event_version(event),
        stages=stages,
        totals=totals,
        largest=largest,
    )


def _endpoints(networks: ModelRegistry) -> None:
    def feature_maps(
        stage: str,
        strokes: Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[list[float]]]:
        with components.toast():
            subject = subjects.from_request(strokes, photo)
            checkpoint = networks.get_or_default(subject.dataset, network)[1]
            maps = dict(layers_of.feature_maps(checkpoint.network, subject.image))
            if str(stage) not in maps:
                raise UserError(f"There is no layer called {stage!r}. Choose: {', '.join(maps)}.")
        return maps[str(stage)].tolist()

    def attribution_of(
        label: str,
        method: str = "grad-cam",
        strokes: Strokes | None = None,
        photo: FileData | None = None,
        network: str | None = None,
    ) -> list[list[float]]:
        with components.toast():
            subject = subjects.from_request(strokes, photo)
            checkpoint = networks.get_or_default(subject.dataset, network)[1]
            return _attribute(checkpoint, subject, str(method), label).tolist()

    def network_stages(network: str) -> list[dict[str, object]]:
        with components.toast():
            checkpoint = networks.get(str(network))
        dataset = datasets.get_dataset(checkpoint.card.dataset)
        image = torch.zeros(1, dataset.channels, dataset.size, dataset.size)
        return [dataclasses.asdict(s) for s in summarize(checkpoint.network, image)]

    def filters(network: str) -> list:
        with components.toast():
            checkpoint = networks.get(str(network))
        return grids.first_conv(checkpoint.network).weight.tolist()

    methods = ", ".join(METHODS)
    for name, function, text in (
        (
            "feature_maps",
            feature_maps,
            f"What leaves the layer `stage` for an image, by map, row and column. {GIVE}",
        ),
        (
            "attribution",
            attribution_of,
            "How much each pixel contributes to the class `label`, by row and column: positive "
            f"for and negative against. `method` is one of {methods}. {GIVE}",
        ),
        (
            "network_stages",
            network_stages,
            "The layers of the network of that name: what each is, the shape of what leaves it, "
            "its parameters, and its multiply-adds for one image.",
        ),
        (
            "filters",
            filters,
            "The weights of a network's first filters, by filter, channel, row and column.",
        ),
    ):
        gr.api(function, api_name=name, api_description=text)


def _attribute(checkpoint: Checkpoint, subject: Subject, method: str, label: str) -> Tensor:
    classes = checkpoint.card.classes
    if label not in classes:
        raise UserError(f"There is no class called {label!r}. Choose: {', '.join(classes)}.")
    index = classes.index(label)
    return attribution.attribute(checkpoint.network, subject.image, method, index)
