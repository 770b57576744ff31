"""What the tabs share: the look, the toast for people's errors, and the panel with the answer."""

import base64
import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder
from PIL.Image import Image
from torch import Tensor

from cnn import UserError
from cnn.data import datasets, synthetic
from cnn.data.drawings import digit_from_strokes
from cnn.data.photos import open_photo, views_from_photo
from cnn.evaluation.prediction import Prediction
from cnn.evaluation.report import EvaluationReport
from cnn.models.checkpoints import ModelCard, ModelRegistry
from cnn.plots import charts, grids

ASSETS = Path(__file__).parents[2] / "assets"
HIDDEN_ENDPOINT = {"show_progress": "hidden", "api_visibility": "private"}

_GRAPHITE = gr.themes.Color(
    c50="#f6f5f2",
    c100="#e9e7e2",
    c200="#dcd9d2",
    c300="#c3c1bb",
    c400="#999ba1",
    c500="#616369",
    c600="#54565c",
    c700="#3a3c41",
    c800="#1b1d20",
    c900="#131416",
    c950="#0d0e10",
)
_VERMILION = gr.themes.Color(
    c50="#fff4f0",
    c100="#ffe4da",
    c200="#ffc7b3",
    c300="#ffa283",
    c400="#ff8356",
    c500="#ff6a3a",
    c600="#c8420f",
    c700="#a5360c",
    c800="#7c2a0b",
    c900="#5a1f09",
    c950="#331105",
)

