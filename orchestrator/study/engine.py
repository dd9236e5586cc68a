"""Which engine updates the weights of a study's cells: DeepSpeed under some settings, or none of it."""

from typing import Any

from orchestrator.study.shape import AUTO, NO_DEEPSPEED, Shape
from training.lora_spec import LoraSpec
from training.optimizer import why_not_without_deepspeed
from training.spec import TrainingSpec

SEVERAL_WORKERS = "zero2"  # what auto takes where DeepSpeed is needed


def engine_of(shape: Shape, training: TrainingSpec) -> str:
    """Return the name of DeepSpeed's settings that cells train under, or `NO_DEEPSPEED`."""
    if shape.deepspeed != AUTO:
        return shape.deepspeed
    return SEVERAL_WORKERS if why_not_without_deepspeed(training, shape.workers) else NO_DEEPSPEED


def engine_in_words(shape: Shape, training: TrainingSpec) -> str:
    """Name the engine for a person."""
    engine = engine_of(shape, training)
    return "no DeepSpeed" if engine == NO_DEEPSPEED else f"DeepSpeed {engine}"


def why_not_trained(
    settings: dict[str, Any] | None, lora: LoraSpec | None, shape: Shape, training: TrainingSpec
) -> str:
    """Say why a method's cells cannot be trained under settings of DeepSpeed, or without it, and the way out.

    The text is empty if they can.
    """
    if settings is None:
        return why_not_without_deepspeed(training, shape.workers)
    zero = settings["zero_optimization"]
    if zero["stage"] < 3:
        return ""
    if shape.cells_together:
        return "it divides each weight, and cells side by side share whole ones; remove cells_together"
    if lora and lora.quantise:
        return f"it cannot divide weights of {lora.quantise}; set zero2, or remove model.lora.quantise"
    if "offload_optimizer" in zero and training.optimizer != "adamw":
        return f"it updates weights on CPUs, not by {training.optimizer}; set training.optimizer: adamw"
    return ""
