"""Intervals against independent computations, and against planted truth."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from statsmodels.formula.api import ols

from stats.evidence.anova import (
    estimate,
    mean_squares,
    nested_estimates,
    unpaired_change,
    variance_parts,
)
from stats.evidence.crossed import CrossedTable, GroupOutcomes, difference
from stats.evidence.estimate import BORROWED, BOTH, USERS_ONLY, Estimate
from stats.evidence.simulate import SimulatedStudy, simulated_contrast


def group(table: np.ndarray) -> GroupOutcomes:
    """Users with one pair each, so that sums are the outcomes."""
    users = table.shape[1]
    return GroupOutcomes(
        table, np.ones(users), tuple(map(str, range(users))), np.arange(users, dtype=np.uint64)
    )


def alone(table: CrossedTable) -> Estimate:
    """Estimate a contrast whose method has no other split."""
    return estimate(mean_squares(table))


def two_way(rng: np.random.Generator, seeds: int, users: int, seed_sd: float = 1.0) -> np.ndarray:
    return np.asarray(
        rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 5, users) + rng.normal(0, 5, (seeds, users)) + 1
    )


def anova_mean_squares(table: np.ndarray) -> pd.Series:
    long = pd.DataFrame(
        [(s, u, table[s, u]) for s in range(table.shape[0]) for u in range(table.shape[1])],
        columns=["s", "u", "x"],
    )
    result = sm.stats.anova_lm(ols("x ~ C(s) + C(u)", long).fit())
    return result["sum_sq"] / result["df"]


def test_one_group_is_the_textbook_crossed_anova() -> None:
    table = two_way(np.random.default_rng(0), 4, 12)
    seeds, users = table.shape
    ms = anova_mean_squares(table)
    over_seeds, over_users = ms["C(s)"] / table.size, (ms["C(u)"] - ms["Residual"]) / table.size
    result = alone(CrossedTable(tuple(range(seeds)), (group(table),)))
    assert result.value == pytest.approx(table.mean())
    assert result.se == pytest.approx(np.sqrt(over_seeds + over_users))
    # Banerjee (1960): each part with its own quantile.
    quantiles = student.ppf(0.975, [seeds - 1, users - 1])
    half = np.sqrt(quantiles**2 @ [over_seeds, over_users])
    assert result.interval(0.95) == pytest.approx((table.mean() - half, table.mean() + half))
    assert result.captures == BOTH


def test_two_groups_share_their_seeds() -> None:
    """Seeds that move both groups alike cancel: the variance over seeds is that of the difference."""
    rng = np.random.default_rng(1)
    common = rng.normal(0, 50, (5, 1))
    a, b = two_way(rng, 5, 40) + common, two_way(rng, 5, 30) + common
    ms = [anova_mean_squares(part) for part in (a, b)]
    over_seeds = (a.mean(1) - b.mean(1)).var(ddof=1) / 5
    users = [(m["C(u)"] - m["Residual"]) / part.size for m, part in zip(ms, (a, b), strict=True)]
    result = alone(CrossedTable(tuple(range(5)), (group(a), group(-b))))
    assert result.se == pytest.approx(np.sqrt(over_seeds + sum(users)))


def test_the_anova_agrees_with_two_way_clustered_errors_where_there_are_many_seeds_and_users() -> None:
    """Cameron, Gelbach & Miller (2011), as implemented in statsmodels."""
    table = two_way(np.random.default_rng(2), 40, 150)
    long = pd.DataFrame({"x": table.ravel(), "s": np.repeat(range(40), 150), "u": np.tile(range(150), 40)})
    fit = ols("x ~ 1", long).fit(cov_type="cluster", cov_kwds={"groups": long[["s", "u"]].to_numpy()})
    assert alone(CrossedTable(tuple(range(40)), (group(table),))).se == pytest.approx(
        fit.bse.iloc[0], rel=0.05
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.integers(2, 30), st.floats(0, 30), st.integers(0, 10**6))
def test_more_kinds_of_chance_never_make_an_interval_narrower(
    seeds: int, users: int, seed_sd: float, number: int
) -> None:
    rng = np.random.default_rng(number)
    a, b = two_way(rng, seeds, users, seed_sd), two_way(rng, seeds, users + 1, seed_sd)
    squares = mean_squares(CrossedTable(tuple(range(seeds)), (group(a), group(-b))))
    both = estimate(squares)
    for _, part in nested_estimates(squares):
        for tail in (0.2, 0.025, 0.001):
            assert part.half(tail) <= both.half(tail) * (1 + 1e-9)


def test_one_seed_borrows_the_references_spread_and_says_so() -> None:
    truth = SimulatedStudy(seeds=5, users=60, pairs_per_user=5)
    reference = simulated_contrast(truth, np.random.default_rng(5))
    one = CrossedTable(
        (0,), tuple(GroupOutcomes(g.sums[:1], g.pairs, g.users, g.keys) for g in reference.groups)
    )
    own, lent = alone(one), estimate(mean_squares(one), lender=mean_squares(reference))
    assert (own.captures, lent.captures) == (USERS_ONLY, BORROWED)
    assert lent.se is not None
    assert own.se is not None
    assert lent.se > own.se * 0.9
    change = unpaired_change(one, reference, (None, mean_squares(reference).spread))
    assert change.captures == BORROWED
    assert change.value == pytest.approx(one.value - reference.value)
    assert change.se is not None
    assert change.se**2 >= reference.values.var(ddof=1) * (1 + 1 / 5) - 1e-9


def test_unpaired_change_adds_up_the_spreads_of_both_where_users_do_not_differ() -> None:
    """With seeds as the only noise the formula must reduce to one on seed means."""
    rng = np.random.default_rng(6)
    method, reference = (np.tile(rng.normal(0, 1, (n, 1)), (1, 20)) for n in (3, 5))
    a, b = (CrossedTable(tuple(range(len(x))), (group(x), group(-0.0 * x))) for x in (method, reference))
    result = unpaired_change(a, b, (mean_squares(a).spread, mean_squares(b).spread))
    parts = [method[:, 0].var(ddof=1) / 3, reference[:, 0].var(ddof=1) / 5]
    assert result.se == pytest.approx(np.sqrt(sum(parts)))
    assert result.half(0.025) == pytest.approx(np.sqrt(student.ppf(0.975, [2, 4]) ** 2 @ parts))


def test_what_does_not_vary_has_no_interval_and_says_why() -> None:
    ones = CrossedTable((0, 1, 2), (group(100 * np.ones((3, 9))), group(-100 * np.ones((3, 7)))))
    result = alone(ones)
    assert (result.value, result.se, result.interval(0.95), result.p) == (0.0, None, None, None)
    assert "no outcome varies" in result.note
    lonely = CrossedTable((0, 1), (group(np.array([[1.0], [2.0]])), group(np.ones((2, 4)))))
    assert "one held-out user" in alone(lonely).note
    assert alone(difference(ones, ones)).se is None


def test_constant_diff_over_seeds_still_has_users_uncertainty() -> None:
    table = np.tile(np.random.default_rng(8).normal(0, 1, 30), (4, 1))
    result = alone(CrossedTable((0, 1, 2, 3), (group(table), group(-table[:, :20]))))
    expected = np.sqrt(table[0].var(ddof=1) / 30 + table[0, :20].var(ddof=1) / 20)
    assert result.se == pytest.approx(expected)


@pytest.mark.parametrize(("seeds", "users", "pairs"), [(3, 30, 4), (5, 60, 6), (10, 40, 5)])
def test_intervals_cover_the_planted_truth(seeds: int, users: int, pairs: float) -> None:
    """100 studies with user clusters; bench/calibration.py runs 1,000 per setting."""
    truth = SimulatedStudy(seeds, users, pairs, accuracy_a=0.75, accuracy_b=0.7, sd_seed=0.04)
    rng = np.random.default_rng(seeds)
    covered = 0
    for _ in range(100):
        low, high = alone(simulated_contrast(truth, rng)).interval(0.95) or (np.nan, np.nan)
        covered += low <= truth.diff_pp <= high
    assert covered >= 88  # three standard errors below 95


def test_the_parts_of_the_variance_by_seeds_add_up_to_the_estimates() -> None:
    for seed, truth in enumerate(
        (SimulatedStudy(6, 12, 3), SimulatedStudy(6, 40, 5, sd_user=0.0, sd_pair=0.0, sd_noise=1.0))
    ):
        table = simulated_contrast(truth, np.random.default_rng(seed))
        of_seeds, of_users = variance_parts(table, 2)
        for n, parts in enumerate(zip(of_seeds, of_users, strict=True), start=2):
            first = estimate(mean_squares(table.taking(range(n))))
            assert first.se is not None
            assert sum(parts) == pytest.approx(first.se**2)
            assert parts[0] == pytest.approx(table.values[:n].var(ddof=1) / n)
    one_user = CrossedTable((0, 1, 2), (group(np.arange(3.0)[:, None]),))
    assert np.isnan(variance_parts(one_user, 2)[1]).all()
