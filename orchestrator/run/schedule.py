"""How an agenda runs: Ray Tune has one trial per cell, and the lanes of a fleet do the work."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
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
from orchestrator.run.fleet import DeskLost, Fleet, TimesLeft, open_fleet
from orchestrator.run.job import Job
from orchestrator.run.ledger_callback import LedgerCallback
from orchestrator.run.scoreboard import Scoreboard
from orchestrator.run.searcher import CellSearcher
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.errors import StudyError


def run(
    study: Study,
    places: Places,
    agenda: Agenda,
    prepare: Callable[[Sequence[Trial], ray.actor.ActorHandle], Sequence[Job]],
    trials: Sequence[Trial],
    ledger: Ledger,
    provenance: Mapping[str, str],
    watcher: Watcher,
    run_work: WorkFunction = worker.run,
) -> None:
    """Run the agenda's cells to their end on the connected Ray cluster. Their results go into the ledger.

    A cell that runs out of attempts is recorded as failed, and the others go on. Whether the study is
    complete is read from the ledger, never from Ray. If the desk's process is lost, the cells that have not
    ended go to a new desk; there are at most `study.faults.max_attempts` desks.

    Args:
        study: The study to run.
        places: Where the study's files are.
        agenda: Which cells are planned, and which comes next.
        prepare: `prepare(trials, desk)` returns a job for each trial. Lanes start while it runs, and it may
            give them work through the desk.
        trials: All cells that the agenda may hand out.
        ledger: The study's record.
        provenance: Tags for each cell's run.
        watcher: Shows the user what happens.
        run_work: What lanes do with their work.

    Raises:
        Interrupted: The sweep was asked to stop. The runs of its running cells are closed, and do not count.
        StudyError: The first cells all failed alike, so the others were not tried; the cluster can hold no
            lane that the study needs; or the record has a fault that does not pass.
    """
    scoreboard = Scoreboard(study, agenda, ledger)
    pace = LanePace.of(trials, study.shapes, ledger.cells.seconds())
    for further_desks in reversed(range(study.faults.max_attempts)):
        try:
            with (
                ExitStack() as after_the_fleet,
                open_fleet(study, places, _times_left(study, agenda, pace), run_work) as (desk, fleet),
            ):
                jobs = {job.key: job for job in prepare(trials, desk)}
                breaker = Breaker(fleet.numbers, lambda: agenda.open)
                callback = LedgerCallback(
                    ledger,
                    jobs,
                    desk,
                    provenance,
                    watcher,
                    agenda,
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
            agenda.give_back()


def _times_left(study: Study, agenda: Agenda, pace: LanePace) -> TimesLeft:
    shapes = study.shapes

    def times_left() -> dict[Shape, list[float]]:
        times: dict[Shape, list[float]] = {shape: [] for shape in shapes.values()}
        for trial in agenda.open:
            shape = shapes[trial.method]
            times[shape].append(pace.lane_time(trial, shape))
        return times

    return times_left


def _tune(study: Study, places: Places, fleet: Fleet, callback: LedgerCallback) -> None:
    # One cell more than lanes can train, so that a lane never waits for a trial to start. In an
    # adaptive study, the evidence of the running cells may still say that this cell is not needed.
    spare = 0 if study.adaptive else 1

    def capacity(shape: Shape) -> int:
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
