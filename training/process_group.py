"""The process group in which the workers of an arm exchange gradients."""

import os
from collections.abc import Mapping
from datetime import timedelta

from torch import distributed

COLLECTIVE_TIMEOUT = timedelta(minutes=30)  # a lane that stalls is noticed long before


def join(variables: Mapping[str, str], on_card: bool) -> None:
    """Join the process group of a lane: by NCCL on cards, by Gloo otherwise.

    Args:
        variables: The environment variables of torchrun, which say who listens where and which worker this
            is; DeepSpeed and Accelerate read them, too.
        on_card: Whether this worker trains on a card.
    """
    os.environ |= variables
    distributed.init_process_group("nccl" if on_card else "gloo", timeout=COLLECTIVE_TIMEOUT)
