"""The survey models recover planted effects, test each trait once, and refuse nonsense by name."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import yaml
from statsmodels.miscmodels.ordinal_model import OrderedModel

from orchestrator.predict import splits_block
from stats.errors import TableError
from stats.survey.ordered_logit import binary_logit, gap_quartile, ordered_logit
from stats.survey.predicted_splits import predicted_splits

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


def test_the_coefficients_are_those_of_statsmodels() -> None:
    pairs, users = survey(seed=1)
    table = ordered_logit(pairs, users, TRAITS, cuts=(15.0, 30.0, 45.0)).table
    rows = pairs.merge(users, on="user_id")
    sd = rows["safety"].std()
    design = np.column_stack([rows["age"] == "old", rows["safety"] / sd]).astype(float)
    quartile = gap_quartile(rows["score_gap"], (15.0, 30.0, 45.0))
    own = OrderedModel(quartile, design, distr="logit", hasconst=False).fit(method="bfgs", disp=False)
    assert table["beta"].to_numpy() * [1, sd] == pytest.approx(own.params[:2], abs=1e-4)


def test_the_binary_logit_is_that_of_statsmodels_with_clustered_errors() -> None:
    pairs, users = survey(seed=1)
    table = binary_logit(pairs, users, TRAITS).table.set_index("trait")
    rows = pairs.merge(users, on="user_id")
    design = sm.add_constant(np.column_stack([rows["age"] == "old", rows["safety"]]).astype(float))
    groups = pd.factorize(rows["user_id"])[0]
    own = sm.Logit((rows["score_gap"] > 14).astype(float).to_numpy(), design).fit(
        disp=False, cov_type="cluster", cov_kwds={"groups": groups}
    )
    assert table["beta"].tolist() == pytest.approx(own.params[1:].tolist(), rel=1e-6)
    assert (table["se"] > own.bse[1:]).all()  # statsmodels has no correction for small clusters
    assert table["se"].tolist() == pytest.approx(own.bse[1:].tolist(), rel=0.02)


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
        users["twice"] = 2 * users["safety"] + 1  # follows from safety and the constant
        return pairs, users, TRAITS | {"twice": None}, cuts
    if kind == "complement":
        users["old"] = (users["age"] == "old").astype(float)
        users["young"] = 1 - users["old"]
        return pairs, users, {"old": None, "young": None, "safety": None}, cuts
    if kind == "nearly":
        users["echo"] = users["safety"] + np.random.default_rng(0).normal(0, 0.3, len(users))
        return pairs, users, TRAITS | {"echo": None}, cuts
    if kind == "covered":  # a 0/1 column that repeats a level
        users["aged"] = (users["age"] == "old").astype(float)
        return pairs, users, TRAITS | {"aged": None}, cuts
    if kind == "none":
        return pairs, users, {}, cuts
    if kind == "stranger":
        return pairs, users[users["user_id"] != "u7"], TRAITS, cuts
    if kind == "twice":
        return pairs, pd.concat([users, users.tail(1)]), TRAITS, cuts
    if kind == "text":
        return pairs, users, {"age": None}, cuts
    if kind == "infinite":
        users.loc[3, "safety"] = np.inf
    if kind == "unscored":
        pairs["score_gap"] = np.nan
    if kind == "no gaps":
        return pairs.drop(columns="score_gap"), users, TRAITS, cuts
    if kind == "cuts":
        return pairs, users, TRAITS, (30.0, 15.0, 45.0)
    if kind == "owned":
        users["owner"] = (users["user_id"] == "u5").astype(float)
        return pairs, users, TRAITS | {"owner": None}, cuts
    if kind == "rare reference":
        users.loc[:2, "age"] = "ancient"
        return pairs, users, {"age": "ancient"}, cuts
    if kind == "one level":
        users["age"] = np.where(users["user_id"] < "u12", "old", "young")
        users.loc[users.index[5:], "age"] = "young"
    if kind == "level":
        return pairs, users, {"age": "ancient"}, cuts
    if kind == "column":
        return pairs, users, {"shoe_size": None}, cuts
    return pairs, users, TRAITS, cuts


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("constant", r"traits\.safety: 0 users .* leave the trait out"),
        ("separation", r"traits\.age \(old\) separates"),
        ("empty", "category 4"),
        ("overlap", "'safety' and 'twice' cannot be told apart .* is infinite.* leave one of them out"),
        ("complement", "'old' and 'young' cannot be told apart"),
        ("nearly", r"'safety' and 'echo' cannot be told apart .* is \d+, at most 30"),
        ("covered", "'age' and 'aged' cannot be told apart"),
        ("level", "'ancient'"),
        ("column", "'shoe_size'"),
        ("none", "traits: none is given; name"),
        ("stranger", "user 'u7' is not in users; add the row"),
        ("twice", "'u79' is listed twice"),
        ("text", r"traits\.age: '(old|young)' is not a number; name a reference level"),
        ("infinite", r"traits\.safety: 'inf' is not a number"),
        ("unscored", "no pair has a score"),
        ("no gaps", "pairs: no column 'score_gap'"),
        ("cuts", "cuts: 30, 15, 45 do not ascend; sort them"),
        ("owned", r"traits\.owner: 1 user .* at least 10"),
        ("rare reference", r"traits\.age: the reference 'ancient' has only 3 users .* choose another"),
        ("one level", r"traits\.age: no level but 'young' has at least 10 users; leave"),
    ],
)
def test_data_without_an_answer_is_refused_by_name(kind: str, named: str) -> None:
    with pytest.raises(TableError, match=named):
        ordered_logit(*nonsense(kind))


def with_levels(seed: int, effect: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a survey whose users have a region, too: `effect` in the south; three live on an island."""
    pairs, users = survey(seed, age=0.0, safety=0.0)
    users["region"] = np.array(["north", "south", "west"])[np.arange(len(users)) % 3]
    users.loc[[0, 50, 100], "region"] = "island"
    south = pairs["user_id"].map(users.set_index("user_id")["region"]) == "south"
    pairs["score_gap"] = np.where(south, pairs["score_gap"] + effect, pairs["score_gap"])
    return pairs, users


