"""A network answers elsewhere as it does here."""

import importlib
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
    "brings pictures to another size": Recipe(dataset="synthetic", model="three-conv-norm"),
    "takes the largest of a whole map": Recipe(dataset="synthetic", model="quick-whitened"),
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
    images = learner.few().test.images[:7].float() / 255
    (answers,) = session.run(["logits"], {"images": images.numpy()})
    assert np.abs(answers - checkpoint.network(images).numpy()).max() <= 1e-4


def test_an_export_that_answers_otherwise_is_refused(tmp_path, monkeypatch):
    _require_onnx()
    monkeypatch.setattr(onnx, "_onnx", lambda *_, whole=onnx._onnx: whole(other, images))
    one, other = (_checkpoint(Recipe(dataset="synthetic", model="tiny", seed=n)) for n in (0, 1))
    images = torch.rand(8, 1, 28, 28)
    with pytest.raises(UserError, match="answers otherwise"):
        onnx.to_onnx(one, tmp_path / "one.onnx")
    assert not (tmp_path / "one.onnx").exists()


def test_without_onnx_one_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="`pip install onnx onnxscript onnxruntime`"):
        onnx.to_onnx(_checkpoint(learner.BRIEF), tmp_path / "one.onnx")
