"""A sealed plan: what decides how outcomes are judged, hashed and dated before there are any."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator import seal
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.seals import plan_changes, with_plan
from orchestrator.study.judging import digest, judging_of
from orchestrator.study.study import Study
from stats.page import report
from stats.page.page import Page
from stats.page.plan_change import PlanChange
from stats.page.words import Words
from tests.finished_study import finished_comparison

pytestmark = pytest.mark.usefixtures("without_figures")


def study(**keys: Any) -> Study:
    fields: dict[str, Any] = {
        "study": "sealed",
        "splits": {"S": {"by": "random", "predicted": "A = B"}},
        "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
        "seeds": [1, 2],
    }
    return Study.model_validate({**fields, **keys})


PREDICTED_LATER = {"splits": {"S": {"by": "random", "predicted": "A > B"}}}


@pytest.mark.parametrize(
    "change",
    [
        PREDICTED_LATER,
        {"seeds": [1, 2, 3]},
        {"methods": {"dpo": {}}},
        {"verdicts": {"null_pp": 7.0}},
        {"equivalence_margin_pp": 2.0},
        {"missing": "bound"},
        {"divergence": {"count": "as_missing"}},
        {"divergence": {"loss_ratio": 3.0}},
        {"controls": {"random_halves": 2}},
        {"reference": "wpo"},
    ],
)
def test_whatever_decides_a_verdict_is_part_of_the_plan(change: dict[str, Any]) -> None:
    assert digest(judging_of(study())) != digest(judging_of(study(**change)))


def test_what_decides_no_verdict_is_not() -> None:
    for change in ({"language": "ko"}, {"resources": {"lanes": 2}}, {"faults": {"max_attempts": 5}}):
        assert digest(judging_of(study())) == digest(judging_of(study(**change)))


def test_a_plan_that_changes_after_outcomes_is_told_with_its_keys(tmp_path: Path) -> None:
    seals = Ledger(Places("sealed", tmp_path)).seals
    assert seals.all() == []
    seals.add(judging_of(study(seeds=[1])), finished=0, planned=2)
    # Nothing was known yet, so a better plan replaces the first.
    first = seals.add(judging_of(study()), finished=0, planned=4)
    assert seals.all() == [first]
    assert seals.add(judging_of(study()), finished=3, planned=4) == first
    seals.add(judging_of(study(**PREDICTED_LATER)), finished=3, planned=4)
    (change,) = plan_changes(seals.all())
    assert (change.finished, change.planned) == (3, 4)
    assert change.keys == "splits.S.predicted: A = B -> A > B"
    again = Ledger(Places("sealed", tmp_path)).seals
    assert again.all() == seals.all()


def test_a_later_change_stands_at_the_top_of_the_page() -> None:
    change = PlanChange(37, 54, "splits.S4_safety.predicted: A < B -> A > B")
    page = report.render(
        finished_comparison(), {"study": "s"}, False, Page(Words(), {}), plan_changes=[change]
    )
    _, first = page.split("\n# ")[1].split("\n\n")[:2]
    assert first.startswith("**The plan was changed after 37 of 54 cells**: splits.S4_safety.predicted")
    assert "exploratory" in first


def test_a_plan_that_was_never_sealed_shows_in_a_report_beside_the_seal(tmp_path: Path) -> None:
    seals = Ledger(Places("sealed", tmp_path)).seals
    seals.add(judging_of(study()), finished=0, planned=4)
    shown = with_plan(seals.all(), judging_of(study(equivalence_margin_pp=3.0)), finished=4, planned=4)
    assert [change.keys for change in plan_changes(shown)] == ["equivalence_margin_pp: 1.0 -> 3.0"]
    assert len(seals.all()) == 1


def test_a_seal_by_hand_is_kept_although_nothing_had_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = tmp_path / "sealed.yaml"
    text = "study: sealed\nsplits: {S: {by: random, predicted: A = B}}\nmethods: {dpo: {}}\nseeds: [1]\n"
    file.write_text(text)
    assert seal.main(["--config", str(file)]) == 0
    printed = capsys.readouterr().out
    file.write_text(text.replace("A = B", "A < B"))
    assert seal.main(["--config", str(file)]) == 0
    recorded = Ledger(Places("sealed", tmp_path)).seals.all()
    assert [entry.finished for entry in recorded] == [0, 0]
    assert recorded[0].digest in printed
    assert plan_changes(recorded)[0].keys == "splits.S.predicted: A = B -> A < B"
