"""Looks at the evidence while a study runs: one per seed count, and the estimates at each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stats.arrays import Floats
from stats.evidence.anova import estimate, mean_squares, variance_parts
from stats.evidence.boundaries import Spending, nominal, reach, sequential_p
from stats.evidence.crossed import CrossedTable


@dataclass(frozen=True)
class Looks:
    """A sequential design: one look per seed count from `start` (two or more) to `most`.

    level: 1 - level is the family-wise error over a method's splits and all looks.
    margin_pp: an interval inside +-margin_pp is practically null (percentage points).
    worth: a split stops unless some number of further seeds decides it with at least this chance per seed.
    spending: the first n of `most` seeds may spend a share of the error: the distribution function of
        Beta(a, b) at n / most. (5, 6) spends hardly any on the first seeds, which can decide nothing, and
        most around the ninth of twenty. This and `worth` were chosen by simulation (docs/seeds.md).
    """

    start: int
    most: int
    level: float = 0.95
    margin_pp: float = 1.0
    worth: float = 0.02
    spending: Spending = (5.0, 6.0)

    def levels(self, alpha: float) -> Floats:
        """Return the nominal levels [looks] that together spend alpha."""
        return nominal(self.start, self.most, self.spending, alpha)


@dataclass(frozen=True)
class EstimatePath:
    """A split's looks so far; each array has one entry per look.

    start: seeds of the first look. users: number of users of the smaller group, or the effective number of
        items that several users rated, if this is smaller.
    value: estimates (pp). of_seeds, of_users: the parts of their variances; of_users holds that of shared
        items, and is NaN where the data determine no variance. p: sequential p values.
    """

    start: int
    users: int
    value: Floats
    of_seeds: Floats
    of_users: Floats
    p: Floats
    note: str = ""

    @property
    def seeds(self) -> npt.NDArray[np.int_]:
        """Number of seeds at each look."""
        return np.arange(self.start, self.start + len(self.value))

    def until(self, looks: int) -> "EstimatePath":
        """Return the path of the first `looks` looks."""
        return self._cut(slice(looks), self.start, self.p[:looks])

    def under(self, looks: Looks) -> "EstimatePath":
        """Return the same estimates under another design that starts no earlier."""
        rows = slice(looks.start - self.start, looks.most - self.start + 1)
        value, of_seeds, of_users = self.value[rows], self.of_seeds[rows], self.of_users[rows]
        return self._cut(rows, looks.start, _p_values(value, of_seeds, of_users, self.users, looks))

    def _cut(self, rows: slice, start: int, p: Floats) -> "EstimatePath":
        value, of_seeds, of_users = self.value[rows], self.of_seeds[rows], self.of_users[rows]
        return EstimatePath(start, self.users, value, of_seeds, of_users, p, self.note)

    def half(self, levels: Floats) -> Floats:
        """Return half the width of the repeated interval at each look, given nominal levels [looks]."""
        return reach(levels[: len(self.value)], self.seeds, self.of_seeds, self.of_users, self.users)


def estimate_path(table: CrossedTable, looks: Looks) -> EstimatePath:
    """Return the looks at a contrast whose seeds are in the order in which they were taken."""
    counts = np.arange(looks.start, len(table.seeds) + 1)
    value = table.values.cumsum()[looks.start - 1 :] / counts
    of_seeds, of_users = variance_parts(table, looks.start)
    users = min(len(group.pairs) for group in table.groups)
    if on_items := table.on_items:
        users = min(users, 1 + int(on_items.df))
    p = _p_values(value, of_seeds, of_users, users, looks)
    return EstimatePath(looks.start, users, value, of_seeds, of_users, p, estimate(mean_squares(table)).note)


def _p_values(value: Floats, of_seeds: Floats, of_users: Floats, users: int, looks: Looks) -> Floats:
    return sequential_p(value, of_seeds, of_users, users, looks.start, looks.most, looks.spending)
