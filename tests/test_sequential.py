"""Decisions after every finished cell: boundaries, claims that are kept, stops where no seed would decide."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions
from statsmodels.stats.multitest import multipletests

from bench.adaptive import published
from bench.designs import NO_EFFECT, PLANTED, SETTINGS, TRUE_DIFFS, score_adaptive, simulate
from stats.evidence.boundaries import Spending, nominal, reach, sequential_p
from stats.evidence.decision import SplitState
from stats.evidence.looks import EstimatePath, Looks
from stats.evidence.sequential import decide, decide_family
from stats.evidence.simulate import SimulatedStudy, simulated_outcomes
from stats.evidence.sums import user_sums
from stats.multiplicity import holm
from stats.page.page import Page
from stats.page.sections.decisions import decisions
from stats.page.words import Words

LOOKS = Looks(start=3, most=8)
SEEDS = {"dpo": [4, 0, 6, 2, 1, 3, 5, 7]}
CLAIMS = {SplitState.SUPPORTED, SplitState.CONTRADICTED, SplitState.PRACTICALLY_NULL}


def t_tests(paths: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Two-sided p values [paths, most - 1] of the t test on the first 2, 3, .. of normal samples."""
    sample = rng.normal(size=(paths, most))
    columns = [distributions.ttest_1samp(sample[:, :n], 0.0, axis=1).pvalue for n in range(2, most + 1)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(
    ("start", "most", "spending", "alpha"),
    [
        (2, 20, (5.0, 6.0), 0.05),
        (3, 20, (3.0, 1.0), 0.05),
        (3, 20, (1.0, 1.0), 0.05 / 7),
        (2, 6, (1.0, 1.0), 0.05),
        (5, 5, (3.0, 1.0), 0.05),
    ],
)
def test_all_looks_together_err_at_the_stated_level(
    start: int, most: int, spending: Spending, alpha: float
) -> None:
    rng, paths = np.random.default_rng(0), 60_000
    p = t_tests(paths, most, rng)[:, start - 2 :]
    crossed = (p <= nominal(start, most, spending, alpha)).any(axis=1).mean()
    assert crossed == pytest.approx(alpha, abs=4 * np.sqrt(alpha / paths))


def test_error_is_spent_look_by_look_as_stated() -> None:
    p = t_tests(100_000, 6, np.random.default_rng(1))[:, 1:]
    out = np.maximum.accumulate(p <= nominal(3, 6, (2.0, 1.0), 0.2), axis=1).mean(axis=0)
    assert out == pytest.approx(0.2 * (np.array([3, 4, 5, 6]) / 6) ** 2, abs=0.005)


def test_with_many_seeds_the_boundaries_are_the_normal_ones() -> None:
    """Three looks by the trivariate normal distribution, an independent way to the same probability."""
    looks = np.array([100, 101, 102])
    levels = nominal(100, 102, (3.0, 1.0), 0.05)
    correlation = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
    ends = distributions.norm.isf(levels / 2)
    inside = distributions.multivariate_normal(cov=correlation).cdf(ends, lower_limit=-ends)
    assert 1 - inside == pytest.approx(0.05, abs=0.0015)


def test_two_looks_agree_with_direct_integration() -> None:
    """P(reject at 3 or 4) by integrating over the fourth diff, without the chain."""
    first, second = nominal(3, 4, (1.0, 1.0), 0.05)
    three = np.random.default_rng(2).normal(size=(5000, 3))
    four = np.linspace(-6, 6, 401)
    weights = distributions.norm.pdf(four) * (four[1] - four[0])
    some = three[distributions.ttest_1samp(three, 0.0, axis=1).pvalue > first]
    total, squares = some.sum(axis=1)[:, None] + four, (some**2).sum(axis=1)[:, None] + four**2
    t = np.abs(total / 4) / np.sqrt((squares - total**2 / 4) / 3 / 4)
    crossed = ((t >= distributions.t.isf(second / 2, 3)) * weights).sum(axis=1).mean()
    assert first + (1 - first) * crossed == pytest.approx(0.05, abs=0.002)


def test_normal_boundaries_would_err_more_often() -> None:
    """Normal looks that spend the same error, from their own paths, with t tests' p values."""
    rng, paths = np.random.default_rng(3), 60_000
    sums = rng.normal(size=(paths, 20)).cumsum(axis=1)[:, 2:]
    p = 2 * distributions.norm.sf(np.abs(sums) / np.sqrt(np.arange(3, 21)))
    left, levels = np.ones(paths, dtype=bool), []
    for share in np.diff(0.05 * np.arange(3, 21) / 20, prepend=0.0):
        levels.append(np.sort(p[left, len(levels)])[round(share * paths) - 1])
        left &= p[:, len(levels) - 1] > levels[-1]
    crossed = (t_tests(paths, 20, rng)[:, 1:] <= levels).any(axis=1).mean()
    assert crossed > 0.055
    assert (np.array(levels[1:]) > nominal(3, 20, (1.0, 1.0), 0.05)[1:]).mean() > 0.9


def test_the_sequential_p_value_is_valid_at_any_time_and_never_rises() -> None:
    paths = 3000
    rng = np.random.default_rng(4)
    diffs = rng.normal(size=(paths, 8))
    counts = range(3, 9)
    value = np.stack([diffs[:, :n].mean(axis=1) for n in counts], axis=1)
    of_seeds = np.stack([diffs[:, :n].var(axis=1, ddof=1) / n for n in counts], axis=1)
    result = np.array(
        [sequential_p(v, s, np.zeros(6), 100, 3, 8, (2.0, 1.0)) for v, s in zip(value, of_seeds, strict=True)]
    )
    assert all((later <= before).all() for before, later in pairwise(result.T))
    p = 2 * distributions.t.sf(np.abs(value) / np.sqrt(of_seeds), np.arange(2, 8))
    for level in (0.01, 0.05, 0.3):
        assert (result[:, -1] <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level / paths))
        rejected = (p <= nominal(3, 8, (2.0, 1.0), level)).any(axis=1)
        assert (rejected == (result[:, -1] <= level)).mean() > 0.998


