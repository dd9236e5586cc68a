"""What runs inside a Ray Train worker: a trial, from its job to its result, or a part of the scoring pass.
Knows no ray.

A trial's arms are trained one after the other and then score both groups' held-out pairs (two by two).
A finished arm is kept on the trial's shelf, so a retry never trains it again; an unfinished one saves itself
there every so many steps, and a retry goes on from where it was.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.run.geometry import Geometry
from orchestrator.run.job import Job, Listener
from training.checkpoint_store import CheckpointStore, Damaged
from training.errors import Preempted
from training.scoring import Shard, open_scored, score_shard

ARM, ARM_FILES = "arm", ("outcomes.parquet", "curve.parquet", "numbers.json")
TIMES = ("steps", "heldout")
DIFFS = ("pref_acc_tail", "pref_acc_heldout", "margin_heldout")


@dataclass(frozen=True)
class Arm:
    """A trained and evaluated arm: its summary (among others its training pairs, how many of them max_length
    truncates, and how many of the trial's pairs it drops), curve (step, metric, value), held-out outcomes,
    and where its time went (seconds in training steps, seconds in held-out scoring). `notes`: what befell it
    on the way."""

    summary: dict[str, float]
    curve: pd.DataFrame
    outcomes: pd.DataFrame
    seconds: dict[str, float]
    notes: list[str]


def run(work: Job | Shard, report: Listener) -> TrialResult | None:
    """Do what the desk hands out."""
    if isinstance(work, Job):
        return run_trial(work, report)
    if os.environ.get("RANK", "0") == "0":

        def told(done: int, total: int) -> None:
            if report("scoring", done, total):
                raise Preempted("asked to stop amid the scoring pass")

        score_shard(work, told)
    return None


def run_trial(job: Job, report: Listener) -> TrialResult:
    """Train and evaluate every arm of the job's trial. What the libraries print goes to its log file.

    Raises:
        StudyError: for a mistake in the study or its data, and for a loss that is not finite.
    """
    start = time.monotonic()
    with _output_to(job.log):
        arms = {arm: _arm(job, arm, report) for arm in job.trial.arms}
        from training.hardware import device, hardware

        training = job.trial.training
        geometry = Geometry(
            device=device(),
            workers=int(os.environ.get("WORLD_SIZE", "1")),
            micro_batch=job.micro_batch,
            dtype=training.dtype,
            zero_stage=job.deepspeed["zero_optimization"]["stage"],
        )
    metrics = {f"{name}/{key}": value for name, arm in arms.items() for key, value in arm.summary.items()}
    if job.trial.groups:
        metrics |= {f"diff/{key}": arms["A"].summary[key] - arms["B"].summary[key] for key in DIFFS}
    seconds, shape = time.monotonic() - start, job.shape
    return TrialResult(
        trial_id=job.trial.trial_id,
        metrics=metrics,
        curves=pd.concat([arm.curve.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        outcomes=pd.concat([arm.outcomes.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        facts={
            "geometry": str(geometry),
            "hardware": hardware(),
            **{f"seconds_{key}": f"{sum(arm.seconds[key] for arm in arms.values()):.3f}" for key in TIMES},
            "seconds_cell": f"{seconds:.3f}",
            GPU_SECONDS: f"{seconds * shape.workers * shape.gpus:.3f}",
            **{f"notes_{name}": "; ".join(arm.notes) for name, arm in arms.items() if arm.notes},
        },
    )


def _arm(job: Job, name: str, report: Listener) -> Arm:
    finished = CheckpointStore(f"{job.work}/{name}")
    arm = _finished(finished)
    if arm:
        return arm
    from training.arm import train_arm
    from training.checkpoints import Checkpoints
    from training.evaluate import heldout

    trial = job.trial
    scored = open_scored(job.scored)
    row_of = pd.Series(np.arange(len(scored)), index=scored["pair_id"][:], name="row")
    asked = pd.read_parquet(job.groups)
    # A pair whose answer the length limit cuts away was never scored: it is in no arm and no outcome.
    pairs = asked.join(row_of, on="pair_id", how="inner")
    train = pairs.loc[(pairs["group"] == name) & (pairs["fold"] == "train"), "row"].to_numpy()
    unfinished = CheckpointStore(f"{job.work}/{name}-unfinished")
    result = train_arm(
        scored,
        train,
        job.model,
        trial.objective,
        trial.training,
        trial.seed,
        name=f"{trial.name} arm {name}",
        micro_batch=job.micro_batch,
        deepspeed=job.deepspeed,
        on_step=lambda step, total: report(name, step, total),
        checkpoints=Checkpoints(unfinished, job.checkpoint_every, report.kept),
    )
    held = pairs[pairs["fold"] == "heldout"]
    start = time.monotonic()
    margins = heldout(
        result.model, scored, held["row"].to_numpy(), trial.training.max_length, f"{trial.name} arm {name}"
    )
    outcomes = (
        held.merge(margins, on="pair_id", validate="one_to_one")
        .rename(columns={"group": "eval_group"})
        .assign(correct=lambda table: table["margin"] > 0)
    )[["eval_group", "user_id", "pair_id", "source_model", "score_gap", "margin", "correct"]]
    seconds = {"steps": result.seconds, "heldout": time.monotonic() - start}
    dropped = {"pairs_dropped": float(len(asked) - len(pairs))}
    summary = result.summary | dropped | _held_out_summary(outcomes, name)
    arm = Arm(summary, result.curve, outcomes, seconds, list(result.notes))
    if os.environ.get("RANK", "0") == "0":
        _keep(arm, finished, unfinished)
    return arm


def _held_out_summary(outcomes: pd.DataFrame, arm: str) -> dict[str, float]:
    """Held-out accuracy and margin on the arm's own group, and its accuracy on each group."""
    by_group = outcomes.groupby("eval_group")
    correct = {str(group): float(rows.mean()) for group, rows in by_group["correct"]}
    summary = {
        "pref_acc_heldout": correct[arm],
        "margin_heldout": float(by_group["margin"].get_group(arm).mean()),
    }
    if len(correct) > 1:
        summary |= {f"pref_acc_heldout_on_{group}": value for group, value in correct.items()}
    return summary


def _keep(arm: Arm, shelf: CheckpointStore, checkpoints: CheckpointStore) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        arm.outcomes.to_parquet(folder / ARM_FILES[0], index=False)
        arm.curve.to_parquet(folder / ARM_FILES[1], index=False)
        (folder / ARM_FILES[2]).write_text(
            json.dumps({"summary": arm.summary, "seconds": arm.seconds, "notes": arm.notes})
        )
        try:
            shelf.put(folder, ARM)
            checkpoints.clear()
        except OSError as error:  # a full disk costs what a retry would redo, not the arm
            arm.notes.append(f"not kept until the cell is recorded: {error}")


def _finished(shelf: CheckpointStore) -> Arm | None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            shelf.fetch(ARM, Path(scratch) / ARM)
        except Damaged as damage:  # or not there
            print(f"{shelf.uri}: {damage}; the arm is to be trained", flush=True)
            return None
        outcomes, curve, numbers = (Path(scratch) / ARM / name for name in ARM_FILES)
        return Arm(
            curve=pd.read_parquet(curve),
            outcomes=pd.read_parquet(outcomes),
            **json.loads(numbers.read_text()),
        )


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Send all this process prints, compiled libraries included, to a cell's log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    rank = os.environ.get("RANK", "0")
    path = log if rank == "0" else log.with_suffix(f".rank{rank}.log")
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("ab") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, original in enumerate(kept, start=1):
            os.dup2(original, number)
            os.close(original)
