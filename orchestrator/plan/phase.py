"""What happens before the first cell runs, how far it has got, and how long it still takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.plan.time_span import time_span


@dataclass
class Phase:
    """A part of a sweep before its first cell, as a watcher hears of it.

    Attributes:
        text: What happens.
        clock: Returns the seconds of a monotonic clock.
        done: How many of `total` things are done.
        total: How many there are; 0 if they are not counted.
    """

    text: str
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        # When the first things were done, and how many: loading a model before them is no pace.
        self._pace_from: tuple[float, int] | None = None

    def tell(self, done: int, total: int) -> None:
        """Note how far it has got. What has to be done again lowers the number, and begins a new pace."""
        if done and (self._pace_from is None or done < self.done):
            self._pace_from = self.clock(), done
        self.done, self.total = done, total

    def seconds_left(self) -> float | None:
        """Estimate the seconds left at the pace so far; None before there is one."""
        if self._pace_from is None:
            return None
        since, done_then = self._pace_from
        made = self.done - done_then
        return (self.total - self.done) * (self.clock() - since) / made if made > 0 else None

    def __str__(self) -> str:
        if not self.total:
            return self.text
        left = self.seconds_left()
        time_left = f", about {time_span(left)} left" if left else ""
        return f"{self.text}: {self.done:,} of {self.total:,}{time_left}"