@pytest.mark.parametrize("users_share", [0.0, 0.02, 0.1, 0.5, 0.9])
def test_an_interval_of_two_parts_covers_whatever_their_shares(users_share: float) -> None:
    """Also far out with three seeds, where Satterthwaite's degrees of freedom would not."""
    rng, draws, level = np.random.default_rng(5), 400_000, 0.005
    of_seeds = (1 - users_share) * rng.chisquare(2, draws) / 2
    of_users = users_share * rng.chisquare(60, draws) / 60
    missed = np.abs(rng.normal(size=draws)) > reach(level, 3, of_seeds, of_users, 61)
    assert missed.mean() <= level + 4 * np.sqrt(level / draws)
    if users_share in (0.02, 0.1):
        variance = of_seeds + of_users
        df = variance**2 / (of_seeds**2 / 2 + of_users**2 / 60)
        p = 2 * distributions.t.sf(np.abs(rng.normal(size=draws)) / np.sqrt(variance), df)
        assert (p <= level).mean() > 2 * level


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(5).uniform(size=(20, 7)) ** 3
    assert holm(p) == pytest.approx(np.array([multipletests(row, method="holm")[1] for row in p]))


def simulated(diffs: Mapping[str, float], truth: SimulatedStudy, seed: int = 0) -> pd.DataFrame:
    """User sums of splits with planted diffs, pp."""
    rng = np.random.default_rng(seed)
    frames = []
    for split, diff in diffs.items():
        with_diff = replace(truth, accuracy_a=0.7 + diff / 200, accuracy_b=0.7 - diff / 200)
        frames.append(user_sums(simulated_outcomes(with_diff, rng, "dpo", split)))
    return pd.concat(frames, ignore_index=True)


PREDICTIONS = {"up": "A > B", "down": "A > B", "none": "A = B", "look": "exploratory"}
WIDE = SimulatedStudy(8, 60, 20, sd_seed=0.04, sd_user=0.05, sd_pair=0.1, sd_noise=0.99)


@pytest.fixture(scope="module")
def sums() -> pd.DataFrame:
    return simulated({"up": 12.0, "down": -12.0, "none": 0.0, "look": 12.0}, WIDE)


