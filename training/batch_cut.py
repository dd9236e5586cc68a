"""How a batch is cut into micro-batches and among workers, and which losses cannot bear it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.errors import StudyError
from training.spec import MethodSpec

EXPERT_LOSS = "the load-balancing loss of a mixture of experts"


@dataclass(frozen=True)
class BatchCut:
    """A batch of an arm, cut into forward passes.

    name: The trial and arm, for messages.
    batch_size: Pairs per step over all workers.
    micro_batch: Pairs per forward pass of one worker.
    """

    name: str
    batch_size: int
    micro_batch: int

    def accumulation(self, pairs: int) -> int:
        """Return the micro-batches per step and worker.

        Raises:
            StudyError: They do not fill whole batches, or the arm has fewer pairs than a batch.
        """
        workers = int(os.environ.get("WORLD_SIZE", 1))
        accumulation, remainder = divmod(self.batch_size, self.micro_batch * workers)
        if remainder or not accumulation:
            raise StudyError(
                f"{self.name}: batch_size {self.batch_size} is not a multiple of micro-batch "
                f"{self.micro_batch} x {workers} workers; change one of them"
            )
        if pairs < self.batch_size:
            raise StudyError(
                f"{self.name}: {pairs} training pairs, fewer than one batch of {self.batch_size}; "
                "lower batch_size or widen the group"
            )
        return accumulation

    def refuse_for(self, losses: Sequence[str]) -> None:
        """Raise StudyError if the batch is cut although `losses` look across its pairs.

        Their value on a part of a batch is another one: the answer would depend on micro-batch and workers.
        """
        if losses and self.micro_batch != self.batch_size:
            zero = ", or router_aux_loss_coef: 0 in the method" if EXPERT_LOSS in losses else ""
            raise StudyError(
                f"{self.name}: {losses[0]} looks across the pairs of a batch, and a micro-batch of "
                f"{self.micro_batch} cuts batch_size {self.batch_size}; set workers: 1 and "
                f"micro_batch: {self.batch_size}, a lower batch_size{zero}"
            )


def expert_loss(config: Any, method: MethodSpec) -> list[str]:
    """Return the name of TRL's auxiliary loss if an arm has one, as TRL decides it; otherwise nothing.

    Args:
        config: The configuration of the model's text part.
        method: The preference objective.

    Raises:
        StudyError: The method gives that loss a weight, and the model has no experts.
    """
    weight = method.router_aux_loss_coef
    if not hasattr(config, "output_router_logits"):
        if weight:
            raise StudyError(
                f"router_aux_loss_coef: {weight}, but {config.model_type} has no experts that return their "
                "router's logits; remove it from the method"
            )
        return []
    if weight is None:
        weight = getattr(config, "router_aux_loss_coef", 0.0)
    return [EXPERT_LOSS] if weight else []
