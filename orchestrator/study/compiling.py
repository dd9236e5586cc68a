"""What `resources.compile` needs of a study. Whether a model can be compiled is tried where it trains."""

from typing import Any

from orchestrator.study.shape import Shape
from training.lora_spec import LoraSpec


def why_not_compiled(settings: dict[str, Any] | None, lora: LoraSpec | None, shape: Shape) -> str:
    """Say why a method's cells cannot be compiled under settings of DeepSpeed or without it, and the way out.

    The text is empty if they can.
    """
    if shape.cells_together:
        return "not with cells_together, whose joint rows have any length; remove one of the two"
    if settings and settings["zero_optimization"]["stage"] >= 3:
        return f"not with {shape.deepspeed}, which fetches weights inside each layer; set deepspeed: zero2"
    if lora and lora.dropout:
        return "compiled layers draw adapters' dropout otherwise; set model.lora.dropout: 0"
    return ""
