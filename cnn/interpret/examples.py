"""One number of each kind of layer, computed in a sentence with the numbers of an image."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnn.interpret.arithmetic import softmax
from cnn.interpret.layers import Activation, side_of
from cnn.models.layers import Residual


@torch.inference_mode()
def layer_example(step: Activation) -> str:
    """Write how a layer computes the greatest number of its output, for the first image.

    Empty for a layer that no single sentence can tell.
    """
    name, layer, before, after = step.name, step.layer, step.input[0], step.output[0]
    index = tuple(int(i) for i in torch.unravel_index(after.argmax(), after.shape))
    greatest = _number(after[index])
    place = f"Unit {index[0]} of {name}"
    if len(index) == 3:
        place = f"Map {index[0]} of {name}, row {index[1]}, column {index[2]}"
    match layer:
        case nn.Conv2d() | nn.Linear():
            bias = 0.0 if layer.bias is None else layer.bias[index[0]].item()
            return (
                f"{place}: {layer.weight[0].numel():,} products sum to "
                f"{_number(after[index] - bias)}, and with the bias {_number(bias)} to {greatest}."
            )
        case nn.BatchNorm2d():
            assert layer.running_mean is not None and layer.running_var is not None
            mean, variance, weight, bias = (
                values[index[0]].item()
                for values in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
            )
            deviation = (variance + layer.eps) ** 0.5
            return (
                f"{place}: {_number(weight)} · ({_number(before[index])} − ({_number(mean)})) / "
                f"{_number(deviation)} + ({_number(bias)}) = {greatest}."
            )
        case nn.ReLU():
            share = (after == 0).float().mean().item()
            return (
                f"{place}: max(0, {_number(before[index])}) = {greatest}; elsewhere "
                f"max(0, {_number(before.min())}) = 0. Of its {after.numel():,} numbers "
                f"{100 * share:.0f} % are 0 now."
            )
        case nn.GELU():
            flat = before.flatten()
            small = flat[flat.sub(-1).abs().argmin()]
            return (
                f"{place}: {_number(before[index])} · Φ({_number(before[index])}) = {greatest}; "
                f"elsewhere {_number(small)} · Φ({_number(small)}) = "
                f"{_number(nn.functional.gelu(small))}."
            )
        case nn.MaxPool2d():
            side, stride = side_of(layer.kernel_size), side_of(layer.stride)
            top, left = index[1] * stride, index[2] * stride
            window = before[index[0], top : top + side, left : left + side].flatten()
            return f"{place}: max({', '.join(map(_number, window))}) = {greatest}."
        case nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            kind = "mean" if isinstance(layer, nn.AdaptiveAvgPool2d) else "maximum"
            return f"The {kind} of the {before[0].numel()} numbers of map {index[0]} is {greatest}."
        case Residual():
            main, shortcut = (path(step.input)[0][index] for path in (layer.main, layer.shortcut))
            return f"{place}: max(0, {_number(shortcut)} + {_number(main)}) = {greatest}."
    return ""


def logit_example(logits: Sequence[float], classes: Sequence[str]) -> str:
    """Write the two greatest logits of an image."""
    first, second = sorted(range(len(classes)), key=lambda index: -logits[index])[:2]
    return (
        f"The greatest logit now is {_number(logits[first])}, for {classes[first]}; then comes "
        f"{_number(logits[second])}, for {classes[second]}. Softmax looks at their difference, "
        f"{_number(logits[first] - logits[second])}."
    )


def softmax_example(logits: Sequence[float], classes: Sequence[str], temperature: float) -> str:
    """Write how the greatest logit of an image becomes its probability."""
    steps = softmax(tuple(logits), temperature)
    best = max(range(len(classes)), key=lambda index: logits[index])
    return (
        f"{classes[best]} has the greatest logit, so exp(0) = 1; the exponentials of all classes, "
        f"with T = {temperature:.2f}, sum to {steps.sum:.4f}, and 1 / {steps.sum:.4f} = "
        f"{steps.probabilities[best]:.4f}."
    )


def _number(value: float | Tensor) -> str:
    return f"{round(float(value), 2) + 0.0:.2f}".replace("-", "\u2212")
