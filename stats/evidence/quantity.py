"""What held-out outcomes estimate: a method's A minus B, and its change from the reference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from stats.arrays import Floats
from stats.evidence.anova import (
    MeanSquares,
    estimate,
    mean_squares,
    nested_estimates,
    unpaired_change,
)
from stats.evidence.contrasts import OWN_GROUP_ADVANTAGE, OWN_GROUPS, Contrast, Metric
from stats.evidence.crossed import CrossedTable, crossed_table, difference
from stats.evidence.estimate import Estimate, without_interval
from stats.evidence.missing import Planned, allowing_for_missing
from stats.evidence.options import Options
from stats.evidence.spread import Spread, moderated_by_method
from stats.names import SPLIT
from stats.rule.changes import SplitKey
from stats.rule.labels import Prediction

DIFF, CHANGE, ADVANTAGE = "A minus B", "change", "own-group advantage"


@dataclass(frozen=True)
class Quantity:
    """A diff, a change or an own-group advantage of one method and split.

    kind: DIFF, CHANGE or ADVANTAGE.
    legs: (weight, contrast); the quantity is their weighted sum. There is one leg, or there are two (method
        and reference) where these share fewer than two seeds.
    spreads: the spread of one seed's value for each leg, steadied by the method's other splits; None for a
        leg with one seed.
    lender: the reference's mean squares and spread, which a method with one seed borrows.
    planned: what was planned for the method and, for a change, for the reference, where intervals allow for
        what is missing; otherwise empty.
    """

    study: str
    method: str
    split: str
    kind: str
    metric: Metric
    legs: tuple[tuple[float, CrossedTable], ...]
    spreads: tuple[Spread | None, ...]
    lender: tuple[MeanSquares, Spread] | None = None
    planned: tuple[Planned, ...] = ()

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
        """The estimate for new seeds and new users, where the data determine its variance."""
        if len(self.legs) > 1:
            of = unpaired_change(self.legs[0][1], self.legs[1][1], (self.spreads[0], self.spreads[1]))
            return self._allowing_for_missing(of)
        squares = mean_squares(self.legs[0][1])
        if self.spreads[0] is None and self.lender is not None:
            return self._allowing_for_missing(estimate(squares, self.lender[1], self.lender[0]))
        return self._allowing_for_missing(estimate(squares, self.spreads[0]))

    def _allowing_for_missing(self, of: Estimate) -> Estimate:
        if not self.planned:
            return of
        if len(self.legs) == 1:
            return allowing_for_missing(of, self.legs[0][1], *self.planned)
        sides = [
            allowing_for_missing(without_interval(table.value, of.captures, ""), table, planned)
            for (_, table), planned in zip(self.legs, self.planned, strict=True)
        ]
        value = sum(weight * side.value for (weight, _), side in zip(self.legs, sides, strict=True))
        return replace(of, value=value, slack=sum(side.slack for side in sides))

    def intervals(self, options: Options) -> Iterator[dict[str, object]]:
        """Yield the interval that counts, and those of the kinds of chance that it holds."""
        yield self._row("seeds and users", self.estimate, options.level)
        if len(self.legs) == 1 and self.spreads[0] is not None:
            for name, part in nested_estimates(mean_squares(self.legs[0][1]), self.spreads[0]):
                yield self._row(name, self._allowing_for_missing(part), options.level)

    def _row(self, name: str, of: Estimate, level: float) -> dict[str, object]:
        low, high = of.interval(level) or (np.nan, np.nan)
        return {
            "study": self.study,
            "method": self.method,
            "split": self.split,
            "quantity": self.kind,
            "metric": self.metric.name,
            "interval": name,
            "estimate": of.value,
            "low": low,
            "high": high,
            "unit": self.metric.unit,
            "captures": of.captures,
            "note": of.note,
        }


def quantities(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    reference: str,
    metric: Metric,
    contrast: Contrast = OWN_GROUPS,
    kind: str = DIFF,
    planned: Mapping[SplitKey, Planned] | None = None,
) -> tuple[list[Quantity], list[Quantity]]:
    """Return all diffs of a study, and all changes from the reference.

    They are in the order of the methods in `sums`, then of the splits in `predictions`.

    Args:
        sums: the result of `stats.evidence.sums.user_sums`; rows of splits without a prediction (baselines)
            are left out.
        predictions: split -> predicted.
        reference: the method that the others are compared with.
        metric: the outcome that is averaged. contrast: what is compared. kind: the name of that.
        planned: (study, method, split) -> what was planned, if intervals are to allow for what is missing.

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
    references = {key[2]: key for key in keys if key[1] == reference}
    planned = planned or {}
    squares = {key: mean_squares(tables[key]) for key in keys}
    spreads = _steadied(squares)
    diffs = []
    for key in keys:
        lender = references.get(key[2])
        lent = (squares[lender], spreads[lender]) if lender in spreads else None
        legs: tuple[tuple[float, CrossedTable], ...] = ((1.0, tables[key]),)
        own = (planned[key],) if key in planned else ()
        diffs.append(Quantity(*key, kind, metric, legs, (spreads.get(key),), lent, own))
    compared = [key for key in keys if key[1] != reference and key[2] in references]
    paired = {
        key: difference(tables[key], tables[references[key[2]]])
        for key in compared
        if len(set(tables[key].seeds) & set(tables[references[key[2]]].seeds)) > 1
    }
    paired_spreads = _steadied({key: mean_squares(table) for key, table in paired.items()})
    changes = []
    for key in compared:
        before = references[key[2]]
        if key in paired:
            legs = ((1.0, paired[key]),)
            of_legs: tuple[Spread | None, ...] = (paired_spreads[key],)
        else:
            legs = ((1.0, tables[key]), (-1.0, tables[before]))
            of_legs = (spreads.get(key), spreads.get(before))
        both = (planned[key], planned[before]) if key in planned and before in planned else ()
        changes.append(Quantity(*key, CHANGE, metric, legs, of_legs, planned=both))
    return diffs, changes


def advantages(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    reference: str,
    metric: Metric,
    planned: Mapping[SplitKey, Planned] | None = None,
) -> list[Quantity]:
    """Return how much better each arm is on its own group's pairs than the other arm is on the same pairs.

    Unlike a diff, this does not depend on how hard a group's pairs are. Splits whose arms scored only their
    own group are left out. The arguments are those of `quantities`.
    """
    scored = scored_by_both(sums)
    return quantities(scored, predictions, reference, metric, OWN_GROUP_ADVANTAGE, ADVANTAGE, planned)[0]


def advantage_predictions(predictions: Mapping[str, str]) -> dict[str, str]:
    """Return split -> what a prediction about the diff says about the own-group advantage.

    Groups that differ, on whichever side, are served better by their own arm: the advantage is above zero.
    """
    unchanged = (Prediction.EQUAL, Prediction.EXPLORATORY)
    return {
        split: predicted if predicted in unchanged else Prediction.A_ABOVE_B
        for split, predicted in predictions.items()
    }


def scored_by_both(sums: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the splits whose arms both scored both groups."""
    blocks = sums.groupby(SPLIT, sort=False)[["arm", "eval_group"]].value_counts().groupby(SPLIT, sort=False)
    return sums.join(blocks.size().rename("blocks"), on=SPLIT).query("blocks == 4").drop(columns="blocks")


def _steadied(squares: Mapping[SplitKey, MeanSquares]) -> dict[SplitKey, Spread]:
    """Return the spreads of the splits with two seeds or more, steadied within each method."""
    return moderated_by_method({key: of.spread for key, of in squares.items() if of.spread is not None})
