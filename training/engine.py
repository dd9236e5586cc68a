"""What updates an arm's weights: DeepSpeed, or torch's AdamW alone (`training/master_weights.py`)."""

import os
from typing import Any

from training.errors import StudyError
from training.optimizer import why_not_without_deepspeed
from training.partitioned import make_whole
from training.spec import TrainingSpec


def refuse(name: str, training: TrainingSpec) -> None:
    """Raise StudyError if an arm cannot be trained without DeepSpeed."""
    if reason := why_not_without_deepspeed(training, int(os.environ.get("WORLD_SIZE", "1"))):
        raise StudyError(f"{name}: not without DeepSpeed: {reason}")


def prepare(trainer: Any) -> None:
    """Have DeepSpeed, if it is used, look for gradients that are not finite in one place."""
    if trainer.is_deepspeed_enabled:
        from training.finite_norm import NormCheck

        trainer.add_callback(NormCheck)


def end(trainer: Any) -> list[str]:
    """Leave plain weights after training; return a note if steps were skipped.

    The loss of a skipped step is finite, so nothing else would show it.
    """
    if trainer.is_deepspeed_enabled:
        engine = trainer.model_wrapped
        skipped = engine.skipped_steps
        engine.destroy()
        make_whole(trainer.accelerator.unwrap_model(trainer.model))
    else:
        skipped = int(trainer.optimizer.optimizer.skipped)
    return [f"steps skipped for gradients that are not finite: {skipped}"] if skipped else []
