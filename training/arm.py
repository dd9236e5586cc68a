"""Train one arm of a trial: a model tuned on one group's pairs, and the curve it left.

Runs under plain python, torchrun or a Ray Train worker, with or without DeepSpeed. An arm leaves nothing
behind in its process: a trial trains two, and the second must not feel the first.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from trl import DPOConfig

from training.batches import Rows, data_order, sequence_lengths
from training.errors import StudyError
from training.isolation import isolated
from training.model import ModelFiles, load_model, load_tokenizer
from training.objectives import trl_arguments
from training.recorder import FILE, curve, summarise
from training.spec import MethodSpec, TrainingSpec
from training.trainer import PairTrainer


@dataclass(frozen=True)
class Checkpoints:
    """Where an arm saves itself, and resumes from, and how often (steps, a multiple of `logging_steps`)."""

    folder: Path
    every: int


@dataclass(frozen=True)
class ArmResult:
    """`curve`: columns step, metric, value (`training/recorder.py`). `summary`: final metrics by name.
    `model`: the tuned model, on its device. `seconds`: wall time of the training loop."""

    curve: pd.DataFrame
    summary: dict[str, float]
    model: PreTrainedModel
    seconds: float


def train_arm(
    scored: Dataset,
    rows: Rows,
    files: ModelFiles,
    method: MethodSpec,
    training: TrainingSpec,
    seed: int,
    *,
    name: str,
    micro_batch: int,
    deepspeed: dict[str, Any] | None = None,
    on_step: Callable[[int, int], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> ArmResult:
    """Tune the model on `rows` of a scored table (`training.scoring.open_scored`).

    `name` is the trial and arm in messages; `micro_batch` the pairs of one forward pass of one worker;
    `on_step(step, total)` is called after every optimiser step. Raises StudyError for a group smaller than a
    batch and for a loss that is not finite.
    """
    workers = int(os.environ.get("WORLD_SIZE", 1))
    accumulation, rest = divmod(training.batch_size, micro_batch * workers)
    if rest or not accumulation:
        raise StudyError(
            f"{name}: batch_size {training.batch_size} is no multiple of micro-batch {micro_batch} "
            f"x {workers} workers"
        )
    if len(rows) < training.batch_size:
        raise StudyError(f"{name}: {len(rows)} training pairs, fewer than one batch of {training.batch_size}")
    if checkpoints is not None and checkpoints.every % training.logging_steps:
        raise StudyError(
            f"{name}: a checkpoint every {checkpoints.every} steps is no multiple of logging_steps "
            f"{training.logging_steps}"
        )
    lengths = sequence_lengths(scored)
    order = data_order(rows, lengths, training, np.random.default_rng(seed))
    with isolated(deepspeed is not None), tempfile.TemporaryDirectory() as scratch:
        trainer = PairTrainer(
            method,
            name,
            training.batch_size,
            model=load_model(files, training.dtype if deepspeed is not None else "float32"),
            processing_class=load_tokenizer(files),
            train_dataset=scored.select(order),
            args=DPOConfig(
                **trl_arguments(method),
                output_dir=str(checkpoints.folder if checkpoints else scratch),
                save_strategy="steps" if checkpoints else "no",
                save_steps=checkpoints.every if checkpoints else 500,
                save_total_limit=2,
                per_device_train_batch_size=micro_batch,
                gradient_accumulation_steps=accumulation,
                max_steps=training.max_steps,
                learning_rate=training.learning_rate,
                lr_scheduler_type=training.lr_scheduler,
                warmup_steps=training.warmup_steps,
                weight_decay=training.weight_decay,
                max_grad_norm=training.max_grad_norm,
                max_length=training.max_length,
                logging_steps=training.logging_steps,
                bf16=training.dtype == "bfloat16",
                seed=seed,
                optim="adamw_torch_fused",
                train_sampling_strategy="sequential",  # `order` is the order
                precompute_ref_log_probs=True,  # they are columns: no reference model is loaded
                activation_checkpointing=False,  # it changes no answer, only speed and memory
                use_cpu=not torch.cuda.is_available(),
                deepspeed=deepspeed,
                logging_strategy="no",
                logging_nan_inf_filter=False,
                report_to="none",
                disable_tqdm=True,
            ),
        )
        trainer.remove_callback(PrinterCallback)
        if on_step is not None:
            trainer.add_callback(_Progress(on_step))
        resume = newest_checkpoint(checkpoints.folder) if checkpoints else None
        if resume is not None:
            trainer.recorder.restore(resume)
        start = time.monotonic()
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        seconds = time.monotonic() - start
        model = trainer.accelerator.unwrap_model(trainer.model)
        recorder = trainer.recorder
        if deepspeed is not None:
            trainer.model_wrapped.destroy()
    counts = {
        "pairs_train": float(len(rows)),
        "pairs_seen": float(len(order)),
        "tokens_seen": float(lengths[order].sum()),
    }
    summary = summarise(recorder.points) | recorder.weight_summary() | counts
    return ArmResult(curve(recorder.points), summary, model, seconds)


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a folder, or None; one cut short lacks its curve, written last."""
    whole = [file.parent for file in folder.glob(f"checkpoint-*/{FILE}")]
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


class _Progress(TrainerCallback):  # type: ignore[misc]
    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self.on_step = on_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.on_step(state.global_step, state.max_steps)
