"""Turn a method into arguments of TRL, and refuse a method that TRL cannot train.

Any loss of TRL 1.16 (`training/losses.py`) can be trained without code of its own, and SimPO is one of them
with other inputs. What TRL would refuse only after a model is loaded is refused before anything starts.
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
# Losses in which a shift of the reference's log-probabilities is a target margin.
_TARGET_LOSSES = {"sigmoid", "hinge", "robust"}
# Losses whose beta scales a margin of log-probabilities per token.
_PER_TOKEN_LOSSES = {"sigmoid_norm", "ipo", "simpo"}
# Arguments that TRL does not have.
_WPO = {"wpo_clamp", "wpo_alignment"}
_OURS = _WPO | {"gamma", "weights_from", "margin_from", "margin_scale"}
_TRL_NAME = {"simpo": "sigmoid_norm"}  # what TRL computes, of other inputs (`training/reference_shift.py`)


def trl_arguments(method: MethodSpec) -> dict[str, Any]:
    """Return the method as keyword arguments of `trl.DPOConfig`."""
    return method.model_dump(exclude=_OURS, exclude_none=True) | {
        "loss_type": [_TRL_NAME.get(loss, loss) for loss in loss_types(method)],
        "use_weighting": method.use_weighting or method.weights_from is not None,
    }


def loss_types(method: MethodSpec) -> list[str]:
    """Return the method's losses as a list, even if there is only one."""
    return [method.loss_type] if isinstance(method.loss_type, str) else list(method.loss_type)


def scales_per_token(method: MethodSpec) -> bool:
    """Return whether beta scales margins per token in all of the method's losses that read it."""
    reading = set(loss_types(method)) - {"sft"}
    return bool(reading) and reading <= _PER_TOKEN_LOSSES


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
            raise StudyError(f"{place}.loss_type: no loss {loss!r}; {suggestion(loss, LOSSES)}")
    if not losses:
        raise StudyError(f"{place}.loss_type: an empty list; name at least one of {', '.join(LOSSES)}")
    if method.loss_weights is not None and len(method.loss_weights) != len(losses):
        raise StudyError(
            f"{place}.loss_weights: {len(method.loss_weights)} weights for {len(losses)} losses "
            f"({', '.join(losses)}); give one per loss"
        )
    for key in ("use_weighting", "weights_from"):
        if getattr(method, key) and _BATCH_LOSSES & set(losses):
            raise StudyError(
                f"{place}.{key}: {', '.join(losses)} has no loss of a single pair to weight; "
                f"remove {key}, or choose another loss_type"
            )
        if getattr(method, key) and "hinge" in losses:
            raise StudyError(
                f"{place}.{key}: not with hinge, because TRL multiplies its loss in place, where torch "
                "cannot compute gradients; choose another loss_type"
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
    _check_shifts(method, losses, place)
    _refuse_ignored(method, losses, place)


def _check_shifts(method: MethodSpec, losses: list[str], place: str) -> None:
    """Refuse what cannot be had by shifting the reference's log-probabilities."""
    others = set(losses) - {"simpo", "sft"}
    if "simpo" in losses and others:
        raise StudyError(
            f"{place}.loss_type: simpo reads no reference, and {', '.join(sorted(others))} does; train them "
            "as two methods"
        )
    if "simpo" in losses and method.gamma is None:
        raise StudyError(
            f"{place}.gamma: absent; SimPO needs its target margin: the paper uses 0.3 to 1.6 with beta 2.0 "
            "to 2.5, and 0 leaves it out"
        )
    for key in ("ld_alpha", "margin_from"):
        if "simpo" in losses and getattr(method, key) is not None:
            other = "gamma is its target margin" if key == "margin_from" else "it divides by length already"
            raise StudyError(f"{place}.{key}: not with simpo; {other}")
    if method.margin_from and not (others and others <= _TARGET_LOSSES):
        raise StudyError(
            f"{place}.margin_from: {method.margin_from} with {', '.join(losses)}; a target margin needs a "
            f"loss of beta * margin: {', '.join(sorted(_TARGET_LOSSES))}"
        )
    if method.margin_from and method.f_divergence_type != "reverse_kl":
        raise StudyError(
            f"{place}.margin_from: {method.margin_from} with f_divergence_type: {method.f_divergence_type}; "
            "a target margin needs reverse_kl"
        )


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
        needs |= dict.fromkeys(_WPO, "use_weighting: true")
    if "simpo" not in losses:
        needs["gamma"] = "loss_type: simpo (margin_from is the target margin of other losses)"
    if not method.margin_from:
        needs["margin_scale"] = "margin_from: score_gap or log_score_gap"
    if set(losses) == {"sft"}:
        needs["ld_alpha"] = "a loss beside sft, which reads the tokens of one answer alone"
    for name in sorted(needs):
        if getattr(method, name) != MethodSpec.model_fields[name].default:
            raise StudyError(
                f"{place}.{name}: {getattr(method, name)} needs {needs[name]}; set both or neither"
            )
