"""`predict` and `evaluate` choose networks, and one bad input does not end the others."""

import json
import os
import shutil

import pytest
from PIL import Image
from support.commands import lines, run

from cnn.evaluation import prediction
from cnn.evaluation.prediction import Prediction


@pytest.fixture
def two_of_a_name(image_file, tmp_path):
    """Two different images called x.png, in two folders."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    Image.open(image_file).save(tmp_path / "a" / "x.png")
    Image.open(image_file).rotate(90).save(tmp_path / "b" / "x.png")
    return tmp_path / "a" / "x.png", tmp_path / "b" / "x.png"


def test_figures_of_images_of_one_name_do_not_replace_each_other(folder, two_of_a_name, tmp_path):
    figures = tmp_path / "figures"
    lines("predict", *two_of_a_name, "--checkpoints", folder, "--figures", figures)
    names = {path.name for path in figures.iterdir()}
    assert {"x-cifar10-filters.png", "x-2-cifar10-filters.png"} <= names
    first, second = (figures / f"{name}-cifar10-maps-1-conv1.png" for name in ("x", "x-2"))
    assert first.read_bytes() != second.read_bytes()


def test_an_image_that_cannot_be_read_does_not_end_the_others(folder, image_file, tmp_path):
    (tmp_path / "broken.png").write_text("not an image")
    words = ["predict", tmp_path / "broken.png", image_file, "--checkpoints", folder, "--json"]
    code, out, err = run(*words)
    error, *predictions = map(json.loads, out.splitlines())
    assert code == 2
    assert error["image"].endswith("broken.png") and error["error"] in err
    assert [line["dataset"] for line in predictions] == ["mnist", "cifar10"]


def test_a_prediction_uses_the_checkpoint_or_the_model_asked_for(folder, image_file):
    path = folder / "mnist-two-conv.safetensors"
    (by_file,) = lines("predict", image_file, "--checkpoint", path)
    (by_name,) = lines("predict", image_file, "--model", "mnist-two-conv", "--checkpoints", folder)
    assert by_file == by_name
    assert by_file["checkpoint"] == str(path)
    code, _, err = run("predict", image_file, "--model", "mnist-two", "--checkpoints", folder)
    assert code == 2 and "mnist-two-conv" in err


def test_an_ensemble_averages_the_networks_of_a_data_set(folder, image_file, tmp_path):
    for path in folder.glob("mnist*"):
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / "mnist-copy.safetensors")
    (ensemble,) = lines("predict", image_file, "--ensemble", "--checkpoints", tmp_path)
    (single,) = lines("predict", image_file, "--model", "mnist-copy", "--checkpoints", tmp_path)
    assert len(ensemble["checkpoint"]) == 2 and ensemble["model"] == "ensemble"
    assert ensemble["probabilities"] == pytest.approx(single["probabilities"])


def test_a_folder_may_hold_networks_of_one_data_set_alone(folder, image_file, tmp_path):
    shutil.copy(folder / "cifar10-two-conv.safetensors", tmp_path)
    (line,) = lines("predict", image_file, "--checkpoints", tmp_path)
    assert line["dataset"] == "cifar10"


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are Unicode")
def test_a_name_that_cannot_be_printed_does_not_end_the_command(folder, image_file, tmp_path):
    strange = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    shutil.copy(image_file, strange)
    code, out, _ = run("predict", strange, image_file, "--checkpoints", folder)
    assert code == 0 and len(out.splitlines()) == 4


def test_a_checkpoint_that_cannot_be_read_does_not_end_the_evaluation_of_others(folder, tmp_path):
    (tmp_path / "broken").write_text("not a checkpoint")
    code, out, err = run("evaluate", tmp_path / "broken", *folder.glob("mnist*"), "--json")
    assert code == 2 and "broken" in err
    assert json.loads(out)["dataset"] == "mnist"


def test_an_evaluation_draws_its_figures_and_takes_another_split(folder, tmp_path):
    words = ["evaluate", *folder.glob("mnist*"), "--figures", tmp_path / "figures"]
    (line,) = lines(*words, "--split", "validation")
    assert line["split"] == "validation"
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    kinds = ("confusion", "mistakes", "predictions", "reliability")
    assert names == {f"mnist-two-conv-{kind}.png" for kind in kinds}


@pytest.mark.parametrize(
    ("probability", "written"),
    [(0.9997, ">\u00a099.9\u00a0%"), (0.999, "99.9\u00a0%"), (0.5006, "50.1\u00a0%")],
)
def test_probabilities_are_rounded_as_on_the_page(
    folder, image_file, monkeypatch, probability, written
):
    rest = (1 - probability) / 9
    monkeypatch.setattr(
        prediction,
        "predict",
        lambda network, image: Prediction(
            network.card.classes, (probability, *[rest] * 9), "confident"
        ),
    )
    _, out, _ = run("predict", image_file, "--model", "mnist-two-conv", "--checkpoints", folder)
    assert out == f"MNIST -> 0 ({written}), confident\n"
