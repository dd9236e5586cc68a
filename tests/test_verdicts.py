"""The published rule: a known answer for every branch, and the published table cell by cell."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats.errors import TableError
from stats.rule.changes import change, changes, changes_as_published
from stats.rule.crosscheck import crosscheck
from stats.rule.published import restore
from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import verdicts

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"


def label(diffs: list[float], predicted: str, rule: PublishedRule | None = None) -> str | None:
    table = pd.DataFrame(
        {"study": "s", "method": "m", "split": "S", "seed": range(len(diffs)), "diff_pp": diffs}
    )
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": [predicted]})
    return verdicts(table, predictions, rule or PublishedRule())["verdict"].tolist()[0]


@pytest.mark.parametrize(
    ("diffs", "predicted", "expected"),
    [
        ([4.99], "A = B", "OK"),
        ([-4.99], "A = B", "OK"),
        ([5.0], "A = B", "NOT NULL"),
        ([-5.0], "A = B", "NOT NULL"),
        ([0.0], "A > B", "MISMATCH"),  # a mean of zero is no sign
        ([-1.0], "A > B", "MISMATCH"),
        ([1.0], "A < B", "MISMATCH"),
        ([9.0, -1.0, -1.0], "A > B", "MISMATCH"),  # right mean, one seed of three
        ([3.0, -1.0], "A > B", "LEAN"),  # half of the seeds is not less than half
        ([3.0, 3.0, -1.0], "A > B", "LEAN"),
        ([3.0, 3.0, 3.0, 3.0, -1.0], "A > B", "MATCH"),  # 4/5 is not below 0.8
        ([3.0, 3.0, 3.0, 3.0, 0.0], "A > B", "MATCH"),
        ([3.0, 3.0, 3.0, 0.0, 0.0], "A > B", "LEAN"),  # an exact zero has no sign
        ([0.99], "A > B", "WEAK"),
        ([-0.78], "A < B", "WEAK"),
        ([1.0], "A > B", "MATCH"),
        ([0.2, 0.2], "A > B", "MATCH"),  # WEAK is for a single seed only
        ([0.1, 0.2, -0.3], "A > B", "MISMATCH"),  # zero but for floating point
        ([100 * (0.3 - 0.1 - 0.2)], "A < B", "MISMATCH"),
        ([4.9, 5.0, 5.1], "A = B", "NOT NULL"),  # the mean is 5 exactly
    ],
)
def test_every_branch_of_the_rule(diffs: list[float], predicted: str, expected: str) -> None:
    assert label(diffs, predicted) == expected


def test_an_exploratory_split_has_direction_and_count_but_no_verdict() -> None:
    table = pd.DataFrame(
        {"study": "s", "method": "m", "split": "S", "seed": [1, 2, 3, 4], "diff_pp": [-2.0, -1.0, 0.0, 1.0]}
    )
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["exploratory"]})
    row = verdicts(table, predictions).iloc[0]
    assert row["verdict"] is None
    assert (row["direction"], row["x_of_n"]) == ("A < B", "2/4")


def test_thresholds_are_parameters() -> None:
    assert label([4.0], "A = B", PublishedRule(null_pp=3.0)) == "NOT NULL"
    assert label([3.0, 3.0, -1.0], "A > B", PublishedRule(match_share=0.6)) == "MATCH"
    assert label([1.5], "A > B", PublishedRule(weak_pp=2.0)) == "WEAK"


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=10), st.sampled_from(["A > B", "A < B", "A = B"]))
def test_swapping_the_arms_changes_no_verdict(eighths: list[int], predicted: str) -> None:
    mirrored = {"A > B": "A < B", "A < B": "A > B", "A = B": "A = B"}[predicted]
    assert label([x / 8 for x in eighths], predicted) == label([-x / 8 for x in eighths], mirrored)


def test_the_published_table_cell_by_cell() -> None:
    expected = pd.read_csv(REFERENCE / "v5b_verdicts.csv").set_index("split")
    predictions = expected.reset_index()[["split", "predicted"]].assign(study="v3")
    table = verdicts(restore(pd.read_csv(REFERENCE / "v5b_diffs.csv")), predictions)
    for method in ("dpo", "wpo"):
        rows = table[table["method"] == method].set_index("split").loc[expected.index]
        assert rows["verdict"].tolist() == expected[f"{method}_verdict"].tolist()
        printed = [f"{value:+.2f}" for value in rows["mean_pp"]]
        assert printed == [f"{value:+.2f}" for value in expected[f"{method}_diff_pp"]]
    result = changes_as_published(table, "dpo")
    assert list(result.columns) == ["split", "reference_verdict", "method_verdict", "change"]
    assert result.set_index("split")["change"].loc[expected.index].tolist() == expected["change"].tolist()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("MISMATCH", "MATCH", "FIXED"),
        ("MISMATCH", "WEAK", "IMPROVED"),
        ("MISMATCH", "LEAN", "IMPROVED"),
        ("MISMATCH", "MISMATCH", "UNCHANGED"),
        ("LEAN", "LEAN", "UNCHANGED"),
        ("OK", "OK", "UNCHANGED"),
        ("MATCH", "MATCH", "STABLE"),
        ("MATCH", "MISMATCH", "REGRESSED"),
        ("MATCH", "LEAN", "WEAKENED"),
        ("MATCH", "WEAK", "WEAKENED"),
        (None, "MATCH", "INCOMPLETE"),
        ("MATCH", None, "INCOMPLETE"),
    ],
)
def test_change_labels(before: str | None, after: str | None, expected: str) -> None:
    assert change(before, after) == expected


def test_a_split_that_one_side_lacks_is_incomplete_and_stays_listed() -> None:
    diffs = pd.DataFrame(
        [("s", "dpo", "S1", 1, 2.0), ("s", "dpo", "S2", 1, 2.0), ("s", "wpo", "S1", 1, 2.0)],
        columns=["study", "method", "split", "seed", "diff_pp"],
    )
    predictions = pd.DataFrame({"study": "s", "split": ["S1", "S2"], "predicted": "A > B"})
    result = changes(verdicts(diffs, predictions), "dpo").set_index("split")["change"]
    assert result.to_dict() == {"S1": "STABLE", "S2": "INCOMPLETE"}


@pytest.mark.parametrize(
    ("diffs", "message"),
    [
        ([("s", "m", "S", 1, 1.0), ("s", "m", "S", 1, 2.0)], "twice"),
        ([("s", "m", "S", 1, float("nan"))], "no number"),
        ([("s", "m", "T", 1, 1.0)], "none for split 'T'"),
        ([("s", None, "S", 1, 1.0)], "has no method"),
        ([("s", "m", "S", 1, float("inf"))], "no number"),
    ],
)
def test_a_broken_table_is_refused_by_name(diffs: list[tuple[object, ...]], message: str) -> None:
    table = pd.DataFrame(diffs, columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    with pytest.raises(TableError, match=message):
        verdicts(table, predictions)


def test_a_study_is_compared_with_its_own_reference_first() -> None:
    rows = [
        ("v4", "dpo", "S", 1, -2.0),
        ("v4", "wpo", "S", 1, 2.0),
        ("v3", "dpo", "S", 1, 2.0),
        ("v5", "ipo", "S", 1, 2.0),
    ]
    diffs = pd.DataFrame(rows, columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["v3"], "split": ["S"], "predicted": ["A > B"]})
    own = verdicts(diffs[diffs["method"] != "ipo"], predictions)
    assert changes(own, "dpo")["change"].tolist() == ["FIXED"]
    with pytest.raises(TableError, match="second reference"):
        changes(verdicts(diffs, predictions), "dpo")


def test_several_methods_are_distinguished() -> None:
    rows = [("s", method, "S", 1, value) for method, value in [("dpo", 2.0), ("wpo", 3.0), ("ipo", -1.0)]]
    diffs = pd.DataFrame(rows, columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    result = changes_as_published(verdicts(diffs, predictions), "dpo")
    assert list(result.columns) == [
        "study",
        "method",
        "split",
        "reference_verdict",
        "method_verdict",
        "change",
    ]
    assert result.set_index("method")["change"].to_dict() == {"wpo": "STABLE", "ipo": "REGRESSED"}


def test_crosscheck_of_the_notes_versions() -> None:
    columns = ["method", "split", "mean_pp", "direction", "verdict"]
    v2 = pd.DataFrame(
        [
            ("wpo", "S2_personalisation", 2.34, "A > B", "MATCH"),
            ("wpo", "S3_safety", -2.34, "A < B", "MATCH"),
            ("wpo", "S1_age", 3.39, "A > B", "LEAN"),
            ("wpo", "S4_familiarity", 1.0, "A > B", None),
        ],
        columns=columns,
    )
    v3 = pd.DataFrame(
        [
            ("wpo", "S3_personalisation", 2.34, "A > B", "MATCH"),
            ("wpo", "S4_safety", 0.0, "A = B", "MISMATCH"),
            ("wpo", "S1_age", 3.91, "A > B", "MATCH"),
            ("dpo", "S1_age", 1.0, "A > B", "MATCH"),
        ],
        columns=columns,
    )
    result = crosscheck(v2, v3)
    assert result["variable"].tolist() == ["personalisation", "safety", "age"]
    assert result["agree"].tolist() == [True, False, False]
    assert result["same_direction"].tolist() == [True, False, True]
    with pytest.raises(TableError, match="'age'"):
        crosscheck(v2, pd.concat([v3, v3.assign(split="X9_age")]))
    with pytest.raises(TableError, match="'verdict'"):
        crosscheck(v2, v3.drop(columns="verdict"))
