"""The weight analysis recovers planted effects, agrees with statsmodels, and refuses what has no answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from stats.errors import TableError
from stats.page import weight_report
from stats.survey import weights


def planted(pairs: int = 4000, model_sd: float = 1.0, gap: float = 0.0, user_sd: float = 0.0) -> pd.DataFrame:
    """Return pairs whose log weights depend on the source model and, if requested, on score gap and user."""
    rng = np.random.default_rng(0)
    users, models = rng.integers(200, size=pairs), rng.integers(8, size=pairs)
    gaps = rng.integers(1, 80, size=pairs).astype(float)
    effect = np.linspace(-1, 1, 8) * model_sd
    log_weight = (
        -1.5 + effect[models] + gap * gaps + rng.normal(0, user_sd, 200)[users] + rng.normal(0, 0.5, pairs)
    )
    return pd.DataFrame(
        {
            "pair_id": [f"p{number}" for number in range(pairs)],
            "user_id": [f"u{number}" for number in users],
            "source_model": [f"m{number}" for number in models],
            "score_gap": gaps,
            "log_weight": log_weight,
            "answer_tokens": rng.integers(5, 60, size=pairs).astype(float),
        }
    )


def test_source_model_is_found_and_score_gap_is_not() -> None:
    shares = weights.explained(planted(), draws=300).set_index("term")
    assert shares.loc["source_model", "alone_low"] > 0.55
    assert shares.loc["score_gap", "alone"] < 0.01
    assert shares.loc["user", "alone"] < 0.03


def test_a_planted_score_gap_and_users_are_found() -> None:
    data = planted(model_sd=0.2, gap=0.03, user_sd=0.7)
    shares = weights.explained(data, draws=300).set_index("term")
    variance = data["log_weight"].var()
    assert shares.loc["score_gap", "alone"] == pytest.approx(
        (0.03**2) * data["score_gap"].var() / variance, abs=0.05
    )
    low, high = shares.loc["user", ["alone_low", "alone_high"]]
    assert low < 0.7**2 / variance < high


def test_shares_agree_with_statsmodels() -> None:
    data = planted(gap=0.01)
    shares = weights.explained(data, draws=10).set_index("term")
    alone = smf.ols("log_weight ~ C(source_model)", data).fit().rsquared
    full = smf.ols(
        "log_weight ~ C(source_model) + score_gap + I(score_gap**2) + np.log(answer_tokens)"
        " + I(np.log(answer_tokens)**2)",
        data,
    ).fit()
    without_model = smf.ols(
        "log_weight ~ score_gap + I(score_gap**2) + np.log(answer_tokens) + I(np.log(answer_tokens)**2)", data
    ).fit()
    assert shares.loc["source_model", "alone"] == pytest.approx(alone, rel=1e-8)
    assert shares.loc["source_model", "beyond"] == pytest.approx(
        full.rsquared - without_model.rsquared, rel=1e-6
    )


def test_means_are_of_the_clamped_weight_and_ordered() -> None:
    data = planted(model_sd=3.0)
    table = weights.by_source_model(data, draws=50)
    expected = np.exp(np.minimum(data["log_weight"], 0)).groupby(data["source_model"]).mean()
    assert table["mean"].is_monotonic_decreasing
    assert table.set_index("source_model")["mean"].to_dict() == pytest.approx(expected.to_dict())
    assert ((table["low"] <= table["mean"]) & (table["mean"] <= table["high"])).all()


def test_the_distribution_of_four_known_weights() -> None:
    logs = np.log([0.5, 0.5, 1.0, 4.0])  # the last two at the cap: 0.5, 0.5, 1, 1
    (row,) = weights.distribution(planted(4).assign(log_weight=logs)).to_dict("records")
    assert row["pairs"] == 4
    assert row["mean"] == row["median"] == pytest.approx(0.75)
    assert row["at_cap"] == 0.5
    assert row["effective"] == pytest.approx(3**2 / (4 * 2.5))


def test_a_page_without_models_or_scores_states_what_is_left_out(tmp_path: Path) -> None:
    data = planted(400).assign(source_model=pd.NA, score_gap=np.nan)
    groups = data[["pair_id"]].assign(split="S1", group=np.where(np.arange(400) % 2, "A", "B"))
    page = weight_report.write(data, groups, "s", False, tmp_path).read_text()
    assert "Left out: these pairs have no scores." in page
    assert "Left out: these pairs do not name the model" in page
    assert {path.name for path in tmp_path.glob("*.png")} == {"histogram.png", "splits.png"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_weight": float("nan")}, "no number"),
        ({"log_weight": 0.0}, "no variance"),
        ({"user_id": "u1"}, "single user"),
    ],
)
def test_what_has_no_answer_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(TableError, match=message):
        weights.explained(planted(50).assign(**change), draws=5)
