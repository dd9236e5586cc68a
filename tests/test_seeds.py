"""What seeds alone can say, against scipy, statsmodels and the published table."""

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

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"
VALUES = [1.5, -0.7, 3.2, 2.2, 0.4]
OTHERS = [0.1, -1.9, 0.3]


def test_mean_is_the_one_sample_t_test() -> None:
    found, wanted = mean_estimate(VALUES), scipy_stats.ttest_1samp(VALUES, 0)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.interval(0.9) == pytest.approx(tuple(wanted.confidence_interval(0.9)))


def test_change_is_paired_on_common_seeds_and_welch_without() -> None:
    ours, theirs = dict(enumerate(VALUES)), dict(enumerate(OTHERS, start=1))
    paired = scipy_stats.ttest_rel(VALUES[1:4], OTHERS)
    assert change_estimate(ours, theirs).p == pytest.approx(paired.pvalue)
    apart = {seed + 100: value for seed, value in theirs.items()}
    welch = scipy_stats.ttest_ind(VALUES, OTHERS, equal_var=False)
    assert change_estimate(ours, apart).p == pytest.approx(welch.pvalue)


def test_one_seed_is_judged_by_the_prediction_interval() -> None:
    """The change excludes zero exactly if the prediction interval excludes the single value."""
    low, high = prediction_interval(VALUES, 0.95) or (0, 0)
    reference = dict(enumerate(VALUES))
    for value in (low - 0.01, low + 0.01, high - 0.01, high + 0.01):
        p = change_estimate({7: value}, reference).p
        assert p is not None
        assert (p < 0.05) == (not low <= value <= high)


def test_equivalence_is_two_one_sided_tests() -> None:
    wanted = DescrStatsW(np.array(VALUES)).ttost_mean(-3, 3)[0]
    assert mean_estimate(VALUES).p_equivalent(3) == pytest.approx(wanted)


def test_sign_flip_is_the_exact_randomisation_test() -> None:
    rng = np.random.default_rng(0)
    for values in (VALUES, [1.0, 1.0, 0.0, 2.0], [0.0, 0.0]):
        wanted = scipy_stats.permutation_test(
            (np.array(values),), np.mean, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert sign_flip(values, rng) == pytest.approx(wanted)
    assert sign_flip([2.0], rng) == 1.0
    assert sign_flip([1.0] * 5, rng) == 1 / 16  # five seeds cannot say more
    many = np.random.default_rng(1).normal(0.3, 1, 25)
    assert sign_flip(many, rng) == pytest.approx(scipy_stats.ttest_1samp(many, 0).pvalue, abs=0.03)


@pytest.mark.parametrize("values", [[2.0], [3.0, 3.0, 3.0]])
def test_no_spread_is_no_interval_and_says_why(values: list[float]) -> None:
    found = mean_estimate(values)
    assert found.interval(0.95) is None
    assert found.note
    assert change_estimate({1: 1.0}, {2: 2.0}).se is None


def test_the_published_table_is_inside_its_own_noise() -> None:
    """STATS.md: each WPO value is where one more DPO seed could be, and no DPO mean differs from zero."""
    diffs = restore(pd.read_csv(REFERENCE / "v5b_diffs.csv"))
    table = pd.read_csv(REFERENCE / "v5b_verdicts.csv")
    predicted = {
        (s, split): p
        for s in ("v3", "v5b")
        for split, p in zip(table["split"], table["predicted"], strict=True)
    }
    own, changes = seed_evidence(diffs, predicted, "dpo", Options())
    age = changes.set_index("split").loc["S1_age"]
    assert (round(age["reference_low"], 1), round(age["reference_high"], 1)) == (-10.2, 9.6)
    assert changes["inside"].all()
    dpo = own[own["method"] == "dpo"].set_index("split")
    assert dpo["p"].nsmallest(2).round(3).to_dict() == {"S6_helpfulness": 0.038, "S3_personalisation": 0.042}
    assert (own["p_holm"] > 0.05).all()
    assert (own["evidence"] == "undecided").all()
    assert (own["captures"] != "").all()
