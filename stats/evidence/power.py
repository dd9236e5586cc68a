"""What a design could have seen: smallest diffs, and seeds and held-out users needed.

With S seeds and U users in each group, and variances (pp^2) of `stats.evidence.evidence.variances`, a diff
has

    V = seed_variance / S + user_variance / U + residual_variance / (S U)

and, from the expected mean squares of `stats.evidence.anova`, Satterthwaite's degrees of freedom. Power is
that of the two-sided t test with this V: the noncentral t distribution at diff / sqrt(V).
"""

from functools import cache
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats as distributions
from scipy.optimize import brentq
from scipy.special import ndtr, stdtr

from stats.evidence.anova import Squares
from stats.evidence.boundaries import reach

Floats = npt.NDArray[np.float64]
POWER = 0.8
GRID = 300  # points of the integral over the variance estimate
MOST_SEEDS, MOST_USERS = 200, 1_000_000
IDENTITY = ("study", "method", "split", "quantity")


def design_variance(
    parts: "pd.Series[float]", seeds: npt.ArrayLike, users: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """(V, degrees of freedom) of designs with `seeds` and `users` in each of two groups, broadcast."""
    s, u = np.asarray(seeds, dtype=float), np.asarray(users, dtype=float)
    over_seeds = (parts["seed_variance"] + parts["residual_variance"] / u) / s
    rest = parts["residual_variance"] / (s * u)
    over_users = parts["user_variance"] / u + rest
    variance = over_seeds + over_users - rest
    # Two groups, each with half of what is summed over groups.
    squares = over_seeds**2 / (s - 1) + over_users**2 / (2 * (u - 1)) + rest**2 / (2 * (s - 1) * (u - 1))
    return np.asarray(variance), np.asarray(variance**2 / squares)


def power(effect: npt.ArrayLike, variance: npt.ArrayLike, df: npt.ArrayLike, alpha: float) -> Floats:
    """Probability that the two-sided t test at `alpha` rejects zero when the truth is `effect`.

    The noncentral t, integrated over the chi-square of the variance estimate (scipy's own is NaN far out).
    """
    with np.errstate(divide="ignore"):  # without variance any effect is seen
        shift = np.abs(np.asarray(effect)) / np.sqrt(variance)
    return _beyond(_bounds(df, alpha), shift)


def _bounds(df: npt.ArrayLike, alpha: float) -> Floats:
    """[GRID, ...]: what an estimate has to exceed, in its true standard errors, at quantiles of the estimated
    one."""
    freedom = np.asarray(df, dtype=float)
    critical = distributions.t.ppf(1 - alpha / 2, freedom)
    grid = ((np.arange(GRID) + 0.5) / GRID).reshape(-1, *([1] * freedom.ndim))
    return np.asarray(critical * np.sqrt(distributions.chi2.ppf(grid, freedom) / freedom))


def _beyond(bounds: Floats, shift: Floats | float) -> Floats:
    """Chance to exceed them, on average over the quantiles."""
    return np.asarray((ndtr(shift - bounds) + ndtr(-bounds - shift)).mean(axis=0))


def smallest_effect(variance: float, df: float, alpha: float) -> float:
    """The effect that the test sees with 80 % power."""
    return _smallest_shift(df, alpha) * sqrt(variance)


@cache
def _smallest_shift(df: float, alpha: float) -> float:
    """`smallest_effect` in standard errors."""
    most, bounds = 10 + 3 * float(distributions.t.ppf(1 - alpha / 2, df)), _bounds(df, alpha)
    return float(brentq(lambda shift: float(_beyond(bounds, shift)) - POWER, 0.0, most))


def detectable(variances: pd.DataFrame, alpha: float, splits: int) -> pd.DataFrame:
    """Smallest diffs that each design could have seen with 80 % power.

    Args:
        variances: study, method, split, quantity, n_seeds, users (both groups), pairs (both), *_variance
            (pp^2).
        splits: how many are tested together.

    Returns:
        study, method, split, quantity, n_seeds, pairs, seed_sd, smallest_pp (one test), smallest_adjusted_pp
        (Bonferroni).
    """
    rows = []
    for _, row in variances.iterrows():
        variance, df = design_variance(row, row["n_seeds"], row["users"] / 2)
        single, adjusted = (
            smallest_effect(float(variance), float(df), level) for level in (alpha, alpha / max(1, splits))
        )
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


def needed(variances: pd.DataFrame, effects: tuple[float, ...], alpha: float) -> pd.DataFrame:
    """Seeds, or held-out pairs, with which a diff is seen with 80 % power; the other kept as it is.

    Returns:
        study, method, split, quantity, diff_pp, seeds (with the pairs there are), pairs (with the
        seeds there are; of both groups). Infinite where no number up to 200 seeds or a million users a group
        is enough.
    """
    rows = []
    for _, row in variances.iterrows():
        users, a_user = row["users"] / 2, row["pairs"] / row["users"]
        seeds = np.arange(2, MOST_SEEDS + 1)
        sizes = np.unique(np.geomspace(2, MOST_USERS, 150).astype(int))
        for effect in effects:
            enough = power(effect, *design_variance(row, seeds, users), alpha) >= POWER
            wide = power(effect, *design_variance(row, row["n_seeds"], sizes), alpha) >= POWER
            pairs = 2 * a_user * _first(sizes, wide)
            rows.append(
                {
                    **{name: row[name] for name in IDENTITY},
                    "diff_pp": effect,
                    "seeds": _first(seeds, enough),
                    "pairs": ceil(pairs) if np.isfinite(pairs) else pairs,
                }
            )
    return pd.DataFrame(rows)


def _first(values: npt.NDArray[np.int_], enough: npt.NDArray[np.bool_]) -> float:
    return float(values[enough][0]) if enough.any() else np.inf


def chance_to_decide(effect: float, spread: Floats, df: float, half: Floats, inner: Floats) -> Floats:
    """Probability that an estimate, effect + spread t(df), is beyond +-half or within +-inner.

    half: of an interval that excludes zero then. inner: a margin less half of an interval that is inside the
        margin then; nothing is within a negative one.
    """
    reach, width = np.maximum(inner, 0), np.maximum(spread, 1e-12)  # without spread it is decided or not
    above, below = (effect - half) / width, (-effect - half) / width
    high, low = (reach - effect) / width, (-reach - effect) / width
    found = stdtr(df, above) + stdtr(df, below) + stdtr(df, high) - stdtr(df, low)
    return np.asarray(np.minimum(found, 1.0))


def needed_to_decide(found: Squares, pairs: float, alpha: float, margin: float) -> tuple[float, float]:
    """(seeds, held-out pairs of both groups) with which a contrast's interval at 1 - alpha would, with 80 %
    power, exclude zero or lie inside +-margin, if its value were the truth.

    The other is kept as it is; infinite where no number up to 200 seeds or a million users a group is enough.

    Args:
        pairs: that there are.
    """
    here = sum(group.users for group in found.groups) / 2
    seeds = np.arange(2, MOST_SEEDS + 1)
    sizes = np.unique(np.geomspace(2, MOST_USERS, 150).astype(int))
    needed = []
    for s, u, numbers in ((seeds, here, seeds), (found.seeds, sizes, sizes)):
        of_seeds = np.asarray((found.seed_variance + found.residual_variance / u) / s)
        of_users = np.asarray(found.user_variance / u)
        half = reach(alpha, s, of_seeds, of_users, u)
        chance = chance_to_decide(found.value, np.sqrt(of_seeds + of_users), np.inf, half, margin - half)
        needed.append(_first(numbers, chance >= POWER))
    wide = needed[1] * pairs / here
    return needed[0], float(ceil(wide)) if np.isfinite(wide) else wide


def power_curves(variances: pd.DataFrame, alpha: float, seeds: tuple[int, ...]) -> pd.DataFrame:
    """Smallest diff (80 % power) by seeds and held-out pairs, with the median variances of a study's splits.

    Returns:
        seeds, pairs (both groups), smallest_pp.
    """
    middle = variances[["seed_variance", "user_variance", "residual_variance"]].median()
    a_user = float((variances["pairs"] / variances["users"]).median())
    rows = []
    for users in (25, 50, 100, 200, 400, 800):
        for count in seeds:
            variance, df = design_variance(middle, count, users)
            rows.append(
                (count, round(2 * users * a_user), smallest_effect(float(variance), float(df), alpha))
            )
    return pd.DataFrame(rows, columns=["seeds", "pairs", "smallest_pp"])


def pooled_sd(diffs: pd.DataFrame, method: str) -> tuple[int, float]:
    """(usual number of seeds, sd over seeds of one seed's diff in pp, pooled over splits) of a method."""
    ours = diffs[diffs["method"] == method].groupby("split")["diff_pp"]
    counts = ours.size()
    variance = float((ours.var(ddof=1) * (counts - 1)).sum() / (counts - 1).sum())
    return int(counts.median()), sqrt(variance)


def sampling_sd(accuracy: float, pairs: int) -> float:
    """Of the difference (pp) of two accuracies, each over independent pairs: sqrt(2 p (1 - p) / pairs)."""
    return 100 * sqrt(2 * accuracy * (1 - accuracy) / pairs)


def seed_power(
    diffs: pd.DataFrame, reference: str, tail_pairs: int, accuracy: float, alpha: float
) -> pd.DataFrame:
    """The published design: diffs of one number a seed, without held-out pairs.

    Args:
        diffs: method, split, seed, diff_pp.
        tail_pairs, accuracy: pairs behind one accuracy and its typical value: their sampling noise alone.

    Returns:
        design, seeds, sd_pp (of one seed's diff), smallest_pp, from the pooled seed sd of the reference's
        splits (df of the mean of one split's seeds) and from sampling noise alone, sqrt(2 p (1 - p) / pairs).
    """
    usual, pooled = pooled_sd(diffs, reference)
    noise = sampling_sd(accuracy, tail_pairs)
    rows = []
    for name, sd in (("observed between seeds", pooled), (f"noise of {tail_pairs} pairs alone", noise)):
        for design, factor, seeds in (
            (f"mean of {usual} seeds against zero", 1 / usual, usual),
            (f"one seed against {usual} of the reference", 1 + 1 / usual, usual),
            ("mean of 10 seeds against zero", 1 / 10, 10),
        ):
            rows.append((design, name, sd, smallest_effect(sd**2 * factor, seeds - 1, alpha)))
    return pd.DataFrame(rows, columns=["design", "spread", "sd_pp", "smallest_pp"])


def by_seeds(sd_pp: float, alpha: float, splits: int, most: int = 60) -> pd.DataFrame:
    """What the mean of so many seeds against zero sees with 80 % power: seeds, smallest_pp (one test at
    `alpha`), smallest_adjusted_pp (at alpha / splits, Holm's first step). `sd_pp`: of one seed's diff."""
    rows = [
        (seeds, *(smallest_effect(sd_pp**2 / seeds, seeds - 1, level) for level in (alpha, alpha / splits)))
        for seeds in range(2, most + 1)
    ]
    return pd.DataFrame(rows, columns=["seeds", "smallest_pp", "smallest_adjusted_pp"])


def seed_needed(
    diffs: pd.DataFrame,
    reference: str,
    tail_pairs: int,
    accuracy: float,
    stated_pp: tuple[float, ...],
    alpha: float,
    splits: int,
) -> pd.DataFrame:
    """What the published design would need for stated diffs, seen with 80 % power.

    The pooled variance of one seed's diff is split into sampling, 2 p (1 - p) / pairs, which more pairs buy
    down, and what it exceeds that by, which only seeds do (at least 0; poorly known).

    Returns:
        diff_pp; seeds, seeds_adjusted (at alpha / splits): of the mean against zero, with the pairs there
        are; pairs, pairs_one_seed: behind each accuracy, for the mean of the reference's number of seeds, and
        for one seed against that many. Infinite where 200 seeds, or any number of pairs, are not enough.
    """
    usual, pooled = pooled_sd(diffs, reference)
    sampling = sampling_sd(accuracy, tail_pairs) ** 2
    own = max(0.0, pooled**2 - sampling)
    seeds = np.arange(2, MOST_SEEDS + 1)
    unit = smallest_effect(1.0, usual - 1, alpha)
    rows = []
    for effect in stated_pp:
        enough = [
            _first(seeds, power(effect, pooled**2 / seeds, seeds - 1, level) >= POWER)
            for level in (alpha, alpha / splits)
        ]
        left = [(effect / unit) ** 2 / factor - own for factor in (1 / usual, 1 + 1 / usual)]
        pairs = [ceil(tail_pairs * sampling / variance) if variance > 0 else np.inf for variance in left]
        rows.append((effect, *enough, *pairs))
    return pd.DataFrame(rows, columns=["diff_pp", "seeds", "seeds_adjusted", "pairs", "pairs_one_seed"])
