"""What the machine can do is asked of it, and its owner has the last word."""

import os

import pytest
import torch

from cnn import hardware

CPU = torch.device("cpu")


def test_the_device_is_one_that_can_compute():
    device = hardware.device()
    assert torch.ones(2, device=device).sum().item() == 2


def test_without_a_word_from_the_host_there_is_a_core_and_no_more_than_the_machine_has(monkeypatch):
    monkeypatch.delenv("CPU_CORES", raising=False)
    assert 1 <= hardware.cpu_count() <= os.cpu_count()


@pytest.mark.parametrize(("said", "cores"), [("3", 3), ("1", 1)])
def test_the_host_may_say_how_many_cores_there_are(monkeypatch, said, cores):
    monkeypatch.setenv("CPU_CORES", said)
    assert hardware.cpu_count() == cores


@pytest.mark.parametrize("said", ["", "many", "0", "-2", "inf", "nan", "²"])
def test_what_is_no_number_of_cores_counts_as_nothing_said(monkeypatch, said):
    monkeypatch.delenv("CPU_CORES", raising=False)
    asked = hardware.cpu_count()
    monkeypatch.setenv("CPU_CORES", said)
    assert hardware.cpu_count() == asked


def test_memory_is_what_the_container_grants_or_else_the_machines(monkeypatch):
    monkeypatch.setattr(hardware.Path, "read_text", lambda _: "max")
    whole = hardware.memory_limit()
    assert whole > 1e9
    monkeypatch.setattr(hardware.Path, "read_text", lambda _: f"{whole // 4}")
    assert hardware.memory_limit() == whole // 4


def test_the_precision_is_one_of_two_and_stays_the_same():
    first = hardware.amp_dtype(CPU)
    assert first in (torch.float32, torch.bfloat16)
    assert hardware.amp_dtype(CPU) is first


def test_timing_the_machine_leaves_the_random_numbers_of_a_run_alone():
    hardware._fastest_on_cpu.cache_clear()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    hardware.amp_dtype(CPU)
    assert torch.equal(torch.rand(3), expected)


def test_the_machine_is_described_in_one_line_with_its_precision():
    line = hardware.describe(CPU)
    assert "\n" not in line
    assert f"{torch.get_num_threads()} thread" in line
    assert line.endswith(("float32", "bfloat16"))
