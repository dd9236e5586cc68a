"""The live table of a sweep on a terminal: each cell's mark, its progress, and the time left."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.text import Text

from orchestrator.plan.events import Event
from orchestrator.plan.grid_table import MARK_STYLES, grid_table
from orchestrator.plan.progress import Progress, steps_in_all, steps_made
from orchestrator.plan.time_span import time_span
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus


@dataclass
class LiveTable:
    """A watcher that redraws one table; failures and retries stay above it as lines.

    Attributes:
        statuses: trial_id -> status, for every trial.
        footer: Text below the table, which says where the logs and the record are.
        clock: Returns the seconds of a monotonic clock.
        progress: trial_id -> progress, for every running cell.
    """

    study: Study
    trials: Sequence[Trial]
    statuses: dict[str, CellStatus]
    console: Console
    footer: str = ""
    clock: Callable[[], float] = time.monotonic
    progress: Mapping[str, Progress] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self._steps_at_start = self._steps_done()
        self._trials_by_id = {trial.trial_id: trial for trial in self.trials}
        # For each running cell: when it was first seen, and its steps then.
        self._first_seen: dict[str, tuple[float, int]] = {}

    def tell(self, event: Event) -> None:
        trial_id = event.trial.trial_id
        starts_again = event.status == CellStatus.STARTED and self.statuses[trial_id] == CellStatus.RETRIED
        if not starts_again:
            self.statuses[trial_id] = event.status
        if event.status in (CellStatus.FAILED, CellStatus.RETRIED):
            style = MARK_STYLES[event.status]
            self.console.print(str(event), style=style, highlight=False, markup=False)

    def note(self, text: str) -> None:
        self.console.print(text, style=MARK_STYLES[CellStatus.RETRIED], highlight=False, markup=False)

    def running(self, progress: Mapping[str, Progress]) -> None:
        now, first_seen = self.clock(), {}
        for trial_id, current in progress.items():
            trial, previous = self._trials_by_id[trial_id], self.progress.get(trial_id)
            steps = steps_made(trial, current)
            went_back = previous is not None and steps < steps_made(trial, previous)  # this is a retry
            earlier = None if went_back else self._first_seen.get(trial_id)
            first_seen[trial_id] = earlier or (now, steps)
        self.progress, self._first_seen = progress, first_seen

    def render(self) -> RenderableType:
        """Return the table, a line about the time, and the footer."""
        # A cell that has just ended was still running when progress was last reported.
        running = [trial_id for trial_id in self.progress if not self.statuses[trial_id].has_ended]
        table = grid_table(
            self.study,
            self.trials,
            self.statuses,
            {trial_id: self._progress_text(trial_id) for trial_id in running},
        )
        finished = sum(status == CellStatus.FINISHED for status in self.statuses.values())
        elapsed = self.clock() - self._started
        summary = f"{finished} of {len(self._planned())} cells, {time_span(elapsed)} elapsed"
        seconds_left = self.seconds_left(elapsed)
        if seconds_left is not None:
            summary += f", about {time_span(seconds_left)} left"
        return Group(table, Text(summary), Text(self.footer, style="dim"))

    def seconds_left(self, elapsed: float) -> float | None:
        """Estimate the seconds left, given the seconds since the sweep started.

        The estimate extrapolates the pace so far, start-up included. It is None before the first step, and
        for cells that train for epochs.
        """
        if any(trial.training.epochs for trial in self._planned()):
            return None  # their steps are counted where they train
        done, total = self._steps_done(), sum(steps_in_all(trial) for trial in self._planned())
        done_here = done - self._steps_at_start
        return (total - done) * elapsed / done_here if done_here else None

    def _progress_text(self, trial_id: str) -> str:
        """Return a running cell's progress, and the time left at its pace since it was first seen."""
        trial, progress = self._trials_by_id[trial_id], self.progress[trial_id]
        first_time, first_steps = self._first_seen[trial_id]
        steps = steps_made(trial, progress)
        if steps == first_steps:
            return str(progress)
        pace_s = (self.clock() - first_time) / (steps - first_steps)
        return f"{progress}, {time_span((len(trial.arms) * progress.total - steps) * pace_s)} left"

    def _planned(self) -> list[Trial]:
        return [trial for trial in self.trials if self.statuses[trial.trial_id] != CellStatus.LATER]

    def _steps_done(self) -> int:
        """Count the optimiser steps of finished cells, and those that running cells have made so far."""
        steps = 0
        for trial in self.trials:
            progress = self.progress.get(trial.trial_id)
            if self.statuses[trial.trial_id] == CellStatus.FINISHED:
                steps += steps_in_all(trial)
            elif progress:
                steps += steps_made(trial, progress)
        return steps
