"""A report of some methods and splits, and cells that are trained again: neither makes a verdict stronger."""

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from made_record import fill, finish
from rich.console import Console

from orchestrator import sweep
from orchestrator.plan.plan import Plan
from orchestrator.plan.tables import load_tables
from orchestrator.record import report as recorded
from orchestrator.record.bar import bar_while, with_bar
from orchestrator.record.experiment import RunKind
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.record.selected_report import write_selection
from orchestrator.study import grid
from orchestrator.study.selection import whole_splits
from orchestrator.study.study import Study
from stats.page import report
from stats.page.formats import ReportFormat
from stats.selected import selected
from tests.finished_study import finished_comparison, study_tables
from training.errors import StudyError

pytestmark = pytest.mark.usefixtures("without_figures")

NAMES = ["dpo/S1/1", "dpo/S1/2", "wpo/S1/1", "wpo/S1/2", "wpo/S2/1", "dpo/baseline/1"]
FIELDS = {
    "study": "again",
    "data": {"source": "twin", "users": 60},
    "splits": {
        name: {"by": "random", "seed": seed, "predicted": "A > B"} for name, seed in (("S1", 1), ("S2", 2))
    },
    "methods": {"dpo": {}, "wpo": {"use_weighting": True}},
    "seeds": [1, 2],
    "training": {"max_steps": 50, "logging_steps": 10},
}


def test_a_selection_has_the_numbers_of_the_whole(tmp_path: Path) -> None:
    """Each number that a selection shows stands in the whole report too: no family is smaller, no p value."""
    whole = finished_comparison()
    part = selected(whole, {("wpo", "S1")})
    assert part.families == whole.families
    for name in ("labels", "change_labels"):
        both = getattr(whole, name).set_index(["method", "split"]).loc[[("wpo", "S1")]]
        pd.testing.assert_frame_equal(getattr(part, name).set_index(["method", "split"]), both)
    report.write(part, {"study": "s"}, False, tmp_path / "part", formats=list(ReportFormat))
    report.write(
        whole, {"study": "s"}, False, tmp_path / "whole", formats=[ReportFormat.JSON, ReportFormat.CSV]
    )
    tables = [json.loads((tmp_path / of / "report.json").read_text())["tables"] for of in ("part", "whole")]
    assert set(tables[0]) <= set(tables[1])
    for name, rows in tables[0].items():
        assert all(row in tables[1][name] for row in rows), name
        assert {row.get("split", "S1") for row in rows} == {"S1"}
    page = (tmp_path / "part" / "report.md").read_text()
    assert "**A selection** of the study's 24 cells" in page
    assert "the 2 predicted splits of a method" in page
    assert not re.search(r"\bS[23]\b", page)


def test_a_selection_of_a_study_without_changes_is_written(tmp_path: Path) -> None:
    alone = study_tables(methods=("dpo",)).compare()
    part = selected(alone, {("dpo", "S1")})
    assert not len(part.change_labels)
    report.write(part, {"study": "s"}, False, tmp_path / "part")
    assert "| dpo | S1 |" in (tmp_path / "part" / "report.md").read_text()


@pytest.mark.parametrize(
    ("globs", "shown"),
    [
        (["wpo/*"], {("wpo", "S1"), ("wpo", "S2")}),
        (["*/S1/*", "wpo/S2/1"], {("dpo", "S1"), ("wpo", "S1"), ("wpo", "S2")}),
        (["dpo/S1/1", "dpo/S1/2"], {("dpo", "S1")}),
    ],
)
def test_globs_choose_whole_splits(globs: list[str], shown: set[tuple[str, str]]) -> None:
    assert whole_splits(globs, NAMES) == shown


def test_the_seeds_that_please_are_no_selection() -> None:
    with pytest.raises(StudyError, match=r"leaves out seeds of dpo/S1, .* choose 'dpo/S1/\*'"):
        whole_splits(["*/*/1"], NAMES)
    with pytest.raises(StudyError, match=r"--only dpo/S9/\*: matches no cell"):
        whole_splits(["dpo/S9/*"], NAMES)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.model_validate(FIELDS)


@pytest.fixture(scope="module")
def ledger(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return fill(study, tmp_path_factory.mktemp("home"))


def places(ledger: Ledger) -> Places:
    return Places("again", Path(ledger.uri.removeprefix("sqlite:///")).parent)


def test_a_selections_report_leaves_the_studys_report_alone(study: Study, ledger: Ledger) -> None:
    here, trials = places(ledger), grid.expand(study)
    before = {path: path.read_bytes() for path in here.report.iterdir()}
    kept = ledger.study_run.read("report", "report.md")
    written = write_selection(study, load_tables(study).corpus, trials, ledger, here, ["wpo/S1/*"])
    assert (written.path, written.cells, written.complete) == (here.selection / "report.md", 2, True)
    assert "--only wpo/S1/*" in written.path.read_text()
    assert {path: path.read_bytes() for path in here.report.iterdir()} == before
    assert ledger.study_run.read("report", "report.md") == kept


def test_a_cell_trained_again_keeps_its_old_run_and_the_report_says_so(study: Study, ledger: Ledger) -> None:
    here, trials = places(ledger), grid.expand(study)
    (chosen,) = [trial for trial in trials if trial.name == "wpo/S2/1"]
    old = ledger.cells.finished()[chosen.trial_id].info.run_id
    ledger.supersede([chosen])
    plan = Plan.from_record(study, here)
    assert [trial.name for trial in plan.open] == ["wpo/S2/1"]
    assert not plan.lost
    finish(ledger, study, chosen)
    assert ledger.cells.finished()[chosen.trial_id].info.run_id != old
    (past,) = ledger.experiment.runs(RunKind.PAST_CELL)
    assert past.info.run_id == old
    written = recorded.write(study, load_tables(study).corpus, trials, ledger, here)
    assert written.complete
    assert "| trained again after they had finished | wpo/S2/1 |" in written.path.read_text()


def test_again_names_its_cells_and_no_adaptive_study_looks_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StudyError, match="--again: say which"):
        sweep.main(["--again"])
    adaptive = "seeds={start: 2, max: 4, until: resolved}"
    with pytest.raises(StudyError, match=r"--again: .* looked at twice"):
        sweep.main(["--again", "--only", "*", adaptive])
    assert sweep.main(["--again", "--only", "wpo/*", "--dry-run"]) == 0


def test_bars_move_on_a_terminal_and_are_silent_in_a_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for terminal in (True, False):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=terminal, width=80)
        assert list(with_bar(iter("abc"), 3, "reading outcomes", console)) == ["a", "b", "c"]
        with bar_while("judging the evidence", console):
            pass
        shown = ("reading outcomes", "3/3", "judging the evidence")
        assert all(text in stream.getvalue() for text in shown) == terminal
        assert terminal or not stream.getvalue()
