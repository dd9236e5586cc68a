"""Preference objectives: a method is data, namely arguments of TRL, with paper and equation beside each loss.

No method has code of its own here. Any loss of TRL 1.16 that a study names can be trained; what TRL would
refuse only after a model is loaded is refused before anything starts.

Notation: h_w, h_l = log pi(y|x) - log pi_ref(y|x) of the chosen and the rejected answer, summed over answer
tokens; margin = h_w - h_l; s = sigmoid; b = `beta`; e = `label_smoothing`; n = answer length in tokens.
"""

from dataclasses import dataclass
from typing import Any

from training.errors import StudyError
from training.hints import suggestion
from training.spec import MethodSpec


@dataclass(frozen=True)
class Loss:
    """One `loss_type` of TRL: its source, and what it minimises for a pair."""

    paper: str
    equation: str
    summary: str


LOSSES: dict[str, Loss] = {
    "sigmoid": Loss(
        "Rafailov et al. 2023, arXiv 2305.18290, eq. 7",
        "-log s(b * margin)",
        "DPO: a Bradley-Terry classifier on the implicit reward",
    ),
    "sigmoid_norm": Loss(
        "Lambert et al. 2024 (Tulu 3), arXiv 2411.15124, eq. 6",
        "-log s(b * (h_w / n_w - h_l / n_l))",
        "DPO normalised by answer length",
    ),
    "hinge": Loss(
        "Zhao et al. 2023 (SLiC-HF), arXiv 2305.10425; Liu et al. 2023 (RSO), arXiv 2309.06657",
        "max(0, 1 - b * margin)",
        "a hinge on the margin",
    ),
    "ipo": Loss(
        "Azar et al. 2023, arXiv 2310.12036, eq. 17",
        "(h_w / n_w - h_l / n_l - 1 / (2 b))^2",
        "IPO: regress the per-token margin on a fixed target, so it cannot grow without bound",
    ),
    "exo_pair": Loss(
        "Ji et al. 2024, arXiv 2402.00856, eq. 16",
        "KL( (s(b * margin), s(-b * margin)) || (1 - e, e) )",
        "EXO: reverse KL towards the smoothed preference; needs label_smoothing > 0",
    ),
    "nca_pair": Loss(
        "Chen et al. 2024, arXiv 2402.05369",
        "-log s(b h_w) - 0.5 log s(-b h_w) - 0.5 log s(-b h_l)",
        "NCA: noise contrast on absolute likelihoods",
    ),
    "robust": Loss(
        "Chowdhury et al. 2024, arXiv 2403.00409, eq. 12",
        "(-(1 - e) log s(b * margin) + e log s(-b * margin)) / (1 - 2 e)",
        "an unbiased DPO when a share e of the labels is flipped",
    ),
    "bco_pair": Loss(
        "Jung et al. 2024, arXiv 2404.04656",
        "-log s(b h_w) - log s(-b h_l)",
        "BCO: a binary classifier of single answers",
    ),
    "sppo_hard": Loss(
        "Wu et al. 2024, arXiv 2405.00675, eq. 4.7 with P = 1 and 0",
        "(h_w - 0.5 / b)^2 + (h_l + 0.5 / b)^2",
        "SPPO: self-play towards a Nash equilibrium, hard labels",
    ),
    "aot": Loss(
        "Melnyk et al. 2024, arXiv 2406.05882",
        "-log s(b * (sort(log pi_w - log pi_l) - sort(the same of ref)))",
        "AOT: first-order stochastic dominance inside the batch",
    ),
    "aot_unpaired": Loss(
        "Melnyk et al. 2024, arXiv 2406.05882",
        "-log s(b * (sort(h_w) - sort(h_l)))",
        "AOT on unpaired rewards",
    ),
    "apo_zero": Loss(
        "D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7",
        "1 - s(b h_w) + s(b h_l)",
        "APO-zero: push the chosen up and the rejected down",
    ),
    "apo_down": Loss(
        "D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 8",
        "s(b h_w) + 1 - s(b * margin)",
        "APO-down: push both down, the rejected more",
    ),
    "discopop": Loss(
        "Lu et al. 2024, arXiv 2406.08414, eq. 5",
        "(1 - m) * -log s(b * margin) + m * exp(-b * margin), m = s(b * margin / tau)",
        "DiscoPOP: a loss found by a language model",
    ),
    "sft": Loss("Maximum likelihood", "-log pi(y_w|x) / n_w", "the chosen answer alone; a term for mixtures"),
}

# WPO weights the pairs of any loss above (`use_weighting`): Zhou et al., EMNLP 2024, arXiv 2406.11827.
#   log w(x, y) = 1/|y| * sum_t [ log pi(y_t | x, y_<t) - log sum_v pi(v | x, y_<t)^2 ]      sampled alignment
#   log w(x, y) = 1/|y| * sum_t [ log pi(y_t | x, y_<t) - max_v log pi(v | x, y_<t) ]        greedy alignment
#   pair weight = min( w(x, y_w) * w(x, y_l), 1 ), without gradient; pi is the policy in training.
# The authors' code takes the minimum (`wpo_clamp: authors`); TRL 1.16 does not (`wpo_clamp: trl`).

# f-divergences (Wang et al. 2023, arXiv 2309.16240) change the score whose *difference* enters the loss.
# Losses of single answers have no such difference; TRL refuses them when the trainer is built.
_DIFFERENCE_LOSSES = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}
# AOT sorts the batch, and TRL's `sft` is one value for all of it: neither has a pair to put a weight on.
_PAIRLESS_LOSSES = {"aot", "aot_unpaired", "sft"}
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
    if method.use_weighting and _PAIRLESS_LOSSES & set(losses):
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
