"""Train one arm of a trial: tune a model on one group's pairs, and return it with its curve.

This runs under plain python, torchrun or a Ray Train worker, with or without DeepSpeed. An arm leaves nothing
behind in its process: a trial trains two arms, and the first must not affect the second.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PrinterCallback, set_seed
from trl import DPOConfig

from training import engine
from training.arrays import FloatArray, IntArray
from training.batch_cut import BatchCut, expert_loss
from training.batches import data_order, sequence_lengths
from training.checkpointing import checkpoint_activations
from training.checkpoints import Checkpoints
from training.compiling import compile_for
from training.curve import curve_table, summarise
from training.errors import OutOfMemory
from training.heldout_curve import HeldOut, HeldOutCurve
from training.layout import Layout, LayoutCheck
from training.layout_check import check_in_this_process
from training.lora import peft_config, prepare_adapters, without_dropout_modules
from training.lora_spec import LoraSpec
from training.model import ModelFiles, load_tokenizer
from training.model_access import OWN_MODEL, ModelAccess
from training.objectives import batch_losses, trl_arguments
from training.optimizer import optimizer_name
from training.progress import OnStep, ProgressReport
from training.resharding import Sharding, why_not_resharded
from training.row_lengths import FilledRows
from training.score_gaps import gap_columns
from training.scratch import scratch
from training.spec import MethodSpec, TrainingSpec
from training.trainer import PairTrainer


@dataclass(frozen=True)
class ArmTask:
    """What to train: everything that can change an arm's answer, apart from the pairs themselves.

    name: The trial and arm, for messages.
    model: The model's files (`training.model_path.resolve_model`).
    method: The preference objective.
    training: Steps, batch size, learning rate and the like.
    seed: Seed of the order of the pairs and of every other random draw.
    rows: Row numbers, in the scored table, of the pairs to train on: shape [pairs].
    gaps: Score gaps of these pairs, for a method that reads them: shape [pairs].
    lora: The adapters that are trained in place of the weights; None trains the weights.
    """

    name: str
    model: ModelFiles
    method: MethodSpec
    training: TrainingSpec
    seed: int
    rows: IntArray
    gaps: FloatArray | None = None
    lora: LoraSpec | None = None


@dataclass(frozen=True)
class Execution:
    """How to compute an arm; its answer stays the same up to rounding.

    micro_batch: Pairs per forward pass of one worker.
    deepspeed: DeepSpeed's settings (a file of configs/deepspeed/), or None for torch's AdamW alone, on one
        worker (`training/master_weights.py`).
    check: How the model was computed when the pairs were scored (`training.scoring.Scored.check`), if it is
        known. The arm is computed as measured in its own process; a difference becomes a note.
    activation_checkpointing: Whether layers are computed again in the backward pass, to save memory.
    compile: Whether layers are compiled for a few lengths of rows, where that works (`training/compiled.py`);
        not under ZeRO stage 3, with adapters' dropout, or for arms that share a model.
    """

    micro_batch: int
    deepspeed: dict[str, Any] | None = None
    check: LayoutCheck | None = None
    activation_checkpointing: bool = False
    compile: bool = False


@dataclass(frozen=True)
class ArmResult:
    """A trained arm.

    curve: Columns step, metric, value (`training/recorder.py` describes the metrics).
    summary: Final metrics by name.
    model: The tuned model, on its device; with adapters, peft's model.
    check: How batches were given to the model, and why; held-out pairs are scored the same way.
    seconds: Wall time of the training loop.
    notes: What a reader of the record should know: where the arm resumed, which checkpoints were skipped or
        could not be kept, how many steps were skipped.
    origin: The origin of its checkpoints, those that it resumed from included (`training/origin.py`).
    """

    curve: pd.DataFrame
    summary: dict[str, float]
    model: PreTrainedModel | PeftModel
    check: LayoutCheck
    seconds: float
    notes: tuple[str, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """How batches were given to the model."""
        return self.check.layout


def _silent(_: str) -> None:
    """Tell nobody."""


def train_arm(
    task: ArmTask,
    scored: Dataset,
    execution: Execution,
    *,
    checkpoints: Checkpoints | None = None,
    on_step: OnStep | None = None,
    heldout: HeldOut | None = None,
    tell: Callable[[str], object] = _silent,
    access: ModelAccess | None = None,
) -> ArmResult:
    """Tune the task's model on its rows of a scored table.

    `training/__init__.py` shows a runnable example.

    Args:
        task: What to train.
        scored: A table that `training.scoring.open_scored` opened.
        execution: How to compute it.
        checkpoints: Where the arm saves itself and resumes from; with None, it saves nothing.
        on_step: `on_step(step, total)` is called after every optimiser step; if it returns True, the arm
            saves itself and stops.
        heldout: The pairs of the held-out curve; needed where `task.training.eval_every` asks for one.
        tell: Is given what a user should know while the arm trains: why its batches are padded, why its
            layers are not compiled.
        access: The model that the arm shares with others (`training/bundle.py`); None lets it load its own.

    Returns:
        The tuned model, with its curve and final metrics.

    Raises:
        StudyError: The group is smaller than a batch, a loss is not finite, a batch is cut although the loss
            looks across its pairs, the method needs score gaps that the pairs lack, the optimiser is not
            installed, DeepSpeed is needed, or the model cannot be loaded or computed.
        OutOfMemory: The accelerator's memory is too small for a micro-batch.
        Preempted: The arm was asked to stop, and has saved itself.
    """
    access = access or OWN_MODEL
    task = replace(task, training=task.training.for_pairs(len(task.rows)))
    batch = BatchCut(task.name, task.training.batch_size, execution.micro_batch)
    accumulation = batch.accumulation(len(task.rows))
    batch.refuse_for(batch_losses(task.method))
    deepspeed = execution.deepspeed is not None
    if not deepspeed:
        engine.refuse(task.name, task.training)
    lengths = sequence_lengths(scored)
    table = _with_columns(scored, task.rows, gap_columns(task.method, task.gaps, task.name))
    order = data_order(task.rows, lengths, task.training, np.random.default_rng(task.seed))
    with access.opened(task.model, task.training.dtype, deepspeed) as model, scratch() as scratch_folder:
        batch.refuse_for(expert_loss(model.config.get_text_config(), task.method))
        check, measured = _check(model, task.model, execution)
        if check.reason:
            tell(f"batches are padded: {check.reason} ({check.device})")
        if execution.activation_checkpointing:
            checkpoint_activations(model)
        adapters = None
        if task.lora is not None:
            without_dropout_modules(model)
            set_seed(task.seed)  # the trainer draws the adapters, before it sets the seed itself
            adapters = peft_config(task.lora, task.model)
        trainer = PairTrainer(
            task.method,
            task.name,
            task.training.batch_size,
            check.layout,
            checkpoints,
            access,
            model=model,
            peft_config=adapters,
            processing_class=load_tokenizer(task.model),
            train_dataset=table.select(order),
            args=_trl_config(task, execution, accumulation, checkpoints, str(scratch_folder)),
        )
        if task.lora is not None:
            prepare_adapters(trainer.model, model.dtype)
        if execution.compile:
            rows = FilledRows.of(scored, task.training, order, execution.micro_batch)
            measured.append(compile_for(rows, trainer, check, tell))
        trainer.remove_callback(PrinterCallback)
        if task.training.eval_every:
            assert heldout is not None, "eval_every needs held-out pairs"
            trainer.add_callback(
                HeldOutCurve(
                    trainer.recorder,
                    scored,
                    heldout,
                    task.training.max_length,
                    check.layout,
                    task.training.eval_every,
                    task.name,
                )
            )
        engine.prepare(trainer)
        if on_step is not None:
            trainer.add_callback(ProgressReport(on_step, task.training.logging_steps, task.name))
        checkpoint, notes = _resume(trainer, checkpoints, scratch_folder / "resume", task, execution)
        notes += measured
        start = time.monotonic()
        try:
            trainer.train(resume_from_checkpoint=checkpoint)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{task.name}: a micro-batch of {execution.micro_batch} does not fit: "
                f"{' '.join(str(error).split())}"
            ) from error
        seconds = time.monotonic() - start
        model = trainer.accelerator.unwrap_model(trainer.model)
        notes += trainer.notes + engine.end(trainer)
    summary = (
        summarise(trainer.recorder.points)
        | trainer.recorder.weight_summary()
        | _data_counts(scored, task.rows, order, lengths)
    )
    recorder = trainer.recorder
    curve = curve_table(recorder.points, recorder.heldout_points)
    return ArmResult(curve, summary, model, check, seconds, tuple(notes), recorder.origin)


def _with_columns(scored: Dataset, rows: IntArray, columns: Mapping[str, FloatArray]) -> Dataset:
    """Return the scored table with further columns, whose values at `rows` are given."""
    for name, values in columns.items():
        whole = np.full(len(scored), np.nan)
        whole[rows] = values
        scored = scored.add_column(name, whole)
    return scored


def _check(model: PreTrainedModel, files: ModelFiles, execution: Execution) -> tuple[LayoutCheck, list[str]]:
    """Return what is measured in this process, and a note if the pairs were scored in another way."""
    check = check_in_this_process(model, files, "cuda" if torch.cuda.is_available() else "cpu")
    same = execution.check is None or execution.check.layout is check.layout
    return check, [] if same else [f"layout: {check}"]


def _trl_config(
    task: ArmTask, execution: Execution, accumulation: int, checkpoints: Checkpoints | None, scratch: str
) -> DPOConfig:
    training = task.training
    save_every = checkpoints.every if checkpoints else None
    config = DPOConfig(
        **trl_arguments(task.method),
        output_dir=scratch,
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or training.max_steps,
        per_device_train_batch_size=execution.micro_batch,
        gradient_accumulation_steps=accumulation,
        max_steps=training.max_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.lr_scheduler,
        warmup_steps=training.warmup_steps,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        max_length=training.max_length,
        logging_steps=training.logging_steps,
        bf16=training.dtype == "bfloat16" and execution.deepspeed is not None,
        fp16=training.dtype == "float16",
        seed=task.seed,
        optim=optimizer_name(training),
        train_sampling_strategy="sequential",  # the pairs are in training order already
        precompute_ref_log_probs=True,  # they are columns: no reference model is loaded
        disable_dropout=task.lora is None,  # adapters keep theirs
        activation_checkpointing=False,  # `training/checkpointing.py` switches it on
        remove_unused_columns=False,  # the collators know what they need
        use_cpu=not torch.cuda.is_available(),
        deepspeed=execution.deepspeed,
        accelerator_config={"non_blocking": torch.cuda.is_available()},  # copies do not wait for the card
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
    )
    config._n_gpu = 1  # with DeepSpeed or without, whatever other cards the process sees
    return config


def _resume(
    trainer: PairTrainer,
    checkpoints: Checkpoints | None,
    scratch: Path,
    task: ArmTask,
    execution: Execution,
) -> tuple[str | None, list[str]]:
    """Restore the curve from the newest checkpoint; return its path, or None if there is none, and notes."""
    if checkpoints is None:
        return None, []
    args = trainer.args
    now = Sharding.of_settings(execution.deepspeed, args.world_size)
    trainer.recorder.origin = dict(checkpoints.origin)
    checkpoint, notes = checkpoints.newest(
        scratch, lambda copy: why_not_resharded(Sharding.of_checkpoint(copy), now, task.training)
    )
    if checkpoint is not None:
        trainer.recorder.restore(checkpoint, args.process_index, args.world_size, args.device)
        saved = Sharding.of_checkpoint(checkpoint)
        notes.append(f"resumed from {checkpoint.name}{f' of {saved}' if saved != now else ''}")
    for note in notes:
        print(f"{task.name}: {note}", flush=True)
    return (str(checkpoint) if checkpoint else None), notes


def _data_counts(scored: Dataset, rows: IntArray, order: IntArray, lengths: IntArray) -> dict[str, float]:
    truncated = np.array(scored["chosen_truncated"][:]) | np.array(scored["rejected_truncated"][:])
    return {
        "pairs_train": float(len(rows)),
        "pairs_truncated": float(truncated[rows].sum()),
        "pairs_seen": float(len(order)),
        "tokens_seen": float(lengths[order].sum()),
    }
