"""Contrasts of arms and groups as crossed tables, seeds x users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.errors import TableError

Floats = npt.NDArray[np.float64]

# eval_group -> arm -> coefficient of the arm's mean outcome on that group's pairs.
Contrast = Mapping[str, Mapping[str, float]]
OWN: Contrast = {"A": {"A": 1.0}, "B": {"B": -1.0}}
# The own-group diff is the sum of the next two (train group x test group, each half weighted):
ARMS: Contrast = {"A": {"A": 0.5, "B": -0.5}, "B": {"A": 0.5, "B": -0.5}}
PAIRS: Contrast = {"A": {"A": 0.5, "B": 0.5}, "B": {"A": -0.5, "B": -0.5}}
INTERACTION: Contrast = {"A": {"A": 0.5, "B": -0.5}, "B": {"A": -0.5, "B": 0.5}}
CONTRASTS = {
    "own groups": OWN,
    "arms on the same pairs": ARMS,
    "pairs under the same arms": PAIRS,
    "own-group advantage": INTERACTION,
}


@dataclass(frozen=True)
class Metric:
    """An outcome: its column of `user_sums`, what one of it is in the printed unit, and that unit."""

    name: str
    column: str
    scale: float
    unit: str


ACCURACY = Metric("accuracy", "correct", 100.0, "pp")
MARGIN = Metric("margin", "margin", 1.0, "nats")


@dataclass(frozen=True)
class Group:
    """Users of one group. `sums` [seeds, users]: a user's outcomes added up; `pairs` [users]: how many."""

    sums: Floats
    pairs: Floats
    users: tuple[str, ...]
    keys: npt.NDArray[np.uint64]

    @property
    def means(self) -> Floats:
        """Mean over pairs, by seed [seeds]."""
        return np.asarray(self.sums.sum(axis=1) / self.pairs.sum())

    @property
    def contributions(self) -> Floats:
        """Linearised [seeds, users] table whose row means are `means`: users hold unequally many pairs.

        x[s, u] = m[s] + U / N * (Y[s, u] - n[u] m[s]), the ratio estimator's influence values.
        """
        means = self.means[:, None]
        return np.asarray(means + len(self.pairs) / self.pairs.sum() * (self.sums - self.pairs * means))


@dataclass(frozen=True)
class Crossed:
    """One contrast: every seed scored every user. `values` [seeds] is its value by seed."""

    seeds: tuple[int, ...]
    groups: tuple[Group, ...]

    @property
    def values(self) -> Floats:
        return np.asarray(sum(group.means for group in self.groups))

    @property
    def value(self) -> float:
        return float(self.values.mean())

    def taking(self, seeds: Sequence[int]) -> "Crossed":
        """The contrast of some of its seeds, in the order given."""
        rows = [self.seeds.index(seed) for seed in seeds]
        groups = tuple(Group(group.sums[rows], group.pairs, group.users, group.keys) for group in self.groups)
        return Crossed(tuple(seeds), groups)


def crossed(sums: pd.DataFrame, contrast: Contrast = OWN, metric: Metric = ACCURACY) -> Crossed:
    """The contrast of one method and split.

    Args:
        sums: rows of `user_sums` of one (study, method, split).

    Raises:
        TableError: no rows, several methods or splits, or seeds that did not score the same pairs.
    """
    for column in ("study", "method", "split"):
        if sums[column].nunique() != 1:
            raise TableError(f"outcomes: a contrast is of one {column}, found {sums[column].nunique()}")
    groups = tuple(_group(sums, group, arms, metric) for group, arms in contrast.items())
    return Crossed(tuple(sorted(sums["seed"].unique())), groups)


def _group(sums: pd.DataFrame, group: str, arms: Mapping[str, float], metric: Metric) -> Group:
    place = f"outcomes of {sums['method'].iloc[0]}/{sums['split'].iloc[0]}"
    seeds, parts = sums["seed"].nunique(), []
    pairs: pd.DataFrame | None = None
    for arm, coefficient in arms.items():
        rows = sums[(sums["arm"] == arm) & (sums["eval_group"] == group)]
        if rows["seed"].nunique() != seeds:
            raise TableError(f"{place}: not every seed has arm {arm} on group {group}'s pairs")
        wide = rows.pivot(index="seed", columns="user_id", values=[metric.column, "pairs", "pairs_key"])
        keys = wide["pairs_key"].to_numpy()
        same = bool(wide.notna().all(axis=None)) and bool((keys == keys[0]).all())
        once = pd.DataFrame({name: wide[name].iloc[0] for name in ("pairs", "pairs_key")})
        if not same or (pairs is not None and not pairs.equals(once)):
            raise TableError(f"{place}: arms or seeds did not score the same pairs of group {group}")
        pairs = once
        parts.append(coefficient * metric.scale * wide[metric.column].to_numpy(dtype=float))
    assert pairs is not None
    return Group(
        np.asarray(sum(parts)),
        pairs["pairs"].to_numpy(dtype=float),
        tuple(map(str, pairs.index)),
        pairs["pairs_key"].to_numpy(dtype=np.uint64),
    )


def seed_diffs(sums: pd.DataFrame, contrast: Contrast = OWN, metric: Metric = ACCURACY) -> pd.DataFrame:
    """Diffs by seed as a table of diffs has them, so that the published rule can judge held-out outcomes.

    Args:
        sums: of `stats.evidence.sums.user_sums`.

    Returns:
        study, method, split, seed, diff_pp (in the metric's unit: percentage points of accuracy).

    Raises:
        TableError: of `crossed`.
    """
    key = ["study", "method", "split"]
    rows = []
    for labels, part in sums.groupby(key, sort=False):
        table = crossed(part, contrast, metric)
        rows += [(*labels, seed, value) for seed, value in zip(table.seeds, table.values, strict=True)]
    return pd.DataFrame(rows, columns=[*key, "seed", "diff_pp"])


def difference(method: Crossed, reference: Crossed) -> Crossed:
    """Method minus reference on the seeds that both have, pair by pair.

    Raises:
        TableError: they share no seed, or did not score the same pairs.
    """
    same_pairs(method, reference)
    seeds = tuple(sorted(set(method.seeds) & set(reference.seeds)))
    if not seeds:
        raise TableError("change: method and reference have no seed in common")
    ours, theirs = method.taking(seeds), reference.taking(seeds)
    groups = tuple(
        Group(mine.sums - other.sums, mine.pairs, mine.users, mine.keys)
        for mine, other in zip(ours.groups, theirs.groups, strict=True)
    )
    return Crossed(seeds, groups)


def same_pairs(method: Crossed, reference: Crossed) -> None:
    """Raises TableError unless both scored the same pairs."""
    for mine, other in zip(method.groups, reference.groups, strict=True):
        if mine.users != other.users or not np.array_equal(mine.keys, other.keys):
            raise TableError("change: method and reference did not score the same held-out pairs")
