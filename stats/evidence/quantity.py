"""What is estimated from held-out outcomes: A minus B of a method, and its change from the reference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from stats.evidence.anova import Estimate, Squares, estimate, squares, unpaired_change
from stats.evidence.bootstrap import percentile, pigeonhole
from stats.evidence.crossed import OWN, Contrast, Crossed, Floats, Metric, crossed, difference
from stats.evidence.mixed import mixed_estimate
from stats.evidence.options import Options
from stats.evidence.seeds import mean_estimate

DIFF, CHANGE = "A minus B", "change"
BOOTSTRAP = "new seeds and new users"
BOOTSTRAP_USERS = "new users under this one seed; nothing about other seeds"


@dataclass(frozen=True)
class Quantity:
    """A diff or a change of one method and split.

    legs: weighted contrasts whose sum it is: one, or method and reference where they share fewer than two
        seeds. lender: the reference's mean squares, for a method with one seed.
    """

    study: str
    method: str
    split: str
    kind: str
    metric: Metric
    legs: tuple[tuple[float, Crossed], ...]
    lender: Squares | None = None

    @property
    def identity(self) -> dict[str, object]:
        """Columns that say which one it is, and how much it rests on."""
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
        """Its value by seed, or None where seeds of method and reference cannot be paired."""
        return self.legs[0][1].values if len(self.legs) == 1 else None

    @cached_property
    def estimate(self) -> Estimate:
        """The main estimate: crossed ANOVA with Satterthwaite's degrees of freedom."""
        if len(self.legs) == 1:
            return estimate(self.legs[0][1], self.lender)
        return unpaired_change(self.legs[0][1], self.legs[1][1])

    def intervals(self, options: Options, rng: np.random.Generator) -> Iterator[dict[str, object]]:
        """Every interval of it, each with which uncertainty it captures."""
        one_seed = all(len(leg.seeds) == 1 for _, leg in self.legs)
        main = self.estimate
        yield self._row("crossed ANOVA", main.value, main.interval(options.level), main.captures, main.note)
        draws = pigeonhole(self.legs, options.draws, rng)
        captures = BOOTSTRAP_USERS if one_seed else BOOTSTRAP
        yield self._row("pigeonhole bootstrap", main.value, percentile(draws, options.level), captures, "")
        others = []
        if self.by_seed is not None:
            others = [("t on seed means", mean_estimate(self.by_seed))]
            others += [("mixed model", mixed_estimate(self.legs[0][1]))]
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
    sums: pd.DataFrame, splits: Mapping[str, str], reference: str, metric: Metric, contrast: Contrast = OWN
) -> tuple[list[Quantity], list[Quantity]]:
    """All diffs, and all changes from the reference, of a study.

    Args:
        sums: of `stats.evidence.sums.user_sums`; rows of other splits than `splits` (baselines) are left out.

    Raises:
        TableError: outcomes from which a contrast cannot be made (`stats.evidence.crossed`).
    """
    rows = sums[sums["split"].isin(splits)]
    methods = list(dict.fromkeys(rows["method"]))
    tables = {
        (str(study), str(method), str(split)): crossed(part, contrast, metric)
        for (study, method, split), part in rows.groupby(["study", "method", "split"], sort=False)
    }
    order = list(splits)
    tables = dict(
        sorted(tables.items(), key=lambda item: (methods.index(item[0][1]), order.index(item[0][2])))
    )
    references = {split: table for (_, method, split), table in tables.items() if method == reference}
    lenders = {split: squares(table) for split, table in references.items()}
    diffs = [
        Quantity(*key, DIFF, metric, ((1.0, table),), lenders.get(key[2])) for key, table in tables.items()
    ]
    changes = [
        Quantity(*key, CHANGE, metric, _legs(table, references[key[2]]))
        for key, table in tables.items()
        if key[1] != reference and key[2] in references
    ]
    return diffs, changes


def _legs(method: Crossed, reference: Crossed) -> tuple[tuple[float, Crossed], ...]:
    if len(set(method.seeds) & set(reference.seeds)) > 1:
        return ((1.0, difference(method, reference)),)
    return ((1.0, method), (-1.0, reference))
