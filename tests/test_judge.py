"""Intervals become words, labels need their own kind of evidence, and a family is adjusted together."""

import pandas as pd
import pytest

from stats.evidence.estimate import BORROWED, BOTH, USERS_ONLY, Estimate, Part, without_interval
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
    assert carried(label, "A > B", evidence, (2.0, 9.0), null_pp=5.0) == expected


def test_a_null_control_is_fixed_by_a_change_to_either_side() -> None:
    for evidence, expected in (("contradicted", "yes"), ("practically null", "no"), ("undecided", "no")):
        assert carried("FIXED", "A = B", evidence, (-9.0, -2.0), null_pp=5.0) == expected


def test_not_null_needs_a_diff_as_large_as_it_says() -> None:
    for interval, expected in (((0.5, 9.0), "no"), ((5.2, 9.0), "yes"), ((-9.0, -5.2), "yes")):
        assert carried("NOT NULL", "A = B", "contradicted", interval, null_pp=5.0) == expected


def known(value: float, captures: str = BOTH) -> Estimate:
    """An estimate with a standard error of 1 and 20 degrees of freedom."""
    return Estimate(value, (Part(1.0, 20.0),), captures)


def test_a_family_is_adjusted_together_and_exploratory_splits_are_outside_it() -> None:
    estimates = [
        ({"split": "S1"}, "A > B", known(3.8)),
        ({"split": "S2"}, "A < B", known(-2.2)),
        ({"split": "S3"}, "exploratory", known(9.0)),
        ({"split": "S4"}, "A > B", known(9.0, USERS_ONLY)),
        ({"split": "S5"}, "A > B", without_interval(0.0, BOTH, "no outcome varies: no interval")),
        ({"split": "S6"}, "A > B", known(9.0, BORROWED)),
    ]
    table = judge_family(estimates, Options(), size=5).set_index("split")
    raw = table["p"]
    # S4 and S6 are smaller, S5 has no interval and keeps its place behind S2.
    assert table.loc["S1", "p_holm"] == pytest.approx(3 * raw["S1"])
    assert table.loc["S2", "p_holm"] == pytest.approx(2 * raw["S2"])
    assert (table["low_adjusted"] < table["low"]).loc[["S1", "S2"]].all()
    words = table["evidence"].to_dict()
    # One seed supports nothing, however far from zero it is.
    assert words == dict.fromkeys(words, "undecided") | {"S1": "supported"}
    gaps = table[table[["p_holm", "low_adjusted"]].isna().any(axis=1)]
    assert set(gaps.index) == {"S3", "S5"}
    assert (gaps["note"] != "").all()


def test_a_failed_split_keeps_its_place_in_the_family() -> None:
    """Otherwise the splits that are left would look surer, the more of the others failed."""
    splits = [({"split": f"S{number}"}, "A > B", known(2.9 - number / 10)) for number in range(6)]
    whole = judge_family(splits, Options(), size=6).set_index("split")
    left = judge_family(splits[:2], Options(), size=6).set_index("split")
    columns = ["p_holm", "low_adjusted", "high_adjusted", "evidence"]
    pd.testing.assert_frame_equal(left[columns], whole.loc[left.index, columns])
