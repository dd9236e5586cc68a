"""Verdicts after every finished cell: boundaries, claims that are kept, and stops where no seed decides."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions
from statsmodels.stats.multitest import multipletests

from stats.boundaries import nominal, sequential_p, spent
from stats.judge import CONTRADICTED, NULL, SUPPORTED, UNDECIDED
from stats.sequential import OPEN, Looks, decide, holm
from stats.simulate import Truth, outcomes
from stats.sums import user_sums

LOOKS = Looks(start=3, most=8)
SEEDS = {"dpo": [4, 0, 6, 2, 1, 3, 5, 7]}
CLAIMS = {SUPPORTED, CONTRADICTED, NULL}


def t_tests(paths: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Two-sided p values [paths, most - 1] of the t test on the first 2, 3, .. of normal samples."""
    sample = rng.normal(size=(paths, most))
    columns = [distributions.ttest_1samp(sample[:, :n], 0.0, axis=1).pvalue for n in range(2, most + 1)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("start", "most", "alpha"), [(3, 20, 0.05), (3, 20, 0.05 / 7), (2, 6, 0.05), (5, 5, 0.05)]
)
def test_all_looks_together_err_at_the_stated_level(start: int, most: int, alpha: float) -> None:
    rng, paths = np.random.default_rng(0), 60_000
    p = t_tests(paths, most, rng)[:, start - 2 :]
    crossed = (p <= nominal(start, most, alpha)).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / paths))


def test_error_is_spent_look_by_look_as_stated() -> None:
    rng, paths = np.random.default_rng(1), 200_000
    p = t_tests(paths, 6, rng)[:, 1:]
    out = np.maximum.accumulate(p <= nominal(3, 6, 0.2), axis=1).mean(axis=0)
    assert out == pytest.approx(0.2 * spent(np.array([3, 4, 5, 6]) / 6), abs=0.004)


def test_two_looks_agree_with_direct_integration() -> None:
    """P(reject at 3 or 4) by integrating over the fourth diff, without the chain."""
    first, second = nominal(3, 4, 0.05)
    rng = np.random.default_rng(2)
    three = rng.normal(size=(400_000, 3))
    t3 = distributions.ttest_1samp(three, 0.0, axis=1)
    four = np.linspace(-6, 6, 601)
    weights = distributions.norm.pdf(four) * (four[1] - four[0])
    some = three[t3.pvalue > first][:4000]
    total, squares = some.sum(axis=1)[:, None] + four, (some**2).sum(axis=1)[:, None] + four**2
    t4 = np.abs(total / 4) / np.sqrt((squares - total**2 / 4) / 3 / 4)
    crossed = ((t4 >= distributions.t.isf(second / 2, 3)) * weights).sum(axis=1).mean()
    assert first + (1 - first) * crossed == pytest.approx(0.05, abs=0.002)


def test_normal_boundaries_would_err_more_often() -> None:
    """Pocock's nominal level for five looks (critical value 2.413), at the p values of t tests."""
    p = t_tests(40_000, 7, np.random.default_rng(3))[:, 1:]
    assert (p <= 2 * distributions.norm.sf(2.413)).any(axis=1).mean() > 0.06


def test_the_sequential_p_value_is_uniform_at_most_and_never_rises() -> None:
    p = t_tests(3000, 8, np.random.default_rng(4))[:, 1:]
    found = np.array([sequential_p(row, 3, 8) for row in p])
    assert all((later <= before).all() for before, later in pairwise(found.T))
    for level in (0.01, 0.05, 0.3):
        assert (found[:, -1] <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / 3000))
        rejected = (p <= nominal(3, 8, level)).any(axis=1)
        assert (rejected == (found[:, -1] <= level)).mean() > 0.999


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(5).uniform(size=(20, 7)) ** 3
    assert holm(p) == pytest.approx(np.array([multipletests(row, method="holm")[1] for row in p]))


def simulated(diffs: Mapping[str, float], truth: Truth, seed: int = 0) -> pd.DataFrame:
    """User sums of splits with planted diffs, pp."""
    rng = np.random.default_rng(seed)
    frames = []
    for split, diff in diffs.items():
        apart = Truth(
            **{**truth.__dict__, "accuracy_a": 0.7 + diff / 200, "accuracy_b": 0.7 - diff / 200},
        )
        frames.append(user_sums(outcomes(apart, rng, "dpo", split)))
    return pd.concat(frames, ignore_index=True)


PREDICTIONS = {"up": "A > B", "down": "A > B", "none": "A = B", "look": "exploratory"}
WIDE = Truth(8, 60, 20, sd_seed=0.04, sd_user=0.05, sd_pair=0.1, sd_noise=0.99)


@pytest.fixture(scope="module")
def sums() -> pd.DataFrame:
    return simulated({"up": 12.0, "down": -12.0, "none": 0.0, "look": 12.0}, WIDE)


def by_split(decided: pd.DataFrame) -> pd.DataFrame:
    return decided.set_index("split")


