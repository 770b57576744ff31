"""Commands find a few digits as every data set, and untrained networks in a folder."""

import dataclasses

import pytest
import torch
from PIL import Image
from support import learner

from cnn.data import datasets
from cnn.models import architectures, checkpoints
from cnn.training.finalize import finalize
from cnn.training.state import start


@pytest.fixture(scope="module", autouse=True)
def few_digits():
    """Every data set is a few digits, and there are as many threads as in the other tests."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load", lambda dataset, validation_size=None: learner.few())
        patch.setenv("CPU_CORES", str(threads))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with untrained networks for digits and photographs."""
    folder = tmp_path_factory.mktemp("checkpoints")
    untrained = finalize(start(learner.BRIEF, learner.few(), learner.CPU))
    torch.manual_seed(0)
    for dataset in (datasets.MNIST, datasets.CIFAR10):
        changes = {"dataset": dataset.name, "classes": dataset.classes, "ood_threshold": -1e9}
        card = dataclasses.replace(untrained.card, **changes)
        network = architectures.build("two-conv", dataset)
        path = folder / f"{dataset.name}-two-conv.safetensors"
        checkpoints.save(path, checkpoints.Checkpoint(network, card))
    return folder


@pytest.fixture(scope="module")
def image_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "an image.png"
    Image.fromarray(learner.few().test.images[1, 0].numpy()).resize((200, 200)).save(path)
    return path
