"""Held-out items that several users rated: a source of chance beside the user.

Outcomes on one item (one prompt with its answers) are alike, whoever rated it. With a contrast's influence
values e[u, i], the sums over user u's pairs on item i of what they deviate from their group's mean, the
variance clustered by user and by item is (Cameron, Gelbach & Miller 2011, J. Bus. Econ. Stat. 29)

    V_user + V_item - V_user-item,
    V_item = f sum_i (sum_u e[u, i])^2,    V_user-item = f' sum_ui e[u, i]^2.

Of an item that one user rated, both sums hold the same, so only shared items are kept, and a table without
them has the users' variance and no other. Where the difference is negative, the users' variance remains. The
factors make up for the mean that e is measured from: with shares s of the outcomes, clusters that differ by
independent effects of one variance have f = sum(s^2) / sum(s^2 - 2 s^3 + s^2 sum(s^2)), which is G / (G - 1)
for G clusters of one size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.arrays import Floats

# One entry per shared item of a user: a hash of its name, and sums over the user's pairs on it.
BY_ITEM = np.dtype([("item", "u8"), ("pairs", "i4"), ("correct", "i4"), ("margin", "f8")])
WHOLE_GROUP = 1 - 1e-9  # the share of an item on which all of a group's outcomes are


@dataclass(frozen=True)
class SharedItems:
    """The outcomes of one group's users on items that several users rated.

    One column per user and item: items [columns] (hashes of their names), pairs [columns] (numbers of pairs),
    sums [seeds, columns] (sums of outcomes).
    """

    items: npt.NDArray[np.uint64]
    pairs: Floats
    sums: Floats

    def taking(self, rows: Sequence[int]) -> "SharedItems":
        """Return the outcomes of some of the seeds, by position."""
        return replace(self, sums=self.sums[list(rows)])

    def minus(self, other: "SharedItems") -> "SharedItems":
        """Return the differences of outcomes on the same pairs."""
        return replace(self, sums=self.sums - other.sums)

    def same_pairs(self, other: "SharedItems") -> bool:
        """Return whether both hold the same items of the same users."""
        return np.array_equal(self.items, other.items) and np.array_equal(self.pairs, other.pairs)


@dataclass(frozen=True)
class ItemInfluences:
    """The influence values of a contrast on shared items; columns of one item stand side by side.

    values [seeds, columns]. starts [items]: the first column of each item. of_items, of_users: the factors f
    and f'. df: degrees of freedom, one less than the effective number of items.
    known: whether each group has more than one item, without which nothing is known about others.
    """

    values: Floats
    starts: npt.NDArray[np.intp]
    of_items: float
    of_users: float
    df: float
    known: bool

    def variance(self, influences: Floats) -> Floats:
        """Return V_item - V_user-item of influence values [..., columns], for each leading index."""
        by_item = np.add.reduceat(influences, self.starts, axis=-1)
        within_users = self.of_users * (influences**2).sum(axis=-1)
        return np.asarray(self.of_items * (by_item**2).sum(axis=-1) - within_users)


@dataclass(frozen=True)
class ItemSquares:
    """What shared items add to a variance, V_item - V_user-item.

    between: in that of the mean over seeds. residual: the mean over seeds of what remains beside it (0 for
    one seed); residual / S of `between` is due to how the S seeds differ from item to item.
    df, known: as in `ItemInfluences`.
    """

    between: float
    residual: float
    df: float
    known: bool


def item_influences(
    shared: Sequence[SharedItems | None], means: Sequence[Floats], pairs: Sequence[float]
) -> ItemInfluences | None:
    """Return the influence values on shared items; None if no item is shared.

    Args:
        shared: those of each group. means: each group's mean by seed [seeds]. pairs: each group's number of
            pairs, shared or not.
    """
    groups = [group for group in zip(shared, means, pairs, strict=True) if group[0] is not None]
    if not groups:
        return None
    items = np.concatenate([of.items for of, _, _ in groups if of])
    values = np.concatenate(
        [(of.sums - of.pairs * mean[:, None]) / total for of, mean, total in groups if of], axis=1
    )
    shares: list[tuple[npt.NDArray[np.uint64], Floats]] = [
        (of.items, of.pairs / total) for of, _, total in groups if of
    ]
    order = np.argsort(items, kind="stable")
    starts = np.flatnonzero(np.diff(items[order], prepend=items[order[0]] + np.uint64(1)))
    by_item = [pd.Series(share).groupby(names).sum() for names, share in shares]
    squares = pd.concat([share**2 for share in by_item]).groupby(level=0).sum()
    effective = float(squares.sum() ** 2 / (squares**2).sum())
    known = max(float(share.max()) for share in by_item) < WHOLE_GROUP
    return ItemInfluences(
        values[:, order],
        starts,
        _factor([np.asarray(share, dtype=float) for share in by_item]) if known else np.nan,
        _factor([share for _, share in shares]) if known else np.nan,
        max(1.0, effective - 1),
        known,
    )


def item_squares(influences: ItemInfluences) -> ItemSquares:
    """Return what the shared items add to the variance of a contrast's mean over seeds."""
    seeds = len(influences.values)
    between, residual = item_looks(influences, np.array([seeds]))
    return ItemSquares(float(between[0]), float(residual[0]), influences.df, influences.known)


def item_looks(influences: ItemInfluences, counts: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Return `between` and `residual` of the first seeds, for each number of them in `counts`."""
    sums = influences.values.cumsum(axis=0)[counts - 1]
    between = influences.variance(sums / counts[:, None])
    within = influences.variance(influences.values).cumsum()[counts - 1] - counts * between
    return between, np.asarray(within / np.maximum(counts - 1, 1))


def _factor(shares: Sequence[Floats]) -> float:
    """Return the factor of clusters with these shares of their group's outcomes, one array per group."""
    two, three = ([float((share**power).sum()) for share in shares] for power in (2, 3))
    seen = sum(second - 2 * third + second**2 for second, third in zip(two, three, strict=True))
    return sum(two) / seen