def by_split(decided: pd.DataFrame) -> pd.DataFrame:
    return decided.set_index("split")


def test_planted_diffs_are_found_and_stop_their_splits(sums: pd.DataFrame) -> None:
    result = by_split(decide(sums, PREDICTIONS, LOOKS, SEEDS, "dpo"))
    assert result.loc["up", "state"] == SplitState.SUPPORTED
    assert result.loc["down", "state"] == SplitState.CONTRADICTED
    assert result.loc["none", "state"] == SplitState.UNDECIDED
    assert result.loc["up", "low"] <= 12 <= result.loc["up", "high"]
    assert result.loc["up", "look"] < 8
    assert result.loc["look", "state"] == SplitState.UNDECIDED
    assert np.isnan(result.loc["look", "p_holm"])


def test_splits_with_fewer_seeds_than_the_first_look_are_open(sums: pd.DataFrame) -> None:
    for seeds in (pd.DataFrame(columns=sums.columns), sums[sums["seed"].isin([4, 0])]):
        result = decide(seeds, PREDICTIONS, LOOKS, SEEDS, "dpo")
        assert set(result["state"]) == {SplitState.OPEN}
        assert result[["estimate", "look", "p_holm"]].isna().all(axis=None)


def test_only_the_first_seeds_count_in_whatever_order_cells_finish(sums: pd.DataFrame) -> None:
    four = sums[sums["seed"].isin([4, 0, 6, 2])]
    expected = decide(four, PREDICTIONS, LOOKS, SEEDS, "dpo")
    # Seeds 3, 5 and 7 are there before seed 1: a gap.
    gap = sums[sums["seed"] != 1].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(decide(gap, PREDICTIONS, LOOKS, SEEDS, "dpo"), expected)


