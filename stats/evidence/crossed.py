"""Contrasts of arms and groups as crossed tables, seeds x users."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.arrays import Floats
from stats.errors import TableError
from stats.evidence.contrasts import ACCURACY, OWN_GROUPS, Contrast, Metric
from stats.evidence.shared_items import ItemInfluences, SharedItems, item_influences
from stats.names import SPLIT


@dataclass(frozen=True)
class GroupOutcomes:
    """The outcomes of one group's users.

    sums [seeds, users]: the sum of a user's outcomes. pairs [users]: the number of a user's pairs.
    keys [users]: hashes of the users' pair ids (see `stats.evidence.sums.user_sums`).
    low, high: between which a pair's outcome lies.
    shared: the same outcomes by user and item, of the items that several users rated; None if there are none.
    """

    sums: Floats
    pairs: Floats
    users: tuple[str, ...]
    keys: npt.NDArray[np.uint64]
    low: float = -inf
    high: float = inf
    shared: SharedItems | None = None

    @property
    def middle(self) -> float:
        """The middle of the range of a pair's outcome; zero if there are no bounds."""
        return (self.low + self.high) / 2 if isfinite(self.low + self.high) else 0.0

    @property
    def reach(self) -> float:
        """Half the range of a pair's outcome."""
        return (self.high - self.low) / 2

    @property
    def means(self) -> Floats:
        """Mean over pairs, by seed [seeds]."""
        return np.asarray(self.sums.sum(axis=1) / self.pairs.sum())

    @property
    def contributions(self) -> Floats:
        """Linearised [seeds, users] table whose row means are `means`.

        Users have unequal numbers of pairs, so a mean over pairs is a ratio; with its influence values,
        x[s, u] = m[s] + U / N * (Y[s, u] - n[u] m[s]).
        """
        means = self.means[:, None]
        return np.asarray(means + len(self.pairs) / self.pairs.sum() * (self.sums - self.pairs * means))

    def taking(self, rows: Sequence[int]) -> "GroupOutcomes":
        """Return the outcomes of some of the seeds, by position."""
        shared = self.shared and self.shared.taking(rows)
        return replace(self, sums=self.sums[list(rows)], shared=shared)


