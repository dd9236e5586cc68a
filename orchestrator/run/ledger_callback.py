"""A Ray Tune callback that records the start, the progress and the end of each cell."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.plan.agenda import Agenda
from orchestrator.plan.events import Event, Watcher
from orchestrator.plan.progress import Progress
from orchestrator.record.ledger import Ledger
from orchestrator.run.breaker import Breaker
from orchestrator.run.desk_records import WorkHistory
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure
from orchestrator.run.scoreboard import Scoreboard
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from training.checkpoint_store import CheckpointStore

TRACEBACK_CHARACTERS = 4500  # how much of a traceback's end is kept, where the error is
SHOW_PROGRESS_EVERY_S = 1.0
RECORD_PROGRESS_EVERY_S = 30.0  # for those who watch from elsewhere


@dataclass
class LedgerCallback(tune.Callback):
    """Records in the ledger, on the driver, what happens to each cell, as it happens.

    Tune passes its arguments by keyword. Its own `trial` is called `tune_trial` here.

    Attributes:
        jobs: The cells' jobs, by trial_id.
        provenance: Tags for each cell's run.
        scoreboard: Keeps the verdicts so far in the record.
        breaker: Says when the sweep should stop early.
        finished: How many cells have finished in this sweep.
        run_ids: The ids of the cells' MLflow runs, by trial_id.
    """

    ledger: Ledger
    jobs: Mapping[str, Job]
    desk: ray.actor.ActorHandle
    provenance: Mapping[str, str]
    watcher: Watcher
    agenda: Agenda
    breaker: Breaker
    scoreboard: Scoreboard
    finished: int = 0
    run_ids: dict[str, str] = field(default_factory=dict)
    _shown_at: float = 0.0
    _recorded_at: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune keeps its callbacks for a restore, but a sweep resumes from the record."""
        return {}

    def on_step_begin(self, **info: Any) -> None:
        """Show the running cells' progress and record it, each at its own interval; Tune calls this often."""
        now = time.monotonic()
        if now - self._shown_at < SHOW_PROGRESS_EVERY_S:
            return
        self._shown_at = now
        progress: dict[str, Progress]
        progress, news = ray.get([self.desk.progress.remote(), self.desk.news.remote()])
        for text in news:
            self.watcher.note(text)
        self.watcher.running(progress)
        if now - self._recorded_at >= RECORD_PROGRESS_EVERY_S:
            self._recorded_at = now
            for trial_id, cell_progress in progress.items():
                self.ledger.note(self.run_ids[trial_id], str(cell_progress))
        self.scoreboard.refresh(self.finished)

    def on_trial_start(self, **info: Any) -> None:
        self._run_id(self._trial(info["trial"]))

    def on_trial_recover(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        trial = self._trial(tune_trial)
        failure = self._last_failure(trial)
        text = f"attempt {tune_trial.num_failures} failed, trying again: {failure}"
        self.watcher.tell(Event(trial, CellStatus.RETRIED, text))
        self._ask_breaker(trial, failure)

    def on_trial_complete(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        trial = self._trial(tune_trial)
        _free_memory(tune_trial)
        if tune_trial.last_result["error"]:
            self._fail(trial)
            return
        result = ray.get(self.desk.take.remote(trial.trial_id))
        self.ledger.finish(self._run_id(trial), result, self._attempt_tags(trial, succeeded=1))
        CheckpointStore(self.jobs[trial.trial_id].store).clear()  # the record holds it now
        self.agenda.ended(trial, result)
        self.breaker.finished()
        self.finished += 1
        text = f"done ({self.finished}, {len(self.agenda.open)} to go)"
        self.watcher.tell(Event(trial, CellStatus.FINISHED, text))

    def on_trial_error(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        _free_memory(tune_trial)
        self._fail(self._trial(tune_trial))

    def _trial(self, tune_trial: TuneTrial) -> Trial:
        return self.jobs[tune_trial.config["cell"]].trial

    def _run_id(self, trial: Trial) -> str:
        """Return the id of the cell's MLflow run, which is opened at the first call."""
        if trial.trial_id not in self.run_ids:
            self.run_ids[trial.trial_id] = self.ledger.start(trial, self.provenance)
            self.watcher.tell(Event(trial, CellStatus.STARTED, "started"))
        return self.run_ids[trial.trial_id]

    def _fail(self, trial: Trial) -> None:
        """Record that a cell ended without a result, or that the sweep stopped before its first attempt."""
        if self.breaker.reason and not self._history(trial).failures:
            self.ledger.abandon(self._run_id(trial), self.breaker.reason)
            self.agenda.ended(trial, None)
            return
        last = self._last_failure(trial)
        tags = {
            "traceback": last.traceback[-TRACEBACK_CHARACTERS:],
            "log_cell": str(self.jobs[trial.trial_id].log),
            "log_ray": last.logs,
        }
        self.ledger.fail(self._run_id(trial), str(last), self._attempt_tags(trial, succeeded=0) | tags)
        self.agenda.ended(trial, None)
        self.watcher.tell(Event(trial, CellStatus.FAILED, f"failed: {last}"))
        self._ask_breaker(trial, last)

    def _ask_breaker(self, trial: Trial, failure: Failure) -> None:
        """Report a failed attempt to the breaker, and have the desk stop once it trips."""
        self.breaker.failed(trial, failure)
        if self.breaker.reason:
            ray.get(self.desk.stop.remote(self.breaker.reason))

    def _attempt_tags(self, trial: Trial, succeeded: int) -> dict[str, str]:
        """Return how many attempts were made, why each failed one failed, and how many were interrupted."""
        history = self._history(trial)
        tags = {f"attempt_{number}": str(failure) for number, failure in enumerate(history.failures, start=1)}
        if history.preemptions:
            tags["preemptions"] = str(history.preemptions)
        return {"attempts": str(len(history.failures) + succeeded), **tags}

    def _last_failure(self, trial: Trial) -> Failure:
        """Return the newest failure. If the Tune trial's own process died, the desk may know of none."""
        lost = Failure("its Tune trial was lost before it reached a lane", retriable=True)
        return [lost, *self._history(trial).failures][-1]

    def _history(self, trial: Trial) -> WorkHistory:
        history: WorkHistory = ray.get(self.desk.history.remote(trial.trial_id))
        return history


def _free_memory(tune_trial: TuneTrial) -> None:
    """Drop what Tune keeps of an ended trial and nothing reads: it adds up over thousands of cells.

    This is the running means of its metrics (13 KB), and the future with its process's first report.
    """
    tune_trial.run_metadata.metric_analysis.clear()
    tune_trial.run_metadata.metric_n_steps.clear()
    tune_trial._default_result_or_future = None
