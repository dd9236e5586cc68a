"""Have an arm's layers compiled for rows of a few lengths, or say why not."""

from collections.abc import Callable

from training.layout import LayoutCheck
from training.lora import causal_lm
from training.row_lengths import FilledRows
from training.trainer import PairTrainer


def compile_for(
    rows: FilledRows, trainer: PairTrainer, check: LayoutCheck, tell: Callable[[str], object]
) -> str:
    """Compile the trainer's model and have its rows filled, where that works.

    Args:
        rows: The lengths to which its rows are filled.
        trainer: A trainer that has not begun.
        check: How batches are given to its model.
        tell: Is given the reason if nothing is compiled.

    Returns:
        A note for the record: what was done, or why nothing was.
    """
    from training.compiled import compiled_or_why_not  # two seconds, for those who ask for it

    reason = "batches are padded"
    if trainer.packs:
        reason = compiled_or_why_not(causal_lm(trainer.model), rows.lengths, check)
    if reason:
        tell(f"layers are not compiled: {reason} ({check.device})")
        return f"not compiled: {reason}"
    trainer.fill_rows(rows.lengths)
    return f"compiled for {rows}"
