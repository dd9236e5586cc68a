"""Which cell decides."""

from pathlib import Path

import pandas as pd

from stats.rule.published import restore
from stats.rule.sensitivity import leave_one_out
from stats.rule.thresholds import PUBLISHED
from stats.rule.verdicts import every_change, verdicts

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"


def published() -> tuple[pd.DataFrame, pd.DataFrame]:
    predictions = pd.read_csv(REFERENCE / "v5b_verdicts.csv")[["split", "predicted"]].assign(study="v3")
    return restore(pd.read_csv(REFERENCE / "v5b_diffs.csv")), predictions


def test_the_published_seed_that_made_age_fixed() -> None:
    """Without DPO seed 123 age is LEAN (two of four), so WPO would have IMPROVED it, not FIXED it."""
    found = leave_one_out(*published(), "dpo", PUBLISHED)
    lost = found[(found["lost"] == "cell dpo/S1_age/123") & (found["method"] == "wpo")].iloc[0]
    assert (lost["change"], lost["change_without"]) == ("FIXED", "IMPROVED")
    assert lost["counts"] == "3 MATCH, 3 MISMATCH, 1 WEAK; 2 FIXED, 1 IMPROVED, 1 STABLE, 3 UNCHANGED"
    assert lost["counts_without"] == "3 MATCH, 3 MISMATCH, 1 WEAK; 1 FIXED, 2 IMPROVED, 1 STABLE, 3 UNCHANGED"
    own = found[(found["lost"] == "cell dpo/S1_age/123") & (found["method"] == "dpo")].iloc[0]
    assert (own["counts"], own["counts_without"]) == ("1 MATCH, 6 MISMATCH", "1 LEAN, 1 MATCH, 5 MISMATCH")


def test_a_split_or_method_that_is_gone_is_incomplete_and_counted() -> None:
    found = leave_one_out(*published(), "dpo", PUBLISHED)
    seed = found[(found["lost"] == "seed 42") & (found["method"] == "wpo")]
    assert set(seed["change_without"]) == {"INCOMPLETE"}
    assert set(seed["counts_without"]) == {"7 INCOMPLETE; 7 INCOMPLETE"}
    split = found[found["lost"] == "split S7_diversity"]
    assert split["verdict_without"].tolist() == ["INCOMPLETE", "INCOMPLETE"]


def test_a_study_of_one_cell_rests_on_it() -> None:
    diffs = pd.DataFrame([("s", "dpo", "S", 1, 2.0)], columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    found = leave_one_out(diffs, predictions, "dpo", PUBLISHED)
    assert found["verdict_without"].tolist() == ["INCOMPLETE"] * 3  # as cell, as split, as seed


def test_what_no_loss_changes_is_not_listed() -> None:
    rows = [("s", "dpo", "S", seed, 3.0) for seed in range(6)]
    diffs = pd.DataFrame(rows, columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    assert leave_one_out(diffs, predictions, "dpo", PUBLISHED)["lost"].tolist() == ["split S"]


def test_every_loss_is_what_judging_the_rest_would_say() -> None:
    """Against `verdicts` and `every_change` on the table without that cell."""
    diffs, predictions = published()
    found = leave_one_out(diffs, predictions, "dpo", PUBLISHED)
    whole = every_change(verdicts(diffs, predictions), "dpo").set_index("split")
    for place, cell in diffs.iterrows():
        rest = every_change(verdicts(diffs.drop(index=place), predictions), "dpo").set_index("split")
        altered = rest.loc[rest["change"] != whole.loc[rest.index, "change"], "change"]
        name = f"cell {cell['method']}/{cell['split']}/{cell['seed']}"
        rows = found[(found["lost"] == name) & (found["method"] == "wpo")].set_index("split")
        rows = rows[rows["change"] != rows["change_without"]]
        assert rows["change_without"].to_dict() == altered.to_dict(), name
