"""A Ray Tune callback that records the start, the progress and the end of each cell."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.plan.agenda import Agenda
from orchestrator.plan.events import Event, Watcher
from orchestrator.plan.interrupted import Interrupted
from orchestrator.plan.progress import Progress
from orchestrator.record.ledger import Ledger, RunRefused
from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.run.attempts import Attempts
from orchestrator.run.breaker import Breaker
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure
from orchestrator.run.scoreboard import Scoreboard
from orchestrator.run.uploads import Upload, Uploads, log_models
from orchestrator.study.trial import Trial
from stats.errors import TableError
from stats.status import CellStatus
from stats.text import plural
from training.checkpoint_store import CheckpointStore
from training.errors import StudyError

TRACEBACK_CHARACTERS = 4500  # how much of a traceback's end is kept, where the error is
SHOW_PROGRESS_EVERY_S = 1.0
RECORD_PROGRESS_EVERY_S = 30.0  # for those who watch from elsewhere


def _remembers_error(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook of the callback that keeps what it raises in the callback's `error`."""

    @wraps(hook)
    def remembering(callback: "LedgerCallback", **info: Any) -> None:
        try:
            hook(callback, **info)
        except Exception as error:
            callback.error = error
            raise

    return remembering


@dataclass
class LedgerCallback(tune.Callback):
    """Records in the ledger, on the driver, what happens to each cell, as it happens.

    Tune passes its arguments by keyword. Its own `trial` is called `tune_trial` here.

    Attributes:
        jobs: The cells' jobs, by trial_id.
        provenance: Tags for each cell's run.
        scoreboard: Keeps the verdicts so far in the record.
        breaker: Says when the sweep should stop early.
        register_models: Whether kept models become versions of a registered model.
        uploads: The models that are on their way to the record; their cells have not ended yet.
        finished: How many cells have finished in this sweep.
        run_ids: The ids of the cells' MLflow runs, by trial_id.
        refused: trial_id -> why its run could not be written while the cell was under way.
        attempts: What the desk knows of the attempts at the cells.
        error: What ended the sweep from inside this callback. Tune raises its text only.
    """

    ledger: Ledger
    jobs: Mapping[str, Job]
    desk: ray.actor.ActorHandle
    provenance: Mapping[str, str]
    watcher: Watcher
    agenda: Agenda
    breaker: Breaker
    scoreboard: Scoreboard
    register_models: bool = False
    uploads: Uploads = field(default_factory=Uploads)
    finished: int = 0
    run_ids: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None
    attempts: Attempts = field(init=False)
    _shown_at: float = 0.0
    _recorded_at: float = 0.0

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.desk, self.jobs)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune keeps its callbacks for a restore, but a sweep resumes from the record."""
        return {}

    @_remembers_error
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
            seconds: dict[str, float] = ray.get(self.desk.seconds.remote())
            for trial_id in progress.keys() & seconds.keys():
                trial = self.jobs[trial_id].trial
                spent = self.attempts.time_tags(trial, seconds[trial_id])
                with self._others_go_on(trial):
                    self.ledger.note(self._run_id(trial), str(progress[trial_id]), spent)
        try:
            self.scoreboard.refresh(self.finished)
        except TableError as error:  # the report will say it; the cells go on
            self.watcher.note(f"the verdicts in MLflow are not kept up to date any more: {error}")

    @_remembers_error
    def on_trial_start(self, **info: Any) -> None:
        trial = self._trial(info["trial"])
        with self._others_go_on(trial):
            self._run_id(trial)

    @_remembers_error
    def on_trial_recover(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        trial = self._trial(tune_trial)
        failure = self.attempts.last_failure(trial)
        text = f"attempt {tune_trial.num_failures} failed, trying again: {failure}"
        self.watcher.tell(Event(trial, CellStatus.RETRIED, text))
        with self._others_go_on(trial):
            reason = {f"attempt_{tune_trial.num_failures}": str(failure)}
            self.ledger.note(self._run_id(trial), CellStatus.RETRIED, reason)
        self._ask_breaker(trial, failure)

    @_remembers_error
    def on_trial_complete(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        trial = self._trial(tune_trial)
        _free_memory(tune_trial)
        if tune_trial.last_result["error"]:
            self._fail(trial)
            return
        result: TrialResult = ray.get(self.desk.take.remote(trial.trial_id))
        tags, job = self.attempts.tags(trial, succeeded=1), self.jobs[trial.trial_id]
        if not job.keep_models:
            self._finish(trial, result, tags)
            return

        def upload() -> dict[str, str]:
            return log_models(self.ledger, self._run_id(trial), job, result, self.register_models)

        self.uploads.start(trial, result, tags, upload)

    @_remembers_error
    def record_uploads(self) -> None:
        """Record the cells whose models have arrived in the record. Tune's searcher calls this often."""
        for upload in self.uploads.ended():
            self._record_upload(upload)

    @_remembers_error
    def close(self) -> None:
        """Wait for the uploads under way, and record their cells; the desk may be gone by now."""
        if len(self.uploads):
            self.watcher.note(f"uploading the models of {plural(len(self.uploads), 'cell')}")
        try:
            self.uploads.wait()
        except Interrupted as interruption:
            self._give_up(interruption, {})
            raise
        self.record_uploads()

    def _record_upload(self, upload: Upload) -> None:
        """Record a cell: finished with its models, or failed if they could not be logged."""
        try:
            logged = upload.logged.result()
        except StudyError:  # the record itself is at fault, or belongs to another driver by now
            raise
        except Exception as error:  # whatever an artifact store raises costs this cell alone
            text = "".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:]
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._record_failure(
                upload.trial,
                f"its models could not be kept ({reason}); the same command tries it again, without training",
                {**upload.tags, "traceback": text},
            )
            return
        self._finish(upload.trial, upload.result, {**upload.tags, **logged})

    def _finish(self, trial: Trial, result: TrialResult, tags: Mapping[str, str]) -> None:
        """Record a cell's result, and tell the agenda."""
        try:
            self.ledger.finish(self._run_id(trial), result, tags)
        except RunRefused as refusal:
            self._record_failure(trial, f"its result could not be recorded: {refusal}", tags)
            return
        CheckpointStore(self.jobs[trial.trial_id].store).clear()  # the record holds it now
        self.agenda.ended(trial, result, float(tags[GPU_SECONDS]))
        self.breaker.finished()
        self.finished += 1
        text = f"done ({self.finished}, {len(self.agenda.open)} to go)"
        self.watcher.tell(Event(trial, CellStatus.FINISHED, text))

    @_remembers_error
    def on_trial_error(self, **info: Any) -> None:
        tune_trial: TuneTrial = info["trial"]
        _free_memory(tune_trial)
        self._fail(self._trial(tune_trial))

    def interrupted(self, interruption: Interrupted) -> None:
        """Close the runs of the cells that have not ended, and tell the user what goes on later."""
        self._give_up(interruption, ray.get(self.desk.progress.remote()))

    def _give_up(self, interruption: Interrupted, progress: Mapping[str, Progress]) -> None:
        self.uploads.drop_waiting()
        self.record_uploads()
        open_trials = [trial for trial in self.agenda.open if trial.trial_id in self.run_ids]
        running = [f"{trial.name} ({progress.get(trial.trial_id, 'waiting')})" for trial in open_trials]
        self.watcher.note(
            f"interrupted by {interruption}: {self.finished} cells were finished in this sweep; running: "
            f"{', '.join(running) or 'none'}. Finished arms and checkpoints are kept, and the same command "
            "goes on from there."
        )
        for trial in open_trials:
            with self._others_go_on(trial):
                self.ledger.abandon(self.run_ids[trial.trial_id], f"interrupted by {interruption}")

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
        if self.breaker.reason and not self.attempts.history(trial).failures:
            with self._others_go_on(trial):
                self.ledger.abandon(self._run_id(trial), self.breaker.reason)
            self.agenda.ended(trial, None, 0.0)
            return
        last = self.attempts.last_failure(trial)
        tags = {
            "traceback": last.traceback[-TRACEBACK_CHARACTERS:],
            "log_cell": str(self.jobs[trial.trial_id].log),
            "log_ray": last.logs,
        }
        self._record_failure(trial, str(last), self.attempts.tags(trial, succeeded=0) | tags)
        self._ask_breaker(trial, last)

    def _record_failure(self, trial: Trial, error: str, tags: Mapping[str, str]) -> None:
        """Record that a cell failed: in its run, or in a new one if that cannot be written."""
        try:
            self.ledger.fail(self._run_id(trial), error, tags)
        except RunRefused:
            self.run_ids.pop(trial.trial_id, None)
            with self._others_go_on(trial):
                self.ledger.fail(self._run_id(trial), error, tags)
        self.agenda.ended(trial, None, float(tags[GPU_SECONDS]))
        self.watcher.tell(Event(trial, CellStatus.FAILED, f"failed: {error}"))

    @contextmanager
    def _others_go_on(self, trial: Trial) -> Iterator[None]:
        """Tell the user once if a cell's run cannot be written in this block, and let the sweep go on."""
        try:
            yield
        except RunRefused as refusal:
            if trial.trial_id not in self.refused:
                self.refused[trial.trial_id] = str(refusal)
                self.watcher.note(f"{trial.name}: its run cannot be written: {refusal}")

    def _ask_breaker(self, trial: Trial, failure: Failure) -> None:
        """Report a failed attempt to the breaker, and have the desk stop once it trips."""
        self.breaker.failed(trial, failure)
        if self.breaker.reason:
            ray.get(self.desk.stop.remote(self.breaker.reason))


def _free_memory(tune_trial: TuneTrial) -> None:
    """Drop what Tune keeps of an ended trial and nothing reads: it adds up over thousands of cells.

    This is the running means of its metrics (13 KB), and the future with its process's first report.
    """
    tune_trial.run_metadata.metric_analysis.clear()
    tune_trial.run_metadata.metric_n_steps.clear()
    tune_trial._default_result_or_future = None