@pytest.mark.parametrize("seed", range(3))
def test_claims_are_kept_whatever_finishes_next(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = SimulatedStudy(8, 40, 8, sd_seed=0.05, sd_user=0.1, sd_pair=0.2, sd_noise=0.95)
    diffs = {"up": 8.0, "down": -5.0, "none": 0.0, "look": 3.0}
    sums = simulated(diffs, truth, seed)
    cells = [(split, number) for split in diffs for number in range(8)]
    rng.shuffle(cells)
    finished, before = pd.Series(False, index=sums.index), {}
    for split, number in cells:
        finished |= (sums["split"] == split) & (sums["seed"] == int(number))
        states = by_split(decide(sums[finished], PREDICTIONS, LOOKS, SEEDS, "dpo"))["state"].to_dict()
        assert all(
            states[name] in (state, SplitState.PRACTICALLY_NULL)
            for name, state in before.items()
            if state in CLAIMS
        )
        before = states


def test_a_split_without_effect_is_practically_null_with_many_pairs() -> None:
    truth = SimulatedStudy(8, 80, 60, sd_seed=0.0, sd_user=0.02, sd_pair=0.05, sd_noise=0.99)
    result = by_split(
        decide(simulated({"none": 0.0}, truth), {"none": "A = B"}, Looks(3, 8, margin_pp=3.0), SEEDS, "dpo")
    )
    assert result.loc["none", "state"] == SplitState.PRACTICALLY_NULL
    assert -3 < result.loc["none", "low"] < 0 < result.loc["none", "high"] < 3


def test_a_diff_at_the_margin_is_rarely_called_practically_null() -> None:
    """The worst case: seven splits whose truth is the margin itself, users almost without spread."""
    rng, studies, looks = np.random.default_rng(6), 300, Looks(3, 8, margin_pp=3.0, worth=0.0)
    counts, wrong, small = range(3, 9), 0, 0
    predictions = {f"S{number}": "A = B" for number in range(7)}
    for _ in range(studies):
        for truth in (3.0, 0.0):
            paths = {}
            for split in predictions:
                diffs = rng.normal(truth, 1.0, 8)
                value = np.array([diffs[:n].mean() for n in counts])
                of_seeds = np.array([diffs[:n].var(ddof=1) / n for n in counts])
                p = sequential_p(value, of_seeds, np.zeros(6), 100, 3, 8, looks.spending)
                paths[split] = EstimatePath(3, 100, value, of_seeds, np.zeros(6), p)
            states = [decision.state for decision in decide_family(paths, predictions, looks).values()]
            wrong += truth == 3.0 and SplitState.PRACTICALLY_NULL in states
            small += truth == 0.0 and SplitState.PRACTICALLY_NULL in states
    assert wrong / studies <= 0.05 + 3 * np.sqrt(0.05 / studies)
    assert small / studies > 0.5


def test_where_the_users_are_the_uncertainty_no_further_seed_is_spent() -> None:
    truth = SimulatedStudy(4, 20, 5, sd_seed=0.0, sd_user=0.3, sd_pair=0.9, sd_noise=0.2)
    result = decide(simulated({"up": 3.0}, truth, 1), {"up": "A > B"}, LOOKS, {"dpo": range(8)}, "dpo")
    (row,) = result.to_dict("records")
    assert (row["state"], row["seeds"]) == (SplitState.UNDECIDED, 4)
    assert row["chance"] < 4 * LOOKS.worth
    assert row["needed_seeds"] == np.inf
    assert row["cheaper"] in ("pairs", "")


def test_the_stated_number_of_pairs_decides() -> None:
    truth = SimulatedStudy(6, 60, 5, sd_seed=0.01, sd_user=0.1, sd_pair=0.9, sd_noise=0.3)
    looks, seeds = Looks(6, 6), {"dpo": range(6)}
    row = decide(simulated({"up": 5.0}, truth, 1), {"up": "A > B"}, looks, seeds, "dpo").iloc[0]
    factor = row["needed_pairs"] / (2 * 60 * 5)
    assert (row["state"], row["cheaper"]) == (SplitState.UNDECIDED, "pairs")
    assert 1 < factor < 20
    again = replace(truth, users=round(60 * factor))
    ends = [
        decide(simulated({"up": row["estimate"]}, again, seed), {"up": "A > B"}, looks, seeds, "dpo")[
            "state"
        ][0]
        for seed in range(12)
    ]
    assert ends.count(SplitState.SUPPORTED) >= 7  # of 12 at 80 %: fewer in 2 % of cases


@pytest.mark.parametrize("users", [1, 3])
def test_tables_without_an_interval_are_undecided_with_a_note(users: int) -> None:
    sums = simulated({"up": 0.0}, SimulatedStudy(4, users, 3), seed=1)
    if users > 1:
        sums["correct"] = sums["pairs"]  # every arm is right everywhere
    (row,) = decide(sums, {"up": "A > B"}, LOOKS, {"dpo": range(8)}, "dpo").to_dict("records")
    assert row["state"] == SplitState.UNDECIDED
    assert "no interval" in row["note"]
    assert np.isnan(row["low"])
    assert row["chance"] == 0


def test_the_section_states_what_was_spent_and_what_would_decide(sums: pd.DataFrame) -> None:
    text = "\n\n".join(decisions(decide(sums, PREDICTIONS, LOOKS, SEEDS, "dpo"), LOOKS, Page(Words(), {})))
    assert "32 cells instead of 32" in text
    rows = {line.split(" | ")[1]: line for line in text.splitlines() if line.startswith("| dpo")}
    assert set(rows) == set(PREDICTIONS)
    assert SplitState.SUPPORTED in rows["up"]


def test_simulated_families_err_rarely_and_spend_less_than_twenty_seeds() -> None:
    """The bench at 40 studies of one setting: both error rates, the intervals of all looks, the cells."""
    setting = "seeds dominate"
    single, double = simulate(40, {setting: SETTINGS[setting]})
    no_effect, planted = (
        score_adaptive(single[setting, kind], TRUE_DIFFS[kind]) for kind in (NO_EFFECT, PLANTED)
    )
    error = 3 * np.sqrt(0.05 / 40)
    for result in (no_effect, planted):
        assert max(result["wrong difference"], result["wrong null"]) <= 0.05 + error
        assert result["coverage"] >= 0.95 - error
    assert planted["finds 6 pp"] > 0.6
    assert no_effect["cells"] < 70
    shares = published(double).set_index("judged by")
    assert shares.loc["published rule, 5 of the method", "studies with a FIXED"] > 0.2
    assert shares.loc["adaptive decision", "studies with a FIXED"] == 0
