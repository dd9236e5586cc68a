"""How much the people of a group differ: in how strongly they discriminate, and in what they prefer.

Every pair has one rater, so agreement on an item cannot be measured. Two measures are possible:
`stats.survey.gap_icc` and `stats.survey.consistency`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stats.names import ARMS
from stats.survey.consistency import by_feature, consistency, group_directions, scaled_features
from stats.survey.gap_icc import gap_icc

MEASURE_COLUMNS = ["measure", "group", "estimate", "low", "high", "p", "users", "pairs"]
MEASURE_NUMBERS = ["estimate", "low", "high", "p"]


@dataclass(frozen=True)
class Heterogeneity:
    """How much the users of groups A and B differ.

    measures: measure (gap_icc, consistency), group (A, B, A - B), estimate, low, high (interval), p, users,
        pairs. The p of a group tests whether its users differ (gap_icc: likelihood ratio against g = 0;
        consistency: pairs permuted over the group's users). The p of A - B is from a likelihood ratio against
        a common g, or from users permuted over A and B. gap_icc has no rows if no pair has a score.
        Consistency is missing where the users of a group show no consistent direction.
    features: group, feature, preferred (of the pairs that differ, the share whose chosen answer has more),
        differing (share of pairs), user_sd (spread of the users' mean directions beyond chance, in units of
        the feature's root mean square; 0 where chance alone spreads as much), p (of a test whether there is
        spread beyond chance: pairs permuted over users).
    """

    measures: pd.DataFrame
    features: pd.DataFrame


def heterogeneity(
    pairs: pd.DataFrame, features: pd.DataFrame, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> Heterogeneity:
    """Estimate both measures for group A, for group B, and for A minus B.

    Args:
        pairs: user_id, group ("A" or "B"), score_gap (1 to 99; a pair without it counts only for
            consistency).
        features: one row per row of `pairs` and one column per feature: its value for the chosen answer
            minus that for the rejected one.
        draws: number of bootstrap draws of users, and of permutations. level: coverage of the intervals.
        seed: random seed of both.

    Raises:
        TableError: A group has fewer than two users with two pairs each, or a feature has no number.
    """
    rng = np.random.default_rng(seed)
    scored = pairs[pairs["score_gap"].notna()]
    rows = [] if scored.empty else gap_icc({arm: scored[scored["group"] == arm] for arm in ARMS}, level)
    x = scaled_features(features)
    groups = [group_directions(pairs, x, group, draws, rng) for group in ARMS]
    rows += consistency(groups, level, draws, rng)
    feature_rows = [
        row
        for directions in groups
        for row in by_feature(directions, features[(pairs["group"] == directions.group).to_numpy()])
    ]
    return Heterogeneity(
        pd.DataFrame(rows, columns=MEASURE_COLUMNS).astype(dict.fromkeys(MEASURE_NUMBERS, float)),
        pd.DataFrame(feature_rows),
    )
