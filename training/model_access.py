"""How an arm gets its model and computes with it.

An arm is alone in its process, or one of a bundle (`training/bundle.py`).
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from torch import Tensor, nn
from transformers import PreTrainedModel

from training.isolation import isolated
from training.model import ModelFiles, load_model
from training.packed import fused_forward
from training.packed_row import PackedRow
from training.resharding import any_sharding
from training.safe_loading import nothing_unpickled


class ModelAccess(Protocol):
    """What an arm needs of the process that it trains in."""

    def opened(
        self, files: ModelFiles, dtype: str, deepspeed: bool
    ) -> AbstractContextManager[PreTrainedModel]:
        """Yield the model with weights of `dtype`, in a block in which an arm may train it."""

    def forward(self, model: nn.Module, inner: PreTrainedModel, row: PackedRow, **rest: Any) -> Any:
        """Return what `training.packed.fused_forward` returns."""

    def loss(self, model: nn.Module, loss: Tensor) -> Tensor:
        """Return the loss of the last forward pass, as the Trainer may differentiate it."""


class OwnModel:
    """The access of an arm that has its process for itself."""

    @contextmanager
    def opened(self, files: ModelFiles, dtype: str, deepspeed: bool) -> Iterator[PreTrainedModel]:
        """Load the model in a block that leaves nothing behind in the process."""
        with training_process(deepspeed):
            yield load_model(files, dtype)

    def forward(self, model: nn.Module, inner: PreTrainedModel, row: PackedRow, **rest: Any) -> Any:
        """Compute the row."""
        return fused_forward(model, inner, row, **rest)

    def loss(self, model: nn.Module, loss: Tensor) -> Tensor:
        """Return the loss as it is."""
        return loss


OWN_MODEL = OwnModel()


@contextmanager
def training_process(deepspeed: bool) -> Iterator[None]:
    """Leave nothing behind of what the block trains.

    Under DeepSpeed, nothing is unpickled in it, a step's norm is read once, and a checkpoint may have been
    written under another ZeRO stage or with another number of workers.
    """
    with isolated(deepspeed), _under_deepspeed() if deepspeed else nullcontext():
        yield


@contextmanager
def _under_deepspeed() -> Iterator[None]:
    from training.finite_norm import norm_read_once

    with nothing_unpickled(), norm_read_once(), any_sharding():
        yield
