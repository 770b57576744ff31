"""Checkpoints: a round trip keeps everything, and a bad file is a UserError."""

import copy
import dataclasses
import json
import pickle

import pytest
import safetensors.torch
import torch
from support import learner

from cnn import UserError
from cnn.data.datasets import CIFAR10, SYNTHETIC
from cnn.models import architectures, checkpoints
from cnn.models.checkpoints import Checkpoint
from cnn.training.finalize import finalize
from cnn.training.state import Progress, start

EPOCH = Progress(9, 9, 1, 0.5, 0.01, 2.5, 0.1, 2.6, 0.2, 900.0).row()


@pytest.fixture(scope="module")
def checkpoint():
    """An untrained network with its card."""
    return finalize(start(learner.RECIPE, learner.few(), learner.CPU))


@pytest.fixture
def kept(checkpoint, tmp_path):
    path = tmp_path / "kept.safetensors"
    checkpoints.save(path, checkpoint)
    return path


def _with(checkpoint: Checkpoint, **changes) -> Checkpoint:
    return checkpoint._replace(card=dataclasses.replace(checkpoint.card, **changes))


def _write(path, checkpoint: Checkpoint, **lies):
    """Write a checkpoint with some values of its card replaced by anything."""
    card = json.dumps(checkpoint.card.to_dict() | lies)
    safetensors.torch.save_file(_tensors(checkpoint), path, metadata={"card": card})
    return path


def _tensors(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    state = checkpoint.network.state_dict()
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _fault(path) -> str:
    with pytest.raises(UserError) as caught:
        checkpoints.load(path)
    return str(caught.value)


def test_weights_come_back_bit_for_bit(checkpoint, kept):
    before, after = checkpoint.network.state_dict(), checkpoints.load(kept).network.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]) and tensor.dtype == after[name].dtype, name


def test_a_card_comes_back_unchanged(checkpoint, kept):
    card = checkpoints.load(kept).card
    assert card == checkpoints.read_card(kept)
    plain = json.loads(json.dumps(dataclasses.asdict(checkpoint.card)))
    assert json.loads(json.dumps(dataclasses.asdict(card))) == plain
    assert card.classes == checkpoint.card.classes


def test_a_network_comes_back_in_evaluation_mode_without_gradients(kept):
    network = checkpoints.load(kept).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", architectures.MODELS)
def test_every_network_can_be_saved(name, checkpoint, tmp_path):
    torch.manual_seed(0)
    network = architectures.build(name, SYNTHETIC).to(memory_format=torch.channels_last)
    checkpoints.round_to_half(network)
    checkpoints.save(
        tmp_path / "one.safetensors", _with(checkpoint, model=name)._replace(network=network)
    )
    again = checkpoints.load(tmp_path / "one.safetensors").network.state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in network.state_dict().items())


def test_loading_leaves_torchs_random_numbers_alone(kept):
    before = torch.get_rng_state()
    checkpoints.load(kept)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_missing_file_is_named():
    assert "'nowhere.safetensors'" in _fault("nowhere.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_truncated_file_says_so(kept, share):
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(len(whole) * share)])
    assert "not a whole safetensors file" in _fault(kept)


def test_a_header_with_a_false_length_is_refused(kept):
    whole = bytearray(kept.read_bytes())
    for length in (0, 2**40, 2**63):
        whole[:8] = length.to_bytes(8, "little")
        kept.write_bytes(whole)
        assert "not a whole safetensors file" in _fault(kept)


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    path = tmp_path / "trap.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    assert "not a whole safetensors file" in _fault(path)
    torch.save({"weights": torch.zeros(3)}, path)
    assert "not a whole safetensors file" in _fault(path)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_is_not_a_checkpoint(tmp_path):
    assert tmp_path.name in _fault(tmp_path)


def test_weights_of_another_architecture_do_not_fit(checkpoint, tmp_path):
    path = _write(tmp_path / "other.safetensors", checkpoint, model="two-conv")
    assert "do not fit the network 'two-conv'" in _fault(path)


def test_weights_for_another_data_set_do_not_fit(checkpoint, tmp_path):
    lies = {"dataset": "cifar10", "classes": CIFAR10.classes}
    path = _write(tmp_path / "other.safetensors", checkpoint, **lies)
    assert "for 'cifar10'" in _fault(path)


def test_an_unknown_architecture_is_named(checkpoint, tmp_path):
    path = _write(tmp_path / "new.safetensors", checkpoint, model="transformer")
    assert "'transformer'" in _fault(path)


def test_safetensors_without_a_card_are_not_a_checkpoint(checkpoint, tmp_path):
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(_tensors(checkpoint), path)
    assert "it has none" in _fault(path)
    for card in ("", "{", "[]", "3", "{}", '{"classes": 3}'):
        safetensors.torch.save_file(_tensors(checkpoint), path, metadata={"card": card})
        assert "The model card of" in _fault(path)


