"""TRL's loss without TRL's log, which nobody reads here: the recorder keeps what a curve needs.

TRL gathers some fifteen numbers a micro-batch over the workers, and waits for the device to read each.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from typing import Any

from trl import DPOTrainer


class Unread:
    """Stands for a tensor in arithmetic that ends in a log: not a number, whatever is computed with it."""

    def _same(self, *_: Any, **__: Any) -> "Unread":
        return self

    __getitem__ = sum = mean = _same

    def chunk(self, chunks: int, dim: int = 0) -> tuple["Unread", ...]:
        """As a tensor's."""
        return (self,) * chunks

    def item(self) -> float:
        """Without a wait."""
        return nan

    def __gt__(self, _: Any) -> bool:
        return False


@contextmanager
def unlogged(trainer: DPOTrainer) -> Iterator[None]:
    """Within the block the trainer gathers nothing. No loss is changed: a worker's is of its own pairs."""
    accelerator = trainer.accelerator
    accelerator.gather = accelerator.gather_for_metrics = lambda *_, **__: Unread()
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics
        for metrics in trainer._metrics.values():
            metrics.clear()
