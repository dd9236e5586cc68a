"""Variance of a contrast whose seeds and users are both samples: crossed two-way ANOVA.

For a table x[s, u] (S seeds, U users) with mean squares MS_seed, MS_user, MS_res of the additive two-way
layout, the grand mean has variance (MS_seed + MS_user - MS_res) / (S U), both factors random (Searle,
Casella & McCulloch 1992, ch. 4). A contrast of disjoint user groups g that share their seeds has, with d[s]
its value by seed,

    V_seeds = var_s(d) / S,    V_users = sum_g (MS_user,g - MS_res,g) / (S U_g).

var_s(d) may be steadied by the other splits of the method (`stats.evidence.spread`). At most V_seeds is
subtracted from the users' part, so that an interval for new seeds and new users is never narrower than one
for new users under these seeds, or than one for new seeds on these users.

Where several users rated an item, items are a third factor. What they add to the variance of the mean over
seeds, beyond the users' part, is the item's part (`stats.evidence.shared_items`); what of it comes from seeds
that differ from item to item is in V_seeds already, and is subtracted as the users' residual is.
"""

from dataclasses import dataclass, replace

import numpy as np

from stats.arrays import Floats
from stats.evidence.crossed import CrossedTable, GroupOutcomes, check_same_pairs
from stats.evidence.estimate import (
    BORROWED,
    BOTH,
    SAME_PAIRS,
    THESE_SEEDS,
    USERS_ONLY,
    WITH_ITEMS,
    Estimate,
    Part,
    without_interval,
)
from stats.evidence.shared_items import ItemSquares, item_looks, item_squares
from stats.evidence.spread import Spread

ROUNDING_VARIANCE = 1e-18  # a variance below it is rounding


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
    one seed). items: what items that several users rated add; None if there are none.
    """

    value: float
    seeds: int
    over_seeds: float
    groups: tuple[GroupSquares, ...]
    items: ItemSquares | None = None

    @property
    def spread(self) -> Spread | None:
        """The spread of one seed's value; None for one seed."""
        return Spread(self.over_seeds, self.seeds - 1) if self.seeds > 1 else None

    @property
    def residual_variance(self) -> float:
        """Sum of MS_res over groups: V_res = residual_variance / (S U) for U users in each group.

        Items are taken to grow in number with the users.
        """
        return sum(group.residual for group in self.groups) + self._users * self._of_items[1]

    @property
    def seed_variance(self) -> float:
        """Variance over seeds with infinitely many users; not below 0."""
        of_users = sum(group.residual / group.users for group in self.groups)
        return max(0.0, self.over_seeds - of_users - self._of_items[1])

    @property
    def user_variance(self) -> float:
        """Sum over groups of the variance over users with infinitely many seeds; not below 0.

        It holds the items' part, too, which is taken to shrink with the users' number as the users' does.
        """
        between, residual = self._of_items
        of_users = sum(group.between - group.residual / self.seeds for group in self.groups)
        return max(0.0, of_users + self._users * (between - residual / self.seeds))

    @property
    def _users(self) -> float:
        """The mean number of users in a group."""
        return sum(group.users for group in self.groups) / len(self.groups)

    @property
    def _of_items(self) -> tuple[float, float]:
        """What items add between users and beside them: the parts that `estimate` counts, for one seed."""
        if self.items is None:
            return 0.0, 0.0
        between = max(0.0, self.items.between)
        return between, min(max(0.0, self.items.residual), between * self.seeds)


def mean_squares(table: CrossedTable) -> MeanSquares:
    """Compute the mean squares of a contrast."""
    values = table.values
    groups = tuple(_group_squares(group) for group in table.groups)
    influences = table.on_items
    items = item_squares(influences) if influences else None
    return MeanSquares(table.value, len(values), _variance(values), groups, items)


