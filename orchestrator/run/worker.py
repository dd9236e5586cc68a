"""What a lane's workers run: a trial, from its job to its result, or a part of the scoring pass.

This module does not import ray. A trial's arms are trained one after the other. Each then scores the held-out
pairs of both groups. A finished arm is kept in the job's store, so that a retry never trains it again.
An unfinished arm saves checkpoints there, and a retry continues from the newest.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from orchestrator.record.provenance import code_and_libraries
from orchestrator.record.result import CELL_SECONDS, MODEL_COMMIT, TrialResult, facts_of_arms
from orchestrator.run.arm_store import MODEL_FOLDER, Arm, keep_arm, kept_arm
from orchestrator.run.geometry import Geometry
from orchestrator.run.job import Job, Listener
from orchestrator.run.output import output_to
from stats.names import DIFF_METRICS
from training import libraries
from training.checkpoint_store import CheckpointStore
from training.errors import Preempted
from training.hardware import deterministic_kernels
from training.scoring import open_scored
from training.scratch import scratch
from training.shards import Shard, score_shard

if TYPE_CHECKING:
    from training.arm import ArmResult
    from training.bundle_access import SharedModel
    from training.model_access import ModelAccess


def run(work: Job | Shard, report: Listener, access: "SharedModel | None" = None) -> TrialResult | None:
    """Run a job and return its result, or let the lane's first worker score a part of the scoring pass.

    Args:
        work: The work that the lane took from the desk.
        report: Receives the progress, and says whether to stop.
        access: The model that a job's arms share with those of other jobs, which train beside it.
    """
    libraries.load()
    if isinstance(work, Job):
        return run_trial(work, report, access)
    if os.environ.get("RANK", "0") == "0":

        def on_batch(done: int, total: int) -> None:
            if report("scoring", done, total):
                raise Preempted("asked to stop during the scoring pass")

        score_shard(work, on_batch)
    return None


def run_trial(job: Job, report: Listener, access: "SharedModel | None" = None) -> TrialResult:
    """Train and evaluate every arm of the job's trial.

    Without `access`, the process is the job's alone, and what the libraries print goes to the job's log file.

    Raises:
        StudyError: The study or its data has a mistake, or a loss is not finite.
        Preempted: `report` asked the arm to stop.
        OutOfMemory: A micro-batch does not fit into the accelerator's memory.
    """
    start = time.monotonic()
    trial = job.trial
    with _own_process(job) if access is None else nullcontext():
        arms = _arms(job, report, access)
    in_all = max if job.shape.cells_together else sum
    metrics = {f"{name}/{key}": value for name, arm in arms.items() for key, value in arm.summary.items()}
    if trial.groups:
        a, b = arms["A"].summary, arms["B"].summary
        metrics |= {f"diff/{key}": a[key] - b[key] for key in DIFF_METRICS}
    return TrialResult(
        trial_id=trial.trial_id,
        metrics=metrics,
        curves=pd.concat([arm.curve.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        outcomes=pd.concat([arm.outcomes.assign(arm=name) for name, arm in arms.items()], ignore_index=True),
        facts={
            **facts_of_arms({name: arm.origin for name, arm in arms.items()}),
            # Side by side, the steps of an arm take as long as those of all.
            "seconds_steps": f"{in_all(arm.seconds['steps'] for arm in arms.values()):.3f}",
            "seconds_heldout": f"{sum(arm.seconds['heldout'] for arm in arms.values()):.3f}",
            CELL_SECONDS: f"{time.monotonic() - start:.3f}",
            **{f"notes_{name}": "; ".join(arm.notes) for name, arm in arms.items() if arm.notes},
        },
    )


@contextmanager
def _own_process(job: Job) -> Iterator[None]:
    with output_to(job.log), deterministic_kernels(job.shape.deterministic):
        yield


def _arms(job: Job, report: Listener, access: "SharedModel | None") -> dict[str, Arm]:
    """Return the arms of the job's trial, trained side by side or one after the other."""
    if job.shape.cells_together:
        from orchestrator.run.side_by_side import arms_side_by_side

        return arms_side_by_side(job, report, _finished_arm, access)
    return {arm: _finished_arm(job, arm, report) for arm in job.trial.arms}


