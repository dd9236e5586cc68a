"""Estimates from diffs by seed alone, as published tables have them, prediction intervals and sign flips.

None of them accounts for the held-out pairs being a sample.
"""

from collections.abc import Iterable
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions

from stats.evidence.anova import ROUNDING_VARIANCE
from stats.evidence.estimate import PREDICTION, SAME_PAIRS, SINGLE, Estimate, Part, without_interval
from stats.evidence.spread import Spread

MOST_EXACT = 14  # with up to 14 seeds, all 2^n sign flips are tried; with more, a sample of them
FLIPS = 2**MOST_EXACT


def spread_of(values: Iterable[float]) -> Spread | None:
    """Return the spread of one seed's value; None for fewer than two seeds."""
    diffs = np.array(list(values), dtype=float)
    return Spread(float(diffs.var(ddof=1)), len(diffs) - 1) if len(diffs) > 1 else None


def common_diffs(method: dict[int, float], reference: dict[int, float]) -> list[float]:
    """Return method minus reference on their common seeds."""
    return [method[seed] - reference[seed] for seed in sorted(set(method) & set(reference))]


def mean_estimate(
    values: npt.ArrayLike, spread: Spread | None = None, lender: Spread | None = None
) -> Estimate:
    """Estimate the mean diff over seeds.

    Args:
        values: one diff per seed.
        spread: the spread of one seed's diff, if it is not to be the sample's own.
        lender: the spread of one seed of the reference, which a single seed borrows.
    """
    diffs = np.asarray(values, dtype=float)
    if len(diffs) > 1:
        of_one_seed = spread or spread_of(diffs)
        assert of_one_seed is not None
        return _estimate(diffs.mean(), [(of_one_seed, 1 / len(diffs))], SAME_PAIRS)
    if lender is not None:
        return _estimate(diffs.mean(), [(lender, 1.0)], PREDICTION)
    return without_interval(diffs.mean(), SINGLE, "one seed: no interval")


def unpaired_estimate(
    method: npt.ArrayLike, reference: npt.ArrayLike, spreads: tuple[Spread | None, Spread | None]
) -> Estimate:
    """Estimate method minus reference where they share fewer than two seeds, so that these are independent.

    For a single seed on one side, the interval is the prediction interval of the other, s^2 (1 + 1/n).

    Args:
        method, reference: diffs by seed. spreads: those of one seed's diff; None for a side with one seed.
    """
    sides = np.asarray(method, dtype=float), np.asarray(reference, dtype=float)
    value = sides[0].mean() - sides[1].mean()
    known = [(spread, 1 / len(side)) for side, spread in zip(sides, spreads, strict=True) if spread]
    if not known:
        return without_interval(value, SINGLE, "one seed on both sides: no interval")
    if len(known) == 1:
        return _estimate(value, [(known[0][0], sum(1 / len(side) for side in sides))], PREDICTION)
    return _estimate(value, known, SAME_PAIRS)


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


def _estimate(value: float, legs: list[tuple[Spread, float]], captures: str) -> Estimate:
    """Return the estimate whose variance is the sum of (spread, factor)."""
    parts = tuple(Part(spread.variance * factor, spread.df) for spread, factor in legs)
    if sum(part.variance for part in parts) <= ROUNDING_VARIANCE:
        return without_interval(value, captures, "every seed has the same diff: no interval")
    return Estimate(float(value), parts, captures)
