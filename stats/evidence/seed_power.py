"""What a design of one diff per seed (without held-out pairs, as published) could have detected."""

from dataclasses import dataclass, field
from math import ceil, sqrt

import numpy as np
import pandas as pd

from stats.evidence.power import (
    SEED_COUNTS,
    TARGET_POWER,
    DesignVariance,
    first_enough,
    power,
    smallest_effect,
)

MOST_SEEDS_PLOTTED = 60


@dataclass(frozen=True)
class SeedPower:
    """Power of a design of one diff per seed; empty where the spread over seeds is unknown.

    designs, by_seeds, needed: results of `smallest_by_comparison`, `smallest_by_seeds` and `seeds_needed`.
    """

    designs: pd.DataFrame = field(default_factory=pd.DataFrame)
    by_seeds: pd.DataFrame = field(default_factory=pd.DataFrame)
    needed: pd.DataFrame = field(default_factory=pd.DataFrame)


def pooled_sd(diffs: pd.DataFrame, method: str) -> tuple[int, float]:
    """Return (usual number of seeds, sd of one seed's diff in pp) of a method, pooled over its splits."""
    by_split = diffs[diffs["method"] == method].groupby("split")["diff_pp"]
    counts = by_split.size()
    variance = float((by_split.var(ddof=1) * (counts - 1)).sum() / (counts - 1).sum())
    return int(counts.median()), sqrt(variance)


def sampling_sd(accuracy: float, pairs: int) -> float:
    """Return the sd (pp) of the difference of two accuracies, each over `pairs` independent pairs.

    It is sqrt(2 p (1 - p) / pairs).
    """
    return 100 * sqrt(2 * accuracy * (1 - accuracy) / pairs)


def smallest_by_comparison(
    diffs: pd.DataFrame, reference: str, tail_pairs: int, accuracy: float, alpha: float
) -> pd.DataFrame:
    """Compute the smallest diffs that the published comparisons detect with 80 % power.

    Args:
        diffs: method, split, seed, diff_pp.
        reference: the method whose seeds give the spread.
        tail_pairs, accuracy: pairs behind one accuracy and its typical value (share), which determine the
            sampling noise.

    Returns:
        design, spread, sd_pp (of one seed's diff), smallest_pp. The spread is the seed sd pooled over the
        reference's splits (with the degrees of freedom of one split's mean), or sampling noise alone.
    """
    usual, pooled = pooled_sd(diffs, reference)
    noise = sampling_sd(accuracy, tail_pairs)
    rows = []
    for spread, sd in (("observed between seeds", pooled), (f"noise of {tail_pairs} pairs alone", noise)):
        for design, factor, seeds in (
            (f"mean of {usual} seeds against zero", 1 / usual, usual),
            (f"one seed against {usual} of the reference", 1 + 1 / usual, usual),
            ("mean of 10 seeds against zero", 1 / 10, 10),
        ):
            rows.append(
                (design, spread, sd, smallest_effect(DesignVariance(sd**2 * factor, seeds - 1), alpha))
            )
    return pd.DataFrame(rows, columns=["design", "spread", "sd_pp", "smallest_pp"])


def smallest_by_seeds(
    sd_pp: float, alpha: float, splits: int, most: int = MOST_SEEDS_PLOTTED
) -> pd.DataFrame:
    """Compute the smallest mean diff that n seeds distinguish from zero with 80 % power.

    Args:
        sd_pp: standard deviation of one seed's diff. splits: number of splits that are tested together.

    Returns:
        seeds (2 to `most`), smallest_pp (one test at `alpha`), smallest_adjusted_pp (at alpha / splits,
        Holm's first step).
    """
    designs = {seeds: DesignVariance(sd_pp**2 / seeds, seeds - 1) for seeds in range(2, most + 1)}
    rows = [
        (seeds, *(smallest_effect(design, level) for level in (alpha, alpha / splits)))
        for seeds, design in designs.items()
    ]
    return pd.DataFrame(rows, columns=["seeds", "smallest_pp", "smallest_adjusted_pp"])


def seeds_for_effect(effect_pp: float, sd_pp: float, alpha: float) -> float:
    """Return the seeds whose mean distinguishes `effect_pp` from zero with 80 % power; infinite above 200."""
    designs = DesignVariance(sd_pp**2 / SEED_COUNTS, SEED_COUNTS - 1)
    enough = power(effect_pp, designs, alpha) >= TARGET_POWER
    return first_enough(SEED_COUNTS, enough)


def seeds_needed(
    diffs: pd.DataFrame,
    reference: str,
    tail_pairs: int,
    accuracy: float,
    stated_pp: tuple[float, ...],
    alpha: float,
    splits: int,
) -> pd.DataFrame:
    """Compute what the published design would need to detect stated diffs with 80 % power.

    The pooled variance of one seed's diff has two parts. Sampling, 2 p (1 - p) / pairs, falls with more
    pairs; the remainder, which is at least 0 and poorly known, falls only with more seeds.

    Args:
        diffs, reference, tail_pairs, accuracy: as in `smallest_by_comparison`.
        stated_pp: the diffs to detect (percentage points).
        splits: number of splits that are tested together.

    Returns:
        diff_pp; seeds, seeds_adjusted (at alpha / splits): for the mean against zero, with the present pairs;
        pairs, pairs_one_seed: behind each accuracy, for the mean of the reference's number of seeds, and for
        one seed against that many, at alpha / splits, too. A number is infinite where 200 seeds are not
        enough, or no number of pairs is.
    """
    usual, pooled = pooled_sd(diffs, reference)
    sampling = sampling_sd(accuracy, tail_pairs) ** 2
    seed_variance = max(0.0, pooled**2 - sampling)
    smallest_in_sd = smallest_effect(DesignVariance(1.0, usual - 1), alpha / splits)
    rows = []
    for effect in stated_pp:
        seeds = [seeds_for_effect(effect, pooled, level) for level in (alpha, alpha / splits)]
        allowed = [
            (effect / smallest_in_sd) ** 2 / factor - seed_variance for factor in (1 / usual, 1 + 1 / usual)
        ]
        pairs = [ceil(tail_pairs * sampling / variance) if variance > 0 else np.inf for variance in allowed]
        rows.append((effect, *seeds, *pairs))
    return pd.DataFrame(rows, columns=["diff_pp", "seeds", "seeds_adjusted", "pairs", "pairs_one_seed"])
