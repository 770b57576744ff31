"""Networks in plain words, for the page."""

import inspect

from cnn.models.architectures import MODELS

DESCRIPTIONS = {
    "two-conv": "two convolutions",
    "three-conv": "three convolutions and a hidden layer",
    "three-conv-norm": "three convolutions with batch norm and a hidden layer",
    "two-conv-dropout": "two convolutions, a hidden layer and dropout",
    "three-conv-wide": "three convolutions and a wide hidden layer",
    "vgg": "a small VGG: six convolutions in pairs, with batch norm",
    "resnet-20": "a residual network of twenty layers",
    "four-conv-norm": "four convolutions with batch norm",
    "six-conv-norm": "six convolutions with batch norm",
    "tiny-cnn": "five narrow convolutions with batch norm",
    "airbench": "whitening and six convolutions with batch norm (airbench)",
    "airbench-small": "whitening and six narrower convolutions (airbench)",
    "small-cnn": "two convolutions and a hidden layer, for runs of seconds",
    "airbench-quick": "whitening and four convolutions, for runs of seconds",
}


def describe(model: str) -> str:
    """Describe a network of that name in a few words; one of somebody's own by its docstring."""
    if model in DESCRIPTIONS:
        return DESCRIPTIONS[model]
    text = inspect.getdoc(MODELS[model]) if model in MODELS else None
    return text.partition("\n")[0].rstrip(".") if text else model
