"""A sweep that runs elsewhere, followed through the record: in another terminal, or as a submitted job."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.plan.events import Event, Watcher
from orchestrator.plan.plan import Plan
from orchestrator.plan.progress import Progress
from orchestrator.plan.watching import watching
from orchestrator.record.endings import Ending
from orchestrator.record.ledger import Ledger
from orchestrator.record.liveness import Liveness
from orchestrator.record.open_cell import OpenCell
from orchestrator.record.places import Places
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from stats.text import plural

LOOK_EVERY_S = 5.0  # the sweep itself notes the steps of its cells every half minute
KILLED = 1  # the exit code for a sweep that could not say how it ended


@dataclass
class FollowedSweep:
    """The sweep of a study, followed until it ends.

    Attributes:
        study: The study.
        places: Where its record is.
        ledger: Its record.
        only: Globs over method/split/seed; only cells that one of them matches are shown.
        wait: Waits for a number of seconds.
    """

    study: Study
    places: Places
    ledger: Ledger
    only: Sequence[str]
    wait: Callable[[float], None]

    def __post_init__(self) -> None:
        self._liveness = Liveness(self.ledger.claims)

    def follow(self) -> Ending | None:
        """Show the sweep until it ends, and return how; wait for one if none runs and cells are missing.

        Returns:
            None if there is nothing to follow: every planned cell is finished, and no sweep runs.
        """
        if not self._has_begun():
            return None
        driver = self._liveness.driver
        print(f"a sweep is running: process {driver.process} on {driver.host}", flush=True)
        if not self._running():
            print("no cell runs yet; the sweep's own output says how it prepares them", flush=True)
        while self._liveness.found() and not self._running():
            self.wait(LOOK_EVERY_S)
        if self._liveness.found():
            self._show_cells()
        driver = self._liveness.driver
        return self.ledger.endings.last() or Ending(
            KILLED,
            f"process {driver.process} on {driver.host} was killed, or is not heard of any more; the same "
            "sweep command goes on from what is recorded",
        )

    def _has_begun(self) -> bool:
        """Wait until a sweep runs; return False if every planned cell is finished before one does."""
        told = False
        while not self._liveness.found():
            if not told:
                plan = Plan.from_record(self.study, self.places, self.only)
                if not plan.open:
                    print(f"no sweep is running, and nothing is missing: {plan.finished} cells are finished")
                    return False
                last = self.ledger.endings.last()
                before = f"; the last one ended with exit status {last.code}: {last.text}" if last else ""
                cells = plural(len(plan.open), "cell")
                print(f"no sweep is running, and {cells} to train; waiting for one{before}", flush=True)
                told = True
            self.wait(LOOK_EVERY_S)
        return True

    def _running(self) -> Mapping[str, OpenCell]:
        return self.ledger.cells.open_runs()

    def _show_cells(self) -> None:
        """Show the cells until no driver is heard of."""
        plan = Plan.from_record(self.study, self.places, self.only)
        # Cells that run already are told of as well: a log has no table that shows them.
        view = _View(
            plan.shown,
            {
                trial.trial_id: CellStatus.MISSING if status == CellStatus.STARTED else status
                for trial in plan.shown
                for status in [plan.statuses[trial.trial_id]]
            },
        )
        footer = f"logs: {self.places.logs}\nMLflow: {self.ledger.page}"
        steps = view.steps(self._running())
        with watching(self.study, plan.shown, plan.statuses, footer, steps) as watcher:
            living = True
            while living:
                living = self._liveness.found()  # before the last look at what it has done
                running = self._running() if living else {}
                recorded = self.ledger.cells.statuses()
                failed = CellStatus.FAILED in view.news(recorded).values()
                view.show(running, recorded, self.ledger.cells.failures() if failed else {}, watcher)
                if living:
                    self.wait(LOOK_EVERY_S)


@dataclass
class _View:
    """What was shown of each cell, so that a look at the record becomes events.

    Attributes:
        trials: The cells that are shown.
        shown: trial_id -> the status that was shown last.
    """

    trials: Sequence[Trial]
    shown: dict[str, CellStatus]
    _failures: dict[str, int] = field(default_factory=dict)
    _strangers: int = 0

    def steps(self, running: Mapping[str, OpenCell]) -> dict[str, Progress]:
        """Return trial_id -> the step of each running cell whose step is noted."""
        steps = {trial.trial_id: _step(running.get(trial.trial_id)) for trial in self.trials}
        return {trial_id: step for trial_id, step in steps.items() if step}

    def news(self, recorded: Mapping[str, CellStatus]) -> dict[str, CellStatus]:
        """Return trial_id -> status of the shown cells that have ended since the last look."""
        known = {trial.trial_id for trial in self.trials}
        return {
            trial_id: status
            for trial_id, status in recorded.items()
            if trial_id in known and self.shown[trial_id] != status
        }

    def show(
        self,
        running: Mapping[str, OpenCell],
        recorded: Mapping[str, CellStatus],
        errors: Mapping[str, str],
        watcher: Watcher,
    ) -> None:
        """Tell the watcher what has changed.

        Args:
            running: trial_id -> what is noted of a cell whose run is open.
            recorded: trial_id -> finished or failed.
            errors: trial_id -> why a cell failed.
            watcher: Shows the events and the steps.
        """
        for trial in self.trials:
            trial_id, before = trial.trial_id, self.shown[trial.trial_id]
            after = recorded.get(trial_id, CellStatus.MISSING)
            cell = running.get(trial_id)
            if cell and after != CellStatus.FINISHED:
                after = CellStatus.RETRIED if cell.failed_attempts else CellStatus.STARTED
            told = self._failures.get(trial_id, 0)
            attempts = cell.failed_attempts if cell else ()
            self._failures[trial_id] = len(attempts)
            if after == CellStatus.MISSING and before == CellStatus.LATER:
                continue
            for number, reason in enumerate(attempts[told:], start=told + 1):
                text = f"attempt {number} failed, trying again: {reason}"
                watcher.tell(Event(trial, CellStatus.RETRIED, text))
            if after != before and after != CellStatus.RETRIED:
                watcher.tell(Event(trial, after, _text(after, errors.get(trial_id, ""))))
            self.shown[trial_id] = after
        strangers = len(running.keys() - self.shown.keys())
        if strangers > self._strangers:
            cells = plural(strangers, "running cell")
            watcher.note(f"{cells} not of this study file; give `watch` the same words as the sweep")
            self._strangers = strangers
        watcher.running(self.steps(running))


def _step(cell: OpenCell | None) -> Progress | None:
    return Progress.parse(cell.progress) if cell else None


def _text(status: CellStatus, error: str) -> str:
    """Return what an event says of a cell's new status."""
    if status == CellStatus.FAILED:
        return f"failed: {error}"
    if status == CellStatus.MISSING:
        return "stopped before its end"
    return "done" if status == CellStatus.FINISHED else str(status)
