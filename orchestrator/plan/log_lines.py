"""What a sweep prints if its output is a log, or a terminal that cannot redraw lines."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.plan.events import Event
from orchestrator.plan.phase import Phase
from orchestrator.plan.progress import Progress
from orchestrator.plan.tally import Tally

EVERY_S = 60.0  # between two lines about the running cells


@dataclass
class LogLines:
    """A watcher that prints one line per event, and one per minute about the running cells or the phase."""

    tally: Tally

    def __post_init__(self) -> None:
        self._next_s = EVERY_S
        self._phase: Phase | None = None
        self._next_phase_s = 0.0

    def tell(self, event: Event) -> None:
        self.tally.tell(event)
        print(event, flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def phase(self, text: str, done: int = 0, total: int = 0) -> None:
        is_new = self._phase is None or self._phase.text != text
        if self._phase is None or is_new:
            self._phase = Phase(text, self.tally.clock)
        ends = 0 < total == done != self._phase.done
        self._phase.tell(done, total)
        if is_new or ends or self.tally.elapsed_s >= self._next_phase_s:
            self._next_phase_s = self.tally.elapsed_s + EVERY_S
            print(self._phase, flush=True)

    def running(self, progress: Mapping[str, Progress]) -> None:
        self.tally.running(progress)
        if progress and self.tally.elapsed_s >= self._next_s:
            self._next_s = self.tally.elapsed_s + EVERY_S
            print(f"{self.tally.summary()}; {'; '.join(self._cells())}", flush=True)

    def _cells(self) -> list[str]:
        """Return cell, step and rate of each running cell."""
        lines = []
        for trial in self.tally.running_cells:
            pace_s = self.tally.seconds_per_step(trial)
            rate = f", {1 / pace_s:.3g} steps/s" if pace_s else ""
            lines.append(f"{trial.name} {self.tally.progress[trial.trial_id]}{rate}")
        return lines
