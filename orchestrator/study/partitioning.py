"""What ZeRO stage 3, and states that are kept in the host's memory, need of a study."""

from typing import Any

from orchestrator.study.shape import Shape
from training.lora_spec import LoraSpec
from training.spec import TrainingSpec


def why_not_partitioned(
    settings: dict[str, Any], lora: LoraSpec | None, shape: Shape, training: TrainingSpec
) -> str:
    """Say why a method's cells cannot be trained under settings of DeepSpeed, and the way out.

    The text is empty if they can.
    """
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
