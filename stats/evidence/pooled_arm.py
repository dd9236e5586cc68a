"""The one arm of the baseline cells on each group's held-out pairs, beside the arm tuned on that group."""

import numpy as np
import pandas as pd
from scipy.stats import t

from stats.names import BASELINE

LEVEL = 0.95
KEY = ["study", "method", "split", "eval_group"]
POOLED_COLUMNS = [*KEY, "seeds", "users", "own", "pooled", "difference_pp", "low", "high"]


def pooled_arm(sums: pd.DataFrame) -> pd.DataFrame:
    """Compare the arm trained on all pairs with the arm trained on one group, on that group's held-out users.

    With prompts that state a trait, the first is a user-conditioned policy: one model for both groups.

    Args:
        sums: The result of `stats.evidence.sums.user_sums` for the cells of splits and of baselines.

    Returns:
        One row per study, method, split and eval_group: seeds and users that both arms have, own and pooled
        (accuracies), difference_pp (pooled minus own, percentage points), low and high (its 95 % interval
        over users, for these seeds: a ratio of sums, linearised; missing with fewer than two users). A user
        counts where both arms scored the same of his pairs.
    """
    baseline = sums[sums["split"] == BASELINE].drop(columns=["split", "arm", "eval_group"])
    own = sums[(sums["split"] != BASELINE) & (sums["arm"] == sums["eval_group"])]
    both = own.merge(
        baseline, on=["study", "method", "seed", "user_id", "pairs_key"], suffixes=("", "_pooled")
    )
    rows = [
        {**dict(zip(KEY, key, strict=True)), **_compared(table)}
        for key, table in both.groupby(KEY, sort=False)
    ]
    return pd.DataFrame(rows, columns=POOLED_COLUMNS)


def _compared(table: pd.DataFrame) -> dict[str, float]:
    """Compare the two arms on the users of one group; `table` has a row per seed and user."""
    by_user = table.groupby("user_id")[["pairs", "correct", "correct_pooled"]].sum()
    pairs, correct, pooled = (by_user[name].to_numpy(dtype=float) for name in by_user)
    gains, users = pooled - correct, len(by_user)
    estimate = gains.sum() / pairs.sum()
    if users > 1:
        residuals = gains - estimate * pairs
        variance = users / (users - 1) * (residuals**2).sum() / pairs.sum() ** 2
        half = t.ppf(0.5 + LEVEL / 2, users - 1) * np.sqrt(variance)
    else:
        half = np.nan
    return {
        "seeds": table["seed"].nunique(),
        "users": users,
        "own": correct.sum() / pairs.sum(),
        "pooled": pooled.sum() / pairs.sum(),
        "difference_pp": 100 * estimate,
        "low": 100 * (estimate - half),
        "high": 100 * (estimate + half),
    }