def _group_squares(group: GroupOutcomes) -> GroupSquares:
    table = group.contributions
    seeds, users = table.shape
    by_user, by_seed = table.mean(axis=0), table.mean(axis=1, keepdims=True)
    residual = 0.0
    if seeds > 1 and users > 1:
        residuals = table - by_user - by_seed + table.mean()
        residual = float((residuals**2).sum() / ((seeds - 1) * (users - 1)))
    return GroupSquares(users, _variance(by_user), residual)


def estimate(
    squares: MeanSquares, spread: Spread | None = None, lender: MeanSquares | None = None
) -> Estimate:
    """Estimate a contrast's mean over seeds and pairs.

    Args:
        squares: the contrast's mean squares.
        spread: the spread of one seed's value, if it is not to be the contrast's own: the one that the other
            splits of the method have steadied or, for a contrast of one seed, that of the lender.
        lender: mean squares of the reference, if the spread is its own.
    """
    of_one_seed = spread or (lender or squares).spread
    between = [(group.users, group.between) for group in squares.groups]
    if of_one_seed is None:
        return _estimate(squares.value, [], between, squares.items, USERS_ONLY)
    leg = _leg(of_one_seed, 1 / squares.seeds, lender or squares)
    return _estimate(squares.value, [leg], between, squares.items, BORROWED if lender else BOTH)


def nested_estimates(
    squares: MeanSquares, spread: Spread | None = None
) -> tuple[tuple[str, Estimate], tuple[str, Estimate]]:
    """Return (name, estimate) of what seeds alone and users alone contribute, with two seeds or more.

    Users bring the items with them that several users rated. Neither interval is wider than that of
    `estimate`.
    """
    of_one_seed = spread or squares.spread
    assert of_one_seed is not None
    both = estimate(squares, of_one_seed)
    under_these = WITH_ITEMS[THESE_SEEDS] if squares.items else THESE_SEEDS
    if not both.parts:
        return (
            ("seeds alone", without_interval(squares.value, SAME_PAIRS, both.note)),
            ("users alone", without_interval(squares.value, under_these, both.note)),
        )
    users = [_users_part([(group.users, group.between) for group in squares.groups])]
    if squares.items:
        users.append(_items_part(squares.items))
    return (
        ("seeds alone", Estimate(squares.value, both.parts[:1], SAME_PAIRS)),
        ("users alone", Estimate(squares.value, tuple(users), under_these)),
    )


def variance_parts(table: CrossedTable, start: int) -> tuple[Floats, Floats]:
    """Return the two parts of `estimate`'s variance after the first start, start + 1, ... seeds.

    Args:
        start: number of seeds at the first look, two or more.

    Returns:
        The parts due to seeds and to users (with the items that several users rated), each
        [seeds - start + 1]; the second is NaN where there is no interval.
    """
    counts = np.arange(start, len(table.seeds) + 1)
    values = table.values
    of_seeds = np.array([values[:n].var(ddof=1) / n for n in counts], dtype=float)
    between, residuals = np.zeros(len(counts)), np.zeros(len(counts))
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
        between += by_user.var(axis=1, ddof=1) / users
        residuals += residual / (counts * users)
    influences = table.on_items
    if influences:
        if not influences.known:
            return of_seeds, np.full(len(counts), np.nan)
        of_items, item_residuals = item_looks(influences, counts)
        of_items = np.maximum(of_items, 0)
        between += of_items
        residuals += np.clip(item_residuals / counts, 0, of_items)
    of_users = np.maximum(between - np.minimum(residuals, of_seeds), 0)
    return of_seeds, np.where(of_seeds + of_users > ROUNDING_VARIANCE, of_users, np.nan)