def _finished_arm(job: Job, name: str, report: Listener, access: "ModelAccess | None" = None) -> Arm:
    """Return an arm of the job's trial: the one that an earlier attempt kept, or a new one.

    `access` is the model that it shares with the other arm; None lets it load its own.
    """
    store = CheckpointStore(f"{job.store}/{name}")
    arm = kept_arm(store)
    if arm and (not job.keep_models or MODEL_FOLDER in store.names()):
        return arm
    checkpoints = CheckpointStore(f"{job.store}/{name}-unfinished")
    arm = _train_and_evaluate(job, name, report, checkpoints, store, access)
    if os.environ.get("RANK", "0") == "0":
        keep_arm(arm, store, checkpoints)
    return arm


def _train_and_evaluate(
    job: Job,
    name: str,
    report: Listener,
    checkpoints: CheckpointStore,
    store: CheckpointStore,
    access: "ModelAccess | None",
) -> Arm:
    from training.arm import ArmTask, Execution, train_arm
    from training.checkpoints import Checkpoints
    from training.evaluate import heldout_margins
    from training.heldout_curve import HeldOut

    trial = job.trial
    scored = open_scored(job.scored)
    row_of_pair = pd.Series(np.arange(len(scored)), index=scored["pair_id"][:], name="row")
    groups = pd.read_parquet(job.groups)
    # A pair without useful token ids was never scored: it is in no arm and no outcome.
    pairs = groups.join(row_of_pair, on="pair_id", how="inner")
    training_pairs = {arm: pairs[(pairs["group"] == arm) & (pairs["fold"] == "train")] for arm in trial.arms}
    training = trial.training.for_pairs(min(map(len, training_pairs.values())))
    train_rows = training_pairs[name]["row"].to_numpy()
    task = ArmTask(
        f"{trial.name} arm {name}",
        job.model,
        trial.objective,
        training,
        trial.seed,
        train_rows,
        training_pairs[name]["score_gap"].to_numpy(dtype=float),
        trial.lora,
    )
    heldout = pairs[pairs["fold"] == "heldout"]

    def on_batch(done: int, total: int) -> None:
        if report.alive():
            raise Preempted(f"{task.name}: asked to stop during held-out scoring")

    trained = train_arm(
        task,
        scored,
        Execution(
            job.micro_batch,
            job.deepspeed,
            job.check,
            job.shape.activation_checkpointing,
            job.shape.compile,
        ),
        checkpoints=Checkpoints(checkpoints, job.checkpoint_every, report.kept, _origin(job)),
        on_step=lambda step, total: report(name, step, total),
        tell=report.told,
        heldout=HeldOut(heldout.loc[heldout["group"] == name, "row"].to_numpy(), on_batch),
        access=access,
    )
    start = time.monotonic()
    margins = heldout_margins(
        trained.model,
        scored,
        heldout["row"].to_numpy(),
        trial.training.max_length,
        task.name,
        trained.layout,
        on_batch,
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
    if trial.objective.reference_free:
        own = margins.loc[heldout["group"].to_numpy() == name, "likelihood_gap"]
        summary["pref_acc_heldout_simpo"] = float((own > 0).mean())
    notes = list(trained.notes)
    if job.keep_models and os.environ.get("RANK", "0") == "0":
        notes += _keep_model(job, name, trained, store)
    origin = {**trained.origin, "layout": str(trained.check)}
    return Arm(summary, trained.curve, outcomes, seconds, notes, origin)


def _keep_model(job: Job, arm: str, trained: "ArmResult", store: CheckpointStore) -> list[str]:
    """Put the tuned model of an arm into the store; return a note if the store fails."""
    from training.tuned_model import save_tuned_model

    trial = job.trial
    provenance = {**trial.labels, "arm": arm, "base": asdict(job.model), "identity": trial.identity}
    with scratch() as folder:
        save_tuned_model(trained.model, job.model, folder, provenance)
        try:
            store.put(folder, MODEL_FOLDER)
        except OSError as error:  # a full disk costs the model, not the arm's numbers
            return [f"model not kept: {error}"]
    return []


def _origin(job: Job) -> dict[str, str]:
    """Return what makes the arms of this attempt; kept arms and checkpoints carry it to a later one."""
    from training.hardware import device, hardware

    geometry = Geometry(
        device=device(),
        workers=int(os.environ.get("WORLD_SIZE", "1")),
        micro_batch=job.micro_batch,
        dtype=job.trial.training.dtype,
        zero_stage=job.deepspeed["zero_optimization"]["stage"] if job.deepspeed else None,
    )
    further = {MODEL_COMMIT: job.model.revision} if job.model.revision else {}
    if job.trial.training.optimizer == "adamw_8bit":
        further["version.bitsandbytes"] = version("bitsandbytes")
    return {"geometry": str(geometry), "hardware": hardware(), **further, **code_and_libraries()}


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
