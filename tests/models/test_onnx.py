"""An exported network gives the same logits in other programs."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from support import learner

from cnn import UserError
from cnn.__main__ import main
from cnn.models import checkpoints, onnx
from cnn.training.config import Recipe
from cnn.training.finalize import finalize
from cnn.training.state import start

NETWORKS = {
    "resizes the images": Recipe(dataset="synthetic", model="three-conv-norm"),
    "takes the maximum of a whole feature map": Recipe(dataset="synthetic", model="airbench-quick"),
}


def _checkpoint(recipe: Recipe) -> checkpoints.Checkpoint:
    return finalize(start(recipe, learner.few(), learner.CPU))


def _require_onnx() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name)


@pytest.mark.parametrize("recipe", NETWORKS.values(), ids=NETWORKS)
def test_onnx_gives_the_same_logits_for_batches_of_any_size(recipe, tmp_path):
    _require_onnx()
    checkpoint = _checkpoint(recipe)
    checkpoints.save(tmp_path / "one.safetensors", checkpoint)
    assert main(["export", str(tmp_path / "one.safetensors"), "--format", "onnx"]) == 0
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(tmp_path / "one.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(checkpoint.card.classes)
    assert json.loads(metadata["input_range"]) == [0, 1]
    assert float(metadata["temperature"]) == checkpoint.card.temperature
    images = learner.few().test.images[:7].float() / 255
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    assert np.abs(logits - checkpoint.network(images).numpy()).max() <= 1e-4


def test_an_export_with_other_logits_is_an_error(tmp_path, monkeypatch):
    _require_onnx()
    monkeypatch.setattr(onnx, "_onnx", lambda *_, whole=onnx._onnx: whole(other, images))
    one, other = (
        _checkpoint(Recipe(dataset="synthetic", model="tiny-cnn", seed=n)) for n in (0, 1)
    )
    images = torch.rand(8, 1, 28, 28)
    with pytest.raises(UserError, match="differ in ONNX"):
        onnx.to_onnx(one, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()


def test_a_missing_onnx_is_an_error_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="`pip install onnx onnxscript onnxruntime`"):
        onnx.to_onnx(_checkpoint(learner.BRIEF), tmp_path / "one.onnx")
