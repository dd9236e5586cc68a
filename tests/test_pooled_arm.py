"""The baseline's arm on each group: a planted gain comes back, on the pairs that both arms scored."""

import numpy as np
import pandas as pd
import pytest

from stats.evidence.pooled_arm import pooled_arm
from stats.evidence.sums import user_sums

GAINS = {"A": 0.2, "B": -0.1}


def outcomes(rng: np.random.Generator, users: int = 40, pairs: int = 10) -> pd.DataFrame:
    """Two seeds of a split and of the baseline; the pooled arm is better on A and worse on B."""
    rows = []
    for seed in (1, 2):
        for user in range(users):
            group = "AB"[user % 2]
            for pair in range(pairs):
                label = (f"u{user}", f"u{user}-{pair}")
                own = rng.random() < 0.6
                rows += [("S1", arm, group, seed, *label, own if arm == group else True) for arm in "AB"]
                rows.append(("baseline", "all", "all", seed, *label, rng.random() < 0.6 + GAINS[group]))
    columns = ["split", "arm", "eval_group", "seed", "user_id", "pair_id", "correct"]
    table = pd.DataFrame(rows, columns=columns).assign(study="s", method="dpo")
    return table.assign(margin=np.where(table["correct"], 1.0, -1.0))


def test_a_planted_gain_of_the_arm_of_all_pairs_comes_back() -> None:
    covered = []
    for seed in range(40):
        table = outcomes(np.random.default_rng(seed))
        result = pooled_arm(user_sums(table)).set_index("eval_group")
        assert result["users"].tolist() == [20, 20]
        assert result["seeds"].tolist() == [2, 2]
        for group, gain in GAINS.items():
            row = result.loc[group]
            covered.append(row["low"] <= 100 * gain <= row["high"])
            mine = table[(table["arm"] == group) & (table["eval_group"] == group)]
            theirs = table[(table["arm"] == "all") & table["pair_id"].isin(mine["pair_id"])]
            assert row["own"] == pytest.approx(mine["correct"].mean())
            assert row["difference_pp"] == pytest.approx(
                100 * (theirs["correct"].mean() - mine["correct"].mean())
            )
    assert np.mean(covered) > 0.85


def test_users_whose_pairs_the_arms_do_not_share_are_left_out() -> None:
    table = outcomes(np.random.default_rng(0), users=6)
    fewer = table[~((table["split"] == "S1") & (table["pair_id"] == "u0-0"))]
    result = pooled_arm(user_sums(fewer)).set_index("eval_group")
    assert result["users"].to_dict() == {"A": 2, "B": 3}
    assert pooled_arm(user_sums(table[table["split"] == "S1"])).empty
    one = table[table["user_id"].isin(["u0", "u1"])]
    assert pooled_arm(user_sums(one))["low"].isna().all()
