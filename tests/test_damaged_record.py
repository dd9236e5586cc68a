"""A finished cell whose tables are damaged or gone: it counts as missing, and is trained again."""

import shutil
import zlib
from pathlib import Path

import pytest
from made_record import fill, finish

from orchestrator.plan.plan import Plan
from orchestrator.plan.tables import load_tables
from orchestrator.record import report
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import Places
from orchestrator.study import grid
from orchestrator.study.study import Study
from stats.status import CellStatus

pytestmark = pytest.mark.usefixtures("without_figures")

TRAINING = {"max_steps": 50, "batch_size": 4, "logging_steps": 1}
SPLITS = {"S1": {"by": "random", "predicted": "A = B"}}
BASELINE, PAIRED = 0, 1  # positions in the study's grid


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


class Finished:
    """A finished study of its own, in a record that all tests share."""

    def __init__(self, home: Path, name: str) -> None:
        values = {"study": name, "data": {"source": "twin", "users": 60, "history": "none"}}
        self.study = Study.model_validate(
            values | {"splits": SPLITS, "methods": {"dpo": {}}, "seeds": [1, 2], "training": TRAINING}
        )
        self.trials = grid.expand(self.study)
        self.places = Places(name, home)
        fill(self.study, home)

    def table(self, position: int, file: str = "outcomes.parquet") -> Path:
        """The file of a cell's table."""
        run = Ledger(self.places).cells.finished()[self.trials[position].trial_id]
        (path,) = self.places.root.rglob(f"{run.info.run_id}/artifacts/{file}")
        return path

    def plan(self) -> Plan:
        return Plan.from_record(self.study, self.places)

    def report(self) -> report.WrittenReport:
        corpus = load_tables(self.study).corpus
        return report.write(self.study, corpus, self.trials, Ledger(self.places), self.places)


@pytest.fixture
def finished(home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Finished(home, f"s{zlib.crc32(request.node.name.encode())}")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("position", [BASELINE, PAIRED], ids=["baseline", "arms A and B"])
@pytest.mark.parametrize("file", ["outcomes.parquet", "curves.parquet"])
@pytest.mark.parametrize("harm", [truncate, Path.unlink], ids=["truncated", "gone"])
def test_a_report_counts_a_cell_with_a_damaged_table_as_missing(
    finished: Finished, position: int, file: str, harm
) -> None:
    damaged, trial = finished.table(position, file), finished.trials[position]
    assert (trial.groups is None) == (position == BASELINE)
    harm(damaged)
    page = finished.report()
    assert page.open == (trial,)
    assert page.finished == len(finished.trials) - 1
    # The damaged run stays, marked, and the cell's next run counts.
    ledger, run_id = Ledger(finished.places), damaged.parts[-3]
    assert file in ledger.experiment.client.get_run(run_id).data.tags["damaged"]
    finish(ledger, finished.study, trial)
    assert finished.report().complete
    assert ledger.cells.doubled() == 0


def test_a_plan_misses_a_table_that_is_gone(finished: Finished) -> None:
    trial = finished.trials[PAIRED]
    shutil.rmtree(finished.table(PAIRED).parent)
    plan = finished.plan()
    assert plan.open == [trial]
    assert plan.statuses[trial.trial_id] == CellStatus.MISSING
    assert f"damaged or gone, so they count as missing: {trial.name}" in str(plan)


def test_a_project_whose_artifacts_are_gone_starts_again(finished: Finished) -> None:
    shutil.rmtree(finished.table(PAIRED).parents[2])
    assert len(finished.plan().open) == len(finished.trials)
    assert finished.report().finished == 0


def test_an_adaptive_plan_counts_a_cell_with_a_damaged_table_as_missing(finished: Finished) -> None:
    values = finished.study.model_dump(mode="json") | {"seeds": {"start": 2, "max": 3, "first": [1, 2]}}
    adaptive = Study.model_validate(values)
    truncate(finished.table(PAIRED))
    plan = Plan.from_record(adaptive, finished.places)
    assert finished.trials[PAIRED] in plan.open


def test_a_report_of_some_cells_does_not_replace_the_complete_one(finished: Finished) -> None:
    truncate(finished.table(PAIRED))
    page = finished.report()
    assert not page.complete
    assert "keeps the complete report" in str(page)
    tags = Ledger(finished.places).study_run.tags()
    assert (tags["cells"], tags["finished"]) == ("4", "4")
    assert "4 of 4" in Ledger(finished.places).study_run.read("report", "report.md").split("## ")[0]
