"""What `resources.arms_together` needs of a study."""

from orchestrator.study.shape import Shape
from training.lora_spec import LoraSpec
from training.spec import MethodSpec, TrainingSpec


def why_not_together(
    lora: LoraSpec | None, shape: Shape, training: TrainingSpec, objective: MethodSpec
) -> str:
    """Say why the arms of a method's cells cannot be trained side by side, and the way out.

    The text is empty if they can.
    """
    if lora is None:
        return "arms share a model only where they train adapters; set model.lora, or remove arms_together"
    if shape.workers > 1:
        return f"not with workers {shape.workers}; set workers: 1, or remove arms_together"
    if training.dtype == "float16":
        return "not with dtype float16, whose gradients need a scale of their own; remove arms_together"
    if lora.dropout and shape.activation_checkpointing:
        return "not with adapters' dropout and activation_checkpointing at once; remove one of the three"
    if objective.use_weighting and objective.wpo_alignment == "greedy":
        return "not with wpo_alignment: greedy; set arms_together: false in the resources of that method"
    return ""
