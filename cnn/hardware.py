"""What this machine can do: which device, which precision, how many cores. Measured or asked."""

import contextlib
import functools
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from cnn.settings import env_float


def device() -> torch.device:
    """The fastest device there is: a CUDA GPU, Apple's, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def cpu_count() -> int:
    """Cores this process may use: the host's `CPU_CORES`, else its container's share."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(env_float("CPU_CORES", min(allowed or 1, _container_quota()))))


def memory_limit() -> int:
    """Bytes of memory this process may use: what its container grants, else the machine's.

    Where the system does not tell, as on Windows, it is an AttributeError.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return machine


def _container_quota() -> int:
    """Cores granted by the control group (cgroup v2), rounded up; 1024 where none is set."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return 1024


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads inside; a page gives one to an answer, more to a training."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def amp_dtype(device: torch.device) -> torch.dtype:
    """The number format in which convolutions are fastest here: bfloat16 or float32.

    bfloat16 pays where the processor multiplies in it (AMX, AVX512-BF16, GPUs since Ampere)
    and costs where it is emulated, so a CPU is timed, once a process, for a tenth of a second.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return _fastest_on_cpu() if device.type == "cpu" else torch.float32


@functools.cache
def _fastest_on_cpu() -> torch.dtype:
    images = torch.ones(64, 32, 16, 16).to(memory_format=torch.channels_last)
    weight = torch.ones(32, 32, 3, 3).to(memory_format=torch.channels_last)

    def seconds(dtype: torch.dtype) -> float:
        arguments = images.to(dtype), weight.to(dtype)
        times = []
        for _ in range(8):
            start = time.perf_counter()
            torch.conv2d(*arguments, padding=1)
            times.append(time.perf_counter() - start)
        return min(times)

    return min((torch.float32, torch.bfloat16), key=seconds)


def describe(device: torch.device) -> str:
    """One line for the Card: the processor, its cores or its GPU, and the precision used."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        count = torch.get_num_threads()
        name = f"{_processor()}, {count} thread{'s' * (count > 1)}"
    return f"{name}, {str(amp_dtype(device)).removeprefix('torch.')}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
