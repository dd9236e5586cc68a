"""What held-out outcomes estimate: a method's A minus B, and its change from the reference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from stats.arrays import Floats
from stats.evidence.anova import (
    BOTH,
    USERS_ONLY,
    Estimate,
    MeanSquares,
    estimate,
    mean_squares,
    unpaired_change,
)
from stats.evidence.bootstrap import percentile, pigeonhole
from stats.evidence.contrasts import OWN_GROUPS, Contrast, Metric
from stats.evidence.crossed import CrossedTable, crossed_table, difference
from stats.evidence.mixed import mixed_estimate
from stats.evidence.options import Options
from stats.evidence.seeds import mean_estimate
from stats.names import SPLIT

DIFF, CHANGE = "A minus B", "change"


@dataclass(frozen=True)
class Quantity:
    """A diff or a change of one method and split.

    kind: DIFF or CHANGE.
    legs: (weight, contrast); the quantity is their weighted sum. There is one leg, or there are two (method
        and reference) where these share fewer than two seeds.
    reference_squares: the reference's mean squares, whose spread over seeds a method with one seed borrows.
    """

    study: str
    method: str
    split: str
    kind: str
    metric: Metric
    legs: tuple[tuple[float, CrossedTable], ...]
    reference_squares: MeanSquares | None = None

    @property
    def identity(self) -> dict[str, object]:
        """The columns that identify the quantity, and the numbers of seeds, users and pairs it rests on."""
        table = self.legs[0][1]
        return {
            "study": self.study,
            "method": self.method,
            "split": self.split,
            "quantity": self.kind,
            "n_seeds": len(table.seeds),
            "users": sum(len(group.pairs) for group in table.groups),
            "pairs": int(sum(group.pairs.sum() for group in table.groups)),
        }

    @property
    def by_seed(self) -> Floats | None:
        """The value by seed, or None where the seeds of method and reference cannot be paired."""
        return self.legs[0][1].values if len(self.legs) == 1 else None

    @cached_property
    def estimate(self) -> Estimate:
        """The main estimate: crossed ANOVA with Satterthwaite's degrees of freedom."""
        if len(self.legs) == 1:
            return estimate(self.legs[0][1], self.reference_squares)
        return unpaired_change(self.legs[0][1], self.legs[1][1])

    def intervals(self, options: Options, rng: np.random.Generator) -> Iterator[dict[str, object]]:
        """Yield every interval of the quantity, each with the uncertainty that it captures."""
        one_seed = all(len(leg.seeds) == 1 for _, leg in self.legs)
        main = self.estimate
        yield self._row("crossed ANOVA", main.value, main.interval(options.level), main.captures, main.note)
        draws = pigeonhole(self.legs, options.draws, rng)
        captures = USERS_ONLY if one_seed else BOTH
        yield self._row("pigeonhole bootstrap", main.value, percentile(draws, options.level), captures, "")
        if self.by_seed is None:
            return
        others = (
            ("t on seed means", mean_estimate(self.by_seed)),
            ("mixed model", mixed_estimate(self.legs[0][1])),
        )
        for name, other in others:
            yield self._row(name, other.value, other.interval(options.level), other.captures, other.note)

    def _row(
        self, name: str, value: float, interval: tuple[float, float] | None, captures: str, note: str
    ) -> dict[str, object]:
        low, high = interval or (np.nan, np.nan)
        return {
            "study": self.study,
            "method": self.method,
            "split": self.split,
            "quantity": self.kind,
            "metric": self.metric.name,
            "interval": name,
            "estimate": value,
            "low": low,
            "high": high,
            "unit": self.metric.unit,
            "captures": captures,
            "note": note,
        }


def quantities(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    reference: str,
    metric: Metric,
    contrast: Contrast = OWN_GROUPS,
) -> tuple[list[Quantity], list[Quantity]]:
    """Return all diffs of a study, and all changes from the reference.

    They are in the order of the methods in `sums`, then of the splits in `predictions`.

    Args:
        sums: the result of `stats.evidence.sums.user_sums`; rows of splits without a prediction (baselines)
            are left out.
        predictions: split -> predicted.
        reference: the method that the others are compared with.
        metric: the outcome that is averaged. contrast: what is compared.

    Raises:
        TableError: No contrast can be made from the outcomes (`stats.evidence.crossed`).
    """
    rows = sums[sums["split"].isin(predictions)]
    methods, splits = list(dict.fromkeys(rows["method"])), list(predictions)
    tables = {
        (str(study), str(method), str(split)): crossed_table(part, contrast, metric)
        for (study, method, split), part in rows.groupby(SPLIT, sort=False)
    }
    keys = sorted(tables, key=lambda key: (methods.index(key[1]), splits.index(key[2])))
    reference_tables = {key[2]: tables[key] for key in keys if key[1] == reference}
    reference_squares = {split: mean_squares(table) for split, table in reference_tables.items()}
    diffs = [
        Quantity(*key, DIFF, metric, ((1.0, tables[key]),), reference_squares.get(key[2])) for key in keys
    ]
    changes = [
        Quantity(*key, CHANGE, metric, _change_legs(tables[key], reference_tables[key[2]]))
        for key in keys
        if key[1] != reference and key[2] in reference_tables
    ]
    return diffs, changes


def _change_legs(method: CrossedTable, reference: CrossedTable) -> tuple[tuple[float, CrossedTable], ...]:
    """Return one paired contrast if the sides share two or more seeds, otherwise both with their signs."""
    if len(set(method.seeds) & set(reference.seeds)) > 1:
        return ((1.0, difference(method, reference)),)
    return ((1.0, method), (-1.0, reference))