@pytest.mark.parametrize(
    "lies",
    [
        {"surprise": 1},
        {"classes": None},
        {"classes": ["0", "1"]},
        {"model": ["three-conv"]},
        {"dataset": {}},
        {"temperature": "warm"},
        {"temperature": 0},
        {"ood_threshold": None},
        {"parameters": "many"},
        {"parameters": 10**400},
        {"reference_accuracy": "x"},
        {"reference_accuracy": 1.5},
        {"test_accuracy": -0.1},
        {"test_accuracy": True},
        {"temperature": 0.001},
        {"temperature": 1e9},
        {"tta": "many"},
        {"ood_score": "feeling"},
        {"ood_auroc": {"noise": 2.0}},
        {"versions": {"torch": 2}},
        {"command": "x" * 30_000},
        {"date": "x" * 50},
        {"format_version": 1},
        {"history": [EPOCH] * 501},
        {"train_seconds": None},
        {"test_accuracy": None},
        {"test_accuracy_tta": float("nan")},
        {"ece": []},
        {"validation_accuracy": "all"},
        {"hardware": None},
        {"date": 2026},
        {"command": ["python"]},
        {"history": [{"loss": 1.0}]},
        {"history": [{**EPOCH, "epoch": 1e308}]},
        {"history": [{**EPOCH, "validation_loss": None}]},
    ],
    ids=lambda lies: str(lies)[:80],
)
def test_a_card_with_an_impossible_field_is_refused(checkpoint, tmp_path, lies):
    honest = _write(tmp_path / "honest.safetensors", checkpoint, history=[EPOCH])
    assert checkpoints.load(honest).card.history == [EPOCH]
    assert "The model card of" in _fault(_write(tmp_path / "liar.safetensors", checkpoint, **lies))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(checkpoint, tmp_path, value):
    network = copy.deepcopy(checkpoint.network)
    network.state_dict()["conv1.weight"][0, 0, 0, 0] = value
    checkpoints.save(tmp_path / "sick.safetensors", checkpoint._replace(network=network))
    assert "not finite" in _fault(tmp_path / "sick.safetensors")


def test_saving_makes_the_folder_and_leaves_only_the_file(checkpoint, tmp_path):
    checkpoints.save(tmp_path / "deep" / "down" / "one.safetensors", checkpoint)
    assert [path.name for path in (tmp_path / "deep" / "down").iterdir()] == ["one.safetensors"]


