"""Describe the hardware of this process, for the record and for gates that compare like with like."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def device() -> str:
    """Return the accelerator's name, or "cpu"."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def kind(device: "torch.device") -> str:
    """Return "cuda" for a card and "cpu" for the CPU. Tests take the CPU for a card (`tests/card.py`)."""
    return device.type


def capability() -> tuple[int, int]:
    """Return the compute capability of this process's current card, for example (9, 0) for an H100."""
    import torch

    return torch.cuda.get_device_capability()


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Have torch take only deterministic kernels in the block, if that is wanted.

    An operation that has none raises RuntimeError.
    """
    if not wanted:
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def cards_of_driver() -> list[str]:
    """Return name, driver and memory of each card, as NVIDIA's driver lists them; none without it."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=60)
    return answer.stdout.splitlines() if answer.returncode == 0 else []


def card_memory() -> int:
    """Return the memory of this process's first GPU in bytes, whether it is free or in use."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def hardware() -> str:
    """Return device, cores and machine type in one line."""
    import torch

    return f"{device()}, {torch.get_num_threads()} of {os.cpu_count()} threads, {platform.machine()}"
