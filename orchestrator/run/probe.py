"""How long an arm takes on this cluster, from a few steps on a real lane. Nothing of them is kept."""

import time
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
from orchestrator.record.result import TrialResult
from orchestrator.run import worker
from orchestrator.run.cluster import cluster
from orchestrator.run.fleet import count_lanes_that_fit, open_fleet
from orchestrator.run.job import Job, Listener
from orchestrator.run.jobs import make_jobs
from orchestrator.run.messages import Failure
from orchestrator.run.share import resolve_auto
from orchestrator.study.trial import Trial
from stats.names import BASELINE
from training.errors import StudyError
from training.scratch import scratch
from training.shards import Shard

if TYPE_CHECKING:
    from training.bundle_access import SharedModel

PROBE_STEPS = 16
PROBE_WARM_UP_STEPS = 6  # in which memory is laid out and kernels are loaded
PROBE_PAIRS = 64  # held-out pairs

TimedResult = tuple[list[float], TrialResult]  # the time at which each step ended, and the cell's result


@dataclass(frozen=True)
class Pace:
    """How long the parts of an arm take, in seconds.

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
    """Train two short arms with the method of the plan's first open cell, and say how long the plan takes.

    Nothing is left in the record or in the study's folder.

    Raises:
        StudyError: A mistake in the study or its data, which would end the study's cells as well.
        RuntimeError: An arm failed in all its attempts.
    """
    study, first = plan.study, plan.open[0]
    short = first.training.model_copy(update={"max_steps": PROBE_STEPS, "epochs": None, "eval_every": None})
    sample = _sample(tables, PROBE_STEPS * short.batch_size)
    # Two cells of one arm each: the first pays what a lane pays once, such as its imports.
    trials = [replace(first, split=BASELINE, groups=None, training=short, seed=seed) for seed in (0, 1)]
    with cluster(verbose), _temporary_places(plan.places) as places:
        probed = resolve_auto(study.model_copy(update={"training": short}), plan.places.cache)
        shape = probed.shape_of(first.method)
        lanes = study.resources.lanes or count_lanes_that_fit(shape)
        with open_fleet(probed, places, lambda: {shape: [1.0]}, _run_timed) as (desk, _):
            for job in make_jobs(probed, sample, places, trials, desk):
                # It has its own store, away from the study's unfinished cells.
                isolated_job = replace(job, store=f"{places.root}/{job.key}", checkpoint_every=None)
                step_ends, result = _result(desk, isolated_job, probed.faults.max_attempts)
    cell_s, heldout_s = float(result.facts["seconds_cell"]), float(result.facts["seconds_heldout"])
    heldout_pairs = _count_heldout(sample.groups[BASELINE])
    pace = pace_of(step_ends, cell_s, heldout_s, heldout_pairs)
    planned_pairs = [_count_heldout(tables.groups[trial.split]) for trial in plan.open]
    steps = mean(_steps(trial, tables) for trial in plan.open)
    seconds = pace.arm_seconds(steps, mean(planned_pairs))
    return plan.time_needed(
        seconds, f"from {PROBE_STEPS} steps and {heldout_pairs} held-out pairs here", lanes
    )


def pace_of(step_ends: Sequence[float], cell_s: float, heldout_s: float, heldout_pairs: int) -> Pace:
    """Return the pace of a cell with one short arm.

    Args:
        step_ends: The time at which each step ended.
        cell_s: Seconds of the whole cell.
        heldout_s: Seconds of scoring its held-out pairs.
        heldout_pairs: The number of these pairs.
    """
    step = (step_ends[-1] - step_ends[PROBE_WARM_UP_STEPS - 1]) / (len(step_ends) - PROBE_WARM_UP_STEPS)
    outside_steps = max(0.0, cell_s - heldout_s - len(step_ends) * step)
    return Pace(outside_steps, step, heldout_s / heldout_pairs)


def _run_timed(
    work: Job | Shard, report: Listener, access: "SharedModel | None" = None
) -> TimedResult | None:
    """Do the work of a lane; for a job, also return the time at which each step ended."""
    if not isinstance(work, Job):
        worker.run(work, report)
        return None
    timed = TimedListener(report)
    return timed.step_ends, worker.run_trial(work, timed, access)


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


def _result(desk: ray.actor.ActorHandle, job: Job, max_attempts: int) -> TimedResult:
    """Run a job to its end and return its result. A failed attempt is repeated, as it would be in a sweep."""
    attempts = 0
    while failure := cast(Failure | None, ray.get(desk.run.remote(job))):
        attempts += 1
        if not failure.retriable:
            raise StudyError(failure.error)
        if attempts == max_attempts:
            raise RuntimeError(f"the probe failed: {failure}\n{failure.traceback}")
    return cast(TimedResult, ray.get(desk.take.remote(job.key)))


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