def unpaired_change(
    method: CrossedTable, reference: CrossedTable, spreads: tuple[Spread | None, Spread | None]
) -> Estimate:
    """Estimate method minus reference where they share fewer than two seeds.

    Their seeds are independent, and their users are the same. A side with one seed is assumed to have the
    spread over seeds of the other. If the method is the side with one seed, the interval is the reference's
    prediction interval for one more seed, shifted to the change.

    Args:
        spreads: the spreads of one seed's value of method and reference; None for a side with one seed.

    Raises:
        TableError: They did not score the same pairs.
    """
    check_same_pairs(method, reference)
    sides = mean_squares(method), mean_squares(reference)
    between = [
        (len(a.pairs), _variance(a.contributions.mean(axis=0) - b.contributions.mean(axis=0)))
        for a, b in zip(method.groups, reference.groups, strict=True)
    ]
    known = [(side, spread) for side, spread in zip(sides, spreads, strict=True) if spread is not None]
    per_seed = [1 / side.seeds for side, _ in known]
    captures = BOTH if known else USERS_ONLY
    if len(known) == 1:
        per_seed, captures = [sum(1 / side.seeds for side in sides)], BORROWED
    legs = [_leg(spread, factor, side) for (side, spread), factor in zip(known, per_seed, strict=True)]
    items, of_sides = sides[0].items, (method.on_items, reference.on_items)
    if items and of_sides[0] and of_sides[1]:
        a, b = (side.values.mean(axis=0) for side in of_sides if side)
        items = replace(items, between=float(of_sides[0].variance(a - b)))
    return _estimate(sides[0].value - sides[1].value, legs, between, items, captures)


@dataclass(frozen=True)
class _Leg:
    """The seeds of one side: their spread, its factor in the variance, MS_res by group, and that of items."""

    spread: Spread
    factor: float
    residuals: tuple[float, ...]
    items: float


def _leg(spread: Spread, factor: float, squares: MeanSquares) -> _Leg:
    residuals = tuple(group.residual for group in squares.groups)
    return _Leg(spread, factor, residuals, squares.items.residual if squares.items else 0.0)


def _estimate(
    value: float,
    legs: list[_Leg],
    between: list[tuple[int, float]],
    items: ItemSquares | None,
    captures: str,
) -> Estimate:
    """Add up the variance of seeds over `legs`, of users over groups, and of items that several users rated.

    Args:
        between: (number of users, variance over users of their means), one per group.
        items: what shared items add; None if there are none.
    """
    captures = WITH_ITEMS[captures] if items else captures
    if min(users for users, _ in between) < 2:
        return without_interval(value, captures, "a group has one held-out user: no interval")
    if items and not items.known:
        return without_interval(value, captures, "a group has one held-out item: no interval")
    users = _users_part(between)
    shared = [_items_part(items)] if items else []
    # Seeds are never known better than users, so that the users' interval lies inside the common one.
    most_df = min(part.df for part in (users, *shared))
    of_seeds = [Part(leg.spread.variance * leg.factor, min(leg.spread.df, most_df)) for leg in legs]
    # The sum is truncated once, not group by group: where users do not differ at all (two equal methods),
    # each further truncation would only add to the variance.
    residual = sum(
        leg.factor * mean_square / group_users
        for leg in legs
        for mean_square, (group_users, _) in zip(leg.residuals, between, strict=True)
    )
    counted = min(residual, sum(part.variance for part in of_seeds))
    parts = [*of_seeds, Part(max(0.0, users.variance - counted), users.df)]
    for part in shared:
        item_residual = min(max(0.0, sum(leg.factor * leg.items for leg in legs)), part.variance)
        left = sum(part.variance for part in of_seeds) - counted
        parts.append(Part(part.variance - min(item_residual, left), part.df))
    if sum(part.variance for part in parts) <= ROUNDING_VARIANCE:
        return without_interval(value, captures, "no outcome varies: no interval")
    return Estimate(value, tuple(parts), captures)


def _items_part(items: ItemSquares) -> Part:
    return Part(max(0.0, items.between), items.df)


def _users_part(between: list[tuple[int, float]]) -> Part:
    """Return the variance of a mean over users, summed over groups (Welch-Satterthwaite)."""
    terms = [(variance / users, users - 1) for users, variance in between]
    variance = sum(term for term, _ in terms)
    squares = sum(term**2 / df for term, df in terms)
    return Part(variance, variance**2 / squares if squares else sum(df for _, df in terms))


def _variance(values: Floats) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else 0.0
