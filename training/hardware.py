"""What this process computes on: for the record, and for gates that compare like with like."""

import os
import platform


def device() -> str:
    """The accelerator's name, or "cpu"."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "cpu"


def hardware() -> str:
    """Device, cores and machine type in one line."""
    import torch

    return f"{device()}, {torch.get_num_threads()} of {os.cpu_count()} threads, {platform.machine()}"
