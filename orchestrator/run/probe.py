"""How long an arm takes on this cluster, from a few steps on a real lane. Nothing of them is kept."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import TYPE_CHECKING, cast

import pandas as pd
import ray

from orchestrator.plan.plan import Plan
from orchestrator.plan.tables import StudyTables
from orchestrator.record.places import Places
from orchestrator.run import worker
from orchestrator.run.cluster import cluster
from orchestrator.run.fleet import count_lanes_that_fit, open_fleet
from orchestrator.run.job import Job, Listener
from orchestrator.run.jobs import make_jobs
from orchestrator.run.messages import Failure
from orchestrator.run.share import resolve_auto
from orchestrator.study.shape import Shape
from orchestrator.study.side_by_side import ARMS
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from stats.names import BASELINE
from training.errors import StudyError
from training.scratch import scratch
from training.shards import Shard
from training.spec import TrainingSpec

if TYPE_CHECKING:
    from training.bundle_access import SharedModel

PROBE_STEPS = 16
PROBE_WARM_UP_STEPS = 6  # in which memory is laid out and kernels are loaded
PROBE_PAIRS = 64  # held-out pairs


@dataclass(frozen=True)
class TimedArm:
    """When a cell of one arm did what, in seconds of its lane's clock.

    Attributes:
        start: When it started.
        step_ends: When each of its steps ended.
        end: When it ended.
        heldout: How long it scored held-out pairs.
    """

    start: float
    step_ends: Sequence[float]
    end: float
    heldout: float


@dataclass(frozen=True)
class Pace:
    """How long a lane takes for the parts of an arm, in seconds; of arms side by side, the arm's part.

    Attributes:
        outside_steps: Everything before and after an arm's steps, except scoring.
        step: One optimiser step.
        pair: Scoring one held-out pair.
    """

    outside_steps: float
    step: float
    pair: float

    def arm_seconds(self, steps: float, heldout_pairs: float) -> float:
        """Return how long an arm takes that makes `steps` steps and scores `heldout_pairs` pairs."""
        return self.outside_steps + steps * self.step + heldout_pairs * self.pair


def estimate(plan: Plan, tables: StudyTables, verbose: bool = False) -> str:
    """Train a few short arms with the method of the plan's first open cell, and say how long the plan takes.

    Where the study's cells train side by side, as many arms as in a full lane do so here. Nothing is left in
    the record or in the study's folder.

    Raises:
        StudyError: A mistake in the study or its data, which would end the study's cells as well.
        RuntimeError: An arm failed in all its attempts.
    """
    first = plan.open[0]
    with cluster(verbose), _temporary_places(plan.places) as places:
        cells = Counter(trial.method for trial in plan.open)
        study = resolve_auto(plan.study, plan.places.cache, cells)
        shape = study.shape_of(first.method)
        lanes = study.resources.lanes or count_lanes_that_fit(shape)
        beside = ARMS * shape.cells_at_once if shape.cells_together else 1
        steps = PROBE_STEPS + (beside if beside > 1 else 0)  # while the first train, others start
        short = first.training.model_copy(update={"max_steps": steps, "epochs": None, "eval_every": None})
        sample = _sample(tables, steps * short.batch_size)
        # Cells of one arm. The first trains alone, and pays what a lane pays once, such as its imports.
        trials = [
            replace(first, split=BASELINE, groups=None, training=short, seed=seed)
            for seed in range(1 + beside)
        ]
        probed = _of_one_arm(study, first.method, short, shape, beside)
        own_shape = probed.shape_of(first.method)
        with open_fleet(probed, places, lambda: {own_shape: [1.0]}, _run_timed) as (desk, _):
            # They have stores of their own, away from the study's unfinished cells.
            warm_up, *jobs = [
                replace(job, store=f"{places.root}/{job.key}", checkpoint_every=None)
                for job in make_jobs(probed, sample, places, trials, desk)
            ]
            _results(desk, [warm_up], probed.faults.max_attempts)
            arms = _results(desk, jobs, probed.faults.max_attempts)
    heldout_pairs = _count_heldout(sample.groups[BASELINE])
    pace = pace_of(arms, heldout_pairs)
    planned_pairs = [_count_heldout(tables.groups[trial.split]) for trial in plan.open]
    seconds = pace.arm_seconds(mean(_steps(trial, tables) for trial in plan.open), mean(planned_pairs))
    together = f" of {beside} arms side by side" if beside > 1 else ""
    return plan.time_needed(
        seconds, f"from {steps} steps{together} and {heldout_pairs} held-out pairs here", lanes
    )


def pace_of(arms: Sequence[TimedArm], heldout_pairs: int) -> Pace:
    """Return the pace of short arms that a lane has trained at the same time, or of a single one.

    Steps count while all arms make steps, and none is warming up.

    Args:
        arms: The arms; all make the same number of steps.
        heldout_pairs: The number of pairs that each of them has scored.
    """
    begin = max(arm.step_ends[PROBE_WARM_UP_STEPS - 1] for arm in arms)
    until = min(arm.step_ends[-1] for arm in arms)
    counted = [[end for end in arm.step_ends if begin <= end <= until] for arm in arms]
    step = mean((ends[-1] - ends[0]) / (len(ends) - 1) for ends in counted if len(ends) > 1)
    whole = max(arm.end for arm in arms) - min(arm.start for arm in arms)
    heldout = sum(arm.heldout for arm in arms)
    outside_steps = max(0.0, whole - heldout - len(arms[0].step_ends) * step)
    return Pace(outside_steps / len(arms), step / len(arms), heldout / len(arms) / heldout_pairs)


def _of_one_arm(study: Study, method: str, training: TrainingSpec, shape: Shape, beside: int) -> Study:
    """Return the study with short arms, of which a lane takes as many at once as cells of one arm."""
    together = beside if shape.cells_together else None
    own = Shape(**shape.model_dump() | {"cells_together": together})
    methods = study.methods | {method: study.methods[method].model_copy(update={"resources": own})}
    return study.model_copy(update={"training": training, "methods": methods})


def _run_timed(work: Job | Shard, report: Listener, access: "SharedModel | None" = None) -> TimedArm | None:
    """Do the work of a lane; for a job, return when it did what."""
    if not isinstance(work, Job):
        worker.run(work, report)
        return None
    timed, start = TimedListener(report), time.monotonic()
    result = worker.run_trial(work, timed, access)
    return TimedArm(start, timed.step_ends, time.monotonic(), float(result.facts["seconds_heldout"]))


@dataclass
class TimedListener:
    """A listener that notes when each step ended, and passes everything on to another listener."""

    listener: Listener
    step_ends: list[float] = field(default_factory=list)

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        self.step_ends.append(time.monotonic())
        return self.listener(arm, step, total)

    def alive(self) -> bool | None:
        return self.listener.alive()

    def told(self, text: str) -> None:
        self.listener.told(text)

    def kept(self, uri: str, step: int) -> None:
        self.listener.kept(uri, step)


def _results(desk: ray.actor.ActorHandle, jobs: Sequence[Job], max_attempts: int) -> list[TimedArm]:
    """Run jobs to their end and return their results. What fails is repeated, as it would be in a sweep."""
    left = list(jobs)
    for _ in range(max_attempts):
        failures: list[Failure | None] = ray.get([desk.run.remote(job) for job in left])
        for failure in failures:
            if failure and not failure.retriable:
                raise StudyError(failure.error)
        if not any(failures):
            return cast(list[TimedArm], ray.get([desk.take.remote(job.key) for job in jobs]))
        left = [job for job, failure in zip(left, failures, strict=True) if failure]
        last = next(failure for failure in failures if failure)
    raise RuntimeError(f"the probe failed: {last}\n{last.traceback}")


def _steps(trial: Trial, tables: StudyTables) -> int:
    """Return the steps of an arm; epochs are counted before the filters that look at token ids."""
    groups = tables.groups[trial.split]
    sizes = groups.loc[groups["fold"] == "train", "group"].value_counts()
    return trial.training.for_pairs(int(sizes.loc[list(trial.arms)].min())).max_steps


def _count_heldout(groups: pd.DataFrame) -> int:
    return int((groups["fold"] == "heldout").sum())


def _sample(tables: StudyTables, training_pairs: int) -> StudyTables:
    """Draw pairs at random, so that long and short ones are about as frequent as among all pairs."""
    groups = tables.groups[BASELINE]
    folds = [
        pairs.sample(min(wanted, len(pairs)), random_state=0)
        for fold, wanted in (("train", training_pairs), ("heldout", PROBE_PAIRS))
        if len(pairs := groups[groups["fold"] == fold])
    ]
    sample = pd.concat(folds, ignore_index=True)
    pairs = tables.corpus.pairs
    sampled_pairs = pairs[pairs["pair_id"].isin(sample["pair_id"])].reset_index(drop=True)
    return StudyTables(replace(tables.corpus, pairs=sampled_pairs), {BASELINE: sample})


@contextmanager
def _temporary_places(places: Places) -> Iterator[Places]:
    """Yield places that are removed afterwards, in the study's folder, which every node can reach."""
    with scratch(places.out / ".scratch") as folder:
        yield Places(places.study, folder)
