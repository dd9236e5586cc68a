"""The one arm of the baseline cells on each group's held-out pairs, beside the arm tuned on that group."""

import numpy as np
import pandas as pd
from scipy.stats import t

from stats.evidence.shared_items import SharedItems, item_influences
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
        over users, and over items that several of them rated, for these seeds: a ratio of sums, linearised;
        missing with fewer than two users or items). A user counts where both arms scored the same of his
        pairs.
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
        half = np.hypot(t.ppf(0.5 + LEVEL / 2, users - 1) * np.sqrt(variance), _half_of_items(table))
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


def _half_of_items(table: pd.DataFrame) -> float:
    """Return what items that several users rated add to half the interval (a share); NaN if it is unknown."""
    own = np.concatenate(table["by_item"].tolist())
    pooled = np.concatenate(
        [  # the baseline holds more people, so more of its items are shared
            of_pooled[np.isin(of_pooled["item"], of_own["item"])]
            for of_own, of_pooled in zip(table["by_item"], table["by_item_pooled"], strict=True)
        ]
    )
    entries = pd.DataFrame(
        {
            "user": np.repeat(table["user_id"].to_numpy(), table["by_item"].map(len)),
            "item": own["item"],
            "pairs": own["pairs"],
            "gain": pooled["correct"].astype(float) - own["correct"],
        }
    )
    by_user = entries.groupby(["user", "item"], as_index=False)[["pairs", "gain"]].sum()
    if by_user.empty:
        return 0.0
    pairs, gains = (by_user[name].to_numpy(dtype=float) for name in ("pairs", "gain"))
    shared = SharedItems(by_user["item"].to_numpy(dtype=np.uint64), pairs, gains[None, :])
    total = float(table["pairs"].sum())
    estimate = (table["correct_pooled"].sum() - table["correct"].sum()) / total
    influences = item_influences([shared], [np.array([estimate])], [total])
    assert influences is not None
    variance = float(influences.variance(influences.values[0]))
    return float(t.ppf(0.5 + LEVEL / 2, influences.df) * np.sqrt(np.maximum(0.0, variance)))