def test_a_full_disk_leaves_the_earlier_checkpoint_and_nothing_beside_it(checkpoint, kept):
    resource = pytest.importorskip("resource", reason="this system has no limits to set")
    before = kept.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(UserError, match="could not be written to .*kept.safetensors"):
            checkpoints.save(kept, checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    assert kept.read_bytes() == before


def test_a_path_that_is_a_folder_is_refused_and_left_as_it_was(checkpoint, tmp_path):
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(UserError, match="could not be written"):
        checkpoints.save(tmp_path / "taken.safetensors", checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.safetensors"]


def test_a_path_inside_a_file_is_refused(checkpoint, kept):
    with pytest.raises(UserError, match="could not be written"):
        checkpoints.save(kept / "inside.safetensors", checkpoint)


def test_the_checkpoints_of_a_folder_are_listed_by_name_without_hidden_and_other_files(tmp_path):
    for name in ("b.safetensors", "a.safetensors", ".a.safetensors.12", ".h.safetensors", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints.list_files(tmp_path)] == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert checkpoints.list_files(str(tmp_path / "nowhere")) == []


def _keep(folder, checkpoint, **cards):
    for name, changes in cards.items():
        checkpoints.save(
            folder / f"{name}.safetensors", _with(checkpoint, seed=len(name), **changes)
        )


def test_the_default_is_the_one_whose_card_says_so(checkpoint, tmp_path):
    better = {"validation_accuracy": 1.0}
    _keep(
        tmp_path, checkpoint, a=better, bb={"is_default": True, "validation_accuracy": 0.1}, ccc={}
    )
    assert checkpoints.load_default(tmp_path, "synthetic").card.seed == 2
    assert checkpoints.load_default(str(tmp_path), "synthetic").card.is_default


def test_without_a_default_the_best_on_validation_images_is_it(checkpoint, tmp_path):
    accuracies = {"validation_accuracy": 0.5, "test_accuracy": 1.0}
    _keep(tmp_path, checkpoint, a=accuracies, bb={"validation_accuracy": 0.9, "test_accuracy": 0})
    assert checkpoints.load_default(tmp_path, "synthetic").card.seed == 2


def test_the_default_is_a_checkpoint_of_the_data_set(checkpoint, tmp_path):
    _keep(tmp_path, checkpoint, a={"dataset": "mnist"}, bb={"dataset": "synthetic"})
    assert checkpoints.load_default(tmp_path, "mnist").card.seed == 1
    with pytest.raises(UserError, match="no network for CIFAR-10"):
        checkpoints.load_default(tmp_path, "cifar10")


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_an_empty_folder_says_which_command_makes_a_default(tmp_path, dataset):
    with pytest.raises(UserError, match=f"`python -m cnn train .*{dataset}.*--output .*`"):
        checkpoints.load_default(tmp_path, dataset)


def test_an_unknown_data_set_has_no_default(tmp_path):
    with pytest.raises(UserError, match="no data set called 'imagenet'"):
        checkpoints.load_default(tmp_path, "imagenet")


def test_a_registry_lists_the_networks_of_a_data_set_the_default_first(checkpoint, tmp_path):
    for name, accuracy, default in (("a", 0.9, False), ("b", 0.5, True), ("c", 0.95, False)):
        changed = _with(checkpoint, validation_accuracy=accuracy, is_default=default)
        checkpoints.save(tmp_path / f"{name}.safetensors", changed)
    registry = checkpoints.ModelRegistry(tmp_path)
    assert registry.names("synthetic") == list(registry.all("synthetic")) == ["b", "c", "a"]
    assert registry.names("cifar10") == []
    assert registry.get_or_default("synthetic", "c")[0] == "c"
    assert registry.get_or_default("synthetic")[0] == "b"
    assert registry.get("a") is registry.get("a")
    with pytest.raises(UserError, match="'gone'.*a, b, c"):
        registry.get("gone")


def test_a_mistyped_name_is_an_error_and_not_the_default_network(checkpoint, tmp_path):
    checkpoints.save(tmp_path / "a.safetensors", checkpoint)
    with pytest.raises(UserError, match="no network 'b' for Synthetic digits. Choose: a"):
        checkpoints.ModelRegistry(tmp_path).get_or_default("synthetic", "b")


def test_a_header_too_large_for_a_card_is_not_parsed(checkpoint, tmp_path, monkeypatch):
    path = _write(tmp_path / "large.safetensors", checkpoint, command="x" * 400_000)
    monkeypatch.setattr(checkpoints.json, "loads", None)
    assert "header is larger than 300,000 bytes" in _fault(path)


def test_a_long_history_is_thinned_and_keeps_its_last_epoch(checkpoint, tmp_path):
    history = [EPOCH | {"epoch": number} for number in range(1, 2_001)]
    checkpoints.save(tmp_path / "long.safetensors", _with(checkpoint, history=history))
    again = checkpoints.load(tmp_path / "long.safetensors").card.history
    assert len(again) == 500 and again[-1]["epoch"] == 2_000


def test_weights_take_two_bytes_each(checkpoint, kept):
    parameters = sum(tensor.numel() for tensor in checkpoint.network.state_dict().values())
    assert kept.stat().st_size < 2 * parameters + 20_000


def test_a_weight_too_large_for_half_precision_is_kept_as_it_is(checkpoint, tmp_path):
    network = copy.deepcopy(checkpoint.network)
    network.state_dict()["conv1.weight"][0, 0, 0, 0] = 1e6
    checkpoints.save(tmp_path / "large.safetensors", checkpoint._replace(network=network))
    again = checkpoints.load(tmp_path / "large.safetensors").network
    assert again.state_dict()["conv1.weight"][0, 0, 0, 0] == 1e6


def test_test_set_predictions_come_back(checkpoint, kept):
    labels, classes, confidence = checkpoints.load(kept).predictions
    assert torch.equal(labels, checkpoint.predictions.labels)
    assert torch.equal(classes, checkpoint.predictions.classes)
    assert torch.allclose(confidence, checkpoint.predictions.confidence, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("classes", torch.full((100,), 10, dtype=torch.uint8)),
        ("labels", torch.zeros(99, dtype=torch.uint8)),
        ("confidence", torch.full((100,), 2.0).half()),
        ("confidence", torch.full((100,), torch.nan).half()),
        ("confidence", torch.zeros(100)),
        ("surprise", torch.zeros(100)),
    ],
)
def test_impossible_predictions_are_refused(checkpoint, tmp_path, name, values):
    tensors = _tensors(checkpoint) | {
        "test_set.labels": torch.zeros(100, dtype=torch.uint8),
        "test_set.classes": torch.zeros(100, dtype=torch.uint8),
        "test_set.confidence": torch.ones(100).half(),
        f"test_set.{name}": values,
    }
    path = tmp_path / "liar.safetensors"
    card = json.dumps(checkpoint.card.to_dict())
    safetensors.torch.save_file(tensors, path, metadata={"card": card})
    assert "predictions in 'liar.safetensors' are damaged" in _fault(path)


def test_a_broken_file_in_the_folder_is_left_out_with_a_warning(checkpoint, tmp_path, caplog):
    checkpoints.save(tmp_path / "whole.safetensors", checkpoint)
    (tmp_path / "broken.safetensors").write_bytes(b"no checkpoint")
    assert list(checkpoints.ModelRegistry(tmp_path)) == ["whole"]
    assert (
        checkpoints.load_default(tmp_path, checkpoint.card.dataset).card.date
        == checkpoint.card.date
    )
    assert "'broken.safetensors' is not a whole" in caplog.text
