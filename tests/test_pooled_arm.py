"""The baseline's arm on each group: a planted gain comes back, on the pairs that both arms scored."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

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


def test_items_that_several_users_rated_widen_the_interval_by_their_dense_variance() -> None:
    """The variance is clustered by user and by item: e' (same user or same item) e, with its corrections."""
    rng = np.random.default_rng(3)
    table = outcomes(rng, users=24, pairs=6)
    item_of = {pair: f"item{rng.integers(5)}" for pair in table["pair_id"].unique()}
    table["item"] = table["pair_id"].map(item_of)
    lucky = (table["arm"] == "all") & table["item"].isin(["item0", "item1"])
    table.loc[lucky, ["correct", "margin"]] = True, 1.0
    shared = pooled_arm(user_sums(table)).set_index("eval_group").loc["A"]
    alone = pooled_arm(user_sums(table.drop(columns="item"))).set_index("eval_group").loc["A"]
    own = table[(table["arm"] == "A") & (table["eval_group"] == "A")].set_index(["seed", "pair_id"])
    pooled = table[table["arm"] == "all"].set_index(["seed", "pair_id"])["correct"].loc[own.index]
    gain = pooled.astype(float) - own["correct"]
    influence = ((gain - gain.mean()) / len(gain)).to_numpy()
    item, user = own["item"].to_numpy(), own["user_id"].to_numpy()
    added, effective = 0.0, 0.0
    for keys, sign in ((item, 1), (item + "/" + user, -1)):
        share = pd.Series(keys).value_counts(normalize=True).to_numpy()
        second, third = (share**2).sum(), (share**3).sum()
        same = keys[:, None] == keys
        added += sign * second / (second - 2 * third + second**2) * (influence @ same @ influence)
        if sign == 1:
            effective = second**2 / (share**4).sum()
    half = (shared["high"] - shared["low"]) / 200
    of_users = (alone["high"] - alone["low"]) / 200
    assert added > 0
    assert half == pytest.approx(np.hypot(of_users, student.ppf(0.975, effective - 1) * np.sqrt(added)))


def test_users_whose_pairs_the_arms_do_not_share_are_left_out() -> None:
    table = outcomes(np.random.default_rng(0), users=6)
    fewer = table[~((table["split"] == "S1") & (table["pair_id"] == "u0-0"))]
    result = pooled_arm(user_sums(fewer)).set_index("eval_group")
    assert result["users"].to_dict() == {"A": 2, "B": 3}
    assert pooled_arm(user_sums(table[table["split"] == "S1"])).empty
    one = table[table["user_id"].isin(["u0", "u1"])]
    assert pooled_arm(user_sums(one))["low"].isna().all()
