"""What this process computes on: for the record, and for gates that compare like with like."""

import os
import platform


def device() -> str:
    """The accelerator's name, or "cpu"."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def card_memory() -> int:
    """Bytes of this process's first GPU, whoever uses them."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def hardware() -> str:
    """Device, cores and machine type in one line."""
    import torch

    return f"{device()}, {torch.get_num_threads()} of {os.cpu_count()} threads, {platform.machine()}"
