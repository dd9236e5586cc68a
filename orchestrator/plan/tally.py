"""What a sweep has done so far, and how long the rest takes at the pace so far."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.plan.events import Event
from orchestrator.plan.progress import Progress, steps_in_all, steps_made
from orchestrator.plan.time_span import time_span
from orchestrator.study.trial import Trial
from stats.status import CellStatus


@dataclass
class Tally:
    """The cells of a sweep, as its watcher hears of them.

    Attributes:
        trials: The cells to count.
        statuses: trial_id -> status, for every trial.
        clock: Returns the seconds of a monotonic clock.
        progress: trial_id -> progress, for every running cell.
        verb: What the time so far was: elapsed in this sweep, or watched.
    """

    trials: Sequence[Trial]
    statuses: dict[str, CellStatus]
    clock: Callable[[], float] = time.monotonic
    progress: Mapping[str, Progress] = field(default_factory=dict)
    verb: str = "elapsed"

    def __post_init__(self) -> None:
        self._started = self.clock()
        # When the first steps were seen, and how many were done then: from here on there is a pace.
        self._pace_from: tuple[float, int] | None = None
        self._trials_by_id = {trial.trial_id: trial for trial in self.trials}
        # For each running cell: when it was first seen, and its steps then.
        self._first_seen: dict[str, tuple[float, int]] = {}
        self.running(self.progress)

    @classmethod
    def of_untrained(cls, trials: Sequence[Trial]) -> "Tally":
        """Return the tally of cells of which none is trained yet."""
        return cls(trials, {trial.trial_id: CellStatus.MISSING for trial in trials})

    def tell(self, event: Event) -> None:
        """Note a cell's new status; one that starts again stays a retried one."""
        trial_id = event.trial.trial_id
        starts_again = event.status == CellStatus.STARTED and self.statuses[trial_id] == CellStatus.RETRIED
        if not starts_again:
            self.statuses[trial_id] = event.status

    def running(self, progress: Mapping[str, Progress]) -> None:
        """Note how far the running cells have got."""
        now, first_seen = self.clock(), {}
        for trial_id, current in progress.items():
            trial, previous = self._trials_by_id[trial_id], self.progress.get(trial_id)
            steps = steps_made(trial, current)
            went_back = previous is not None and steps < steps_made(trial, previous)  # this is a retry
            earlier = None if went_back else self._first_seen.get(trial_id)
            first_seen[trial_id] = earlier or (now, steps)
        self.progress, self._first_seen = progress, first_seen
        if self._pace_from is None and any(steps for _, steps in first_seen.values()):
            self._pace_from = now, self._steps_done()

    @property
    def running_cells(self) -> list[Trial]:
        """The cells that run; one that has just ended was running when progress was last reported."""
        return [
            self._trials_by_id[trial_id]
            for trial_id in self.progress
            if not self.statuses[trial_id].has_ended
        ]

    @property
    def elapsed_s(self) -> float:
        return self.clock() - self._started

    def summary(self) -> str:
        """Return one line: the cells done of all, the time so far, and the time for steps that are left."""
        finished = sum(status == CellStatus.FINISHED for status in self.statuses.values())
        line = f"{finished} of {len(self._planned())} cells, {time_span(self.elapsed_s)} {self.verb}"
        left = self.seconds_left()
        return f"{line}, about {time_span(left)} left" if left else line

    def seconds_left(self) -> float | None:
        """Estimate the seconds left.

        The estimate extrapolates the pace since the first steps, so the start-up does not count. It is None
        before that, and for cells that train for epochs.
        """
        if self._pace_from is None or any(trial.training.epochs for trial in self._planned()):
            return None  # steps of epochs are counted where they train
        since, steps_then = self._pace_from
        done, total = self._steps_done(), sum(steps_in_all(trial) for trial in self._planned())
        made = done - steps_then
        return (total - done) * (self.clock() - since) / made if made > 0 else None

    def progress_text(self, trial: Trial) -> str:
        """Return a running cell's progress, and the time left at its pace since it was first seen."""
        progress = self.progress[trial.trial_id]
        pace_s = self.seconds_per_step(trial)
        if pace_s is None:
            return str(progress)
        steps_left = len(trial.arms) * progress.total - steps_made(trial, progress)
        if not steps_left:  # what is left, such as the accuracy on held-out pairs, has no pace yet
            return str(progress)
        return f"{progress}, {time_span(steps_left * pace_s)} left"

    def seconds_per_step(self, trial: Trial) -> float | None:
        """Return a running cell's pace since it was first seen; None before its next step."""
        first_time, first_steps = self._first_seen[trial.trial_id]
        steps = steps_made(trial, self.progress[trial.trial_id]) - first_steps
        return (self.clock() - first_time) / steps if steps else None

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
