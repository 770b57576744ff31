"""A checkpoint comes back as it was kept, and a bad one is a sentence and not a traceback."""

import copy
import dataclasses
import json
import pickle
from dataclasses import asdict

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

EPOCH = asdict(Progress(9, 9, 1, 0.5, 0.01, 2.5, 0.1, 2.6, 0.2, 900.0))


@pytest.fixture(scope="module")
def checkpoint():
    """A network that has not learnt anything yet: here it need not."""
    return finalize(start(learner.RECIPE, learner.few(), learner.CPU))


@pytest.fixture
def kept(checkpoint, tmp_path):
    path = tmp_path / "kept.safetensors"
    checkpoints.save(path, checkpoint)
    return path


def _with(checkpoint: Checkpoint, **changes) -> Checkpoint:
    return checkpoint._replace(card=dataclasses.replace(checkpoint.card, **changes))


def _write(path, checkpoint: Checkpoint, **lies):
    """A file like a checkpoint's, some values of its Card replaced whatever they are."""
    card = json.dumps(dataclasses.asdict(checkpoint.card) | lies)
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


def test_the_card_comes_back_word_for_word(checkpoint, kept):
    card = checkpoints.load(kept).card
    assert card == checkpoints.read_card(kept)
    plain = json.loads(json.dumps(dataclasses.asdict(checkpoint.card)))
    assert json.loads(json.dumps(dataclasses.asdict(card))) == plain
    assert card.classes == checkpoint.card.classes


def test_a_network_comes_back_ready_to_answer_and_not_to_learn(kept):
    network = checkpoints.load(kept).network
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", architectures.MODELS)
def test_every_network_can_be_kept(name, checkpoint, tmp_path):
    torch.manual_seed(0)
    network = architectures.build(name, SYNTHETIC).to(memory_format=torch.channels_last)
    checkpoints.save(
        tmp_path / "one.safetensors", _with(checkpoint, model=name)._replace(network=network)
    )
    again = checkpoints.load(tmp_path / "one.safetensors").network.state_dict()
    assert all(torch.equal(tensor, again[key]) for key, tensor in network.state_dict().items())


def test_loading_leaves_torchs_random_numbers_alone(kept):
    before = torch.get_rng_state()
    checkpoints.load(kept)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_file_that_is_not_there_is_named():
    assert "'nowhere.safetensors'" in _fault("nowhere.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99])
def test_a_truncated_file_says_so(kept, share):
    whole = kept.read_bytes()
    kept.write_bytes(whole[: int(len(whole) * share)])
    assert "not a whole safetensors file" in _fault(kept)


def test_a_header_that_lies_about_its_length_is_no_checkpoint(kept):
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


def test_a_folder_is_no_checkpoint(tmp_path):
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


def test_safetensors_without_a_card_are_no_checkpoint(checkpoint, tmp_path):
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(_tensors(checkpoint), path)
    assert "has no Card" in _fault(path)
    for card in ("", "{", "[]", "3", "{}", '{"classes": 3}'):
        safetensors.torch.save_file(_tensors(checkpoint), path, metadata={"card": card})
        assert "has no Card" in _fault(path)


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
        {"threshold": None},
        {"parameters": "many"},
        {"parameters": 10**400},
        {"claim": "x"},
        {"seconds": None},
        {"test_accuracy": None},
        {"test_accuracy_averaged": float("nan")},
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
def test_a_card_that_lies_about_what_is_asked_of_it_is_refused(checkpoint, tmp_path, lies):
    honest = _write(tmp_path / "honest.safetensors", checkpoint, history=[EPOCH])
    assert checkpoints.load(honest).card.history == [EPOCH]
    assert "has no Card" in _fault(_write(tmp_path / "liar.safetensors", checkpoint, **lies))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(checkpoint, tmp_path, value):
    network = copy.deepcopy(checkpoint.network)
    network.state_dict()["conv1.weight"][0, 0, 0, 0] = value
    checkpoints.save(tmp_path / "sick.safetensors", checkpoint._replace(network=network))
    assert "no numbers" in _fault(tmp_path / "sick.safetensors")


def test_keeping_makes_the_folder_and_leaves_nothing_but_the_file(checkpoint, tmp_path):
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


def test_a_place_that_is_a_folder_is_refused_and_left_as_it_was(checkpoint, tmp_path):
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(UserError, match="could not be written"):
        checkpoints.save(tmp_path / "taken.safetensors", checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.safetensors"]


def test_a_place_inside_a_file_is_refused(checkpoint, kept):
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
    _keep(tmp_path, checkpoint, a=better, bb={"default": True, "validation_accuracy": 0.1}, ccc={})
    assert checkpoints.load_default(tmp_path, "synthetic").card.seed == 2
    assert checkpoints.load_default(str(tmp_path), "synthetic").card.default


def test_where_none_says_so_the_best_on_held_out_pictures_answers(checkpoint, tmp_path):
    accuracies = {"validation_accuracy": 0.5, "test_accuracy": 1.0}
    _keep(tmp_path, checkpoint, a=accuracies, bb={"validation_accuracy": 0.9, "test_accuracy": 0})
    assert checkpoints.load_default(tmp_path, "synthetic").card.seed == 2


def test_only_a_checkpoint_of_the_data_set_answers_for_it(checkpoint, tmp_path):
    _keep(tmp_path, checkpoint, a={"dataset": "mnist"}, bb={"dataset": "synthetic"})
    assert checkpoints.load_default(tmp_path, "mnist").card.seed == 1
    with pytest.raises(UserError, match="no network for CIFAR-10"):
        checkpoints.load_default(tmp_path, "cifar10")


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_an_empty_folder_says_which_command_makes_a_default(tmp_path, dataset):
    with pytest.raises(UserError, match=f"`python -m cnn train .*{dataset}.*--output .*`"):
        checkpoints.load_default(tmp_path, dataset)


def test_a_network_without_any_data_set_of_that_name_is_asked_for_in_vain(tmp_path):
    with pytest.raises(UserError, match="no data set called 'imagenet'"):
        checkpoints.load_default(tmp_path, "imagenet")


def test_a_collection_names_the_networks_of_a_data_set_the_default_first(checkpoint, tmp_path):
    for name, accuracy, default in (("a", 0.9, False), ("b", 0.5, True), ("c", 0.95, False)):
        changed = _with(checkpoint, validation_accuracy=accuracy, default=default)
        checkpoints.save(tmp_path / f"{name}.safetensors", changed)
    collection = checkpoints.ModelRegistry(tmp_path)
    assert collection.names("synthetic") == list(collection.all("synthetic")) == ["b", "c", "a"]
    assert collection.names("cifar10") == []
    assert collection.chosen("synthetic", "c")[0] == "c"
    assert collection.chosen("synthetic", "gone")[0] == collection.chosen("synthetic", None)[0]
    assert collection.named("a") is collection.named("a")
    with pytest.raises(UserError, match="'gone'.*a, b, c"):
        collection.named("gone")


def test_a_broken_file_in_the_folder_is_left_out_with_a_word(checkpoint, tmp_path, caplog):
    checkpoints.save(tmp_path / "whole.safetensors", checkpoint)
    (tmp_path / "broken.safetensors").write_bytes(b"no checkpoint")
    assert list(checkpoints.ModelRegistry(tmp_path)) == ["whole"]
    assert (
        checkpoints.load_default(tmp_path, checkpoint.card.dataset).card.date
        == checkpoint.card.date
    )
    assert "'broken.safetensors' is not a whole" in caplog.text
