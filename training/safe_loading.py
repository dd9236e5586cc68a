"""Reading DeepSpeed's saved states without running what a file may hold."""

import contextlib
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any

import torch


@contextlib.contextmanager
def nothing_unpickled() -> Iterator[None]:
    """Let DeepSpeed read tensors and plain values only within the block; it would unpickle anything.

    The Trainer's own states (optimiser, schedule, random generators) are read in this way already, and
    weights come as safetensors.

    Raises:
        pickle.UnpicklingError: A file holds something else.
    """
    from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine
    from deepspeed.runtime.fp16.loss_scaler import LossScaler
    from deepspeed.runtime.zero.config import ZeroStageEnum
    from deepspeed.utils.tensor_fragment import fragment_address

    def enum_member(owner: Any, name: str) -> ZeroStageEnum:
        if owner is not ZeroStageEnum:
            raise UnpicklingError(
                f"attribute {name!r} of {owner!r}: only {ZeroStageEnum.__name__} has members here"
            )
        return ZeroStageEnum[name]

    # Everything that the states hold beside tensors and numbers. Python 3.11.2, Debian 12's, pickles an
    # enum's member as getattr(class, name).
    plain_values = [LossScaler, ZeroStageEnum, fragment_address, (enum_member, "builtins.getattr")]
    original_load = TorchCheckpointEngine.load

    def load(_: TorchCheckpointEngine, path: str, map_location: Any = None) -> Any:
        with torch.serialization.safe_globals(plain_values):
            return torch.load(path, map_location=map_location, weights_only=True)

    TorchCheckpointEngine.load = load
    try:
        yield
    finally:
        TorchCheckpointEngine.load = original_load
