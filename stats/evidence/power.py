"""The power of a two-sided t test, and the smallest effect that it detects."""

from functools import cache
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions
from scipy.optimize import brentq
from scipy.special import ndtr

from stats.arrays import Floats

TARGET_POWER = 0.8
QUANTILES = 300  # points of the integral over the variance estimate
SEED_LIMIT = 200  # largest number of seeds that is tried
SEED_COUNTS = np.arange(2, SEED_LIMIT + 1)


def power(effect: npt.ArrayLike, variance: npt.ArrayLike, df: npt.ArrayLike, alpha: float) -> Floats:
    """Return the probability that the two-sided t test at `alpha` rejects zero when the truth is `effect`.

    This is the noncentral t, integrated over the chi-square of the variance estimate (scipy's own is NaN far
    out in the tails). All arguments but `alpha` broadcast.
    """
    with np.errstate(divide="ignore"):  # without variance any effect is detected
        shift = np.abs(np.asarray(effect)) / np.sqrt(variance)
    return _chance_beyond(_bounds(df, alpha), shift)


def smallest_effect(variance: float, df: float, alpha: float) -> float:
    """Return the smallest effect that the test detects with 80 % power, in the unit of sqrt(variance)."""
    return _smallest_shift(df, alpha) * sqrt(variance)


def first_enough(numbers: npt.NDArray[np.int_], enough: npt.NDArray[np.bool_]) -> float:
    """Return the first number that is enough, or infinity."""
    return float(numbers[enough][0]) if enough.any() else np.inf


@cache
def _smallest_shift(df: float, alpha: float) -> float:
    """Return `smallest_effect` in standard errors."""
    most, bounds = 10 + 3 * float(distributions.t.ppf(1 - alpha / 2, df)), _bounds(df, alpha)
    return float(brentq(lambda shift: float(_chance_beyond(bounds, shift)) - TARGET_POWER, 0.0, most))


def _bounds(df: npt.ArrayLike, alpha: float) -> Floats:
    """Return what an estimate has to exceed, in true standard errors [QUANTILES, ...].

    The first axis runs over quantiles of the estimated standard error.
    """
    freedom = np.asarray(df, dtype=float)
    critical = distributions.t.ppf(1 - alpha / 2, freedom)
    grid = ((np.arange(QUANTILES) + 0.5) / QUANTILES).reshape(-1, *([1] * freedom.ndim))
    return np.asarray(critical * np.sqrt(distributions.chi2.ppf(grid, freedom) / freedom))


def _chance_beyond(bounds: Floats, shift: Floats | float) -> Floats:
    """Return the chance to exceed the bounds, on average over the quantiles."""
    return np.asarray((ndtr(shift - bounds) + ndtr(-bounds - shift)).mean(axis=0))
