"""An adaptive study has one regime: what its sequential verdicts say is all that its report claims."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from stats.compare import compare
from stats.comparison import Comparison
from stats.evidence.looks import Looks
from stats.evidence.quantity import DIFF
from stats.evidence.sequential import decide
from stats.evidence.sums import user_sums
from stats.page import report
from stats.page.page import Page
from stats.page.words import Words
from tests.finished_study import QUICK_OPTIONS, SPLIT_PREDICTIONS, study_tables

LOOKS = Looks(start=2, most=6)
PREDICTED = dict(zip(SPLIT_PREDICTIONS["split"], SPLIT_PREDICTIONS["predicted"], strict=True))


@pytest.fixture(scope="module")
def adaptive() -> tuple[Comparison, pd.DataFrame]:
    """A study whose evidence chose three seeds of both methods, and its decisions."""
    cells, outcomes, _ = study_tables(seeds=3)
    sums = user_sums(outcomes)
    seeds = {method: list(range(LOOKS.most)) for method in ("dpo", "wpo")}
    decisions = decide(sums, PREDICTED, LOOKS, seeds, "dpo")
    judged = compare(cells, SPLIT_PREDICTIONS, "dpo", sums=sums, options=QUICK_OPTIONS, decisions=decisions)
    return judged, decisions


def test_the_evidence_is_the_decisions(adaptive: tuple[Comparison, pd.DataFrame]) -> None:
    comparison, decisions = adaptive
    assert comparison.heldout is not None
    for kind, table in (("A minus B", comparison.heldout.diffs), ("change", comparison.heldout.changes)):
        expected = decisions[decisions["quantity"] == kind].set_index(["method", "split"])
        for row in table.to_dict("records"):
            decision: Any = expected.loc[(row["method"], row["split"])]
            assert row["evidence"] == ("undecided" if decision["state"] == "open" else decision["state"])
            assert row["estimate"] == pytest.approx(decision["estimate"])
            ends = (row["low_adjusted"], row["high_adjusted"])
            assert ends == pytest.approx((decision["low"], decision["high"]), nan_ok=True)
            assert row["p_holm"] == pytest.approx(decision["p_holm"], nan_ok=True)
    labels = comparison.labels.set_index(["method", "split"])["evidence"]
    diffs = comparison.heldout.diffs.set_index(["method", "split"])["evidence"]
    assert (labels == diffs.loc[labels.index]).all()


def test_no_test_or_interval_of_a_fixed_design_is_left(adaptive: tuple[Comparison, pd.DataFrame]) -> None:
    comparison, _ = adaptive
    assert comparison.heldout is not None
    of_fixed_designs = ["p", "p_bh", "p_equivalent", "p_sign_flip", "shrunken", "low_shrunken"]
    for table in (comparison.heldout.diffs, comparison.heldout.changes, comparison.heldout.advantages):
        assert table.reindex(columns=of_fixed_designs).isna().all(axis=None)
    for table in (comparison.tail.diffs, comparison.tail.changes, comparison.heldout.advantages):
        assert set(table["evidence"]) == {"undecided"}
        assert table[["low", "high", "low_adjusted", "high_adjusted", "p_holm"]].isna().all(axis=None)
    assert comparison.heldout.intervals.empty
    assert np.isnan(comparison.heldout.contrasts[["low", "high"]]).all(axis=None)
    assert comparison.heldout_power.needed.empty  # the decisions say what the open verdicts need


def test_the_page_is_written_without_them(adaptive: tuple[Comparison, pd.DataFrame]) -> None:
    comparison, decisions = adaptive
    page = report.render(comparison, {"study": "s"}, False, Page(Words(), {}), decisions=(decisions, LOOKS))
    assert "### Verdicts, seed by seed" in page
    assert "The interval that counts" not in page
    assert "nan" not in page.lower()


def test_a_method_with_seeds_of_its_own_keeps_its_intervals() -> None:
    cells, outcomes, _ = study_tables(seeds=3)
    sums = user_sums(outcomes)
    decisions = decide(sums, PREDICTED, LOOKS, {"dpo": list(range(LOOKS.most))}, "dpo")
    judged = compare(cells, SPLIT_PREDICTIONS, "dpo", sums=sums, options=QUICK_OPTIONS, decisions=decisions)
    assert judged.heldout is not None
    assert set(judged.heldout.intervals["method"]) == set(judged.heldout_power.needed["method"]) == {"wpo"}
    assert set(judged.heldout.intervals["quantity"]) == {DIFF}  # a change from dpo depends on its decisions
    for changes in (judged.heldout.changes, judged.tail.changes):
        assert set(changes["evidence"]) == {"undecided"}
        assert changes[["p", "p_holm", "low", "high_adjusted"]].isna().all(axis=None)
    wpo = judged.heldout.diffs.set_index("method").loc["wpo"]
    assert wpo["p"].notna().all()
