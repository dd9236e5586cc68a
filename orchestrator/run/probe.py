"""How long an arm takes on this cluster: a few steps through a real lane, of which nothing is kept."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pandas as pd
import ray

from orchestrator.plan.plan import Plan
from orchestrator.plan.tables import StudyTables
from orchestrator.record.places import Places
from orchestrator.record.result import TrialResult
from orchestrator.run import worker
from orchestrator.run.cluster import cluster
from orchestrator.run.desk import Failure
from orchestrator.run.fleet import fitting
from orchestrator.run.job import Job, Listener
from orchestrator.run.jobs import jobs
from orchestrator.run.schedule import lanes
from orchestrator.run.share import sized
from orchestrator.study.study import Study
from stats.names import BASELINE
from training.errors import StudyError
from training.scoring import Shard

STEPS = 16
WARM = 6  # first steps, in which memory is laid out and kernels are loaded
HELD_OUT = 64  # pairs


@dataclass(frozen=True)
class Pace:
    """Seconds: of an arm before and after its steps, of a step, of scoring a held-out pair."""

    around: float
    step: float
    pair: float

    def arm(self, steps: int, held_out: float) -> float:
        """Seconds of an arm of so many steps that scores so many pairs."""
        return self.around + steps * self.step + held_out * self.pair


def estimate(plan: Plan, tables: StudyTables, verbose: bool = False) -> str:
    """The plan's time, from a short arm of its first open cell's method trained here.

    Neither the record nor the study's own folders are touched. Raises StudyError for what would end the
    study's cells the same way.
    """
    study, first = plan.study, plan.open[0]
    short = study.training.model_copy(update={"max_steps": STEPS})
    small = study.model_copy(update={"training": short})
    sample = _sample(tables, STEPS * short.batch_size)
    # Two arms: what a lane pays once, its imports, is in the first.
    trials = [replace(first, split=BASELINE, groups=None, training=short, seed=seed) for seed in (0, 1)]
    with cluster(verbose), _scratch(plan.places) as scratch:
        small = sized(small, plan.places.cache)
        shape = small.shape_of(first.method)
        width = study.resources.lanes or fitting(shape)
        with lanes(small, scratch, lambda: {shape: 1}, _timed) as (desk, _):
            for job in jobs(small, sample, scratch, trials, desk):
                # Not where the study's unfinished cells are.
                apart = replace(job, work=f"{scratch.root}/{job.key}", checkpoint_every=None)
                steps, result = _done(small, desk, apart)
    held_out = int((sample.groups[BASELINE]["fold"] == "heldout").sum())
    found = pace(steps, float(result.facts["seconds_cell"]), float(result.facts["seconds_heldout"]), held_out)
    scored = [(tables.groups[trial.split]["fold"] == "heldout").sum() for trial in plan.open]
    seconds = found.arm(study.training.max_steps, sum(scored) / len(scored))
    return plan.time(seconds, f"from {STEPS} steps and {held_out} held-out pairs here", width)


def pace(steps: Sequence[float], cell_s: float, held_out_s: float, held_out: int) -> Pace:
    """What a short arm says: when its steps ended, its seconds in all, those of its held-out pairs."""
    step = (steps[-1] - steps[WARM - 1]) / (len(steps) - WARM)
    around = max(0.0, cell_s - held_out_s - len(steps) * step)
    return Pace(around, step, held_out_s / held_out)


def _timed(work: Job | Shard, report: Listener) -> tuple[list[float], TrialResult] | None:
    """What a lane does, with the time at which each step ended."""
    if not isinstance(work, Job):
        worker.run(work, report)
        return None
    clock = Clock(report)
    return clock.ended, worker.run_trial(work, clock)


@dataclass
class Clock:
    """Passes on what a cell reports, and notes when each of its steps ended."""

    report: Listener
    ended: list[float] = field(default_factory=list)

    def __call__(self, arm: str, step: int, total: int) -> bool | None:
        self.ended.append(time.monotonic())
        return self.report(arm, step, total)

    def kept(self, uri: str, step: int) -> None:
        self.report.kept(uri, step)


def _done(study: Study, desk: ray.actor.ActorHandle, job: Job) -> tuple[list[float], TrialResult]:
    """A job's outcome; memory that is too small halves its micro-batch, as it would in a sweep."""
    attempts = 0
    while failure := cast(Failure | None, ray.get(desk.run.remote(job))):
        attempts += 1
        if not failure.retriable:
            raise StudyError(failure.error)
        if attempts == study.faults.max_attempts:
            raise RuntimeError(f"the probe failed: {failure.error}\n{failure.traceback}")
    return cast(tuple[list[float], TrialResult], ray.get(desk.take.remote(job.key)))


def _sample(tables: StudyTables, training: int) -> StudyTables:
    """Some of the pairs, drawn so that long and short ones are in it as they are in all."""
    every = tables.groups[BASELINE]
    some = [
        fold.sample(min(wanted, len(fold)), random_state=0)
        for name, wanted in (("train", training), ("heldout", HELD_OUT))
        if len(fold := every[every["fold"] == name])
    ]
    sample = pd.concat(some, ignore_index=True)
    pairs = tables.corpus.pairs
    kept = pairs[pairs["pair_id"].isin(sample["pair_id"])].reset_index(drop=True)
    return StudyTables(replace(tables.corpus, pairs=kept), {BASELINE: sample})


@contextmanager
def _scratch(here: Places) -> Iterator[Places]:
    """Places that are gone afterwards; beside the study's own, where every node reaches them."""
    here.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="probe-", dir=here.out))
    try:
        yield Places(here.study, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
