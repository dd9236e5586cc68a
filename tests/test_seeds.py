"""Evidence from seeds alone, checked against scipy, statsmodels and the published table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.weightstats import DescrStatsW

from stats.evidence.options import Options
from stats.evidence.seed_evidence import seed_evidence
from stats.evidence.seeds import (
    common_diffs,
    mean_estimate,
    prediction_interval,
    sign_flip,
    spread_of,
    unpaired_estimate,
)
from stats.rule.published import restore

PUBLISHED_TABLES = Path(__file__).parent.parent / "configs" / "reference"
DIFFS_A = [1.5, -0.7, 3.2, 2.2, 0.4]
DIFFS_B = [0.1, -1.9, 0.3]


def test_mean_is_the_one_sample_t_test() -> None:
    estimate, expected = mean_estimate(DIFFS_A), scipy_stats.ttest_1samp(DIFFS_A, 0)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert estimate.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_change_is_paired_on_common_seeds_and_adds_up_both_spreads_without() -> None:
    own, reference = dict(enumerate(DIFFS_A)), dict(enumerate(DIFFS_B, start=1))
    paired = scipy_stats.ttest_rel(DIFFS_A[1:4], DIFFS_B)
    assert mean_estimate(common_diffs(own, reference)).p == pytest.approx(paired.pvalue)
    both = unpaired_estimate(DIFFS_A, DIFFS_B, (spread_of(DIFFS_A), spread_of(DIFFS_B)))
    welch = scipy_stats.ttest_ind(DIFFS_A, DIFFS_B, equal_var=False)
    assert both.value == pytest.approx(np.mean(DIFFS_A) - np.mean(DIFFS_B))
    assert both.se == pytest.approx(both.value / welch.statistic)
    # Welch's degrees of freedom lie between the smaller of the two and their sum, and so does the interval.
    assert both.se is not None
    assert scipy_stats.t.ppf(0.975, 6) < both.half(0.025) / both.se < scipy_stats.t.ppf(0.975, 2)


def test_one_seed_is_judged_by_the_prediction_interval() -> None:
    """The change excludes zero exactly if the prediction interval excludes the single value."""
    low, high = prediction_interval(DIFFS_A, 0.95) or (0, 0)
    for value in (low - 0.01, low + 0.01, high - 0.01, high + 0.01):
        p = unpaired_estimate([value], DIFFS_A, (None, spread_of(DIFFS_A))).p
        assert p is not None
        assert (p < 0.05) == (not low <= value <= high)


def test_equivalence_is_two_one_sided_tests() -> None:
    expected = DescrStatsW(np.array(DIFFS_A)).ttost_mean(-3, 3)[0]
    assert mean_estimate(DIFFS_A).p_equivalent(3) == pytest.approx(expected)


def test_sign_flip_is_the_exact_randomisation_test() -> None:
    rng = np.random.default_rng(0)
    for values in (DIFFS_A, [1.0, 1.0, 0.0, 2.0], [0.0, 0.0]):
        expected = scipy_stats.permutation_test(
            (np.array(values),), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert sign_flip(values, rng) == pytest.approx(expected)
    assert sign_flip([2.0], rng) == 1.0
    assert sign_flip([1.0] * 5, rng) == 1 / 16  # the smallest p that five seeds can give
    many = np.random.default_rng(1).normal(0.3, 1, 25)
    assert sign_flip(many, rng) == pytest.approx(scipy_stats.ttest_1samp(many, 0).pvalue, abs=0.03)


@pytest.mark.parametrize("values", [[2.0], [3.0, 3.0, 3.0]])
def test_without_spread_there_is_no_interval_but_a_note(values: list[float]) -> None:
    estimate = mean_estimate(values)
    assert estimate.interval(0.95) is None
    assert estimate.note
    assert unpaired_estimate([1.0], [2.0], (None, None)).se is None


def test_the_published_changes_are_inside_the_references_noise() -> None:
    """Each WPO value is where one more DPO seed could be, and one DPO mean of seven differs from zero."""
    diffs = restore(pd.read_csv(PUBLISHED_TABLES / "v5b_diffs.csv"))
    table = pd.read_csv(PUBLISHED_TABLES / "v5b_verdicts.csv")
    predicted = {
        (study, split): prediction
        for study in ("v3", "v5b")
        for split, prediction in zip(table["split"], table["predicted"], strict=True)
    }
    families = {(study, method): 7 for study in ("v3", "v5b") for method in ("dpo", "wpo")}
    evidence = seed_evidence(diffs, predicted, "dpo", Options(), families)
    own, changes = evidence.diffs, evidence.changes
    age = changes.set_index("split").loc["S1_age"]
    assert (round(age["reference_low"], 1), round(age["reference_high"], 1)) == (-10.2, 9.6)
    assert changes["inside"].all()
    # Five seeds each, so the plain t test's p of S6 is .038; the other splits' spreads add eleven degrees of
    # freedom. One of the seven means lies beyond zero, on the side that was not predicted.
    dpo = own[own["method"] == "dpo"].set_index("split")
    assert dpo.index[dpo["p_holm"] < 0.05].tolist() == ["S6_helpfulness"]
    assert dpo.loc["S6_helpfulness", "evidence"] == "contradicted"
    assert (own.loc[own["method"] == "wpo", "evidence"] == "undecided").all()
    assert (own["captures"] != "").all()