THEME = gr.themes.Base(
    primary_hue=_VERMILION,
    secondary_hue=_GRAPHITE,
    neutral_hue=_GRAPHITE,
    font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
    font_mono=[gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="#1b1c1f",
    body_text_color_dark="#eceae6",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    background_fill_primary="*neutral_50",
    background_fill_primary_dark="*neutral_950",
    background_fill_secondary="*neutral_100",
    background_fill_secondary_dark="*neutral_800",
    block_background_fill="transparent",
    block_background_fill_dark="transparent",
    block_border_width="0px",
    block_shadow="none",
    border_color_primary="*neutral_200",
    border_color_primary_dark="#26282c",
    color_accent_soft="*neutral_100",
    color_accent_soft_dark="*neutral_800",
    button_primary_background_fill_dark="*primary_500",
    button_primary_background_fill_hover_dark="*primary_400",
    button_primary_text_color="*neutral_950",
    button_primary_text_color_dark="*neutral_950",
    button_secondary_background_fill="*neutral_100",
    button_secondary_background_fill_dark="*neutral_800",
    button_secondary_background_fill_hover="*neutral_200",
    button_secondary_background_fill_hover_dark="*neutral_700",
    checkbox_label_background_fill="*neutral_100",
    checkbox_label_background_fill_dark="*neutral_800",
    checkbox_label_background_fill_selected="*neutral_100",
    checkbox_label_background_fill_selected_dark="*neutral_800",
    link_text_color="*primary_600",
    link_text_color_dark="*primary_500",
)


Strokes = list[list[list[float]]]

OPENING = 3
MARGIN = 0.14


@dataclass(frozen=True)
class Subject:
    """What a visitor has drawn or shown last, and all tabs look at.

    `views` is float32 (V, C, H, W) in [0, 1], of the pictures of the data set of that name;
    `strokes` is the drawing, None for a photograph; `truth` is the class of a test picture.
    """

    dataset: str
    views: Tensor
    strokes: Strokes | None = None
    truth: str = ""

    @property
    def image(self) -> Tensor:
        """The first view of it: (1, C, H, W)."""
        return self.views[:1]


def drawing(strokes: Strokes) -> Subject:
    """A drawing as the subject. A `UserError` says what is wrong with the strokes."""
    return Subject("mnist", digit_from_strokes(strokes), strokes)


def photograph(path: str) -> Subject:
    """A picture file as the subject. A `UserError` says what is wrong with it."""
    photo = open_photo(path)
    return Subject("cifar10", views_from_photo(photo, datasets.CIFAR10))


def test_picture(found: EvaluationReport, number: object) -> Subject:
    """A picture of the set that a network was reviewed on as the subject, by its number there."""
    if str(number) not in map(str, range(len(found.split))):
        raise UserError(f"There is no picture {number!r}. Choose from 0 to {len(found.split) - 1}.")
    image, label = found.split[int(number)]
    family = next(one for one in datasets.DATASETS.values() if one.classes == found.classes)
    return Subject(family.name, image[None].float() / 255, truth=found.classes[label])


def given(strokes: Strokes | None, photo: object) -> Subject:
    """The subject of a call from outside: an uploaded photo, else the strokes."""
    return photograph(uploaded(photo)) if photo else drawing(strokes)


def uploaded(file: object) -> str:
    """The path of a file that a visitor gives; a `UserError` if it was not uploaded.

    gradio does not look where a file lies that leaves out to say, in its `meta`, that it is one.
    """
    with suppress(TypeError, KeyError, ValueError):
        if Path(file["path"]).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
            return file["path"]
    raise UserError("That is no uploaded file. Upload the picture and give that.")


def initial_example() -> Subject:
    """What there is to look at before a visitor has done anything: a digit of ours."""
    return drawing(sample_image(OPENING))


def sample_image(digit: int) -> Strokes:
    """One of our digits for the pad: in its unit square, with a margin all around."""
    return [
        [[round(MARGIN + (1 - 2 * MARGIN) * float(at), 4) for at in point] for point in stroke]
        for stroke in synthetic.example(digit)
    ]


def asset(name: str) -> str:
    """The text of a file in `assets/`."""
    return (ASSETS / name).read_text(encoding="utf-8")


def header() -> gr.HTML:
    """The page's name and what it is for."""
    return gr.HTML(
        f"<header class='masthead'>{asset('mark.svg')}<h1>CNN Playground</h1>"
        "<p>Draw or show something, and watch a convolutional network make up its mind.</p>"
        "</header>",
        apply_default_css=False,
    )


def footer() -> gr.HTML:
    """What is stored, and for how long."""
    return gr.HTML(
        "<p>Your pictures are deleted within the hour, what you drew and trained a quarter of an "
        "hour after you leave. Nothing is passed on.</p>",
        elem_classes="kept",
        apply_default_css=False,
    )


def heading(title: str, text: str) -> gr.HTML:
    """A view's name and its label on the wall: two sentences."""
    return gr.HTML(
        f"<h2>{html.escape(title)}</h2><p class='museum'>{html.escape(text)}</p>",
        elem_classes="heading",
        apply_default_css=False,
    )


def picture(alternative: str, kind: str) -> gr.Image:
    """A place for a picture that can be downloaded, its text alternative, and its CSS class."""
    return gr.Image(
        type="pil",
        image_mode=None,
        format="png",
        interactive=False,
        buttons=["download"],
        show_label=False,
        container=False,
        alt_text=alternative,
        elem_classes=f"picture {kind}",
    )


def inline(picture: Image) -> str:
    """A picture as a PNG inside an address, for HTML."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def pickable(**given) -> gr.HTML:
    """A place for HTML whose parts with `data-pick` can be pressed: its event is `select`."""
    return gr.HTML(js_on_load=asset("pick.js"), apply_default_css=False, **given)


def saved(picture: Image, name: str) -> str:
    """A link that saves a picture as a PNG of that name, as HTML."""
    return f"<a class='saved' download='{name}.png' href='{inline(picture)}'>save as PNG</a>"


def by_class(classes: Sequence[str], shares: Sequence[float]) -> str:
    """Each class's share of right answers in [0, 1], the worst one marked, as HTML."""
    worst = min(shares) if min(shares) < max(shares) else None
    rows = "".join(
        f"<div class='meter {'marked' * (share == worst)}' style='--share:{share:.4f}'>"
        f"<span>{html.escape(name)}</span><span class='track'><i></i></span>"
        f"<span class='percent'>{100 * share:.1f} %</span></div>"
        for name, share in zip(classes, shares, strict=True)
    )
    return f"<div class='meters'>{rows}</div>"


def tiles(found: EvaluationReport, numbers: Tensor, name: str) -> str:
    """Pictures of a review by their numbers, what each is beside what it is taken for, as HTML.

    Each can be pressed, which picks its number, and all together be saved under the name.
    """
    images, labels = found.split[numbers]
    said = zip(found.guesses[numbers].tolist(), found.confidence[numbers].tolist(), strict=True)
    captions = [
        (found.classes[label], f"{found.classes[guess]} · {math.floor(100 * share)}\u00a0%")
        for label, (guess, share) in zip(labels.tolist(), said, strict=True)
    ]
    right = (labels == found.guesses[numbers]).tolist()
    figures = "".join(
        f"<button data-pick='{number}' class='{'right' if is_right else 'wrong'}'>"
        f"<img src='{inline(charts.thumbnail(image))}' alt='{truth}, taken for {words}'>"
        f"<span>{truth}</span> <b>{words}</b></button>"
        for number, image, (truth, words), is_right in zip(
            numbers.tolist(), images, captions, right, strict=True
        )
    )
    link = saved(charts.captioned_grid(images, captions), name) if len(numbers) else ""
    return f"<div class='tiles'>{figures}</div>{link}"


def prediction_summary(subject: Subject, prediction: Prediction) -> str:
    """The subject in small beside what the network says of it, as HTML."""
    picture = grids.enlarged_image(subject.image[0])
    label, words = _in_words(prediction)
    share = f"{math.floor(prediction.probability * 1000) / 10:.1f} %" if label else ""
    truth = f"<br>It is: {html.escape(subject.truth)}." * bool(subject.truth)
    return (
        f"<div class='glance'><img alt='What is looked at' src='{inline(picture)}'>"
        f"<span class='label'>{label}</span><span class='share'>{share}</span>"
        f"<span class='words'>{words}{truth}</span></div>"
    )


def missing_message(error: UserError) -> gr.HTML:
    """Stands in a tab whose network is not there: the error, the command in it set apart."""
    return gr.HTML(inline_error(error), apply_default_css=False)


def inline_error(error: UserError) -> str:
    """What cannot be shown, and what to do, in the place where it would stand, as HTML."""
    text = re.sub(r"`(.+?)`\.?", r"<code>\1</code>", html.escape(str(error)))
    return f"<p class='missing'>{text}</p>"


def can_answer(networks: ModelRegistry, dataset: str) -> bool:
    """Whether a network answers for a data set; where none does the tab says how to make one."""
    try:
        networks.chosen(dataset, None)
    except UserError as error:
        missing_message(error)
        return False
    return True


@contextmanager
def toast() -> Iterator[None]:
    """Show a `UserError` raised inside as a toast, and nothing of any other error."""
    try:
        yield
    except UserError as error:
        message = html.escape(str(error))
        raise gr.Error(message, print_exception=False) from None


def answer_panel(card: ModelCard, before: str = "", **given) -> gr.HTML:
    """The panel that shows what a network answers, the same in every tab.

    `given` are the words of answer.html, and what else `gr.HTML` or a script should get;
    `script` follows answer.js, and `before` is the html that stands in front of the panel.
    """
    dataset = datasets.get_dataset(card.dataset)
    return gr.HTML(
        html_template=before + asset("answer.html"),
        js_on_load=asset("answer.js") + given.pop("script"),
        apply_default_css=False,
        classes=dataset.classes,
        size=dataset.size,
        source=describe_network(card),
        **given,
    )


def describe_network(card: ModelCard) -> str:
    """Say in a line which network predicts and how accurate it is."""
    return (
        f"Network {card.model}, right on {100 * card.test_accuracy:.1f} % "
        f"of the test pictures of {datasets.get_dataset(card.dataset).title}"
    )


def answer(card: ModelCard, prediction: Prediction, image: Tensor, note: str = "") -> dict:
    """What `answer.js` shows: whose answer it is, the probabilities, words, `image`'s pixels.

    `image` is (1, C, H, W) in [0, 1]; its pixels leave as a flat list of 0 to 255, row by row,
    the channels of one pixel side by side. `note` says how the picture was prepared.
    """
    label, words = _in_words(prediction)
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


def _in_words(prediction: Prediction) -> tuple[str, str]:
    if prediction.verdict == "empty":
        return "", "There is nothing to see yet."
    if prediction.verdict == "unfamiliar":
        return "", f"None of the ten, it seems. Nearest: {prediction.label}."
    if prediction.verdict == "unsure":
        return prediction.label, f"unsure, perhaps {prediction.ranked[1][0]}"
    return prediction.label, "sure"


def result(prediction: Prediction) -> dict:
    """What an endpoint returns: label, its probability, the verdict, every class's probability."""
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "verdict": prediction.verdict,
        "probabilities": dict(zip(prediction.classes, prediction.probabilities, strict=True)),
    }
