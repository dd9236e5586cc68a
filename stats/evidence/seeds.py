"""Estimates from diffs by seed alone: t intervals on seed means, prediction intervals, sign flips.

They need no outcomes, so they serve published tables too. None of them accounts for the held-out pairs being
a sample.
"""

from math import inf, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

from stats.evidence.anova import ROUNDING_VARIANCE, Estimate

MOST_EXACT = 14  # with up to 14 seeds, all 2^n sign flips are tried; with more, a sample of them
FLIPS = 2**MOST_EXACT

SAME_PAIRS = "new seeds on these same pairs and users"
PREDICTION = "one seed, against the spread of the reference's seeds; nothing about new pairs or users"
SINGLE = "one seed and no reference seeds: no spread is known"


def mean_estimate(values: npt.ArrayLike, reference: npt.ArrayLike | None = None) -> Estimate:
    """Estimate the mean diff over seeds with its t standard error.

    One seed borrows the reference's standard deviation over seeds, if the reference has two seeds or more.
    """
    diffs = np.asarray(values, dtype=float)
    if len(diffs) > 1:
        return _estimate(diffs.mean(), diffs.var(ddof=1) / len(diffs), len(diffs) - 1, SAME_PAIRS)
    lender = np.asarray([] if reference is None else reference, dtype=float)
    if len(lender) > 1:
        return _estimate(diffs.mean(), lender.var(ddof=1), len(lender) - 1, PREDICTION)
    return Estimate(float(diffs.mean()), None, inf, SINGLE, "one seed: no interval")


def change_estimate(method: dict[int, float], reference: dict[int, float]) -> Estimate:
    """Estimate method minus reference from their diffs by seed.

    With two common seeds or more, this is a paired t on them. Otherwise both sides' seeds are independent:
    Welch's t (1947) or, for a single seed on one side, the prediction interval of the other, s^2 (1 + 1/n).
    """
    common = sorted(set(method) & set(reference))
    if len(common) > 1:
        pairs = np.array([method[seed] - reference[seed] for seed in common])
        return _estimate(pairs.mean(), pairs.var(ddof=1) / len(pairs), len(pairs) - 1, SAME_PAIRS)
    sides = np.array(list(method.values())), np.array(list(reference.values()))
    value = sides[0].mean() - sides[1].mean()
    if min(map(len, sides)) > 1:
        parts = [(side.var(ddof=1) / len(side), len(side) - 1) for side in sides]
        variance = sum(part for part, _ in parts)
        if variance <= ROUNDING_VARIANCE:
            return _estimate(value, variance, inf, SAME_PAIRS)
        return _estimate(value, variance, variance**2 / sum(part**2 / df for part, df in parts), SAME_PAIRS)
    lender = max(sides, key=len)
    if len(lender) < 2:
        return Estimate(float(value), None, inf, SINGLE, "one seed on both sides: no interval")
    variance = lender.var(ddof=1) * (1 / len(sides[0]) + 1 / len(sides[1]))
    return _estimate(value, variance, len(lender) - 1, PREDICTION)


def prediction_interval(reference: npt.ArrayLike, level: float) -> tuple[float, float] | None:
    """Return where one more seed of the reference would lie, mean +- t s sqrt(1 + 1/n).

    With fewer than two seeds there is no interval, and the result is None.
    """
    values = np.asarray(reference, dtype=float)
    if len(values) < 2:
        return None
    half = distributions.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1)
    half *= sqrt(1 + 1 / len(values))
    return float(values.mean() - half), float(values.mean() + half)


def sign_flip(values: npt.ArrayLike, rng: np.random.Generator) -> float:
    """Return the two-sided p of Fisher's randomisation test that every seed's diff is symmetric around zero.

    With up to 14 seeds, all 2^n flips are tried (p is exact and never below 2 / 2^n); with more, a sample.
    """
    diffs = np.asarray(values, dtype=float)
    if len(diffs) <= MOST_EXACT:
        flips = 1 - 2 * ((np.arange(2 ** len(diffs))[:, None] >> np.arange(len(diffs))) & 1)
    else:
        flips = np.vstack([np.ones(len(diffs)), rng.choice([-1, 1], size=(FLIPS - 1, len(diffs)))])
    sums = np.abs(flips @ diffs)
    return float(np.mean(sums >= np.abs(diffs.sum()) - 1e-9))


def _estimate(value: float, variance: float, df: float, captures: str) -> Estimate:
    if variance <= ROUNDING_VARIANCE:
        return Estimate(float(value), None, inf, captures, "every seed has the same diff: no interval")
    return Estimate(float(value), sqrt(variance), float(df), captures)
