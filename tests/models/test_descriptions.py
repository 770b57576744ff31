"""Every network is described in plain words."""

import pytest

from cnn.models.architectures import MODELS
from cnn.models.descriptions import DESCRIPTIONS, describe


def test_every_network_of_the_package_has_a_description_of_its_own():
    own = {name for name in MODELS if ":" not in name}
    assert own == DESCRIPTIONS.keys()
    assert len(set(DESCRIPTIONS.values())) == len(DESCRIPTIONS)


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_description_is_short_enough_for_one_line(name):
    assert 10 < len(describe(name)) < 70


def test_a_network_of_ones_own_is_described_by_its_docstring(monkeypatch):
    def mine(dataset):
        """Two layers, my own.

        More about it.
        """

    monkeypatch.setitem(MODELS, "mine:mine", mine)
    assert describe("mine:mine") == "Two layers, my own"
    assert describe("not:loaded") == "not:loaded"
