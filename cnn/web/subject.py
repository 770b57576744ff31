"""The image that the whole page looks at: a drawing, a photograph, or a test image."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from gradio.utils import get_upload_folder
from torch import Tensor

from cnn import UserError
from cnn.data import datasets, synthetic
from cnn.data.drawings import digit_from_strokes
from cnn.data.photos import VIEWED_SIDE, open_photo, views_from_photo
from cnn.data.strokes import thin
from cnn.evaluation.report import EvaluationReport

Strokes = list[list[list[float]]]

INITIAL_DIGIT = 3
INITIAL_PHOTO = "cat"
MARGIN = 0.14  # of an example digit on the pad
EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass(frozen=True)
class Subject:
    """What a visitor drew or showed last; every tab looks at it.

    `views` is float32 (V, C, H, W) in [0, 1], for networks of the data set called `dataset`;
    `strokes` is the drawing, thinned, None for a photograph; `truth` is the class of a test image.
    An empty subject has nothing to show: the pad was cleared or the photograph removed.
    """

    dataset: str
    views: Tensor
    strokes: Strokes | None = None
    truth: str = ""
    is_empty: bool = False

    @property
    def image(self) -> Tensor:
        """The first view: (1, C, H, W)."""
        return self.views[:1]


def from_strokes(strokes: Strokes) -> Subject:
    """Make a drawing the subject, empty without strokes.

    A `UserError` says what is wrong with the strokes.
    """
    if not strokes:
        return empty_subject("mnist")
    return Subject("mnist", digit_from_strokes(strokes), thin(strokes))


def from_photo(path: str) -> Subject:
    """Make an image file the subject. A `UserError` says what is wrong with it."""
    return Subject("cifar10", views_from_photo(open_photo(path, VIEWED_SIDE), datasets.CIFAR10))


def from_request(strokes: Strokes | None, photo: object) -> Subject:
    """Make the input of an API call the subject: the uploaded photo, else the strokes."""
    return from_photo(uploaded_path(photo)) if photo else from_strokes(strokes)


def test_image(report: EvaluationReport, index: object) -> Subject:
    """Make a test image the subject, by its index in the report's test set."""
    count = len(report.labels)
    if report.images is None:
        raise UserError("The test images are not on this machine. Train once to download them.")
    if str(index) not in map(str, range(count)):
        raise UserError(f"There is no test image {index!r}. Choose from 0 to {count - 1}.")
    dataset = next(d for d in datasets.DATASETS.values() if d.classes == report.classes)
    label = report.classes[int(report.labels[int(index)])]
    return Subject(dataset.name, report.images[int(index)][None].float() / 255, truth=label)


def uploaded_path(file: object) -> str:
    """Return the path of an uploaded file. A `UserError` says that it was not uploaded.

    Gradio checks that a file was uploaded only if its `meta` says that it is a file.
    """
    with suppress(TypeError, KeyError, ValueError):
        if Path(file["path"]).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
            return file["path"]
    raise UserError("That is no uploaded file. Upload the image and give that.")


def initial_subject() -> Subject:
    """What the page looks at before a visitor does anything: an example digit."""
    return from_strokes(example_digit(INITIAL_DIGIT))


def example_digit(digit: int) -> Strokes:
    """Return the strokes of an example digit in the unit square, with a margin all around."""
    return [
        [[round(MARGIN + (1 - 2 * MARGIN) * float(at), 4) for at in point] for point in stroke]
        for stroke in synthetic.example(digit)
    ]


def example_photos() -> list[Path]:
    """List the example photographs by name."""
    return sorted(path for path in EXAMPLES.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def empty_subject(dataset: str) -> Subject:
    """What the page looks at when its input has been cleared or removed."""
    chosen = datasets.get_dataset(dataset)
    views = torch.zeros(1, chosen.channels, chosen.size, chosen.size)
    return Subject(dataset, views, [] if chosen.input == "strokes" else None, is_empty=True)
