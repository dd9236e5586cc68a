"""Variance of a contrast whose seeds and users are both samples: crossed two-way ANOVA, Satterthwaite.

For a table x[s, u] (S seeds, U users) with mean squares MS_seed, MS_user, MS_res of the additive two-way
layout, the grand mean has variance (MS_seed + MS_user - MS_res) / (S U), both factors random (Searle,
Casella & McCulloch 1992, ch. 4). A contrast of disjoint user groups g that share their seeds has, with d[s]
its value by seed,

    V = var_s(d) / S + max(0, sum_g (MS_user,g - MS_res,g) / (S U_g)),

and Satterthwaite's (1946) degrees of freedom V^2 / sum_i (V_i^2 / df_i) over the mean squares V_i that it is
made of, not fewer than the fewest of them.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy import stats as distributions

from stats.evidence.crossed import Crossed, Floats, Group, same_pairs

NOTHING = 1e-18  # a variance below it is rounding

BOTH = "new seeds and new users"
USERS_ONLY = "new users under this one seed; nothing about other seeds"
BORROWED = "new users and new seeds, the seeds' spread taken from the reference (the method has one seed)"


@dataclass(frozen=True)
class GroupSquares:
    """Of one group: users U, and variances of the user means and of the residuals of x[s, u].

    between: variance over users of their means over seeds (MS_user / S); residual: MS_res, 0 for one seed.
    """

    users: int
    between: float
    residual: float


@dataclass(frozen=True)
class Squares:
    """A contrast's value, seeds S, variance over seeds of its values (0 for one seed), and its groups."""

    value: float
    seeds: int
    over_seeds: float
    groups: tuple[GroupSquares, ...]

    @property
    def residual_variance(self) -> float:
        """Mean over groups, weighted so that V_res = residual_variance / (S U / 2) for U users in both."""
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
    """An estimate with standard error and degrees of freedom; `captures`: of which uncertainty.

    se is None where the data cannot tell it; `note` says why.
    """

    value: float
    se: float | None
    df: float
    captures: str
    note: str = ""

    def interval(self, level: float) -> tuple[float, float] | None:
        if self.se is None:
            return None
        half = float(distributions.t.ppf(0.5 + level / 2, self.df)) * self.se
        return self.value - half, self.value + half

    @property
    def p(self) -> float | None:
        """Two-sided, against zero."""
        if self.se is None:
            return None
        return float(2 * distributions.t.sf(abs(self.value) / self.se, self.df))

    def p_equivalent(self, margin: float) -> float | None:
        """Two one-sided tests (Schuirmann 1987) of |truth| >= margin: the larger p."""
        if self.se is None:
            return None
        return float(distributions.t.sf((margin - abs(self.value)) / self.se, self.df))


def squares(table: Crossed) -> Squares:
    """Mean squares of a contrast."""
    values = table.values
    over = _variance(values)
    return Squares(table.value, len(values), over, tuple(_group(group) for group in table.groups))


def _group(group: Group) -> GroupSquares:
    table = group.contributions
    seeds, users = table.shape
    by_user, by_seed = table.mean(axis=0), table.mean(axis=1, keepdims=True)
    residual = 0.0
    if seeds > 1 and users > 1:
        rest = table - by_user - by_seed + table.mean()
        residual = float((rest**2).sum() / ((seeds - 1) * (users - 1)))
    return GroupSquares(users, _variance(by_user), residual)


def estimate(table: Crossed, reference: Squares | None = None) -> Estimate:
    """A contrast's mean over seeds and pairs.

    With one seed the spread of seeds is the reference's (`reference`: the same contrast, two seeds or more).
    """
    own = squares(table)
    between = [(group.users, group.between) for group in own.groups]
    if own.seeds > 1:
        return _estimate(own.value, [(own, 1 / own.seeds)], between, BOTH)
    if reference is not None and reference.seeds > 1:
        return _estimate(own.value, [(reference, 1.0)], between, BORROWED)
    return _estimate(own.value, [], between, USERS_ONLY)


def variance_parts(table: Crossed, start: int) -> tuple[Floats, Floats]:
    """The two parts of `estimate`'s variance with the first start, start + 1, .. of the seeds.

    Returns:
        Of seeds, of users; [seeds - start + 1], the second nan where there is no interval.
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
    return of_seeds, np.where(of_seeds + of_users > NOTHING, of_users, np.nan)


def unpaired_change(method: Crossed, reference: Crossed) -> Estimate:
    """Method minus reference where they share fewer than two seeds: seeds independent, users the same.

    A side with one seed is taken to have the seed spread of the other: the interval is then the reference's
    prediction interval for one more seed, moved to the change.
    """
    same_pairs(method, reference)
    ours, theirs = squares(method), squares(reference)
    between = [
        (len(mine.pairs), _variance(mine.contributions.mean(axis=0) - other.contributions.mean(axis=0)))
        for mine, other in zip(method.groups, reference.groups, strict=True)
    ]
    known = [side for side in (ours, theirs) if side.seeds > 1]
    if len(known) == 1:
        legs, captures = [(known[0], 1 / ours.seeds + 1 / theirs.seeds)], BORROWED
    else:
        legs, captures = [(side, 1 / side.seeds) for side in known], BOTH if known else USERS_ONLY
    return _estimate(ours.value - theirs.value, legs, between, captures)


def _estimate(
    value: float, legs: list[tuple[Squares, float]], between: list[tuple[int, float]], captures: str
) -> Estimate:
    """Add up the variance of seeds over legs (mean squares and their share) and of users over groups."""
    over_seeds = [(leg.over_seeds * share, leg.seeds - 1) for leg, share in legs]
    over_users, residuals = [], []
    for position, (users, variance) in enumerate(between):
        if users < 2:
            return Estimate(value, None, inf, captures, "a group has one held-out user: no interval")
        over_users.append((variance / users, users - 1))
        residuals += [
            (leg.groups[position].residual * share / users, (leg.seeds - 1) * (users - 1))
            for leg, share in legs
        ]
    terms = over_seeds
    variance = _total(over_seeds)
    # Truncated once, not group by group: where users do not differ at all (two equal methods) each further
    # truncation would only add to the variance.
    of_users = _total(over_users) - _total(residuals)
    if of_users > 0:
        variance += of_users
        terms = [*over_seeds, *over_users, *residuals]
    if variance <= NOTHING:
        return Estimate(value, None, inf, captures, "no outcome varies: no interval")
    df = variance**2 / sum(part**2 / df for part, df in terms)
    fewest = min(df for _, df in terms)  # with subtracted mean squares the formula can fall below it
    return Estimate(value, sqrt(variance), max(df, fewest), captures)


def _total(terms: list[tuple[float, int]]) -> float:
    """Sum of the variances of (variance, degrees of freedom)."""
    return sum(variance for variance, _ in terms)


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
