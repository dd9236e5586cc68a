"""How much a group's users differ: planted values are recovered, and plain formulas give the same numbers."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from scipy.stats import chi2
from statsmodels.regression.mixed_linear_model import MixedLM

from stats.errors import TableError
from stats.survey.heterogeneity import heterogeneity
from training.data import sources, twin
from training.data.features import differences
from training.data.phrases import KINDS, PHRASES, TOPICS
from training.spec import TwinData

TWIN = TwinData(users=900, seed=6, history="none")


@pytest.fixture(scope="module")
def familiar() -> pd.DataFrame:
    """The twin's pairs; group A is the very familiar, whose tastes are planted as mixed."""
    data = sources.load_corpus(TWIN)
    level = data.users.set_index("user_id")["lm_familiarity"]
    group = data.pairs["user_id"].map(level).map(lambda answer: "A" if answer == "Very familiar" else "B")
    return data.pairs.assign(group=group)


def kinds(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count, for each kind, how many more sentences the chosen answer has than the rejected one."""
    kind_of = {
        text.format(topic=topic): kind
        for family in PHRASES.values()
        for kind, texts in family.items()
        for text in texts
        for topic in TOPICS
    }
    counts = {
        side: pd.DataFrame(
            [
                {
                    kind: sum(kind_of[sentence] == kind for sentence in re.split(r"(?<=[.!?]) ", text))
                    for kind in KINDS
                }
                for text in pairs[side]
            ],
            index=pairs.index,
        )
        for side in ("chosen", "rejected")
    }
    return counts["chosen"] - counts["rejected"]


def test_planted_heterogeneity_is_recovered(familiar: pd.DataFrame) -> None:
    truth = twin.truth(TWIN)
    result = heterogeneity(familiar, kinds(familiar)).measures.set_index(["measure", "group"])
    for group in "AB":  # eta does not depend on familiarity: one truth for both
        row = result.loc[("gap_icc", group)]
        assert row["low"] < truth.gap_icc < row["high"]
        assert row["high"] - row["low"] < 0.15
    planted = truth.tastes.set_index("lm_familiarity")["consistency"]
    for group, level in (("A", "Very familiar"), ("B", "Somewhat familiar")):
        row = result.loc[("consistency", group)]
        assert row["low"] < planted[level] < row["high"]
        assert row["high"] - row["low"] < 0.25
    assert result.loc[("consistency", "A - B"), "p"] < 0.01
    assert result.loc[("gap_icc", "A - B"), "p"] > 0.01
    assert (result.loc[["gap_icc", "consistency"], "p"].drop("A - B", level=1) < 0.01).all()


def test_features_of_the_text_show_which_group_is_mixed(familiar: pd.DataFrame) -> None:
    result = heterogeneity(familiar, differences(familiar))
    measures = result.measures.set_index(["measure", "group"])
    assert measures.loc[("consistency", "A - B"), "high"] < 0
    refusals = result.features.set_index(["feature", "group"]).loc["refusal"]
    assert (refusals["preferred"] < 0.4).all()  # planted as the worst kind of sentence
    assert refusals.loc["A", "user_sd"] > refusals.loc["B", "user_sd"]


def planted_tastes(
    users: int, pairs: int, taste: np.ndarray, noise: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two groups of users with directions `taste` [users, features]."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), pairs)
    x = taste[user] + noise * rng.normal(size=(len(user), taste.shape[1]))
    table = pd.DataFrame(
        {
            "user_id": [f"u{k}" for k in user],
            "group": np.where(user % 2 == 0, "A", "B"),
            "score_gap": np.nan,
        }
    )
    return table, pd.DataFrame(x, columns=[f"f{k}" for k in range(x.shape[1])])


def test_consistency_is_the_ratio_of_plain_loops_over_pairs() -> None:
    rng = np.random.default_rng(1)
    pairs, x = planted_tastes(8, 5, rng.normal(size=(8, 3)) + 1, 0.5, seed=2)
    keep = rng.permutation(len(pairs))[:33]  # users of different sizes
    pairs, x = pairs.iloc[keep], x.iloc[keep]
    result = heterogeneity(pairs, x, draws=50).measures.set_index("group")
    size = x / np.sqrt((x**2).mean())
    for group in "AB":
        rows = np.flatnonzero(pairs["group"] == group)
        products: dict[bool, list[float]] = {True: [], False: []}
        for i in rows:
            for j in rows:
                if i != j:
                    same = pairs["user_id"].iloc[i] == pairs["user_id"].iloc[j]
                    products[same].append(float(size.iloc[i] @ size.iloc[j]))
        assert result.loc[group, "estimate"] == pytest.approx(
            np.mean(products[False]) / np.mean(products[True])
        )


def test_consistency_is_one_if_all_agree_and_zero_if_none_do() -> None:
    alike = heterogeneity(*planted_tastes(60, 8, np.ones((60, 2)), 0.5, seed=1)).measures
    assert alike["estimate"].iloc[:2].to_numpy() == pytest.approx([1, 1], abs=0.05)
    assert (alike["p"] > 0.01).all()
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    around = np.column_stack([np.cos(angle), np.sin(angle)])
    apart = heterogeneity(*planted_tastes(60, 8, around, 0.5, seed=1)).measures
    assert apart["estimate"].iloc[:2].to_numpy() == pytest.approx([0, 0], abs=0.1)
    assert (apart["p"].iloc[:2] < 0.01).all()


def test_without_a_direction_of_their_own_there_is_no_index_and_no_number() -> None:
    result = [
        heterogeneity(*planted_tastes(40, 4, np.zeros((40, 2)), 1.0, seed=seed), draws=100).measures
        for seed in range(8)
    ]
    groups = pd.concat(result).query("group != 'A - B'")
    assert groups["estimate"].isna().any()  # about half of the draws have a product below zero
    assert (groups["estimate"].isna() == groups["low"].isna()).all()
    known = groups.dropna(subset="estimate")
    assert np.isinf(known["high"]).any()  # there, nothing bounds the index from above
    assert (groups["p"] > 0.001).all()


def restricted_log_likelihood(pairs: pd.DataFrame, ratio: float) -> float:
    """Return that of a random intercept per user, up to a constant, from the whole covariance matrix."""
    gaps = logit(pairs["score_gap"].to_numpy() / 100)
    user = pairs["user_id"].to_numpy()
    covariance = np.eye(len(gaps)) + ratio * (user[:, None] == user)
    inverse, ones = np.linalg.inv(covariance), np.ones(len(gaps))
    information = ones @ inverse @ ones
    residual = gaps - (ones @ inverse @ gaps) / information
    log_determinant = np.linalg.slogdet(covariance)[1]
    degrees = len(gaps) - 1
    return -(log_determinant + np.log(information) + degrees * np.log(residual @ inverse @ residual)) / 2


def test_the_icc_is_that_of_statsmodels_and_near_zero_if_users_do_not_differ() -> None:
    rng = np.random.default_rng(3)
    pairs, x = planted_tastes(80, 10, np.ones((80, 1)), 1.0, seed=3)
    user = pairs["user_id"].str[1:].astype(int)
    odds = -2 + rng.normal(size=80)[user] * 0.7 + rng.logistic(size=len(user)) * 0.8
    mixed = pairs.assign(score_gap=(100 / (1 + np.exp(-odds))).round().clip(1, 99))
    keep = rng.permutation(len(mixed))[:500]  # users of different sizes
    mixed, x = mixed.iloc[keep], x.iloc[keep]
    result = heterogeneity(mixed, x, draws=20).measures.set_index(["measure", "group"]).loc["gap_icc"]
    own = mixed[mixed["group"] == "A"]
    fit = MixedLM(logit(own["score_gap"] / 100), np.ones(len(own)), own["user_id"]).fit()
    between = float(fit.cov_re.iloc[0, 0])
    assert result.loc["A", "estimate"] == pytest.approx(between / (between + fit.scale), abs=1e-3)
    top = restricted_log_likelihood(own, between / fit.scale)
    for end in ("low", "high"):  # where the likelihood has dropped by half a chi-square quantile
        share = float(result.loc["A", end])
        drop = top - restricted_log_likelihood(own, share / (1 - share))
        assert drop == pytest.approx(chi2.ppf(0.95, 1) / 2, abs=0.01)
    null = restricted_log_likelihood(own, 0.0)
    assert result.loc["A", "p"] == pytest.approx(chi2.sf(2 * (top - null), 1) / 2, rel=0.01)
    same = mixed.assign(score_gap=rng.integers(1, 99, len(mixed)))
    without_difference = (
        heterogeneity(same, x, draws=20).measures.set_index(["measure", "group"]).loc["gap_icc"]
    )
    assert (without_difference.loc[["A", "B"], "low"] < 0.01).all()
    assert (without_difference["p"] > 0.01).all()


def test_the_order_of_pairs_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    pairs, x = planted_tastes(20, 6, rng.normal(size=(20, 2)) + 1, 0.5, seed=4)
    order = rng.permutation(len(pairs))
    first, again = (
        heterogeneity(*tables, draws=200).measures
        for tables in ((pairs, x), (pairs.iloc[order], x.iloc[order]))
    )
    pd.testing.assert_frame_equal(first.drop(columns="p"), again.drop(columns="p"))
    assert (first["p"] - again["p"]).abs().max() < 0.1  # the permutations differ


def test_tables_without_an_answer_are_refused_by_name() -> None:
    pairs, x = planted_tastes(6, 3, np.ones((6, 2)), 1.0, seed=5)
    with pytest.raises(TableError, match="group B: fewer than two users"):
        heterogeneity(pairs.assign(group=np.where(pairs["user_id"] == "u1", "B", "A")), x)
    with pytest.raises(TableError, match="features: 'f1'"):
        heterogeneity(pairs, x.assign(f1=np.nan))


def test_who_wrote_an_answer_is_a_feature_only_between_models() -> None:
    pairs = pd.DataFrame(
        {
            "chosen": ["a longer answer", "no"],
            "rejected": ["short", "I cannot"],
            "chosen_model": ["m1", "m1"],
            "rejected_model": ["m2", "m1"],
        }
    )
    result = differences(pairs)
    assert result["model m1"].tolist() == [1, 0]
    assert result["model m2"].tolist() == [-1, 0]
    assert result["refusal"].tolist() == [0, -np.log(2)]
    assert result["length"].tolist() == pytest.approx([np.log(3), np.log(2 / 8)])
