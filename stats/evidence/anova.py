"""Variance of a contrast whose seeds and users are both samples: crossed two-way ANOVA, Satterthwaite.

For a table x[s, u] (S seeds, U users) with mean squares MS_seed, MS_user, MS_res of the additive two-way
layout, the grand mean has variance (MS_seed + MS_user - MS_res) / (S U), both factors random (Searle,
Casella & McCulloch 1992, ch. 4). A contrast of disjoint user groups g that share their seeds has, with d[s]
its value by seed,

    V = var_s(d) / S + max(0, sum_g (MS_user,g - MS_res,g) / (S U_g)),

with Satterthwaite's (1946) degrees of freedom V^2 / sum_i (V_i^2 / df_i), where the V_i are the terms of V.
They are never fewer than those of the term that has the fewest.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy import stats as distributions

from stats.arrays import Floats
from stats.evidence.crossed import CrossedTable, GroupOutcomes, check_same_pairs

ROUNDING_VARIANCE = 1e-18  # a variance below it is rounding

BOTH = "new seeds and new users"
USERS_ONLY = "new users under this one seed; nothing about other seeds"
BORROWED = "new users and new seeds, the seeds' spread taken from the reference (the method has one seed)"


@dataclass(frozen=True)
class GroupSquares:
    """Mean squares of one group's x[s, u].

    users: number of users U. between: variance over users of their means over seeds (MS_user / S).
    residual: MS_res, 0 for one seed.
    """

    users: int
    between: float
    residual: float


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of a contrast.

    value: its mean over seeds. seeds: number of seeds S. over_seeds: variance of its values over seeds (0 for
    one seed).
    """

    value: float
    seeds: int
    over_seeds: float
    groups: tuple[GroupSquares, ...]

    @property
    def residual_variance(self) -> float:
        """Sum of MS_res over groups: V_res = residual_variance / (S U) for U users in each group."""
        return sum(group.residual for group in self.groups)

    @property
    def seed_variance(self) -> float:
        """Variance over seeds with infinitely many users; not below 0."""
        return max(0.0, self.over_seeds - sum(group.residual / group.users for group in self.groups))

    @property
    def user_variance(self) -> float:
        """Sum over groups of the variance over users with infinitely many seeds; not below 0."""
        return max(0.0, sum(group.between - group.residual / self.seeds for group in self.groups))


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error and degrees of freedom.

    value: the estimate, in the contrast's unit. df: degrees of freedom; infinite without a standard error.
    se: None where the data do not determine it; `note` says why.
    captures: the uncertainty that the standard error describes.
    """

    value: float
    se: float | None
    df: float
    captures: str
    note: str = ""

    def interval(self, level: float) -> tuple[float, float] | None:
        """Return the t interval with coverage `level`; None without a standard error."""
        if self.se is None:
            return None
        half = float(distributions.t.ppf(0.5 + level / 2, self.df)) * self.se
        return self.value - half, self.value + half

    @property
    def p(self) -> float | None:
        """Two-sided p value against zero."""
        if self.se is None:
            return None
        return float(2 * distributions.t.sf(abs(self.value) / self.se, self.df))

    def p_equivalent(self, margin: float) -> float | None:
        """Return the larger p of two one-sided tests (Schuirmann 1987) of |truth| >= margin."""
        if self.se is None:
            return None
        return float(distributions.t.sf((margin - abs(self.value)) / self.se, self.df))


def mean_squares(table: CrossedTable) -> MeanSquares:
    """Compute the mean squares of a contrast."""
    values = table.values
    groups = tuple(_group_squares(group) for group in table.groups)
    return MeanSquares(table.value, len(values), _variance(values), groups)


def _group_squares(group: GroupOutcomes) -> GroupSquares:
    table = group.contributions
    seeds, users = table.shape
    by_user, by_seed = table.mean(axis=0), table.mean(axis=1, keepdims=True)
    residual = 0.0
    if seeds > 1 and users > 1:
        residuals = table - by_user - by_seed + table.mean()
        residual = float((residuals**2).sum() / ((seeds - 1) * (users - 1)))
    return GroupSquares(users, _variance(by_user), residual)


def estimate(table: CrossedTable, reference: MeanSquares | None = None) -> Estimate:
    """Estimate a contrast's mean over seeds and pairs.

    Args:
        reference: mean squares of the same contrast of the reference. A table with one seed borrows the
            reference's spread over seeds, if the reference has two seeds or more.
    """
    own = mean_squares(table)
    between = [(group.users, group.between) for group in own.groups]
    if own.seeds > 1:
        return _estimate(own.value, [(own, 1 / own.seeds)], between, BOTH)
    if reference is not None and reference.seeds > 1:
        return _estimate(own.value, [(reference, 1.0)], between, BORROWED)
    return _estimate(own.value, [], between, USERS_ONLY)


def variance_parts(table: CrossedTable, start: int) -> tuple[Floats, Floats]:
    """Return the two parts of `estimate`'s variance after the first start, start + 1, ... seeds.

    Args:
        start: number of seeds at the first look, two or more.

    Returns:
        The parts due to seeds and to users, each [seeds - start + 1]; the second is NaN where there is no
        interval.
    """
    counts = np.arange(start, len(table.seeds) + 1)
    values = table.values
    of_seeds = np.array([values[:n].var(ddof=1) / n for n in counts], dtype=float)
    of_users = np.zeros(len(counts))
    for group in table.groups:
        x = group.contributions
        users = x.shape[1]
        if users < 2:
            return of_seeds, np.full(len(counts), np.nan)
        n = counts[:, None]
        by_user = x.cumsum(axis=0)[start - 1 :] / n
        by_seed = x.mean(axis=1)
        grand = by_user.mean(axis=1)
        within = (x**2).sum(axis=1).cumsum()[start - 1 :] - counts * (by_user**2).sum(axis=1)
        of_rows = (by_seed**2).cumsum()[start - 1 :] - counts * grand**2
        residual = (within - users * of_rows) / ((counts - 1) * (users - 1))
        of_users += (by_user.var(axis=1, ddof=1) - residual / counts) / users
    of_users = np.maximum(of_users, 0)
    return of_seeds, np.where(of_seeds + of_users > ROUNDING_VARIANCE, of_users, np.nan)


def unpaired_change(method: CrossedTable, reference: CrossedTable) -> Estimate:
    """Estimate method minus reference where they share fewer than two seeds.

    Their seeds are independent, and their users are the same. A side with one seed is assumed to have the
    spread over seeds of the other. If the method is the side with one seed, the interval is the reference's
    prediction interval for one more seed, shifted to the change.

    Raises:
        TableError: They did not score the same pairs.
    """
    check_same_pairs(method, reference)
    sides = mean_squares(method), mean_squares(reference)
    between = [
        (len(a.pairs), _variance(a.contributions.mean(axis=0) - b.contributions.mean(axis=0)))
        for a, b in zip(method.groups, reference.groups, strict=True)
    ]
    with_spread = [side for side in sides if side.seeds > 1]
    if len(with_spread) == 1:
        legs, captures = [(with_spread[0], sum(1 / side.seeds for side in sides))], BORROWED
    else:
        legs = [(side, 1 / side.seeds) for side in with_spread]
        captures = BOTH if with_spread else USERS_ONLY
    return _estimate(sides[0].value - sides[1].value, legs, between, captures)


def _estimate(
    value: float, legs: list[tuple[MeanSquares, float]], between: list[tuple[int, float]], captures: str
) -> Estimate:
    """Add up the variance of seeds over `legs` and of users over groups.

    Args:
        legs: (mean squares, the factor by which their variance over seeds counts).
        between: (number of users, variance over users of their means), one per group.
    """
    over_seeds = [(leg.over_seeds * factor, leg.seeds - 1) for leg, factor in legs]
    over_users, residuals = [], []
    for position, (users, variance) in enumerate(between):
        if users < 2:
            return Estimate(value, None, inf, captures, "a group has one held-out user: no interval")
        over_users.append((variance / users, users - 1))
        residuals += [
            (leg.groups[position].residual * factor / users, (leg.seeds - 1) * (users - 1))
            for leg, factor in legs
        ]
    terms = over_seeds
    variance = _total(over_seeds)
    # The sum is truncated once, not group by group: where users do not differ at all (two equal methods),
    # each further truncation would only add to the variance.
    of_users = _total(over_users) - _total(residuals)
    if of_users > 0:
        variance += of_users
        terms = [*over_seeds, *over_users, *residuals]
    if variance <= ROUNDING_VARIANCE:
        return Estimate(value, None, inf, captures, "no outcome varies: no interval")
    df = variance**2 / sum(part**2 / part_df for part, part_df in terms)
    # Because mean squares are subtracted, the formula can fall below the fewest degrees of freedom.
    fewest = min(part_df for _, part_df in terms)
    return Estimate(value, sqrt(variance), max(df, fewest), captures)


def _total(terms: list[tuple[float, int]]) -> float:
    """Sum the variances of (variance, degrees of freedom) terms."""
    return sum(variance for variance, _ in terms)


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
