"""Describe the hardware of this process, for the record and for gates that compare like with like."""

import os
import platform


def device() -> str:
    """Return the accelerator's name, or "cpu"."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def card_memory() -> int:
    """Return the memory of this process's first GPU in bytes, whether it is free or in use."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def hardware() -> str:
    """Return device, cores and machine type in one line."""
    import torch

    return f"{device()}, {torch.get_num_threads()} of {os.cpu_count()} threads, {platform.machine()}"
