"""What happens to cells in a sweep, and who is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.plan.progress import Progress
from orchestrator.study.trial import Trial
from stats.status import CellStatus


@dataclass(frozen=True)
class Event:
    """A cell's new status, and a text about it."""

    trial: Trial
    status: CellStatus
    text: str

    def __str__(self) -> str:
        return f"{self.trial.name}: {self.text}"


class Watcher(Protocol):
    """Shows the user what happens in a sweep."""

    def tell(self, event: Event) -> None:
        """Show an event."""

    def note(self, text: str) -> None:
        """Show something that concerns no single cell, such as a node that gets no more work."""

    def phase(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show what happens before the first cell runs, and how much is done; a total of 0 is no count."""

    def running(self, progress: Mapping[str, Progress]) -> None:
        """Show the running cells' progress (by trial_id). This is called about once per second."""
