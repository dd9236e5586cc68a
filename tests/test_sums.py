"""Sums by user lose nothing that the estimates need, and refuse what cannot be summed."""

import numpy as np
import pandas as pd
import pytest

from stats.errors import TableError
from stats.evidence.contrasts import (
    ARMS_ON_SAME_PAIRS,
    CONTRASTS,
    MARGIN,
    OWN_GROUPS,
    PAIRS_UNDER_SAME_ARMS,
)
from stats.evidence.crossed import crossed_table, difference, seed_diffs
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from stats.rule.verdicts import verdicts

TRUTH = SimulatedStudy(seeds=3, users=8, pairs_per_user=4.0, accuracy_a=0.8, accuracy_b=0.6)


@pytest.fixture
def table() -> pd.DataFrame:
    return simulated_outcomes(TRUTH, np.random.default_rng(0))


def own_accuracy(table: pd.DataFrame, seed: int) -> float:
    rows = table[table["seed"] == seed]
    a, b = (
        rows.loc[(rows["arm"] == group) & (rows["eval_group"] == group), "correct"].mean() for group in "AB"
    )
    return float(100 * (a - b))


def test_the_diff_is_the_difference_of_mean_accuracies_over_pairs(table: pd.DataFrame) -> None:
    diff = crossed_table(user_sums(table))
    assert diff.seeds == (0, 1, 2)
    assert diff.values == pytest.approx([own_accuracy(table, seed) for seed in diff.seeds])


def test_outcomes_give_the_table_of_diffs_that_the_published_rule_judges(table: pd.DataFrame) -> None:
    both = pd.concat([table, table.assign(method="wpo", correct=~table["correct"], margin=-table["margin"])])
    diffs = seed_diffs(user_sums(both))
    assert diffs["diff_pp"].tolist() == pytest.approx(
        [sign * own_accuracy(table, seed) for sign in (1, -1) for seed in (0, 1, 2)]
    )
    predictions = pd.DataFrame({"study": ["simulated"], "split": ["S"], "predicted": ["A > B"]})
    assert verdicts(diffs, predictions)["verdict"].tolist() == ["MATCH", "MISMATCH"]


def test_linearised_contributions_have_the_pair_weighted_means(table: pd.DataFrame) -> None:
    for group in crossed_table(user_sums(table)).groups:
        assert group.contributions.mean(axis=1) == pytest.approx(group.means)


def test_neither_the_order_of_rows_nor_reading_cell_by_cell_matters(table: pd.DataFrame) -> None:
    whole = crossed_table(user_sums(table))
    shuffled = crossed_table(user_sums(table.sample(frac=1, random_state=1)))
    parts = crossed_table(pd.concat([user_sums(part) for _, part in table.groupby(["seed", "arm"])]))
    for other in (shuffled, parts):
        assert other.values == pytest.approx(whole.values)


def test_two_by_two_parts_add_up_to_the_own_group_diff(table: pd.DataFrame) -> None:
    sums = user_sums(table)
    own, arms, pairs = (
        crossed_table(sums, contrast).values
        for contrast in (OWN_GROUPS, ARMS_ON_SAME_PAIRS, PAIRS_UNDER_SAME_ARMS)
    )
    assert own == pytest.approx(arms + pairs)
    assert set(CONTRASTS) >= {"own groups", "own-group advantage"}


def test_a_change_pairs_by_seed_and_pair(table: pd.DataFrame) -> None:
    other = table.assign(method="wpo", margin=table["margin"] + 0.3)
    other["correct"] = other["margin"] > 0
    change = difference(crossed_table(user_sums(other[other["seed"] > 0])), crossed_table(user_sums(table)))
    assert change.seeds == (1, 2)
    assert change.values == pytest.approx([own_accuracy(other, s) - own_accuracy(table, s) for s in (1, 2)])
    # A constant added to every margin cancels between the groups.
    margins = difference(
        crossed_table(user_sums(other), OWN_GROUPS, MARGIN),
        crossed_table(user_sums(table), OWN_GROUPS, MARGIN),
    )
    assert margins.values == pytest.approx(np.zeros(3), abs=1e-9)


def test_what_cannot_be_summed_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(TableError, match="scored its pair twice"):
        user_sums(pd.concat([table, table.tail(1)]))
    broken = table.copy()
    broken.loc[5, "margin"] = np.nan
    with pytest.raises(TableError, match=r"user_id A\d.*no number as its margin"):
        user_sums(broken)
    with pytest.raises(TableError, match="contradicts its margin"):
        user_sums(table.assign(correct=~table["correct"]))
    with pytest.raises(TableError, match="no column 'margin'"):
        user_sums(table.drop(columns="margin"))
    with pytest.raises(TableError, match="has no user_id"):
        user_sums(table.assign(user_id=table["user_id"].where(table.index != 3)))


def test_seeds_that_scored_other_pairs_are_not_compared(table: pd.DataFrame) -> None:
    fewer = table[~((table["seed"] == 1) & (table["pair_id"] == "Ap0"))]
    with pytest.raises(TableError, match="did not score the same pairs"):
        crossed_table(user_sums(fewer))
    renamed = table.assign(pair_id=table["pair_id"].where(table["seed"] != 1, table["pair_id"] + "x"))
    with pytest.raises(TableError, match="did not score the same pairs"):
        crossed_table(user_sums(renamed))
    other = crossed_table(user_sums(table.assign(pair_id="z" + table["pair_id"])))
    with pytest.raises(TableError, match="same held-out pairs"):
        difference(crossed_table(user_sums(table)), other)
    with pytest.raises(TableError, match="no seed in common"):
        difference(
            crossed_table(user_sums(table.assign(seed=table["seed"] + 9))), crossed_table(user_sums(table))
        )


def test_no_outcomes_are_no_sums() -> None:
    assert user_sums(pd.DataFrame(columns=simulated_outcomes(TRUTH, np.random.default_rng(0)).columns)).empty
