"""Traits without an effect are seldom selected, whatever their shape; a real effect is found."""

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from bench.survey_selection import TRAITS, SurveyWorld, selection_rates, simulated_survey
from stats.survey.ordered_logit import ordered_logit

SURVEYS = 150  # the Monte Carlo error of a share of 0.05 is 0.018; of five traits together, 0.008


def rates(world: SurveyWorld) -> pd.DataFrame:
    with ThreadPoolExecutor(1) as pool:
        return selection_rates([world], SURVEYS, pool).set_index("trait")


@pytest.mark.parametrize("world", [SurveyWorld(150), SurveyWorld(150, user_sd=1.2, heavy=True)], ids=str)
def test_traits_without_an_effect_are_selected_as_seldom_as_stated(world: SurveyWorld) -> None:
    table = rates(world)
    family = table.loc["any without effect"]
    traits = table.drop(index="any without effect")
    assert (traits["p < 0.05"] < 0.05 + 3.5 * 0.018).all()
    assert traits["p < 0.05"].mean() < 0.05 + 3.5 * 0.008
    assert family["selected (Holm)"] < 0.05 + 3.5 * 0.018


def test_an_effect_is_found_beside_traits_without_one() -> None:
    table = rates(SurveyWorld(150, effects={"slider": 0.5}))
    assert table.loc["slider", "selected (Holm)"] > 0.8
    assert table.loc["any without effect", "selected (Holm)"] < 0.05 + 3.5 * 0.018


def test_levels_of_one_and_three_users_are_left_out() -> None:
    pairs, users = simulated_survey(SurveyWorld(150), 0)
    rare = ordered_logit(pairs, users, TRAITS).rare
    assert set(zip(rare["level"], rare["users"], strict=True)) == {("one", 1), ("three", 3)}
