"""What the machine can do is asked of it, and its owner has the last word."""

import os
import platform
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("features", "precision"),
    [
        ({}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
    ],
)
def test_the_precision_follows_the_processors_features(monkeypatch, features, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert hardware.amp_dtype(CPU) is precision


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_emulates_bfloat16_computes_in_float16(monkeypatch, native, precision):
    def is_bf16_supported(including_emulation=True):
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert hardware.precision_name(hardware.amp_dtype(torch.device("cuda"))) == precision


FAULTS_FOR_64_MB = """
import resource, torch
from cnn import hardware
def fill_and_free():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with hardware.reuse_memory():
    reused = min(fill_and_free() for _ in range(20))
print(reused, max(fill_and_free() for _ in range(20)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc's malloc")
def test_freed_memory_is_reused_and_returned_at_the_end():
    command = [sys.executable, "-c", FAULTS_FOR_64_MB]
    root = Path(__file__).parents[1]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    reused, returned = map(int, output.split())
    assert reused < 100
    assert returned > 1_000


RELEASED_OF_180_MB = """
import resource
from pathlib import Path
from cnn import hardware

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

blocks = [b"x" * 100_000 for _ in range(2_000)]
kept = blocks[9::10]  # the last one too, so that the heap does not become shorter
del blocks
before = resident()
hardware.release_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns it")
def test_memory_freed_between_what_is_kept_is_returned_to_the_system():
    command = [sys.executable, "-c", RELEASED_OF_180_MB]
    root = Path(__file__).parents[1]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert int(output) > 100_000_000


def test_the_machine_is_described_in_one_line():
    line = hardware.describe(CPU)
    assert "\n" not in line
    assert f"{torch.get_num_threads()} thread" in line
