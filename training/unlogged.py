"""Compute TRL's loss without TRL's log, which nobody reads: the recorder keeps what a curve needs.

TRL gathers some fifteen numbers per micro-batch from all workers, and waits for the device at each of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from typing import Any

from trl import DPOTrainer


class Unread:
    """A stand-in for a tensor whose value would only be logged: whatever is computed with it is NaN.

    It offers the part of a tensor's interface that TRL uses on its way to a log.
    """

    def _same(self, *_: Any, **__: Any) -> "Unread":
        return self

    __getitem__ = sum = mean = _same

    def chunk(self, chunks: int, dim: int = 0) -> tuple["Unread", ...]:
        """Return `chunks` parts, each of them unread."""
        return (self,) * chunks

    def item(self) -> float:
        """Return NaN at once, without waiting for a device."""
        return nan

    def __gt__(self, _: Any) -> bool:
        return False


@contextmanager
def unlogged(trainer: DPOTrainer) -> Iterator[None]:
    """Let the trainer gather nothing within the block.

    The loss does not change, since each worker computes it from its own pairs.
    """
    accelerator = trainer.accelerator
    accelerator.gather = accelerator.gather_for_metrics = lambda *_, **__: Unread()
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics
        for metrics in trainer._metrics.values():
            metrics.clear()