def test_planted_diffs_are_found_and_stop_their_splits(sums: pd.DataFrame) -> None:
    found = by_split(decide(sums, PREDICTIONS, LOOKS, SEEDS))
    assert found.loc["up", "state"] == SUPPORTED
    assert found.loc["down", "state"] == CONTRADICTED
    assert found.loc["none", "state"] == UNDECIDED
    assert found.loc["up", "low"] <= 12 <= found.loc["up", "high"]
    assert found.loc["up", "look"] < 8
    assert found.loc["look", "state"] == UNDECIDED
    assert np.isnan(found.loc["look", "p_holm"])


def test_fewer_than_the_first_look_are_open(sums: pd.DataFrame) -> None:
    for seeds in (pd.DataFrame(columns=sums.columns), sums[sums["seed"].isin([4, 0])]):
        found = decide(seeds, PREDICTIONS, LOOKS, SEEDS)
        assert set(found["state"]) == {OPEN}
        assert found[["estimate", "look", "p_holm"]].isna().all(axis=None)


def test_only_the_beginning_of_a_split_counts_in_whatever_order_cells_finish(sums: pd.DataFrame) -> None:
    four = sums[sums["seed"].isin([4, 0, 6, 2])]
    expected = decide(four, PREDICTIONS, LOOKS, SEEDS)
    # Seeds 3, 5 and 7 are there before seed 1: a gap.
    gap = sums[sums["seed"] != 1].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(decide(gap, PREDICTIONS, LOOKS, SEEDS), expected)


@pytest.mark.parametrize("seed", range(6))
def test_claims_are_kept_whatever_finishes_next(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = Truth(8, 40, 8, sd_seed=0.05, sd_user=0.1, sd_pair=0.2, sd_noise=0.95)
    diffs = {"up": 8.0, "down": -5.0, "none": 0.0, "look": 3.0}
    sums = simulated(diffs, truth, seed)
    cells = [(split, number) for split in diffs for number in range(8)]
    rng.shuffle(cells)
    finished, before = pd.Series(False, index=sums.index), {}
    for split, number in cells:
        finished |= (sums["split"] == split) & (sums["seed"] == int(number))
        states = by_split(decide(sums[finished], PREDICTIONS, LOOKS, SEEDS))["state"].to_dict()
        assert all(states[name] in (state, NULL) for name, state in before.items() if state in CLAIMS)
        before = states


def test_nothing_is_called_practically_null_with_many_pairs() -> None:
    truth = Truth(8, 80, 60, sd_seed=0.0, sd_user=0.02, sd_pair=0.05, sd_noise=0.99)
    found = by_split(
        decide(simulated({"none": 0.0}, truth), {"none": "A = B"}, Looks(3, 8, margin_pp=3.0), SEEDS)
    )
    assert found.loc["none", "state"] == NULL
    assert -3 < found.loc["none", "low"] < 0 < found.loc["none", "high"] < 3


def test_where_users_are_the_uncertainty_no_seed_is_spent_on_it() -> None:
    truth = Truth(4, 20, 5, sd_seed=0.0, sd_user=0.3, sd_pair=0.9, sd_noise=0.2)
    found = by_split(decide(simulated({"up": 3.0}, truth), {"up": "A > B"}, LOOKS, SEEDS))
    row = found.loc["up"]
    assert (row["state"], row["seeds"]) == (UNDECIDED, 3)  # seed 1 is not there: 4, 0 and 6 would be 3 of 4
    assert row["chance"] < LOOKS.futility
    assert row["needed_seeds"] == np.inf
    assert row["cheaper"] in ("pairs", "")


def test_a_wider_study_would_be_decided_as_projected() -> None:
    """What `needed_pairs` asks for decides in about 80 % of studies with that many users."""
    truth = Truth(3, 40, 5, sd_seed=0.01, sd_user=0.1, sd_pair=0.9, sd_noise=0.3)
    looks = Looks(3, 3)
    row = decide(simulated({"up": 6.0}, truth), {"up": "A > B"}, looks, {"dpo": range(3)}).iloc[0]
    factor = row["needed_pairs"] / (2 * 40 * 5)
    assert 1 < factor < 30
    if abs(row["estimate"] - 6.0) > 3:
        pytest.fail("the drawn estimate is not near its truth: choose another seed")
    again = Truth(3, round(40 * factor), 5, sd_seed=0.01, sd_user=0.1, sd_pair=0.9, sd_noise=0.3)
    ends = [
        decide(simulated({"up": row["estimate"]}, again, seed), {"up": "A > B"}, looks, {"dpo": range(3)})[
            "state"
        ][0]
        for seed in range(12)
    ]
    assert ends.count(SUPPORTED) >= 6


@pytest.mark.parametrize("users", [1, 3])
def test_tables_without_an_interval_get_an_answer(users: int) -> None:
    sums = simulated({"up": 0.0}, Truth(4, users, 3), seed=1)
    if users > 1:
        sums["correct"] = sums["pairs"]  # every arm is right everywhere
    (row,) = decide(sums, {"up": "A > B"}, LOOKS, {"dpo": range(8)}).to_dict("records")
    assert row["state"] == UNDECIDED
    assert "no interval" in row["note"]
    assert np.isnan(row["low"])
    assert row["chance"] == 0
