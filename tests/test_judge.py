"""Intervals become words, labels need their own kind of evidence, and a family is adjusted together."""

import numpy as np
import pytest

from stats.evidence.anova import BOTH, USERS_ONLY, Estimate
from stats.evidence.family import judge_family
from stats.evidence.options import Options
from stats.evidence.words import carried, word_for


@pytest.mark.parametrize(
    ("predicted", "interval", "expected"),
    [
        ("A > B", (0.5, 4.0), "supported"),
        ("A > B", (-4.0, -0.5), "contradicted"),
        ("A < B", (-4.0, -0.5), "supported"),
        ("A < B", (0.5, 4.0), "contradicted"),
        ("A > B", (-0.5, 4.0), "undecided"),
        ("A > B", (0.2, 0.8), "practically null"),  # real, but too small to matter
        ("A > B", (-0.9, 0.9), "practically null"),
        ("A > B", (-1.0, 0.9), "undecided"),
        ("A = B", (-0.9, 0.9), "practically null"),
        ("A = B", (0.5, 4.0), "contradicted"),
        ("A = B", (-4.0, 4.0), "undecided"),
        ("exploratory", (0.5, 4.0), "undecided"),
        ("A > B", None, "undecided"),
    ],
)
def test_the_word_follows_from_the_prediction_and_the_interval(
    predicted: str, interval: tuple[float, float] | None, expected: str
) -> None:
    assert word_for(predicted, interval, 1.0) == expected


@pytest.mark.parametrize(
    ("label", "evidence", "expected"),
    [
        ("MATCH", "supported", "yes"),
        ("MATCH", "undecided", "no"),
        ("MATCH", "contradicted", "no"),
        ("MISMATCH", "contradicted", "yes"),
        ("MISMATCH", "practically null", "yes"),
        ("MISMATCH", "undecided", "no"),
        ("OK", "practically null", "yes"),
        ("OK", "undecided", "no"),
        ("FIXED", "supported", "yes"),
        ("STABLE", "practically null", "yes"),
        ("INCOMPLETE", "undecided", "-"),
        (None, "supported", "-"),
    ],
)
def test_a_label_needs_evidence_of_its_own_kind(label: str | None, evidence: str, expected: str) -> None:
    assert carried(label, evidence) == expected


def test_a_family_is_adjusted_together_and_exploratory_splits_are_outside_it() -> None:
    estimates = [
        ({"split": "S1"}, "A > B", Estimate(3.0, 1.0, 20.0, BOTH)),
        ({"split": "S2"}, "A < B", Estimate(-2.2, 1.0, 20.0, BOTH)),
        ({"split": "S3"}, "exploratory", Estimate(9.0, 1.0, 20.0, BOTH)),
        ({"split": "S4"}, "A > B", Estimate(9.0, 1.0, 20.0, USERS_ONLY)),
        ({"split": "S5"}, "A > B", Estimate(0.0, None, np.inf, BOTH, "no outcome varies: no interval")),
    ]
    table = judge_family(estimates, Options()).set_index("split")
    raw = table["p"]
    assert table.loc["S1", "p_holm"] == pytest.approx(min(1, 2 * raw["S1"]))  # second smallest of three
    assert table.loc["S2", "p_holm"] == pytest.approx(raw["S2"])
    assert (table["low_adjusted"] < table["low"]).loc[["S1", "S2"]].all()
    assert table["evidence"].tolist() == ["supported", "undecided", "undecided", "undecided", "undecided"]
    gaps = table[table[["p_holm", "low_adjusted"]].isna().any(axis=1)]
    assert set(gaps.index) == {"S3", "S5"}
    assert (gaps["note"] != "").all()
