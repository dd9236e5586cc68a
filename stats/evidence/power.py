"""The power of the test behind an interval, and the smallest effect that it detects.

The variance of an estimate has a part that is estimated with few degrees of freedom (seeds) and, with
held-out outcomes, one with many (users). The test rejects zero where the interval of
`stats.evidence.estimate` excludes it; with one part it is the two-sided t test.
"""

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats as distributions
from scipy.optimize import brentq
from scipy.special import ndtr, stdtrit

from stats.arrays import Floats

TARGET_POWER = 0.8
QUANTILES = 300  # points of the integral over the variance estimate
MOST_DF = 1e9  # as good as infinitely many
SEED_LIMIT = 200  # largest number of seeds that is tried
SEED_COUNTS = np.arange(2, SEED_LIMIT + 1)


@dataclass(frozen=True)
class DesignVariance:
    """The variance of an estimate under some design; the fields broadcast.

    of_seeds, of_users: its parts, in the estimate's unit squared. seed_df, user_df: their degrees of freedom.
    """

    of_seeds: npt.ArrayLike
    seed_df: npt.ArrayLike
    of_users: npt.ArrayLike = 0.0
    user_df: npt.ArrayLike = np.inf

    @property
    def total(self) -> Floats:
        """The whole variance."""
        total: Floats = np.asarray(self.of_seeds, dtype=float) + np.asarray(self.of_users, dtype=float)
        return total


def power(effect: npt.ArrayLike, design: DesignVariance, alpha: float) -> Floats:
    """Return the probability that the interval at 1 - alpha excludes zero when the truth is `effect`.

    It is integrated over the chi-square of the seeds' variance estimate; the users' part counts as known.
    """
    with np.errstate(divide="ignore"):  # without variance any effect is detected
        shift = np.abs(np.asarray(effect)) / np.sqrt(design.total)
    return _chance_beyond(_bounds(design, alpha), shift)


def smallest_effect(design: DesignVariance, alpha: float) -> float:
    """Return the smallest effect that the test detects with 80 % power, in the estimate's unit.

    The design's fields are single numbers.
    """
    total = float(design.total)
    if total == 0:
        return 0.0
    share = float(np.asarray(design.of_seeds)) / total
    shift = _smallest_shift(
        share, float(np.asarray(design.seed_df)), float(np.asarray(design.user_df)), alpha
    )
    return shift * sqrt(total)


def first_enough(numbers: npt.NDArray[np.int_], enough: npt.NDArray[np.bool_]) -> float:
    """Return the first number that is enough, or infinity."""
    return float(numbers[enough][0]) if enough.any() else np.inf


@cache
def _smallest_shift(share: float, seed_df: float, user_df: float, alpha: float) -> float:
    """Return `smallest_effect` in standard errors, for a share of seeds in the variance."""
    most = 10 + 3 * float(-stdtrit(min(seed_df, user_df), alpha / 2))
    bounds = _bounds(DesignVariance(share, seed_df, 1 - share, user_df), alpha)
    return float(brentq(lambda shift: float(_chance_beyond(bounds, shift)) - TARGET_POWER, 0.0, most))


def _bounds(design: DesignVariance, alpha: float) -> Floats:
    """Return what an estimate has to exceed, in true standard errors [QUANTILES, ...].

    The first axis runs over quantiles of the seeds' estimated variance.
    """
    seed_df, user_df, of_seeds, of_users = np.broadcast_arrays(
        *(
            np.asarray(x, dtype=float)
            for x in (design.seed_df, design.user_df, design.of_seeds, design.of_users)
        )
    )
    with np.errstate(invalid="ignore"):
        share = np.where(of_seeds + of_users > 0, of_seeds / (of_seeds + of_users), 1.0)
    chi_squares = np.stack([_chi_squares(df) for df in seed_df.flat], axis=-1)
    estimated = share * chi_squares.reshape(QUANTILES, *seed_df.shape) / seed_df
    by_seeds, by_users = stdtrit(seed_df, alpha / 2), stdtrit(np.minimum(user_df, MOST_DF), alpha / 2)
    return np.asarray(np.sqrt(by_seeds**2 * estimated + by_users**2 * (1 - share)))


@cache
def _chi_squares(df: float) -> Floats:
    """Return quantiles of the chi-square [QUANTILES]; designs of one report have the same few df."""
    return np.asarray(distributions.chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, df))


def _chance_beyond(bounds: Floats, shift: Floats | float) -> Floats:
    """Return the chance to exceed the bounds, on average over the quantiles."""
    return np.asarray((ndtr(shift - bounds) + ndtr(-bounds - shift)).mean(axis=0))
