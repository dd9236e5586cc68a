"""The survey models recover planted effects, cluster errors by user, and refuse nonsense by name."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import yaml

from orchestrator.predict import splits_block
from stats.errors import TableError
from stats.survey.ordered_logit import binary_logit, gap_quartile, ordered_logit, predicted_splits

TRAITS = {"age": "young", "safety": None}


def survey(
    seed: int, users: int = 300, age: float = 0.8, safety: float = -0.02, user_sd: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return pairs whose latent gap is logistic with the planted effects, and their users."""
    rng = np.random.default_rng(seed)
    people = pd.DataFrame(
        {
            "user_id": [f"u{number}" for number in range(users)],
            "age": rng.choice(["young", "old"], users),
            "safety": rng.integers(0, 101, users).astype(float),
        }
    )
    person = np.repeat(np.arange(users), 12)
    effect = age * (people["age"] == "old") + safety * people["safety"] + rng.normal(0, user_sd, users)
    latent = effect.to_numpy()[person] + rng.logistic(size=len(person))
    gaps = 1 + 60 / (1 + np.exp(-latent))  # any increasing map of the latent gap gives the same ordered logit
    return pd.DataFrame({"user_id": people["user_id"].to_numpy()[person], "score_gap": gaps}), people


def test_quartiles_are_cut_above_the_cut_points() -> None:
    assert gap_quartile(pd.Series([1.0, 6, 7, 14, 15, 29, 30])).tolist() == [1, 1, 2, 2, 3, 3, 4]


def test_planted_effects_are_recovered_and_predict_splits() -> None:
    pairs, users = survey(seed=0)
    fit = ordered_logit(pairs, users, TRAITS, cuts=(15.0, 30.0, 45.0))
    table = fit.table.set_index("trait")
    assert table.loc["age", "low"] < 0.8 < table.loc["age", "high"]
    assert table.loc["safety", "low"] < -0.02 < table.loc["safety", "high"]
    splits = predicted_splits(fit, 0.05).set_index("trait")
    assert splits.loc["age", ["predicted", "a", "b"]].tolist() == ["A > B", ["old"], ["young"]]
    assert splits.loc["safety", "predicted"] == "A < B"


def test_the_binary_logit_is_that_of_statsmodels_with_clustered_errors() -> None:
    pairs, users = survey(seed=1)
    table = binary_logit(pairs, users, TRAITS).table.set_index("trait")
    rows = pairs.merge(users, on="user_id")
    design = sm.add_constant(np.column_stack([rows["age"] == "old", rows["safety"]]).astype(float))
    groups = pd.factorize(rows["user_id"])[0]
    own = sm.Logit((rows["score_gap"] > 14).astype(float).to_numpy(), design).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": groups}
    )
    assert table["beta"].tolist() == pytest.approx(own.params[1:].tolist(), rel=1e-4)
    assert table["se"].tolist() == pytest.approx(own.bse[1:].tolist(), rel=1e-3)


def test_errors_grow_where_users_differ() -> None:
    """Pairs of users with tastes of their own carry less information than as many independent pairs."""
    pairs, users = survey(seed=2, user_sd=1.2)
    clustered = binary_logit(pairs, users, TRAITS).table["se"].to_numpy()
    alone = pairs.assign(user_id=[f"u{number}" for number in range(len(pairs))])
    copied = alone[["user_id"]].assign(of=pairs["user_id"]).merge(users, left_on="of", right_on="user_id")
    people = copied.drop(columns=["user_id_y", "of"]).rename(columns={"user_id_x": "user_id"})
    naive = binary_logit(alone, people, TRAITS).table["se"].to_numpy()
    assert (clustered > 1.3 * naive).all()


def test_the_order_of_the_pairs_does_not_matter() -> None:
    pairs, users = survey(seed=3)
    shuffled = pairs.sample(frac=1, random_state=0)
    first, second = (binary_logit(table, users, TRAITS).table for table in (pairs, shuffled))
    assert first["se"].to_numpy() == pytest.approx(second["se"].to_numpy(), rel=1e-8)


def nonsense(kind: str) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, str | None], tuple[float, ...]]:
    pairs, users = survey(seed=4, users=80)
    cuts = (15.0, 30.0, 45.0)
    if kind == "constant":
        users["safety"] = 50.0
    if kind == "separation":
        large = pairs.groupby("user_id")["score_gap"].mean() > 30
        users["age"] = np.where(users["user_id"].map(large), "old", "young")
        pairs["score_gap"] = np.where(pairs["user_id"].map(large), 50.0, 20.0)
        pairs.loc[pairs.index % 7 == 0, "score_gap"] += 2
        cuts = (20.5, 30.0, 51.0)
    if kind == "empty":
        cuts = (15.0, 30.0, 99.0)
    if kind == "overlap":
        users["twice"] = 2 * users["safety"]
        return pairs, users, TRAITS | {"twice": None}, cuts
    if kind == "level":
        return pairs, users, {"age": "ancient"}, cuts
    if kind == "column":
        return pairs, users, {"shoe_size": None}, cuts
    return pairs, users, TRAITS, cuts


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("constant", "traits.safety"),
        ("separation", "traits.age"),
        ("empty", "category 4"),
        ("overlap", "follows from the others"),
        ("level", "'ancient'"),
        ("column", "'shoe_size'"),
    ],
)
def test_data_without_an_answer_is_refused_by_name(kind: str, named: str) -> None:
    with pytest.raises(TableError, match=named):
        ordered_logit(*nonsense(kind))


def test_the_splits_block_fits_a_study_file() -> None:
    pairs, users = survey(seed=0)
    fit = ordered_logit(pairs, users, TRAITS, cuts=(15.0, 30.0, 45.0))
    block = yaml.safe_load(splits_block(predicted_splits(fit, 0.05)))["splits"]
    assert block["S1_age"] == {
        "by": "category",
        "column": "age",
        "a": ["old"],
        "b": ["young"],
        "predicted": "A > B",
    }
    assert block["S2_safety"] == {"by": "median", "column": "safety", "predicted": "A < B"}