@dataclass(frozen=True)
class CrossedTable:
    """One contrast in which every seed scored every user."""

    seeds: tuple[int, ...]
    groups: tuple[GroupOutcomes, ...]

    @property
    def values(self) -> Floats:
        """The contrast's value by seed [seeds]."""
        return np.asarray(sum(group.means for group in self.groups))

    @property
    def value(self) -> float:
        """The contrast's mean over seeds."""
        return float(self.values.mean())

    @property
    def on_items(self) -> ItemInfluences | None:
        """The contrast's influence values on items that several users rated; None if there are none."""
        return item_influences(
            [group.shared for group in self.groups],
            [group.means for group in self.groups],
            [float(group.pairs.sum()) for group in self.groups],
        )

    def taking(self, seeds: Sequence[int]) -> "CrossedTable":
        """Return the contrast of some of its seeds, in the order given."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return CrossedTable(tuple(seeds), tuple(group.taking(rows) for group in self.groups))


def crossed_table(
    sums: pd.DataFrame, contrast: Contrast = OWN_GROUPS, metric: Metric = ACCURACY
) -> CrossedTable:
    """Build the contrast of one method and split.

    Args:
        sums: rows of `stats.evidence.sums.user_sums` of one (study, method, split).
        contrast: what is compared. metric: the outcome that is averaged.

    Raises:
        TableError: There are no rows, several methods or splits, or seeds that did not score the same pairs.
    """
    for column in SPLIT:
        if sums[column].nunique() != 1:
            raise TableError(
                f"outcomes: a contrast takes one {column}, not {sums[column].nunique()}; select rows"
            )
    groups = tuple(_group_outcomes(sums, group, arms, metric) for group, arms in contrast.items())
    return CrossedTable(tuple(sorted(sums["seed"].unique())), groups)


def _group_outcomes(
    sums: pd.DataFrame, group: str, coefficients: Mapping[str, float], metric: Metric
) -> GroupOutcomes:
    place = f"outcomes of {sums['method'].iloc[0]}/{sums['split'].iloc[0]}"
    seeds, weighted_sums = sums["seed"].nunique(), []
    scored: pd.DataFrame | None = None
    shared: SharedItems | None = None
    for arm, coefficient in coefficients.items():
        rows = sums[(sums["arm"] == arm) & (sums["eval_group"] == group)].sort_values(["seed", "user_id"])
        if rows["seed"].nunique() != seeds:
            raise TableError(f"{place}: not every seed has arm {arm} on group {group}'s pairs")
        of_arm = rows[["user_id", "pairs", "pairs_key"]].reset_index(drop=True)
        if scored is None:
            scored = of_arm[: len(of_arm) // seeds]  # by the first seed, if all scored the same
        if not of_arm.equals(pd.concat([scored] * seeds, ignore_index=True)):
            raise TableError(f"{place}: arms or seeds did not score the same pairs of group {group}")
        by_item = _shared_items(rows, seeds, coefficient, metric)
        if by_item is None or (shared is not None and not shared.same_pairs(by_item)):
            raise TableError(f"{place}: a pair of group {group} is another item in another seed or arm")
        shared = replace(by_item, sums=by_item.sums + shared.sums) if shared else by_item
        outcomes = rows[metric.column].to_numpy(dtype=float).reshape(seeds, -1)
        weighted_sums.append(coefficient * metric.scale * outcomes)
    assert scored is not None
    assert shared is not None
    low, high = (metric.scale * end for end in _range(coefficients.values(), metric))
    return GroupOutcomes(
        np.asarray(sum(weighted_sums)),
        scored["pairs"].to_numpy(dtype=float),
        tuple(map(str, scored["user_id"])),
        scored["pairs_key"].to_numpy(dtype=np.uint64),
        low,
        high,
        shared if len(shared.items) else None,
    )


def _shared_items(rows: pd.DataFrame, seeds: int, coefficient: float, metric: Metric) -> SharedItems | None:
    """Return an arm's weighted outcomes on shared items; None if seeds name the items of a pair differently.

    Args:
        rows: one row per seed and user, in this order, the same users for each of the `seeds` seeds.
    """
    entries = np.concatenate(rows["by_item"].tolist())
    if len(entries) % seeds:
        return None
    table = entries.reshape(seeds, -1)
    if (table["item"] != table["item"][0]).any() or (table["pairs"] != table["pairs"][0]).any():
        return None
    weighted = coefficient * metric.scale * table[metric.column].astype(float)
    return SharedItems(table["item"][0], table["pairs"][0].astype(float), weighted)


def _range(coefficients: Iterable[float], metric: Metric) -> tuple[float, float]:
    """Return between which the sum of coefficient x outcome lies."""
    ends = [sorted((c * metric.low, c * metric.high)) for c in coefficients if c]
    return sum(low for low, _ in ends), sum(high for _, high in ends)


def seed_diffs(
    sums: pd.DataFrame, contrast: Contrast = OWN_GROUPS, metric: Metric = ACCURACY
) -> pd.DataFrame:
    """Turn held-out outcomes into a table of diffs by seed, which the published rule can judge.

    Args:
        sums: the result of `stats.evidence.sums.user_sums`.

    Returns:
        study, method, split, seed, diff_pp (in the metric's unit; of accuracy, percentage points).

    Raises:
        TableError: See `crossed_table`.
    """
    rows = []
    for labels, part in sums.groupby(SPLIT, sort=False):
        table = crossed_table(part, contrast, metric)
        rows += [(*labels, seed, value) for seed, value in zip(table.seeds, table.values, strict=True)]
    return pd.DataFrame(rows, columns=[*SPLIT, "seed", "diff_pp"])


def difference(method: CrossedTable, reference: CrossedTable) -> CrossedTable:
    """Return method minus reference on their common seeds, pair by pair.

    Raises:
        TableError: They have no common seed, or did not score the same pairs.
    """
    check_same_pairs(method, reference)
    seeds = tuple(sorted(set(method.seeds) & set(reference.seeds)))
    if not seeds:
        raise TableError("change: method and reference have no seed in common")
    groups = tuple(
        replace(
            a,
            sums=a.sums - b.sums,
            low=a.low - b.high,
            high=a.high - b.low,
            shared=a.shared.minus(b.shared) if a.shared and b.shared else None,
        )
        for a, b in zip(method.taking(seeds).groups, reference.taking(seeds).groups, strict=True)
    )
    return CrossedTable(seeds, groups)


def check_same_pairs(method: CrossedTable, reference: CrossedTable) -> None:
    """Raise TableError unless both scored the same pairs."""
    for a, b in zip(method.groups, reference.groups, strict=True):
        if a.users != b.users or not np.array_equal(a.keys, b.keys):
            raise TableError("change: method and reference did not score the same held-out pairs")
        if (a.shared is None) != (b.shared is None) or (
            a.shared and b.shared and not a.shared.same_pairs(b.shared)
        ):
            raise TableError("change: a held-out pair is another item for the method and the reference")
