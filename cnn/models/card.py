"""The model card: what is known of a trained network, checked field by field when it is read."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cnn.data import datasets

FORMAT_VERSION = 2  # of checkpoint files; those of version 1 did not say so
MAX_EPOCHS = 500  # rows of a history
HISTORY_KEYS = (
    *("epoch", "step", "steps", "seconds"),
    *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
)
LIMIT = 1e15  # magnitude of a number that has no range of its own

TTA = Literal["none", "flip", "flip+translate"]
OodScore = Literal["energy"]


def _between(low: float, high: float, **default: Any) -> Any:
    return field(metadata={"range": (low, high)}, **default)


def _fraction(**default: Any) -> Any:
    return _between(0, 1, **default)


def _positive(**default: Any) -> Any:
    return _between(0, LIMIT, **default)


def _text(longest: int, **default: Any) -> Any:
    return field(metadata={"longest": longest}, **default)


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Describes a trained network: what it is, how it was trained, how good it is.

    Accuracies, calibration errors (`ece`) and AUROCs lie in [0, 1]; losses are mean cross
    entropies in nats; `train_seconds` counts training alone. `test_accuracy` is that of single
    images and `test_accuracy_tta` that of the test-time augmentation named `tta`, None for "none".
    `temperature`, `ece`, `ood_threshold` and `ood_auroc` hold for logits in the mode `tta`.
    `ood_score` names the score of logits below whose `ood_threshold` an image counts as
    out of distribution; `ood_fitted_on` says on which images the threshold was set. `config` is
    the recipe, `reference_accuracy` what its source reports.
    """

    dataset: str = _text(200)
    model: str = _text(400)
    classes: tuple[str, ...]
    parameters: int = _positive()
    config: dict[str, Any]
    seed: int = _between(0, 2**63 - 1)
    train_accuracy: float = _fraction()
    train_loss: float = _positive()
    validation_accuracy: float = _fraction()
    test_accuracy: float = _fraction()
    test_accuracy_tta: float | None = _fraction()
    test_loss: float = _positive()
    tta: TTA
    ece: float = _fraction()
    ece_uncalibrated: float = _fraction()
    temperature: float = _between(0.01, 100)
    ood_score: OodScore
    ood_threshold: float = _between(-LIMIT, LIMIT)
    ood_fitted_on: str = _text(200)
    ood_auroc: dict[str, float] = _fraction()
    train_seconds: float = _positive()
    hardware: str = _text(200)
    device: str = _text(40)
    precision: str = _text(40)
    versions: dict[str, str] = _text(80)
    date: str = _text(40)
    command: str = _text(20_000)
    is_default: bool = False
    reference_accuracy: float | None = _fraction(default=None)
    interrupted: bool = False
    history: list[dict[str, float]] = _between(-LIMIT, LIMIT, default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON can hold it, with `format_version`.

        Of a history of more than 500 epochs it keeps evenly spaced ones, the last among them.
        """
        count = len(self.history)
        kept: Sequence[int] = range(count)
        if count > MAX_EPOCHS:
            kept = [(row + 1) * count // MAX_EPOCHS - 1 for row in range(MAX_EPOCHS)]
        history = [self.history[row] for row in kept]
        return {"format_version": FORMAT_VERSION, **asdict(self), "history": history}

    @classmethod
    def from_dict(cls, values: object) -> "ModelCard":
        """Build a card from JSON, each field checked. A ValueError says which is wrong, and how."""
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
        version = values.get("format_version", 1)
        if version != FORMAT_VERSION:
            raise ValueError(f"it has the format {version!r} and not {FORMAT_VERSION}")
        expected = [item.name for item in fields(cls)]
        if mismatched := set(expected) ^ (values.keys() - {"format_version"}):
            raise ValueError(f"{min(mismatched)} is missing or unknown")
        hints = get_type_hints(cls)
        card = {}
        for item in fields(cls):
            value = values[item.name]
            if get_origin(hints[item.name]) is tuple and isinstance(value, list):
                value = tuple(value)
            if not _fits(value, hints[item.name], item.metadata):
                raise ValueError(f"{item.name} is not what it must be")
            card[item.name] = value
        if card["dataset"] not in datasets.DATASETS:
            raise ValueError(
                f"it names an unknown data set, {card['dataset']!r}; one of your own is named in "
                "the environment variable CNN_DATASETS"
            )
        if card["classes"] != datasets.DATASETS[card["dataset"]].classes:
            raise ValueError("classes are not those of its data set")
        if len(card["history"]) > MAX_EPOCHS:
            raise ValueError("history is too long")
        if not all(row.keys() >= set(HISTORY_KEYS) for row in card["history"]):
            raise ValueError("history lacks figures")
        return cls(**card)


def _fits(value: object, hint: Any, metadata: Any) -> bool:
    """Whether a value, and all that it holds, has its type and lies in its range."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is UnionType:
        return any(_fits(value, option, metadata) for option in get_args(hint))
    if origin in (list, tuple):
        inner = get_args(hint)[0]
        if not isinstance(value, list | tuple) or type(value) is not origin:
            return False
        return all(_fits(item, inner, metadata) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            len(key) <= 80 and _fits(item, get_args(hint)[1], metadata)
            for key, item in value.items()
        )
    if hint is str:
        return isinstance(value, str) and len(value) <= metadata.get("longest", 200)
    if hint is int or hint is float:
        low, high = metadata["range"]
        kinds = (int,) if hint is int else (int, float)
        return type(value) in kinds and low <= value <= high  # which NaN is not
    return hint is Any or isinstance(value, hint)
