"""What a lane's workers run: a trial, from its job to its result, or a part of the scoring pass.

This module does not import ray. A trial's arms are trained one after the other. Each then scores the held-out
pairs of both groups. A finished arm is kept in the job's store, so that a retry never trains it again.
An unfinished arm saves checkpoints there, and a retry continues from the newest.
"""

import os
import time

import numpy as np
import pandas as pd

from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.run.arm_store import Arm, keep_arm, kept_arm
from orchestrator.run.geometry import Geometry
from orchestrator.run.job import Job, Listener
from orchestrator.run.output import output_to
from stats.names import DIFF_METRICS
from training.checkpoint_store import CheckpointStore
from training.errors import Preempted
from training.scoring import open_scored
from training.shards import Shard, score_shard


def run(work: Job | Shard, report: Listener) -> TrialResult | None:
    """Run a job and return its result, or let the lane's first worker score a part of the scoring pass.

    Args:
        work: The work that the lane took from the desk.
        report: Receives the progress, and says whether to stop.
    """
    if isinstance(work, Job):
        return run_trial(work, report)
    if os.environ.get("RANK", "0") == "0":

        def on_batch(done: int, total: int) -> None:
            if report("scoring", done, total):
                raise Preempted("asked to stop during the scoring pass")

        score_shard(work, on_batch)
    return None


def run_trial(job: Job, report: Listener) -> TrialResult:
    """Train and evaluate every arm of the job's trial. What the libraries print goes to the job's log file.

    Raises:
        StudyError: The study or its data has a mistake, or a loss is not finite.
        Preempted: `report` asked the arm to stop.
        OutOfMemory: A micro-batch does not fit into the accelerator's memory.
    """
    start = time.monotonic()
    trial = job.trial
    with output_to(job.log):
        arms = {arm: _finished_arm(job, arm, report) for arm in trial.arms}
        from training.hardware import device, hardware

        geometry = Geometry(
            device=device(),
            workers=int(os.environ.get("WORLD_SIZE", "1")),
            micro_batch=job.micro_batch,
            dtype=trial.training.dtype,
            zero_stage=job.deepspeed["zero_optimization"]["stage"],
        )
    metrics = {f"{name}/{key}": value for name, arm in arms.items() for key, value in arm.summary.items()}
    if trial.groups:
        a, b = arms["A"].summary, arms["B"].summary
        metrics |= {f"diff/{key}": a[key] - b[key] for key in DIFF_METRICS}
    seconds, shape = time.monotonic() - start, job.shape
    return TrialResult(
        trial_id=trial.trial_id,
        metrics=metrics,
        curves=pd.concat([arm.curve.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        outcomes=pd.concat([arm.outcomes.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        facts={
            "geometry": str(geometry),
            "hardware": hardware(),
            "seconds_steps": f"{sum(arm.seconds['steps'] for arm in arms.values()):.3f}",
            "seconds_heldout": f"{sum(arm.seconds['heldout'] for arm in arms.values()):.3f}",
            "seconds_cell": f"{seconds:.3f}",
            GPU_SECONDS: f"{seconds * shape.workers * shape.gpus:.3f}",
            **{f"notes_{name}": "; ".join(arm.notes) for name, arm in arms.items() if arm.notes},
        },
    )


def _finished_arm(job: Job, name: str, report: Listener) -> Arm:
    """Return an arm of the job's trial: the one that an earlier attempt kept, or a new one."""
    store = CheckpointStore(f"{job.store}/{name}")
    arm = kept_arm(store)
    if arm:
        return arm
    checkpoints = CheckpointStore(f"{job.store}/{name}-unfinished")
    arm = _train_and_evaluate(job, name, report, checkpoints)
    if os.environ.get("RANK", "0") == "0":
        keep_arm(arm, store, checkpoints)
    return arm


def _train_and_evaluate(job: Job, name: str, report: Listener, checkpoints: CheckpointStore) -> Arm:
    from training.arm import ArmTask, Execution, train_arm
    from training.checkpoints import Checkpoints
    from training.evaluate import heldout_margins

    trial = job.trial
    scored = open_scored(job.scored)
    row_of_pair = pd.Series(np.arange(len(scored)), index=scored["pair_id"][:], name="row")
    groups = pd.read_parquet(job.groups)
    # A pair without useful token ids was never scored: it is in no arm and no outcome.
    pairs = groups.join(row_of_pair, on="pair_id", how="inner")
    train_rows = pairs.loc[(pairs["group"] == name) & (pairs["fold"] == "train"), "row"].to_numpy()
    task = ArmTask(
        f"{trial.name} arm {name}", job.model, trial.objective, trial.training, trial.seed, train_rows
    )
    trained = train_arm(
        task,
        scored,
        Execution(job.micro_batch, job.deepspeed),
        checkpoints=Checkpoints(checkpoints, job.checkpoint_every, report.kept),
        on_step=lambda step, total: report(name, step, total),
    )
    heldout = pairs[pairs["fold"] == "heldout"]
    start = time.monotonic()

    def on_batch(done: int, total: int) -> None:
        if report.alive():
            raise Preempted(f"{task.name}: asked to stop during held-out scoring")

    margins = heldout_margins(
        trained.model, scored, heldout["row"].to_numpy(), trial.training.max_length, task.name, on_batch
    )
    outcomes = (
        heldout.merge(margins, on="pair_id", validate="one_to_one")
        .rename(columns={"group": "eval_group"})
        .assign(correct=lambda table: table["margin"] > 0)
    )[["eval_group", "user_id", "item", "pair_id", "source_model", "score_gap", "margin", "correct"]]
    seconds = {"steps": trained.seconds, "heldout": time.monotonic() - start}
    unscored = groups[~groups["pair_id"].isin(pairs["pair_id"])]
    own_heldout = unscored[(unscored["fold"] == "heldout") & (unscored["group"] == name)]
    texts = np.array(scored["text_id"][:])
    overlap = np.isin(texts[heldout["row"].to_numpy()], texts[train_rows])
    counts = {
        "pairs_dropped": float(len(unscored)),
        "heldout_dropped": float(len(own_heldout)),
        "pairs_heldout": float(len(heldout)),
        "pairs_heldout_trained": float(overlap.sum()),
    }
    summary = trained.summary | counts | _heldout_summary(outcomes, name)
    return Arm(summary, trained.curve, outcomes, seconds, list(trained.notes))


def _heldout_summary(outcomes: pd.DataFrame, arm: str) -> dict[str, float]:
    """Return held-out accuracy and margin on the arm's own group, and its accuracy on each group."""
    by_group = outcomes.groupby("eval_group")
    accuracies = {str(group): float(correct.mean()) for group, correct in by_group["correct"]}
    summary = {
        "pref_acc_heldout": accuracies[arm],
        "margin_heldout": float(by_group["margin"].get_group(arm).mean()),
    }
    if len(accuracies) > 1:
        summary |= {f"pref_acc_heldout_on_{group}": value for group, value in accuracies.items()}
    return summary
