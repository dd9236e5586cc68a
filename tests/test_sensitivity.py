"""Which cell decides a label: judging without each cell, split and seed."""

from pathlib import Path

import pandas as pd

from stats.rule.changes import changes
from stats.rule.published import restore
from stats.rule.sensitivity import leave_one_out
from stats.rule.thresholds import PUBLISHED
from stats.rule.verdicts import verdicts

REFERENCE = Path(__file__).parent.parent / "configs" / "reference"


def published() -> tuple[pd.DataFrame, pd.DataFrame]:
    predictions = pd.read_csv(REFERENCE / "v5b_verdicts.csv")[["split", "predicted"]].assign(study="v3")
    return restore(pd.read_csv(REFERENCE / "v5b_diffs.csv")), predictions


def test_the_published_seed_that_made_age_fixed() -> None:
    """Without DPO seed 123 age is LEAN (two of four), so WPO would have IMPROVED it, not FIXED it."""
    losses = leave_one_out(*published(), "dpo", PUBLISHED)
    wpo = losses[(losses["lost"] == "cell dpo/S1_age/123") & (losses["method"] == "wpo")].iloc[0]
    assert (wpo["change"], wpo["change_without"]) == ("FIXED", "IMPROVED")
    assert wpo["counts"] == "3 MATCH, 3 MISMATCH, 1 WEAK; 2 FIXED, 1 IMPROVED, 1 STABLE, 3 UNCHANGED"
    assert wpo["counts_without"] == "3 MATCH, 3 MISMATCH, 1 WEAK; 1 FIXED, 2 IMPROVED, 1 STABLE, 3 UNCHANGED"
    dpo = losses[(losses["lost"] == "cell dpo/S1_age/123") & (losses["method"] == "dpo")].iloc[0]
    assert (dpo["counts"], dpo["counts_without"]) == ("1 MATCH, 6 MISMATCH", "1 LEAN, 1 MATCH, 5 MISMATCH")


def test_a_split_or_method_that_is_lost_is_incomplete_and_counted() -> None:
    losses = leave_one_out(*published(), "dpo", PUBLISHED)
    seed = losses[(losses["lost"] == "seed 42") & (losses["method"] == "wpo")]
    assert set(seed["change_without"]) == {"INCOMPLETE"}
    assert set(seed["counts_without"]) == {"7 INCOMPLETE; 7 INCOMPLETE"}
    split = losses[losses["lost"] == "split S7_diversity"]
    assert split["verdict_without"].tolist() == ["INCOMPLETE", "INCOMPLETE"]


def test_without_its_only_cell_a_study_is_incomplete() -> None:
    diffs = pd.DataFrame([("s", "dpo", "S", 1, 2.0)], columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    losses = leave_one_out(diffs, predictions, "dpo", PUBLISHED)
    assert losses["verdict_without"].tolist() == ["INCOMPLETE"] * 3  # as cell, as split, as seed


def test_what_no_loss_changes_is_not_listed() -> None:
    rows = [("s", "dpo", "S", seed, 3.0) for seed in range(6)]
    diffs = pd.DataFrame(rows, columns=["study", "method", "split", "seed", "diff_pp"])
    predictions = pd.DataFrame({"study": ["s"], "split": ["S"], "predicted": ["A > B"]})
    assert leave_one_out(diffs, predictions, "dpo", PUBLISHED)["lost"].tolist() == ["split S"]


def test_every_loss_is_what_judging_the_rest_would_say() -> None:
    """Against `verdicts` and `changes` on the table without that cell."""
    diffs, predictions = published()
    losses = leave_one_out(diffs, predictions, "dpo", PUBLISHED)
    whole = changes(verdicts(diffs, predictions), "dpo").set_index("split")
    for place, cell in diffs.iterrows():
        rest = changes(verdicts(diffs.drop(index=place), predictions), "dpo").set_index("split")
        altered = rest.loc[rest["change"] != whole.loc[rest.index, "change"], "change"]
        name = f"cell {cell['method']}/{cell['split']}/{cell['seed']}"
        rows = losses[(losses["lost"] == name) & (losses["method"] == "wpo")].set_index("split")
        rows = rows[rows["change"] != rows["change_without"]]
        assert rows["change_without"].to_dict() == altered.to_dict(), name
