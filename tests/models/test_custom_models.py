"""Networks of one's own are imported where a person names them, and nowhere else."""

import pytest
import torch
from PIL import Image
from support.commands import lines, run
from torch import nn

from cnn import UserError
from cnn.data import datasets
from cnn.models import checkpoints, custom
from cnn.models.architectures import MODELS, build, register_model

CODE = """
from torch import nn
def tiny(dataset):
    pixels = dataset.channels * dataset.size**2
    return nn.Sequential(
        nn.Conv2d(dataset.channels, 4, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(pixels // dataset.channels * 4, len(dataset.classes)),
    )
def list_of_layers(dataset): return [nn.Flatten()]
def two_classes(dataset): return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
def broken(dataset): raise RuntimeError("no idea")
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A folder, the current one, with a module of networks; what it registers is gone after."""
    (tmp_path / "own_networks.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known_models, known_datasets = dict(MODELS), dict(datasets.DATASETS)
    yield tmp_path
    for names, known in ((MODELS, known_models), (datasets.DATASETS, known_datasets)):
        names.clear()
        names.update(known)


def test_a_network_is_imported_by_its_name(code):
    custom.load_model("own_networks:tiny")
    network = build("own_networks:tiny", datasets.CIFAR10)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_a_decorated_function_is_a_network(code):
    @register_model
    def tiny(dataset):
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    name = next(name for name in MODELS if name.endswith("tiny") and ":" in name)
    assert name.startswith(f"{__name__}:")
    assert len(build(name, datasets.MNIST)) == 2


@pytest.mark.parametrize("name", ["nowhere:tiny", "own_networks:nothing", ":", "own_networks:"])
def test_a_network_that_cannot_be_imported_is_an_error(code, name):
    with pytest.raises(UserError, match="cannot be imported"):
        custom.load_model(name)


@pytest.mark.parametrize("name", ["list_of_layers", "two_classes", "broken"])
def test_a_function_that_returns_no_network_for_the_data_set_is_an_error(code, name):
    custom.load_model(f"own_networks:{name}")
    with pytest.raises(UserError, match="cannot be built for MNIST"):
        build(f"own_networks:{name}", datasets.MNIST)


def test_every_command_works_with_a_network_and_data_of_ones_own(code, monkeypatch):
    for label, grey in enumerate((40, 200)):
        (code / "shades" / f"{label}").mkdir(parents=True)
        for number in range(30):
            Image.new("L", (16, 16), grey + number).save(code / "shades" / f"{label}/{number}.png")
    words = ["--dataset", "shades", "--model", "own_networks:tiny", "--batch-size", "10"]
    *_, done = lines("train", *words, "--epochs", "20", "--output", "own.safetensors")
    assert done["test_accuracy"] == 1
    card = checkpoints.read_card("own.safetensors")
    assert (card.dataset, card.model, card.classes) == ("shades", "own_networks:tiny", ("0", "1"))
    assert "--dataset shades --model own_networks:tiny" in card.command
    (evaluated,) = lines("evaluate", "own.safetensors")
    assert evaluated["accuracy"] == 1
    (predicted,) = lines("predict", "shades/1/0.png", "--checkpoint", "own.safetensors")
    assert predicted["label"] == "1"
    *_, summary = lines("sweep", *words, "--epochs", "1", "--output", "sweep.csv")
    assert summary["runs"] == 1


def test_a_checkpoint_does_not_import_the_code_that_it_names(code, monkeypatch):
    words = ["--dataset", "synthetic", "--model", "own_networks:tiny", "--epochs", "0.01"]
    lines("train", *words, "--output", "own.safetensors")
    del MODELS["own_networks:tiny"]
    code_, _, err = run("evaluate", "own.safetensors")
    assert code_ == 2 and "CNN_MODELS=own_networks:tiny" in err
    monkeypatch.setenv("CNN_MODELS", "own_networks:tiny")
    assert lines("evaluate", "own.safetensors")[0]["model"] == "own_networks:tiny"