def test_the_test_of_a_trait_depends_neither_on_its_reference_nor_on_units() -> None:
    pairs, users = with_levels(seed=5)
    first = ordered_logit(pairs, users, {"region": "north", "safety": None}, cuts=(15.0, 30.0, 45.0))
    users["safety"] = 1e6 - 1e4 * users["safety"]
    second = ordered_logit(pairs, users, {"region": "west", "safety": None}, cuts=(15.0, 30.0, 45.0))
    for column in ("f", "df", "p"):
        assert first.traits[column].tolist() == pytest.approx(second.traits[column].tolist(), rel=1e-5)
    assert first.traits["terms"].tolist() == [2, 1]


def test_a_level_with_few_users_is_left_out_with_them_and_named() -> None:
    pairs, users = with_levels(seed=5)
    loud = pairs["user_id"].isin(["u0", "u50", "u100"])
    pairs["score_gap"] = np.where(loud, 60.0, pairs["score_gap"])
    fit = ordered_logit(pairs, users, {"region": "north"}, cuts=(15.0, 30.0, 45.0))
    assert fit.rare.to_numpy().tolist() == [["region", "island", 3]]
    assert (fit.users, fit.left_out) == (297, 36)
    assert fit.table["level"].tolist() == ["south", "west"]
    without = ordered_logit(pairs[~loud], users, {"region": "north"}, cuts=(15.0, 30.0, 45.0))
    assert without.table["beta"].tolist() == fit.table["beta"].tolist()


def test_a_trait_is_selected_by_its_corrected_p() -> None:
    pairs, users = with_levels(seed=5, effect=1.5)
    traits = {"region": "north", "safety": None, "age": "young"}
    fit = ordered_logit(pairs, users, traits, cuts=(15.0, 30.0, 45.0))
    region = fit.traits.set_index("trait").loc["region"]
    assert region["p"] < region["p_bh"] <= region["p_holm"]
    between = float(np.sqrt(region["p"] * region["p_holm"]))
    assert "region" not in set(predicted_splits(fit, between)["trait"])
    split = predicted_splits(fit, 1.001 * float(region["p_holm"])).set_index("trait").loc["region"]
    assert "south" in split["a"]
    assert "island" not in split["a"] + split["b"]


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
