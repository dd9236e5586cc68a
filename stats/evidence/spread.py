"""The spread of one seed's value, split by split, each steadied by the other splits of its method.

Two or three seeds say little about a spread, but a method has several splits. As in Smyth (2004, Stat. Appl.
Genet. Mol. Biol. 3), the variances of a family have a common prior, and each split's posterior variance is

    (prior df * prior variance + df_i * variance_i) / (prior df + df_i),    with prior df + df_i.

Smyth's estimate of the prior's degrees of freedom trusts the prior too much where spreads do differ between
splits. Here the prior variance is the pooled one, which no small variance pulls down, and its degrees of
freedom are the smallest of: half of Smyth's, half of those of the other splits, and those of three splits
like the others. These limits were chosen by simulation (`make calibration`; docs/statistics.md says how).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from stats.arrays import Floats
from stats.rule.changes import SplitKey

SHARE_OF_SMYTH = 0.5
SHARE_OF_OTHERS = 0.5
MOST_SPLITS = 3  # like the others, for which the prior may count
SMALLEST_RATIO = 1e-5  # of a variance to the pooled one; equal diffs by chance are not taken at their word


@dataclass(frozen=True)
class Spread:
    """The variance of one seed's value, with its degrees of freedom."""

    variance: float
    df: float


def moderated(spreads: Sequence[Spread]) -> list[Spread]:
    """Return the posterior spread of each member of a family. A family of one keeps its own."""
    variances = np.array([spread.variance for spread in spreads])
    dfs = np.array([spread.df for spread in spreads])
    if len(spreads) < 2 or not variances.any():
        return list(spreads)
    pooled = float(variances @ dfs / dfs.sum())
    typical_df = (dfs.sum() - dfs) / (len(dfs) - 1)  # of one of the others
    prior_df = np.minimum(most_prior_df(typical_df, len(dfs)), SHARE_OF_SMYTH * smyth_df(variances, dfs))
    posterior = (prior_df * pooled + dfs * variances) / (prior_df + dfs)
    return [
        Spread(float(variance), float(df)) for variance, df in zip(posterior, prior_df + dfs, strict=True)
    ]


def moderated_by_method(spreads: Mapping[SplitKey, Spread]) -> dict[SplitKey, Spread]:
    """Return the posterior spreads of several methods, each of which is a family of its own."""
    families: dict[tuple[str, str], dict[SplitKey, Spread]] = {}
    for key, spread in spreads.items():
        families.setdefault(key[:2], {})[key] = spread
    return {
        key: spread
        for family in families.values()
        for key, spread in zip(family, moderated(list(family.values())), strict=True)
    }


def most_prior_df(df: npt.ArrayLike, splits: int) -> Floats:
    """Return the most that the prior may count for, among `splits` splits with `df` degrees of freedom each.

    It counts for that much where the spreads of the splits are alike.
    """
    return np.asarray(np.minimum(SHARE_OF_OTHERS * (splits - 1), MOST_SPLITS) * np.asarray(df, dtype=float))


def smyth_df(variances: Floats, dfs: Floats) -> float:
    """Return Smyth's estimate of the prior's degrees of freedom from how much log variances differ.

    It is infinite where they differ no more than equal variances would.

    Args:
        variances, dfs: sample variances [k] and their degrees of freedom [k], k at least 2.
    """
    floor = SMALLEST_RATIO * float(variances @ dfs / dfs.sum())
    log_ratios = np.log(np.maximum(variances, floor)) - digamma(dfs / 2) + np.log(dfs / 2)
    excess = float(log_ratios.var(ddof=1) - polygamma(1, dfs / 2).mean())
    if excess <= float(polygamma(1, 1e6)):
        return np.inf
    return 2 * float(brentq(lambda half_df: polygamma(1, half_df) - excess, 1e-4, 1e7))
