"""What the tabs share: templates, headings, places for images, toasts, the prediction panel."""

import base64
import functools
import html
import io
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
from gradio.events import Dependency
from gradio.utils import get_upload_folder
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL.Image import Image
from torch import Tensor

from cnn import UserError
from cnn.data import datasets
from cnn.evaluation.percentages import percent, percentages
from cnn.evaluation.prediction import Prediction, predict
from cnn.evaluation.report import EvaluationReport
from cnn.interpret.layers import first_maps
from cnn.models.checkpoints import Checkpoint, ModelCard, ModelRegistry
from cnn.models.descriptions import describe
from cnn.models.html import write_html
from cnn.plots import charts, grids
from cnn.web.server import cleanup
from cnn.web.session import VisitorSession
from cnn.web.subject import Subject

ASSETS = Path(__file__).parents[2] / "assets"
HIDDEN_ENDPOINT = {"show_progress": "hidden", "api_visibility": "private"}
# What dock.js should know: the input or the network changes, and then that the server knows it.
CHANGED = "(...values) => { cnn.changed(); return values; }"
SETTLED = "() => cnn.settled()"
TEST_IMAGE_SHOWN = "() => { cnn.changed(); cnn.showInput('test'); cnn.settled(); }"
NETWORK_CHOSEN = "() => { cnn.changed(); dispatchEvent(new Event('linkopened')); }"
STRIP_MAPS = 8  # of each activation, below the pad and the photograph
TRAINING_BEGUN = "() => cnn.setTraining(true)"
TRAINING_ENDED = "() => cnn.setTraining(false)"
LATEST = {"trigger_mode": "always_last", **HIDDEN_ENDPOINT}


@functools.cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "signed": signed,
        "percent": percent,
        "percentages": percentages,
        "shape": shape,
    }
    return environment


def render(template: str, **context: object) -> str:
    """Render a Jinja2 template of `assets/` to HTML; every value is escaped."""
    return _templates().get_template(template).render(context)


def signed(value: float, decimals: int = 2) -> str:
    """Format a number with a true minus sign and no negative zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\u2212")


def shape(sizes: Sequence[int]) -> str:
    """Format a shape: 32 x 14 x 14."""
    return " \u00d7 ".join(map(str, sizes))


def asset(name: str) -> str:
    """Return the text of a file in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


STYLES = (
    "page.css",
    "prediction.css",
    "photo.css",
    "probabilities.css",
    "network.css",
    "models.css",
    "train.css",
    "examples.css",
    "print.css",
)
SCRIPTS = ("dock.js", "combobox_tab_fix.js")


def head() -> str:
    """Return the page's styles and scripts; Gradio would rewrite styles given as `css`."""
    description = (
        "Draw a digit or show a photograph, watch a convolutional network decide, look inside it, "
        "and train one in under a minute."
    )
    return (
        f'<meta name="description" content="{description}">'
        f"<style>{''.join(map(asset, STYLES))}</style>"
        f"<script>{''.join(map(asset, SCRIPTS))}</script>"
    )


def input_switch() -> gr.HTML:
    """Show the choice between the drawing and the photograph, where the input is docked."""
    return gr.HTML(asset("input_switch.html"), apply_default_css=False, elem_classes="switcher")


def header() -> gr.HTML:
    """Show the page's name and what it is for."""
    return gr.HTML(render("header.html"), apply_default_css=False)


def footer() -> gr.HTML:
    """Say what is stored, and for how long."""
    return gr.HTML(
        "<p>Your images and files are deleted within the hour; what the network sees of them, your "
        "drawings and networks fifteen minutes after you leave. Nothing is passed on.</p>",
        elem_classes="privacy",
        apply_default_css=False,
    )


def heading(title: str, text: str) -> gr.HTML:
    """Show a view's title and a sentence or two below it."""
    return gr.HTML(
        f"<h2>{html.escape(title)}</h2><p class='caption'>{html.escape(text)}</p>",
        elem_classes="heading",
        apply_default_css=False,
    )


def caption(text: str) -> gr.HTML:
    """Show a sentence or two without a title."""
    return gr.HTML(f"<p class='caption'>{html.escape(text)}</p>", apply_default_css=False)


def image_html(image: Image, description: str) -> str:
    """Return an image with its text alternative, as HTML; a `gr.Image` writes each one to disk."""
    return f"<img src='{inline(image)}' alt='{html.escape(description)}'>"


