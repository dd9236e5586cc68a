"""Read DeepSpeed's saved states without running code that a file may hold."""

import contextlib
import os
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any

import torch

WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # overrides the argument of torch.load


@contextlib.contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Let DeepSpeed read only tensors and plain values within the block; otherwise it unpickles anything.

    The Trainer's own states (optimiser, schedule, random generators) are read in this way already, and
    weights come as safetensors.

    Raises:
        pickle.UnpicklingError: A file holds something else.
    """
    from deepspeed.runtime.fp16.loss_scaler import DynamicLossScaler, LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    def enum_member(owner: Any, name: str) -> ZeroStageEnum:
        if owner is not ZeroStageEnum:
            raise UnpicklingError(
                f"attribute {name!r} of {owner!r}: only members of {ZeroStageEnum.__name__} are read"
            )
        return ZeroStageEnum[name]

    # Everything that the states hold besides tensors and numbers. Python 3.11.2, which Debian 12 has, pickles
    # an enum member as getattr(class, name).
    plain_values = [
        LossScaler,
        DynamicLossScaler,
        ZeroStageEnum,
        fragment_address,
        (enum_member, "builtins.getattr"),
    ]
    before = os.environ.get(WEIGHTS_ONLY)
    os.environ[WEIGHTS_ONLY] = "1"
    try:
        with torch.serialization.safe_globals(plain_values):
            yield
    finally:
        if before is None:
            os.environ.pop(WEIGHTS_ONLY, None)
        else:
            os.environ[WEIGHTS_ONLY] = before
