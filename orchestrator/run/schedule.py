"""How an agenda runs: Ray Tune has one trial per cell, and the lanes of a fleet do the work."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import uuid4

import ray
from ray import tune
from ray.tune import TuneError

from orchestrator.plan.agenda import Agenda
from orchestrator.plan.events import Watcher
from orchestrator.plan.interrupted import Interrupted, interruptible
from orchestrator.plan.pace import LanePace
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.run import worker
from orchestrator.run.attempt import WorkFunction
from orchestrator.run.breaker import Breaker
from orchestrator.run.cell import CellTrainable
from orchestrator.run.fleet import DeskLost, Fleet, open_fleet
from orchestrator.run.job import Job
from orchestrator.run.ledger_callback import LedgerCallback
from orchestrator.run.scoreboard import Scoreboard
from orchestrator.run.searcher import CellSearcher
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.errors import StudyError


@dataclass(frozen=True)
class Prepared:
    """What is to run, once all is known of it.

    Attributes:
        agenda: Which cells are planned, and which comes next.
        trials: All cells that the agenda may hand out.
        make_jobs: `make_jobs(trials, desk)` returns a job for each trial. It may give the lanes work through
            the desk.
        watcher: Shows the user what happens.
    """

    agenda: Agenda
    trials: Sequence[Trial]
    make_jobs: Callable[[Sequence[Trial], ray.actor.ActorHandle], Sequence[Job]]
    watcher: Watcher


def run(
    study: Study,
    places: Places,
    expected: Agenda,
    prepare: Callable[[], Prepared],
    ledger: Ledger,
    provenance: Mapping[str, str],
    run_work: WorkFunction = worker.run,
) -> None:
    """Run an agenda's cells to their end on the connected Ray cluster. Their results go into the ledger.

    A cell that runs out of attempts is recorded as failed, and the others go on. Whether the study is
    complete is read from the ledger, never from Ray. If the desk's process is lost, the cells that have not
    ended go to a new desk; there are at most `study.faults.max_attempts` desks. The lanes have been sent home
    when this returns; those that have not left are waited for when the cluster is left.

    Args:
        study: The study to run.
        places: Where the study's files are.
        expected: The agenda as far as it is known before `prepare`. Lanes are started for its cells.
        prepare: Called once, while the lanes start.
        ledger: The study's record.
        provenance: Tags for each cell's run.
        run_work: What lanes do with their work.

    Raises:
        Interrupted: The sweep was asked to stop. The runs of its running cells are closed, and do not count.
        StudyError: The first cells all failed alike, so the others were not tried; the cluster can hold no
            lane that the study needs; or the record has a fault that does not pass.
    """
    needs, prepared = LaneNeeds(study.shapes, expected), None
    for further_desks in reversed(range(study.faults.max_attempts)):
        try:
            with (
                ExitStack() as after_the_fleet,
                open_fleet(study, places, needs.times_left, run_work) as (desk, fleet),
            ):
                if prepared is None:
                    prepared = prepare()
                    needs.agenda = prepared.agenda
                    needs.pace = LanePace.of(prepared.trials, study.shapes, ledger.cells.seconds())
                    scoreboard = Scoreboard(study, prepared.agenda, ledger)
                if not prepared.agenda.open:
                    return
                jobs = {job.key: job for job in prepared.make_jobs(prepared.trials, desk)}
                breaker = Breaker(fleet.numbers, lambda: needs.agenda.open)
                callback = LedgerCallback(
                    ledger,
                    jobs,
                    desk,
                    provenance,
                    prepared.watcher,
                    prepared.agenda,
                    breaker,
                    scoreboard,
                    study.keep.where == "registry",
                )
                after_the_fleet.callback(callback.close)  # what is still uploaded needs no lane
                try:
                    with interruptible():  # in place of Ray's own handlers
                        _tune(study, places, fleet, callback)
                except Interrupted as interruption:
                    callback.interrupted(interruption)
                    raise
            if breaker.reason:
                raise StudyError(f"{study.study}: {breaker.reason}")
            return
        except DeskLost:
            if not further_desks:
                raise
            ledger.close_abandoned()
            needs.agenda.give_back()


@dataclass
class LaneNeeds:
    """What a fleet is told of the cells that have not ended: those expected, then the agenda's."""

    shapes: Mapping[str, Shape]
    agenda: Agenda
    pace: LanePace = field(default_factory=lambda: LanePace({}))

    def times_left(self) -> dict[Shape, list[float]]:
        """Return for each shape how long each cell that has not ended is expected to take a lane."""
        times: dict[Shape, list[float]] = {shape: [] for shape in self.shapes.values()}
        for trial in self.agenda.open:
            shape = self.shapes[trial.method]
            times[shape].append(self.pace.lane_time(trial, shape))
        return times


def _tune(study: Study, places: Places, fleet: Fleet, callback: LedgerCallback) -> None:
    # One cell more than lanes can train, so that a lane never waits for a trial to start. In an
    # adaptive study, the evidence of the running cells may still say that this cell is not needed. The first
    # cells begin without it, since the start of its process would take their time.
    def capacity(shape: Shape) -> int:
        spare = 0 if study.adaptive or not callback.run_ids else 1
        return fleet.lanes(shape) * shape.cells_at_once + spare

    tuner = tune.Tuner(
        tune.with_parameters(CellTrainable, jobs=callback.jobs, desk=callback.desk),
        tune_config=tune.TuneConfig(
            search_alg=CellSearcher(
                callback.agenda,
                study.shapes,
                capacity,
                lambda: bool(callback.breaker.reason),
                callback.record_uploads,
            ),
            num_samples=len(callback.jobs),
            reuse_actors=True,
            trial_name_creator=lambda tune_trial: str(tune_trial.config["cell"]),
            trial_dirname_creator=lambda tune_trial: str(tune_trial.config["cell"]),
        ),
        run_config=tune.RunConfig(
            name=f"tune-{uuid4().hex[:8]}",
            storage_path=str(places.ray),
            failure_config=tune.FailureConfig(max_failures=study.faults.max_attempts - 1),
            # A trial has no state: the desk holds everything.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[callback],
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    except TuneError:
        if callback.error:
            raise callback.error from None
        raise
