"""List the losses of TRL 1.16 and SimPO, each with its paper and equation.

Notation: h_w, h_l = log pi(y|x) - log pi_ref(y|x) of the chosen and the rejected answer, summed over answer
tokens; margin = h_w - h_l; s = sigmoid; b = `beta`; e = `label_smoothing`; n = answer length in tokens.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """One `loss_type`.

    paper: Its source.
    equation: What it minimises for a pair.
    summary: Its name and idea in a line.
    """

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
    "simpo": Loss(
        "Meng et al. 2024, arXiv 2405.14734, eq. 6",
        "-log s(b * (log pi_w / n_w - log pi_l / n_l) - gamma)",
        "SimPO: the likelihood per token is the reward, and no reference model enters",
    ),
    "sft": Loss("Maximum likelihood", "-log pi(y_w|x) / n_w", "the chosen answer alone; a term for mixtures"),
}

# WPO weights the pairs of any loss above (`use_weighting`): Zhou et al., EMNLP 2024, arXiv 2406.11827.
#   log w(x, y) = 1/|y| * sum_t [ log pi(y_t | x, y_<t) - log sum_v pi(v | x, y_<t)^2 ]      sampled alignment
#   log w(x, y) = 1/|y| * sum_t [ log pi(y_t | x, y_<t) - max_v log pi(v | x, y_<t) ]        greedy alignment
#   pair weight = min( w(x, y_w) * w(x, y_l), 1 ), without gradient; pi is the policy in training.
# The authors' code takes the minimum (`wpo_clamp: authors`); TRL 1.16 does not (`wpo_clamp: trl`).

# What may be added to a loss, and how TRL is made to compute it (`training/reference_shift.py`):
#   ld_alpha: Liu et al. 2024 (LD-DPO), arXiv 2409.06411. In log pi and log pi_ref, the tokens that an answer
#     has more than the other one of its pair count ld_alpha times. TRL computes this itself.
#   margin_from: Amini et al. 2024 (ODPO), arXiv 2402.10571. -log s(b * margin - a * f(gap)), where a is
#     `margin_scale` and the scaling function f is the identity (score_gap) or the logarithm (log_score_gap).
#   weights_from: the loss of a pair is multiplied by gap / mean gap of the arm's training pairs. Weights that
#     grow with the reward difference are those of Wang et al. 2024 (RDO), arXiv 2408.09385; dividing by the
#     arm's mean is ours: weights of mean 1 leave the learning rate its meaning in both arms.
