"""What this machine offers: its devices, number formats, cores and memory."""

import contextlib
import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from cnn import settings


def device() -> torch.device:
    """Return the fastest device: a CUDA GPU, Apple's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def cpu_count() -> int:
    """Return the cores this process may use: `CPU_CORES`, else what its container grants."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(settings.cpu_cores() or min(allowed or 1, _container_quota())))


def memory_limit() -> int:
    """Return the bytes of memory this process may use: its container's limit, else the machine's.

    Raises AttributeError where the system does not say, as on Windows.
    """
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return machine


def _container_quota() -> int:
    """Return the cores granted by the control group (cgroup v2), rounded up; 1024 if unlimited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):
        return 1024


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside: a prediction takes one, training several."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


@contextlib.contextmanager
def reuse_memory() -> Iterator[None]:
    """Keep memory that is freed inside for the next use, and return it to the system at the end.

    A training step allocates the same large blocks as the one before. By default glibc returns
    them to the system in between, and fetching them anew takes up to a quarter of a step. With
    another C library nothing changes.
    """
    _keep_freed_memory(2**31 - 1)
    try:
        yield
    finally:
        _keep_freed_memory(2**26)
        release_memory()


def release_memory() -> None:
    """Return freed memory to the system, wherever it lies in the heap; only glibc can."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _keep_freed_memory(size: int) -> None:
    """Let glibc keep up to `size` bytes of free memory, large blocks included."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, size)


PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def amp_dtype(device: torch.device) -> torch.dtype:
    """Return the number format of autocast: bfloat16 where the hardware multiplies in it.

    That is a GPU since Ampere, or a processor with AMX or AVX512-BF16. Elsewhere bfloat16 is
    emulated and slower, so it is float16 on a GPU and float32 on a processor.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    features = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    native = bool(features.get("amx_bf16") or features.get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32


def precision_name(dtype: torch.dtype) -> str:
    """Return the name of a number format, as in `PRECISIONS`."""
    return str(dtype).removeprefix("torch.")


def use_deterministic_algorithms() -> None:
    """Let torch use deterministic algorithms only, in this process from now on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def describe(device: torch.device) -> str:
    """Describe the GPU, or the processor and its threads, in one line for a model card."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    count = torch.get_num_threads()
    return f"{_processor()}, {count} thread{'s' * (count > 1)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
