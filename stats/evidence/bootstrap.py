"""Pigeonhole bootstrap (Owen 2007, Ann. Appl. Stat. 1): seeds and users resampled independently."""

from collections.abc import Sequence

import numpy as np

from stats.arrays import Floats
from stats.evidence.crossed import CrossedTable


def pigeonhole(legs: Sequence[tuple[float, CrossedTable]], draws: int, rng: np.random.Generator) -> Floats:
    """Return resampled values [draws] of a weighted sum of contrasts.

    A draw weights seed s by v[s] and user u by w[u], both multinomial counts, and computes
    sum_su v[s] w[u] Y[s, u] / (S sum_u w[u] n[u]) for each group.

    Args:
        legs: (weight, contrast). The contrasts score the same users, who are resampled once for all of them;
            each has its own seeds. A contrast with one seed keeps it.
    """
    seeds = [
        rng.multinomial(len(leg.seeds), np.full(len(leg.seeds), 1 / len(leg.seeds)), draws) for _, leg in legs
    ]
    total = np.zeros(draws)
    for position in range(len(legs[0][1].groups)):
        pairs = legs[0][1].groups[position].pairs
        users = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), draws)
        size = users @ pairs
        for (weight, leg), counts in zip(legs, seeds, strict=True):
            sums = np.einsum("du,du->d", counts @ leg.groups[position].sums, users)
            total += weight * sums / (len(leg.seeds) * size)
    return total


def percentile(values: Floats, level: float) -> tuple[float, float]:
    """Return the interval that holds the middle `level` of the draws."""
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
