"""What would settle an unsettled contrast: its chance to be decided, and the seeds or pairs that it needs."""

from math import ceil

import numpy as np
from scipy.special import stdtr

from stats.arrays import Floats
from stats.evidence.anova import MeanSquares
from stats.evidence.boundaries import reach
from stats.evidence.held_out_power import USER_COUNTS
from stats.evidence.power import SEED_COUNTS, TARGET_POWER, first_enough


def chance_to_decide(effect: float, spread: Floats, df: float, half: Floats, inner: Floats) -> Floats:
    """Return the probability that an estimate, effect + spread t(df), is beyond +-half or within +-inner.

    Args:
        spread, df: standard error and degrees of freedom of the estimate.
        half: half the width of the interval that then excludes zero.
        inner: the margin less half the width of the interval that then lies inside the margin; no estimate
            is within a negative one.
    """
    reach_inside = np.maximum(inner, 0)
    width = np.maximum(spread, 1e-12)  # without any spread the chance is 0 or 1
    above, below = (effect - half) / width, (-effect - half) / width
    high, low = (reach_inside - effect) / width, (-reach_inside - effect) / width
    chance = stdtr(df, above) + stdtr(df, below) + stdtr(df, high) - stdtr(df, low)
    return np.asarray(np.minimum(chance, 1.0))


def needed_to_decide(contrast: MeanSquares, pairs: float, alpha: float, margin: float) -> tuple[float, float]:
    """Return the (seeds, held-out pairs of both groups) that would decide a contrast with 80 % power.

    If the contrast's value were the truth, its interval at 1 - alpha would exclude zero or lie inside
    +-margin. The other of the two numbers is kept as it is. A number is infinite where up to 200 seeds, or a
    million users per group, are not enough.

    Args:
        pairs: the present number of held-out pairs of both groups.
    """
    users = sum(group.users for group in contrast.groups) / 2
    numbers = []
    for s, u, counts in ((SEED_COUNTS, users, SEED_COUNTS), (contrast.seeds, USER_COUNTS, USER_COUNTS)):
        of_seeds = np.asarray((contrast.seed_variance + contrast.residual_variance / u) / s)
        of_users = np.asarray(contrast.user_variance / u)
        half = reach(alpha, s, of_seeds, of_users, u)
        chance = chance_to_decide(contrast.value, np.sqrt(of_seeds + of_users), np.inf, half, margin - half)
        numbers.append(first_enough(counts, chance >= TARGET_POWER))
    pairs_needed = numbers[1] * pairs / users
    return numbers[0], float(ceil(pairs_needed)) if np.isfinite(pairs_needed) else pairs_needed
