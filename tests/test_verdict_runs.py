"""The verdicts in MLflow: a run per method and split, with the report's numbers, while cells finish, too."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_record import fill
from mlflow.entities import Run

from orchestrator.plan.agenda import Listed
from orchestrator.plan.tables import load_tables
from orchestrator.record import report
from orchestrator.record.experiment import RunKind
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.verdict_runs import VerdictRow, verdict_rows
from orchestrator.run.scoreboard import Scoreboard
from orchestrator.study import grid
from orchestrator.study.study import Study
from stats.compare import compare
from stats.evidence.beforehand import MissingRule
from stats.evidence.sums import user_sums
from stats.status import CellStatus
from tests.finished_study import QUICK_OPTIONS, SPLIT_PREDICTIONS, study_tables

pytestmark = pytest.mark.usefixtures("without_figures")

FIELDS: dict[str, Any] = {
    "study": "shown",
    "data": {"source": "twin", "users": 60},
    "splits": {
        "S1": {"by": "random", "seed": 1, "predicted": "A > B"},
        "S2": {"by": "random", "seed": 2, "predicted": "A = B"},
    },
    "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
    "seeds": [1, 2],
    "training": {"max_steps": 50, "logging_steps": 10},
}


def verdicts(ledger: Ledger) -> dict[tuple[str, str], Run]:
    runs = list(ledger.experiment.runs(RunKind.VERDICT))
    by_split = {(run.data.params["method"], run.data.params["split"]): run for run in runs}
    assert len(by_split) == len(runs)
    return by_split


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    fill(Study.model_validate(FIELDS), folder)
    return folder


def test_each_run_has_the_numbers_and_words_of_the_report(home: Path) -> None:
    runs = verdicts(Ledger(Places("shown", home)))
    assert set(runs) == {(method, split) for method in ("dpo", "wpo") for split in ("S1", "S2")}
    folder = Places("shown", home).report
    for quantity, file in (("diff", "evidence.csv"), ("change", "evidence_changes.csv")):
        for row in pd.read_csv(folder / file).to_dict("records"):
            data = runs[row["method"], row["split"]].data
            metrics, tags = data.metrics, data.tags
            assert metrics[f"{quantity}/pp"] == pytest.approx(row["estimate"])
            assert metrics[f"{quantity}/low"] == pytest.approx(row["low_adjusted"])
            assert metrics[f"{quantity}/high"] == pytest.approx(row["high_adjusted"])
            word = tags["evidence" if quantity == "diff" else "change_evidence"]
            assert word == row["evidence"]
    labels = pd.read_csv(folder / "verdicts.csv").set_index(["method", "split"])["verdict"]
    assert {key: run.data.tags["label"] for key, run in runs.items()} == labels.to_dict()
    assert "change/pp" not in runs["dpo", "S1"].data.metrics


@pytest.mark.parametrize(
    ("status", "missing", "label", "state"),
    [
        ("missing", MissingRule.REQUIRE, "open", "open"),
        ("failed", MissingRule.REQUIRE, "INCOMPLETE", "undecided"),
        ("failed", MissingRule.BOUND, "MATCH", "undecided"),
    ],
)
def test_a_split_waits_for_a_cell_that_may_still_come_and_not_for_one_that_failed(
    status: str, missing: MissingRule, label: str, state: str
) -> None:
    cells, outcomes, _ = study_tables()
    lost, scored = (
        (table["method"] == "wpo") & (table["split"] == "S1") & (table["seed"] == 2)
        for table in (cells, outcomes)
    )
    cells.loc[lost, "status"] = status
    options = replace(QUICK_OPTIONS, missing=missing)
    sums = user_sums(outcomes[~scored])
    comparison = compare(cells, SPLIT_PREDICTIONS, "dpo", sums=sums, options=options)
    rows = {(row.method, row.split): row.tags for row in verdict_rows(comparison)}
    assert (rows["wpo", "S1"]["label"], rows["wpo", "S1"]["state"]) == (label, state)
    assert rows["dpo", "S1"]["state"] == "decided"


def test_a_split_that_is_no_longer_planned_is_set_aside_and_not_deleted(tmp_path: Path) -> None:
    fill(Study.model_validate(FIELDS), tmp_path)
    fewer = Study.model_validate({**FIELDS, "splits": {"S1": FIELDS["splits"]["S1"]}})
    ledger, places = Ledger(Places("shown", tmp_path)), Places("shown", tmp_path)
    report.write(fewer, load_tables(fewer).corpus, grid.expand(fewer), ledger, places)
    assert {split for _, split in verdicts(ledger)} == {"S1"}
    past = list(ledger.experiment.runs(RunKind.PAST_VERDICT))
    assert {run.data.params["split"] for run in past} == {"S2"}


def test_a_run_that_a_killed_driver_had_only_opened_is_set_aside(tmp_path: Path) -> None:
    ledger = Ledger(Places("shown", tmp_path))
    half_made = ledger.experiment.open_run(RunKind.VERDICT, "dpo/S1", {})
    row = VerdictRow("dpo", "S1", {"seeds": 2.0}, {"state": "open"})
    ledger.verdicts.update([row])
    assert verdicts(ledger)["dpo", "S1"].data.tags["state"] == "open"
    (run,) = ledger.experiment.runs(RunKind.PAST_VERDICT)
    assert (run.info.run_id, run.info.status) == (half_made, "KILLED")


def test_the_scoreboard_shows_what_has_finished_so_far(home: Path) -> None:
    """A sweep that plans a third seed beside the two finished ones: splits are open, numbers are there."""
    study, ledger = Study.model_validate({**FIELDS, "seeds": [1, 2, 3]}), Ledger(Places("shown", home))
    statuses = dict.fromkeys(ledger.cells.finished(), CellStatus.FINISHED)
    Scoreboard(study, Listed(grid.expand(study), statuses), ledger).refresh(finished=1)
    evidence = pd.read_csv(Places("shown", home).report / "evidence.csv").set_index(["method", "split"])
    for key, run in verdicts(ledger).items():
        assert {run.data.tags[name] for name in ("state", "label", "evidence")} == {"open"}
        assert run.data.metrics["seeds"] == 2
        for name, column in (("diff/pp", "estimate"), ("diff/low", "low_adjusted")):
            assert run.data.metrics[name] == pytest.approx(evidence.loc[key, column])
