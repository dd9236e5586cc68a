"""Train one arm of a trial: a model tuned on one group's pairs, and the curve it left.

Runs under plain python, torchrun or a Ray Train worker, with or without DeepSpeed. An arm leaves nothing
behind in its process: a trial trains two, and the second must not feel the first.
"""

import contextlib
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
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from trl import DPOConfig

from training.batches import Rows, data_order, sequence_lengths
from training.checkpoints import Checkpoints, nothing_unpickled
from training.errors import OutOfMemory, Preempted, StudyError
from training.isolation import isolated
from training.model import ModelFiles, load_model, load_tokenizer
from training.objectives import trl_arguments
from training.recorder import curve, summarise
from training.spec import MethodSpec, TrainingSpec
from training.trainer import PairTrainer


@dataclass(frozen=True)
class ArmResult:
    """`curve`: columns step, metric, value (`training/recorder.py`). `summary`: final metrics by name.
    `model`: the tuned model, on its device. `seconds`: wall time of the training loop. `notes`: what a reader
    of the record should know: where it went on from, checkpoints passed over or not kept, steps skipped."""

    curve: pd.DataFrame
    summary: dict[str, float]
    model: PreTrainedModel
    seconds: float
    notes: tuple[str, ...] = ()


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
    on_step: Callable[[int, int], bool | None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> ArmResult:
    """Tune the model on `rows` of a scored table (`training.scoring.open_scored`).

    `name` is the trial and arm in messages; `micro_batch` the pairs of one forward pass of one worker;
    `on_step(step, total)` is called after every optimiser step; True asks the arm to save itself and stop.
    Raises StudyError for a group smaller than a batch and for a loss that is not finite, OutOfMemory where
    the accelerator's memory is too small, Preempted where it was asked to stop.
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
    lengths = sequence_lengths(scored)
    order = data_order(rows, lengths, training, np.random.default_rng(seed))
    safely = contextlib.nullcontext() if deepspeed is None else nothing_unpickled()
    with isolated(deepspeed is not None), safely, tempfile.TemporaryDirectory() as scratch:
        trainer = PairTrainer(
            method,
            name,
            training.batch_size,
            checkpoints,
            model=load_model(files, training.dtype if deepspeed is not None else "float32"),
            processing_class=load_tokenizer(files),
            train_dataset=scored.select(order),
            args=DPOConfig(
                **trl_arguments(method),
                output_dir=scratch,
                save_strategy="steps" if checkpoints and checkpoints.every else "no",
                save_steps=(checkpoints.every if checkpoints else None) or training.max_steps,
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
            trainer.add_callback(_Progress(on_step, training.logging_steps, name))
        resume, notes = checkpoints.newest(Path(scratch) / "resume") if checkpoints else (None, [])
        if resume is not None:
            trainer.recorder.restore(resume, trainer.args.process_index, trainer.args.device)
            notes.append(f"went on from {resume.name}")
        for note in notes:
            print(f"{name}: {note}", flush=True)
        start = time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{name}: a micro-batch of {micro_batch} does not fit: {' '.join(str(error).split())}"
            ) from error
        seconds = time.monotonic() - start
        model = trainer.accelerator.unwrap_model(trainer.model)
        recorder = trainer.recorder
        if deepspeed is not None:
            engine = trainer.model_wrapped
            if skipped := engine.skipped_steps:  # the loss of such a step is finite, and would tell nothing
                trainer.notes.append(f"steps skipped for gradients that are not finite: {skipped}")
            engine.destroy()
    cut = np.array(scored["chosen_truncated"][:]) | np.array(scored["rejected_truncated"][:])
    counts = {
        "pairs_train": float(len(rows)),
        "pairs_truncated": float(cut[rows].sum()),
        "pairs_seen": float(len(order)),
        "tokens_seen": float(lengths[order].sum()),
    }
    summary = summarise(recorder.points) | recorder.weight_summary() | counts
    return ArmResult(curve(recorder.points), summary, model, seconds, (*notes, *trainer.notes))


class _Progress(TrainerCallback):  # type: ignore[misc]
    """Tells of every step, and where the answer is to stop, saves and stops.

    Workers agree on the step to stop at: they ask one another every `agree` steps, since each asking makes
    them wait for their devices. A worker alone stops at once.
    """

    def __init__(self, on_step: Callable[[int, int], bool | None], agree: int, name: str) -> None:
        self.on_step, self.agree, self.name = on_step, agree, name
        self.asked = self.stopping = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.asked |= bool(self.on_step(state.global_step, state.max_steps))
        if args.world_size == 1:
            self.stopping = self.asked
        elif state.global_step % self.agree == 0:
            self.stopping = any(gather_object([self.asked]))
        if self.stopping and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.stopping:
            raise Preempted(f"{self.name}: asked to stop, saved at step {state.global_step}")
