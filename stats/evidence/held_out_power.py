"""What a design with held-out users could have detected: smallest diffs, and the seeds and pairs needed.

With S seeds, U users in each group, and the variances (pp^2) of `stats.evidence.held_out.variances`, a diff
has the variance

    V = (seed_variance + residual_variance / U) / S + user_variance / U.

The answers are about the verdict that the report prints: the interval of `stats.evidence.estimate`, adjusted
for the number of splits that are tested together. The spread of seeds is taken to be as well known as that of
splits that are alike (`stats.evidence.spread`).
"""

from dataclasses import dataclass, field
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd

from stats.evidence.options import Options
from stats.evidence.power import (
    SEED_COUNTS,
    TARGET_POWER,
    DesignVariance,
    first_enough,
    power,
    smallest_effect,
)
from stats.evidence.quantity import DIFF
from stats.evidence.spread import most_prior_df

USER_LIMIT = 1_000_000  # largest number of users per group that is tried
USER_COUNTS = np.unique(np.geomspace(2, USER_LIMIT, 150).astype(int))
DESIGN_SEEDS = (2, 3, 5, 10, 20)
DESIGN_USERS = (25, 50, 100, 200, 400, 800)
VARIANCES = ("seed_variance", "user_variance", "residual_variance")
IDENTITY = ("study", "method", "split", "quantity")


@dataclass(frozen=True)
class HeldOutPower:
    """Power of held-out diffs and changes; empty without held-out variances.

    detectable, needed, designs: results of `detectable`, `needed` and `smallest_by_design`.
    """

    detectable: pd.DataFrame = field(default_factory=pd.DataFrame)
    needed: pd.DataFrame = field(default_factory=pd.DataFrame)
    designs: pd.DataFrame = field(default_factory=pd.DataFrame)


def held_out_power(variances: pd.DataFrame | None, splits: int, options: Options) -> HeldOutPower:
    """Compute what a study's held-out design could have detected.

    Outcomes that never differ tell no variance, so what their design could detect is unknown and left out.

    Args:
        variances: see `detectable`; None without held-out outcomes.
        splits: number of predicted splits that are tested together.
    """
    if variances is None or variances.empty:
        return HeldOutPower()
    variances = variances[variances[[*VARIANCES]].sum(axis=1) > 0]
    if variances.empty:
        return HeldOutPower()
    return HeldOutPower(
        detectable(variances, options.alpha, splits),
        needed(variances, options.stated_pp, options.alpha, splits),
        smallest_by_design(variances[variances["quantity"] == DIFF], options.alpha, DESIGN_SEEDS, splits),
    )


def design_variance(
    parts: "pd.Series[float]", seeds: npt.ArrayLike, users: npt.ArrayLike, splits: int
) -> DesignVariance:
    """Return the variance of designs with `users` users in each of two groups (seeds and users broadcast)."""
    s, u = np.asarray(seeds, dtype=float), np.asarray(users, dtype=float)
    user_df = 2 * (u - 1)
    seed_df = np.minimum(s - 1 + most_prior_df(s - 1, splits), user_df)
    of_seeds = (parts["seed_variance"] + parts["residual_variance"] / u) / s
    return DesignVariance(of_seeds, seed_df, np.asarray(parts["user_variance"] / u), user_df)


def detectable(variances: pd.DataFrame, alpha: float, splits: int) -> pd.DataFrame:
    """Compute the smallest diffs that each design could have detected with 80 % power.

    Args:
        variances: study, method, split, quantity, n_seeds, users (both groups), pairs (both), seed_variance,
            user_variance, residual_variance (pp^2).
        splits: number of splits that are tested together.

    Returns:
        study, method, split, quantity, n_seeds, pairs, seed_sd, smallest_pp (one test), smallest_adjusted_pp
        (Bonferroni).
    """
    rows = []
    for _, row in variances.iterrows():
        design = design_variance(row, row["n_seeds"], row["users"] / 2, splits)
        single, adjusted = (smallest_effect(design, level) for level in (alpha, alpha / max(1, splits)))
        identity = {name: row[name] for name in (*IDENTITY, "n_seeds", "pairs")}
        rows.append(
            {
                **identity,
                "seed_sd": sqrt(row["seed_variance"]),
                "smallest_pp": single,
                "smallest_adjusted_pp": adjusted,
            }
        )
    return pd.DataFrame(rows)


def needed(variances: pd.DataFrame, effects: tuple[float, ...], alpha: float, splits: int) -> pd.DataFrame:
    """Compute the seeds, or the held-out pairs, that decide a diff with 80 % power.

    The other of the two numbers is kept as it is.

    Args:
        variances: see `detectable`. effects: diffs in percentage points.
        alpha: the family-wise error. splits: number of splits that are tested together, each at
            alpha / splits.

    Returns:
        study, method, split, quantity, diff_pp, seeds (with the present pairs), pairs (of both groups, with
        the present seeds). A number is infinite where up to 200 seeds, or a million users per group, are
        not enough.
    """
    rows = []
    for _, row in variances.iterrows():
        users, pairs_per_user = row["users"] / 2, row["pairs"] / row["users"]
        for effect in effects:
            with_seeds = design_variance(row, SEED_COUNTS, users, splits)
            with_users = design_variance(row, row["n_seeds"], USER_COUNTS, splits)
            by_seeds, by_users = (
                power(effect, design, alpha / max(1, splits)) >= TARGET_POWER
                for design in (with_seeds, with_users)
            )
            pairs = 2 * pairs_per_user * first_enough(USER_COUNTS, by_users)
            rows.append(
                {
                    **{name: row[name] for name in IDENTITY},
                    "diff_pp": effect,
                    "seeds": first_enough(SEED_COUNTS, by_seeds),
                    "pairs": ceil(pairs) if np.isfinite(pairs) else pairs,
                }
            )
    return pd.DataFrame(rows)


def smallest_by_design(
    variances: pd.DataFrame, alpha: float, seeds: tuple[int, ...], splits: int
) -> pd.DataFrame:
    """Compute the smallest diff (80 % power) by seeds and pairs, with the median variances of the splits.

    Args:
        variances: see `detectable`. seeds: numbers of seeds.
        alpha: the family-wise error. splits: number of splits that are tested together.

    Returns:
        seeds, pairs (both groups), smallest_pp.
    """
    middle = variances[["seed_variance", "user_variance", "residual_variance"]].median()
    pairs_per_user = float((variances["pairs"] / variances["users"]).median())
    rows = []
    for users in DESIGN_USERS:
        for count in seeds:
            smallest = smallest_effect(design_variance(middle, count, users, splits), alpha / max(1, splits))
            rows.append((count, round(2 * users * pairs_per_user), smallest))
    return pd.DataFrame(rows, columns=["seeds", "pairs", "smallest_pp"])
