"""Ray Tune over the cells of a study: one trial a cell, bounded retries, as many at once as lanes."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import ray
from ray import tune
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial as TuneTrial

from orchestrator.plan.agenda import Agenda
from orchestrator.plan.display import Event, Watcher
from orchestrator.plan.progress import Progress
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.run import mps, worker
from orchestrator.run.cell import Cell
from orchestrator.run.desk import Failure, open_desk
from orchestrator.run.fleet import Fleet, Left
from orchestrator.run.job import Job
from orchestrator.run.lane import RunWork
from orchestrator.run.searcher import CellSearcher
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore

TAG = 4500  # characters of a traceback that are kept: its end, where the error is
ASK_EVERY_S = 1.0  # for the running cells' steps
NOTE_EVERY_S = 30.0  # of them in the record, for those who watch from elsewhere


@dataclass
class LedgerCallback(tune.Callback):
    """Writes each trial's fate into the ledger, on the driver, as it happens."""

    ledger: Ledger
    jobs: Mapping[str, Job]
    desk: ray.actor.ActorHandle
    provenance: Mapping[str, str]
    watcher: Watcher
    agenda: Agenda
    done: int = 0
    runs: dict[str, str] = field(default_factory=dict)
    asked: float = 0.0
    noted: float = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune keeps its callbacks for a restore, and a sweep resumes from the record instead."""
        return {}

    def on_step_begin(self, iteration: int, trials: list[TuneTrial], **info: Any) -> None:
        """Tune comes by several times a second: see how far the running cells are."""
        now = time.monotonic()
        if now - self.asked < ASK_EVERY_S:
            return
        self.asked = now
        progress: dict[str, Progress] = ray.get(self.desk.progress.remote())
        self.watcher.running(progress)
        if now - self.noted >= NOTE_EVERY_S:
            self.noted = now
            for trial_id, where in progress.items():
                self.ledger.note(self.runs[trial_id], str(where))

    def on_trial_start(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        self._run(self._trial(trial))

    def on_trial_recover(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        cell = self._trial(trial)
        why = self._failures(cell)[-1].error
        text = f"attempt {trial.num_failures} failed, trying again: {why}"
        self.watcher.tell(Event(cell, "retried", text))

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any
    ) -> None:
        cell = self._trial(trial)
        _forget(trial)
        if trial.last_result["error"]:
            self._fail(cell)
            return
        result = ray.get(self.desk.take.remote(cell.trial_id))
        self.ledger.finish(self._run(cell), result, self._history(cell, 1))
        CheckpointStore(self.jobs[cell.trial_id].work).clear()  # the record holds it now
        self.agenda.ended(cell, result)
        self.done += 1
        self.watcher.tell(Event(cell, "finished", f"done ({self.done}, {len(self.agenda.open)} to go)"))

    def on_trial_error(self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: Any) -> None:
        _forget(trial)
        self._fail(self._trial(trial))

    def _run(self, cell: Trial) -> str:
        """The MLflow run of a cell, opened when the cell is first heard of."""
        if cell.trial_id not in self.runs:
            self.runs[cell.trial_id] = self.ledger.start(cell, self.provenance)
            self.watcher.tell(Event(cell, "started", "started"))
        return self.runs[cell.trial_id]

    def _fail(self, cell: Trial) -> None:
        last = self._failures(cell)[-1]
        tags = {
            "traceback": last.traceback[-TAG:],
            "log_cell": str(self.jobs[cell.trial_id].log),
            "log_ray": last.logs,
        }
        self.ledger.fail(self._run(cell), last.error, self._history(cell, 0) | tags)
        self.agenda.ended(cell, None)
        self.watcher.tell(Event(cell, "failed", f"failed: {last.error}"))

    def _history(self, cell: Trial, succeeded: int) -> dict[str, str]:
        """Tags: how many attempts were made, and why each failed one failed."""
        failures: list[Failure] = ray.get(self.desk.failures.remote(cell.trial_id))
        tags = {f"attempt_{number}": failure.error for number, failure in enumerate(failures, start=1)}
        return {"attempts": str(len(failures) + succeeded), **tags}

    def _failures(self, cell: Trial) -> list[Failure]:
        """The failed attempts; a trial whose own process died may have told the desk of none."""
        failures: list[Failure] = ray.get(self.desk.failures.remote(cell.trial_id))
        return failures or [Failure("its Tune trial was lost before it reached a lane", retriable=True)]

    def _trial(self, trial: TuneTrial) -> Trial:
        return self.jobs[trial.config["cell"]].trial


def _forget(trial: TuneTrial) -> None:
    """Drop what Tune keeps of an ended trial and nobody asks it for, which adds up over thousands of cells:
    running means of its metrics (13 KB), and the future of what its process said of itself at the start."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial._default_result_or_future = None


