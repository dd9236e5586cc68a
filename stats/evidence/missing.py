"""Outcomes that a study planned and lacks, and how far they widen intervals.

With `bound`, a split keeps its verdict although cells or pairs are missing. Nothing is assumed about them: a
pair's outcome is 0 or 1, so a missing diff lies between -100 and +100 pp, and the truth lies within some
distance of what the others estimate (Manski 1990; Horowitz & Manski 1995). `stats.evidence.estimate.Estimate`
carries that distance as its slack.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stats.evidence.crossed import CrossedTable
from stats.evidence.estimate import Estimate, Part, without_interval

UNBOUNDED = "outcomes are missing and have no bounds: no interval"


@dataclass(frozen=True)
class Planned:
    """What was planned for one split of a method.

    seeds: those of its planned cells.
    unscored: eval_group -> number of held-out pairs that no arm could score (their answer lies beyond
        `max_length`).
    """

    seeds: frozenset[int]
    unscored: Mapping[str, float] = field(default_factory=dict)

    def seeds_missing(self, finished: int, also_in: "Planned | None" = None) -> float:
        """Return the share of the planned seeds, or of those also planned elsewhere, that are missing."""
        seeds = self.seeds & also_in.seeds if also_in else self.seeds
        return max(0.0, 1 - finished / len(seeds)) if seeds else 0.0


def allowing_for_missing(
    of: Estimate, table: CrossedTable, planned: Planned, also: Planned | None = None
) -> Estimate:
    """Return the estimate for all planned seeds and held-out pairs, of which some are missing.

    Args:
        of: the estimate from what there is. table: its outcomes, groups A and B.
        planned: what was planned. also: what was planned for the reference, for a change paired by seed.
    """
    shift = slack = 0.0
    for name, group in zip(("A", "B"), table.groups, strict=True):
        if unscored := planned.unscored.get(name, 0.0):
            share = unscored / (unscored + float(group.pairs.sum()))
            shift += share * (group.middle - float(group.means.mean()))
            slack += share * group.reach
    seeds = planned.seeds_missing(len(table.seeds), also)
    middle, reach = (sum(getattr(group, name) for group in table.groups) for name in ("middle", "reach"))
    return missing_seeds_bounded(_with_slack(of, of.value + shift, 1.0, slack), seeds, middle, reach)


def missing_seeds_bounded(of: Estimate, missing: float, middle: float, reach: float) -> Estimate:
    """Return the estimate for all planned seeds, of which a share is missing.

    Args:
        missing: that share. middle, reach: one seed's value lies within middle +- reach.
    """
    if not missing:
        return of
    kept = 1 - missing
    return _with_slack(of, kept * of.value + missing * middle, kept, missing * reach)


def _with_slack(of: Estimate, value: float, kept: float, slack: float) -> Estimate:
    if not np.isfinite(slack):
        return without_interval(of.value, of.captures, UNBOUNDED)
    parts = tuple(Part(kept**2 * part.variance, part.df) for part in of.parts)
    return replace(of, value=value, parts=parts, slack=kept * of.slack + slack)
