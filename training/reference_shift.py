"""Shift the reference log-probabilities that TRL's loss reads: this adds to it what TRL lacks.

TRL's losses read a policy's log-probabilities through log pi - log pi_ref alone, so that a term inside the
loss can stand in log pi_ref. Nothing of the loss is copied.

Shape suffix: B pairs of a micro-batch.
"""

from torch import Tensor

from training.score_gaps import TARGET
from training.spec import MethodSpec

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
SHARED = ("ref_chosen_shared_logps", "ref_rejected_shared_logps")


def reference_logps(method: MethodSpec, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the columns that TRL's loss reads as the reference's log-probabilities: each of shape [B].

    - SimPO reads no reference. Its loss is TRL's `sigmoid_norm` with log pi_ref = 0 of the rejected answer
      and n_w * gamma / beta of the chosen one, which has n_w tokens.
    - With `ld_alpha`, TRL weights the policy's tokens, and these columns weight the reference's alike.
    - With `margin_from`, target / beta is added to the chosen answer's: beta * margin becomes
      beta * margin - target.

    Args:
        method: The objective.
        inputs: A batch of `training.trainer.PairTrainer`.
    """
    chosen_B, rejected_B = (inputs[name] for name in REFERENCE)
    if method.reference_free:
        tokens_B = inputs["completion_mask"].chunk(2)[0].sum(1)
        chosen_B, rejected_B = tokens_B * (method.gamma or 0.0) / method.beta, 0.0 * rejected_B
    if method.ld_alpha is not None:
        shared = [inputs[name] for name in SHARED]
        chosen_B, rejected_B = (
            part + method.ld_alpha * (whole - part)
            for whole, part in zip((chosen_B, rejected_B), shared, strict=True)
        )
    if method.margin_from:
        chosen_B = chosen_B + inputs[TARGET] / method.beta
    return dict(zip(REFERENCE, (chosen_B, rejected_B), strict=True))