def inline(image: Image, format_: str = "PNG") -> str:
    """Return an image, as PNG or JPEG, in a data URL."""
    buffer = io.BytesIO()
    image.save(buffer, format_)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/{format_.lower()};base64,{data}"


def pickable(**properties) -> gr.HTML:
    """Make room for HTML whose elements with `data-pick` can be pressed: event `select`."""
    return gr.HTML(js_on_load=asset("table.js"), apply_default_css=False, **properties)


def answer(
    event: Callable, kind: str, function: Callable, inputs: object, outputs: object, **options
) -> Dependency:
    """Let Python answer questions of a kind, which a script asks one at a time by `cnn.ask`.

    Returns the answered event, for what is to follow it.
    """
    answered = event(
        function, inputs, outputs, trigger_mode="multiple", **HIDDEN_ENDPOINT, **options
    )
    for end in (answered.then, answered.failure):
        end(None, js=f"() => cnn.answered('{kind}')", **HIDDEN_ENDPOINT)
    return answered


def derived(identifier: str, script: str = "", **properties) -> gr.HTML:
    """Make room for HTML derived from the subject. Its event `follow` asks for it, with the
    `version` that the HTML must carry in `data-version`."""
    return gr.HTML(
        js_on_load=asset("follow.js") + script,
        apply_default_css=False,
        elem_id=identifier,
        elem_classes="derived",
        kind=identifier,
        **properties,
    )


def test_image_panel(session: gr.State, subject: gr.State) -> None:
    """Show the test image that is the subject with its prediction, in the dock."""

    def follow(subject: Subject, session: VisitorSession, event: gr.EventData) -> str:
        prediction = predict(session.checkpoint(subject.dataset), subject.views)
        label, words = prediction_in_words(prediction)
        return render(
            "test_image.html",
            version=event_version(event),
            source=inline(grids.enlarged_image(subject.image[0])),
            truth=subject.truth,
            label=label,
            probability=prediction.probability,
            words=words,
        )

    panel = derived("test-image")
    answer(panel.follow, "test-image", follow, [subject, session], panel)


def event_version(event: gr.EventData) -> int:
    """Return the version that a `follow` event asks for."""
    version = event_field(event, "version")
    return version if isinstance(version, int) else 0


def event_field(event: gr.EventData, name: str) -> object:
    """Return a field of what a script sent with an event, None if it sent none of that name."""
    return event._data.get(name) if isinstance(event._data, dict) else None


def html_page(folder: Path, checkpoint: Checkpoint, name: str) -> str | None:
    """Write a network into a folder as a page, digits.html; None where no page can hold it."""
    path = folder / "digits.html"
    try:
        write_html(path, checkpoint, name)
    except UserError:
        return None
    return str(path)


def feature_map_strip(checkpoint: Checkpoint, image: Tensor, version: int | None = None) -> str:
    """Return the first maps of each activation of an image (1, C, H, W), as HTML for strip.js."""
    maps = [
        (name, list(shape), base64.b64encode(levels.numpy().tobytes()).decode())
        for name, shape, levels in first_maps(checkpoint.network, image, STRIP_MAPS)
    ]
    return render("strip.html", maps=STRIP_MAPS, layers=maps, version=version)


def download_link(image: Image, name: str) -> str:
    """Return a link, as HTML, that saves an image as a PNG of that name."""
    return (
        f"<a class='download' download='{html.escape(name)}.png' href='{inline(image)}'>"
        "save as PNG</a>"
    )


def tiles(report: EvaluationReport, indices: Tensor, name: str) -> str:
    """Show test images by index, true class beside predicted class, as HTML.

    A press on a tile picks its index; all together can be saved under `name`.
    """
    labels, predictions = report.labels[indices], report.predictions[indices]
    rows = [
        {
            "index": index,
            "source": inline(charts.thumbnail(report.images[index])),
            "true": report.classes[label],
            "predicted": f"{report.classes[predicted]} · {percent(confidence, 0)}",
            "correct": label == predicted,
        }
        for index, label, predicted, confidence in zip(
            indices.tolist(),
            labels.tolist(),
            predictions.tolist(),
            report.confidence[indices].tolist(),
            strict=True,
        )
    ]
    captions = [(row["true"], row["predicted"]) for row in rows]
    link = download_link(charts.captioned_grid(report.images[indices], captions), name)
    return render("tiles.html", tiles=rows) + link * bool(rows)