def run(
    study: Study,
    places: Places,
    agenda: Agenda,
    prepare: Callable[[Sequence[Trial], ray.actor.ActorHandle], Sequence[Job]],
    trials: Sequence[Trial],
    ledger: Ledger,
    provenance: Mapping[str, str],
    watcher: Watcher,
    run_work: RunWork = worker.run,
) -> None:
    """Run the agenda's cells to their end on the connected Ray cluster; results are in the ledger.

    `prepare(trials, desk)` says what the cells' workers need, for all `trials` that the agenda may come to
    ask for, and may have the desk's lanes work for it: they start while it prepares. A cell that runs out of
    attempts is recorded as failed and the others go on: whether the study is complete is read from the
    ledger, never from Ray. If the desk's own process is lost, the cells that have not ended go to a new desk,
    at most `max_attempts` times in all.
    """
    for left in reversed(range(study.faults.max_attempts)):
        try:
            with lanes(study, places, cells_by_shape(study, agenda), run_work) as (desk, fleet):
                jobs = {job.key: job for job in prepare(trials, desk)}
                recorder = LedgerCallback(ledger, jobs, desk, provenance, watcher, agenda)
                _tune(study, places, fleet, recorder)
            return
        except DeskLost:
            if not left:
                raise
            ledger.close_abandoned()
            agenda.give_back()


def cells_by_shape(study: Study, agenda: Agenda) -> Left:
    """How many cells of each shape may still have to run."""
    shapes = study.shapes

    def left() -> dict[Shape, int]:
        cells = dict.fromkeys(shapes.values(), 0)
        for method, count in Counter(trial.method for trial in agenda.open).items():
            cells[shapes[method]] += count
        return cells

    return left


def _tune(study: Study, places: Places, fleet: Fleet, recorder: LedgerCallback) -> None:
    trainable = tune.with_parameters(Cell, jobs=recorder.jobs, desk=recorder.desk)

    # One cell more than lanes, so that a lane never waits for a trial to start; but not where the evidence of
    # the cells that run may yet say that it is not needed.
    spare = 0 if study.adaptive else 1

    def room(shape: Shape) -> int:
        return fleet.lanes(shape) + spare

    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=CellSearcher(recorder.agenda, study.shapes, room),
            num_samples=len(recorder.jobs),
            reuse_actors=True,
            trial_name_creator=lambda trial: str(trial.config["cell"]),
            trial_dirname_creator=lambda trial: str(trial.config["cell"]),
        ),
        run_config=tune.RunConfig(
            name=f"tune-{uuid4().hex[:8]}",
            storage_path=str(places.ray),
            failure_config=tune.FailureConfig(max_failures=study.faults.max_attempts - 1),
            # The desk holds all there is.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[recorder],
            verbose=0,
        ),
    ).fit()


class DeskLost(Exception):
    """The desk's process is no more: what it knew of the running cells is lost, not what is recorded."""


@contextmanager
def lanes(
    study: Study, places: Places, left: Left, run_work: RunWork = worker.run
) -> Iterator[tuple[ray.actor.ActorHandle, Fleet]]:
    """The desk, and around it the lanes that what is `left` wants; sent home at the end."""
    shapes = list(left())
    desk = open_desk(study.faults.backoff_s, shapes, study.faults.stall_timeout_s)
    with mps.sharing(shape.gpus for shape in shapes) as environment:
        fleet = Fleet(desk, left, study.resources.lanes, places.ray, run_work, environment)
        fleet.start()
        try:
            yield desk, fleet
        except Exception as error:
            if _lives(desk):
                raise
            raise DeskLost("the sweep's desk was lost") from error
        finally:
            fleet.disband(ray.get(desk.close.remote()) if _lives(desk) else set())


def _lives(desk: ray.actor.ActorHandle) -> bool:
    try:
        ray.get(desk.progress.remote())
    except RayActorError:
        return False
    return True
