"""Evidence from seeds alone, checked against scipy, statsmodels and the published table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.weightstats import DescrStatsW

from stats.evidence.options import Options
from stats.evidence.seed_evidence import seed_evidence
from stats.evidence.seeds import change_estimate, mean_estimate, prediction_interval, sign_flip
from stats.rule.published import restore

PUBLISHED_TABLES = Path(__file__).parent.parent / "configs" / "reference"
DIFFS_A = [1.5, -0.7, 3.2, 2.2, 0.4]
DIFFS_B = [0.1, -1.9, 0.3]


def test_mean_is_the_one_sample_t_test() -> None:
    estimate, expected = mean_estimate(DIFFS_A), scipy_stats.ttest_1samp(DIFFS_A, 0)
    assert estimate.p == pytest.approx(expected.pvalue)
    assert estimate.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)))


def test_change_is_paired_on_common_seeds_and_welch_without() -> None:
    own, reference = dict(enumerate(DIFFS_A)), dict(enumerate(DIFFS_B, start=1))
    paired = scipy_stats.ttest_rel(DIFFS_A[1:4], DIFFS_B)
    assert change_estimate(own, reference).p == pytest.approx(paired.pvalue)
    on_other_seeds = {seed + 100: value for seed, value in reference.items()}
    welch = scipy_stats.ttest_ind(DIFFS_A, DIFFS_B, equal_var=False)
    assert change_estimate(own, on_other_seeds).p == pytest.approx(welch.pvalue)


def test_one_seed_is_judged_by_the_prediction_interval() -> None:
    """The change excludes zero exactly if the prediction interval excludes the single value."""
    low, high = prediction_interval(DIFFS_A, 0.95) or (0, 0)
    reference = dict(enumerate(DIFFS_A))
    for value in (low - 0.01, low + 0.01, high - 0.01, high + 0.01):
        p = change_estimate({7: value}, reference).p
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
    assert change_estimate({1: 1.0}, {2: 2.0}).se is None


def test_the_published_table_is_inside_its_own_noise() -> None:
    """Each WPO value is where one more DPO seed could be, and no DPO mean differs from zero."""
    diffs = restore(pd.read_csv(PUBLISHED_TABLES / "v5b_diffs.csv"))
    table = pd.read_csv(PUBLISHED_TABLES / "v5b_verdicts.csv")
    predicted = {
        (study, split): prediction
        for study in ("v3", "v5b")
        for split, prediction in zip(table["split"], table["predicted"], strict=True)
    }
    evidence = seed_evidence(diffs, predicted, "dpo", Options())
    own, changes = evidence.diffs, evidence.changes
    age = changes.set_index("split").loc["S1_age"]
    assert (round(age["reference_low"], 1), round(age["reference_high"], 1)) == (-10.2, 9.6)
    assert changes["inside"].all()
    dpo = own[own["method"] == "dpo"].set_index("split")
    assert dpo["p"].nsmallest(2).round(3).to_dict() == {"S6_helpfulness": 0.038, "S3_personalisation": 0.042}
    assert (own["p_holm"] > 0.05).all()
    assert (own["evidence"] == "undecided").all()
    assert (own["captures"] != "").all()
