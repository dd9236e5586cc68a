"""The simulations of bench/calibration.py at 100 studies per setting: the evidence holds its error rates.

The bench runs 1,000; docs/statistics.md has its tables.
"""

import numpy as np
import pytest

from bench.calibration import SIZES, changes, coverage, family, rule

STUDIES = 100
ERROR = np.sqrt(0.95 * 0.05 / STUDIES)  # Monte Carlo error of one setting's coverage
SMALL = SIZES[:2]  # about 128 and 1,000 pairs


def test_every_interval_covers_what_it_is_about() -> None:
    result = coverage(STUDIES, np.random.default_rng(0), SMALL).drop(columns="setting")
    assert len(result) == 18
    for name in ("seeds and users", "seeds alone, of these pairs", "users alone, of these seeds"):
        assert 0.93 <= result[name].mean() <= 0.99, name
        assert result[name].min() > 0.95 - 4 * ERROR, name
    # The seeds' interval does not cover new users.
    assert result["seeds alone, of new users"].mean() < 0.85


def test_intervals_of_a_change_cover_zero_without_a_change() -> None:
    result = changes(STUDIES, np.random.default_rng(0), SMALL)
    for name in ("paired by seed", "unpaired"):
        assert 0.93 <= result[name].mean() <= 0.99, name  # equal methods: users' variance is on its boundary


def test_seven_splits_without_effect_are_rarely_called_different() -> None:
    result = family(STUDIES, np.random.default_rng(0)).drop(columns="setting (7 splits)")
    error = np.sqrt(0.05 * 0.95 / (STUDIES * len(result)))
    assert result["Holm"].mean() <= 0.05 + 3 * error
    assert result["supported or contradicted"].mean() <= 0.05 + 3 * error
    assert result["unadjusted"].mean() == pytest.approx(1 - 0.95**7, abs=0.1)


def test_the_published_rule_prints_what_the_evidence_does_not() -> None:
    result = rule(STUDIES, np.random.default_rng(0), SMALL[:1])
    assert (result["FIXED or IMPROVED"] > 0.05).all()
    assert result["MATCH"].iloc[0] > 0.3  # a single seed
    assert (result[["diff supported", "change supported"]] <= 0.025 + 3 * np.sqrt(0.025 / STUDIES)).all(
        axis=None
    )
