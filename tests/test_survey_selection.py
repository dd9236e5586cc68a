"""Traits without an effect are seldom selected, whatever their shape; a real effect is found."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.survey_selection import TRAITS, SurveyWorld, selection_rates, simulated_survey
from stats.survey.ordered_logit import ordered_logit

SURVEYS = 120
ERROR = (0.05 * 0.95 / SURVEYS) ** 0.5  # the Monte Carlo error of a share of 0.05


@pytest.fixture(autouse=True)
def frozen() -> Iterator[None]:
    """Spare the modules of this process the search for garbage that statsmodels starts for each Holm."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    "world",
    [SurveyWorld(120, effects={"slider": 0.6}), SurveyWorld(120, user_sd=1.2, heavy=True)],
    ids=["an effect of a slider", "heavy tails"],
)
def test_traits_without_an_effect_are_seldom_selected(world: SurveyWorld) -> None:
    with ThreadPoolExecutor(1) as pool:
        table = selection_rates([world], SURVEYS, pool).set_index("trait")
    family = table.loc["any without effect"]
    traits = table.drop(index="any without effect")
    nulls = traits.loc[traits["planted"] == 0, "p < 0.05"]
    assert (nulls < 0.05 + 3.5 * ERROR).all()
    assert nulls.mean() < 0.05 + 3.5 * ERROR / len(nulls) ** 0.5
    assert family["selected (Holm)"] < 0.05 + 3.5 * ERROR
    assert (traits.loc[traits["planted"] > 0, "selected (Holm)"] > 0.8).all()


def test_levels_of_one_and_three_users_are_left_out() -> None:
    pairs, users = simulated_survey(SurveyWorld(120), 0)
    rare = ordered_logit(pairs, users, TRAITS).rare
    assert set(zip(rare["level"], rare["users"], strict=True)) == {("one", 1), ("three", 3)}
