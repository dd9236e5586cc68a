"""Have DeepSpeed look for gradients that are not finite in one place: their norm, which it computes anyway.

It would also look at each gradient: some 13 operations per parameter under ZeRO, and a wait for the device
per parameter without. The norm is finite only if every gradient is, so the same steps are skipped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deepspeed.runtime.utils import is_invalid_grad_norm
from deepspeed.runtime.zero import stage_1_and_2
from torch import Tensor
from transformers import TrainerCallback


class NormCheck(TrainerCallback):  # type: ignore[misc]
    """Leaves out DeepSpeed's check of single gradients once the Trainer has made its engine."""

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Replace the check of single gradients of the engine's optimiser."""
        of_engine = optimizer.optimizer
        if hasattr(of_engine, "overflow_checker"):  # half precision without ZeRO
            of_engine.overflow_checker.check = _all_finite
        elif hasattr(of_engine, "check_overflow"):  # ZeRO
            of_engine.check_overflow = _all_finite


@contextmanager
def norm_read_once() -> Iterator[None]:
    """Let ZeRO read the norm of a step from the device once in this block; it asks several times."""
    before = stage_1_and_2.is_invalid_grad_norm, stage_1_and_2.mask_nan_or_inf_with_val_inplace
    stage_1_and_2.is_invalid_grad_norm = _Judgement()
    stage_1_and_2.mask_nan_or_inf_with_val_inplace = _mask
    try:
        yield
    finally:
        stage_1_and_2.is_invalid_grad_norm, stage_1_and_2.mask_nan_or_inf_with_val_inplace = before


def _all_finite(*_: Any, **__: Any) -> bool:
    """Find nothing: the norm is checked next."""
    return False


def _mask(norm: Tensor, device: Any = None, val: float = -1.0) -> None:
    """Put `val` in place of a norm that is not finite, as DeepSpeed does, which reads it from the device."""
    norm.masked_fill_(~norm.isfinite(), val)


class _Judgement:
    """`is_invalid_grad_norm` of DeepSpeed, which asks several times per step, and waits each time."""

    def __init__(self) -> None:
        self._norm: Any = None
        self._invalid = False

    def __call__(self, norm: Any) -> bool:
        if norm is not self._norm:
            self._norm, self._invalid = norm, is_invalid_grad_norm(norm)
        return self._invalid