def inline_error(error: UserError) -> str:
    """Return what cannot be shown, and what to do about it, as HTML for the place where it
    would stand, the command in the message set apart."""
    text = re.sub(r"`(.+?)`\.?", r"<code>\1</code>", html.escape(str(error)))
    return f"<p class='missing'>{text}</p>"


def can_predict(networks: ModelRegistry, dataset: str) -> bool:
    """Tell whether there is a network for a data set; where not, the tab says how to make one."""
    try:
        networks.get_or_default(dataset)
    except UserError as error:
        gr.HTML(inline_error(error), apply_default_css=False)
        return False
    return True


@contextmanager
def toast() -> Iterator[None]:
    """Show a `UserError` or an `OSError` raised inside as a toast, and nothing of any other."""
    try:
        yield
    except (UserError, OSError) as error:
        raise gr.Error(_sentence(error), print_exception=False) from None


@contextmanager
def warning() -> Iterator[None]:
    """Show what `toast` does, but go on with what comes after."""
    try:
        yield
    except (UserError, OSError) as error:
        gr.Warning(_sentence(error))


def _sentence(error: UserError | OSError) -> str:
    if isinstance(error, UserError):
        return html.escape(str(error))
    logging.getLogger(__name__).warning("%s", error)
    return "The server could not write or read a file: its disk may be full. Try again in a minute."


def download_folder() -> Path:
    """Make a folder for files to download. A `UserError` says that the disk is full.

    Gradio copies the files, and says nothing where it cannot.
    """
    uploads = Path(get_upload_folder())
    if cleanup.disk_is_full(uploads):
        raise UserError("The server's disk is full. Try again in a few minutes.")
    return Path(tempfile.mkdtemp(prefix="cnn-", dir=uploads))


def prediction_panel(card: ModelCard, before: str = "", **properties) -> gr.HTML:
    """Build the panel that shows what a network predicts, the same for drawings and photos.

    `properties` are the words of prediction.html, and what else `gr.HTML` or a script needs;
    `script` follows prediction.js, and `before` is the HTML in front of the panel.
    """
    dataset = datasets.get_dataset(card.dataset)
    return gr.HTML(
        html_template=before + asset("prediction.html"),
        js_on_load=asset("percentages.js") + asset("prediction.js") + properties.pop("script"),
        apply_default_css=False,
        classes=dataset.classes,
        size=dataset.size,
        source=describe_network(card),
        **properties,
    )


def describe_network(card: ModelCard) -> str:
    """Say in a line which network predicts, how large it is and how accurate."""
    return (
        f"{card.model}, {describe(card.model)}: {card.parameters:,} parameters, "
        f"{percent(card.test_accuracy_tta or card.test_accuracy)} of the test images of "
        f"{datasets.get_dataset(card.dataset).title} correct"
    )


def prediction_message(
    card: ModelCard, prediction: Prediction, image: Tensor, note: str = ""
) -> dict:
    """Return what prediction.js shows: the network, the probabilities, words, `image`'s pixels.

    `image` is (1, C, H, W) in [0, 1]; its pixels leave as a flat list of 0 to 255, row by row,
    the channels of one pixel side by side. `note` says how the image was prepared.
    """
    label, words = prediction_in_words(prediction)
    pixels = image[0].permute(1, 2, 0).mul(255).round().byte().flatten().tolist()
    return {
        "probabilities": list(prediction.probabilities),
        "verdict": prediction.verdict,
        "label": label,
        "words": words,
        "pixels": pixels,
        "note": note,
        "source": describe_network(card),
    }


def prediction_in_words(prediction: Prediction) -> tuple[str, str]:
    """Return the label to show, empty where none is, and the words beside it."""
    if prediction.verdict == "blank":
        return "", "There is nothing to see yet."
    if prediction.verdict == "out_of_distribution":
        return "", f"None of the ten, it seems. Closest: {prediction.label}."
    if prediction.verdict == "uncertain":
        return prediction.label, f"uncertain, perhaps {prediction.ranked[1][0]}"
    return prediction.label, "confident"


def prediction_result(prediction: Prediction) -> dict:
    """Return what an endpoint returns: label, probability, verdict, each class's probability."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "verdict": prediction.verdict,
        "probabilities": dict(zip(prediction.classes, prediction.probabilities, strict=True)),
    }
