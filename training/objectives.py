"""Turn a method into arguments of TRL, and refuse a method that TRL cannot train.

No method has its own code here. Any loss of TRL 1.16 (`training/losses.py`) can be trained. What TRL would
refuse only after a model is loaded is refused before anything starts.
"""

from typing import Any

from training.errors import StudyError
from training.hints import suggestion
from training.losses import LOSSES
from training.spec import MethodSpec

# f-divergences (Wang et al. 2023, arXiv 2309.16240) change the score whose *difference* enters the loss.
# Losses of single answers have no such difference; TRL refuses them when the trainer is built.
_DIFFERENCE_LOSSES = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}
# AOT sorts the batch, and TRL's `sft` is one value for all of it: neither has a pair to put a weight on, and
# both change when a batch is cut into micro-batches.
_BATCH_LOSSES = {"aot", "aot_unpaired", "sft"}
# Arguments that only some losses read; with others, they would change a trial's identity and nothing else.
_READ_BY = {
    "label_smoothing": {"robust", "exo_pair", "aot", "aot_unpaired"},
    "discopop_tau": {"discopop"},
}
# Arguments that TRL does not have.
_OURS = {"wpo_clamp", "wpo_alignment"}


def trl_arguments(method: MethodSpec) -> dict[str, Any]:
    """Return the method as keyword arguments of `trl.DPOConfig`."""
    return method.model_dump(exclude=_OURS, exclude_none=True) | {"loss_type": loss_types(method)}


def loss_types(method: MethodSpec) -> list[str]:
    """Return the method's losses as a list, even if there is only one."""
    return [method.loss_type] if isinstance(method.loss_type, str) else list(method.loss_type)


def batch_losses(method: MethodSpec) -> list[str]:
    """Return those of the method's losses that look across the pairs of a batch."""
    return [loss for loss in loss_types(method) if loss in _BATCH_LOSSES]


def check(method: MethodSpec, place: str) -> None:
    """Refuse now what TRL would refuse only when the trainer is built or at its first step.

    Args:
        method: The method of a study file.
        place: The method's key in the message, for example `configs/demo.yaml: methods.wpo`.

    Raises:
        StudyError: TRL cannot train the method, or would ignore one of its arguments.
    """
    losses = loss_types(method)
    for loss in losses:
        if loss not in LOSSES:
            raise StudyError(f"{place}.loss_type: no loss {loss!r} in TRL; {suggestion(loss, LOSSES)}")
    if not losses:
        raise StudyError(f"{place}.loss_type: an empty list; name at least one of {', '.join(LOSSES)}")
    if method.loss_weights is not None and len(method.loss_weights) != len(losses):
        raise StudyError(
            f"{place}.loss_weights: {len(method.loss_weights)} weights for {len(losses)} losses "
            f"({', '.join(losses)}); give one per loss"
        )
    if method.use_weighting and _BATCH_LOSSES & set(losses):
        raise StudyError(
            f"{place}.use_weighting: {', '.join(losses)} has no loss of a single pair to weight; "
            "set use_weighting: false, or choose another loss_type"
        )
    if method.f_divergence_type != "reverse_kl" and not set(losses) <= _DIFFERENCE_LOSSES:
        raise StudyError(
            f"{place}.f_divergence_type: {method.f_divergence_type} with {', '.join(losses)}; it needs "
            f"losses of the margin alone: {', '.join(sorted(_DIFFERENCE_LOSSES))}"
        )
    if "exo_pair" in losses and method.label_smoothing == 0:
        raise StudyError(f"{place}.label_smoothing: 0 with exo_pair; set it to 1e-3, as the paper recommends")
    if "robust" in losses and method.label_smoothing >= 0.5:
        raise StudyError(f"{place}.label_smoothing: {method.label_smoothing} with robust; set it below 0.5")
    _refuse_ignored(method, losses, place)


def _refuse_ignored(method: MethodSpec, losses: list[str], place: str) -> None:
    """Raise StudyError for an argument that the method's losses do not read."""
    needs = {
        name: f"loss_type {' or '.join(sorted(read))}"
        for name, read in _READ_BY.items()
        if not read & set(losses)
    }
    if method.f_divergence_type != "alpha_divergence":
        needs["f_alpha_divergence_coef"] = "f_divergence_type: alpha_divergence"
    if not method.use_weighting:
        needs |= dict.fromkeys(_OURS, "use_weighting: true")
    for name in sorted(needs):
        if getattr(method, name) != MethodSpec.model_fields[name].default:
            raise StudyError(
                f"{place}.{name}: {getattr(method, name)} needs {needs[name]}; set both or neither"
            )
