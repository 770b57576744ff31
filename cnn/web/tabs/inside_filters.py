"""In the tab Inside: the first filters, and the test images that activate a filter most."""

import gradio as gr

from cnn import UserError
from cnn.interpret.layers import receptive_field
from cnn.interpret.top_activations import probe_images, top_activations
from cnn.models.checkpoints import Checkpoint
from cnn.plots import charts, grids
from cnn.web import components
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject
from cnn.web.tabs.inside_activation import NO_FILTER, SELECTED, convolution_of, selection

SEARCHING = "<p class='empty'>Looking through 2,000 test images …</p>"
QUEUE = {"concurrency_limit": 1, "concurrency_id": "top-activations"}
FILTERS = (
    "What the first convolution looks for: its filters, which training made from random numbers. "
    "Those of a photograph's three colours are shown in colour, the others from blue to orange."
)
TOP = (
    "The 9 of 2,000 test images that activate the selected filter most. The frame is the "
    "receptive field of the strongest response."
)


def views(session: gr.State, subject: gr.State) -> None:
    """Add both views; the images are those of the map selected in the picture of the network."""
    components.heading("Top activating images", TOP)
    images = components.derived("top-activations", SELECTED, value=SEARCHING)
    inputs = [subject, session]
    components.answer(images.follow, "top-activations", _top_images, inputs, images, **QUEUE)
    components.heading("Filters of the first convolution", FILTERS)
    filters = components.derived("filters")
    components.answer(filters.follow, "filters", _filters, inputs, filters)


def _filters(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    return components.render(
        "filters.html",
        version=components.event_version(event),
        source=components.inline(grids.filters(session.checkpoint(subject.dataset).network)),
    )


def _top_images(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
    checkpoint = session.checkpoint(subject.dataset)
    layer, index, *_ = selection(event)
    index = index or 0
    convolution = convolution_of(checkpoint.network, layer)
    source, text = "", NO_FILTER
    if convolution is not None:
        try:
            source, text = _strip(checkpoint, convolution, index), f"Map {index} of {convolution}"
        except UserError as error:
            text = str(error)
    version = components.event_version(event)
    return components.render("top_activations.html", version=version, source=source, text=text)


def _strip(checkpoint: Checkpoint, convolution: str, index: int) -> str:
    found = top_activations(checkpoint, convolution)
    index = min(index, len(found.images) - 1)
    images = probe_images(checkpoint).images[found.images[index]]
    field = receptive_field(checkpoint.network, convolution, images.shape[3])
    frames = [field.box(*place) for place in found.positions[index].tolist()]
    return components.inline(charts.strip(images, frames))
