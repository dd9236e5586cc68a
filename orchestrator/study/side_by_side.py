"""What `resources.cells_together` needs of a study, and how many cells `auto` is."""

from collections.abc import Callable

from orchestrator.study.shape import Shape
from training.lora_spec import LoraSpec
from training.spec import MethodSpec, TrainingSpec

ARMS = 2  # of a cell
# Tokens of a joint row. A longer one fills a card by itself: then cells side by side gain little.
ROW_TOKENS = 16_384


def why_not_together(
    lora: LoraSpec | None, shape: Shape, training: TrainingSpec, objective: MethodSpec
) -> str:
    """Say why a method's cells cannot be trained side by side, and the way out.

    The text is empty if they can.
    """
    if lora is None:
        return "arms share a model only where they train adapters; set model.lora, or remove cells_together"
    if shape.workers > 1:
        return f"not with workers {shape.workers}; set workers: 1, or remove cells_together"
    if training.dtype == "float16":
        return "not with dtype float16, whose gradients need a scale of their own; remove cells_together"
    if lora.dropout and shape.activation_checkpointing:
        return "not with adapters' dropout and activation_checkpointing at once; remove one of the three"
    if objective.use_weighting and objective.wpo_alignment == "greedy":
        return "not with wpo_alignment: greedy; set cells_together: null in the resources of that method"
    return ""


def cells_that_pay(micro_batch: int, max_length: int) -> int:
    """Return how many cells fill a joint row of at most `ROW_TOKENS` tokens, at least one.

    Args:
        micro_batch: Pairs per forward pass of an arm.
        max_length: The tokens that a sequence has at most.
    """
    return max(1, ROW_TOKENS // (ARMS * 2 * micro_batch * max_length))


def cells_that_fit(most: int, needs: Callable[[int], int], room: int) -> int:
    """Return the largest number of cells, from 1 to `most`, whose memory fits; 1 if none does.

    Args:
        most: The largest number.
        needs: `needs(cells)` returns the bytes that a worker needs for so many cells side by side.
        room: The bytes that it has.
    """
    return next((cells for cells in range(most, 1, -1) if needs(cells) <= room), 1)
