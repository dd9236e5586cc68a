"""The ledger against a real MLflow store: only whole results count, and each counts once."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from orchestrator.record.experiment import RunStatus
from orchestrator.record.ledger import Ledger, RunRefused
from orchestrator.record.places import Places
from orchestrator.record.published_cells import keep_diffs
from orchestrator.record.report import description
from orchestrator.record.result import TrialResult
from orchestrator.record.run_tables import DamagedTable
from orchestrator.record.views import GROUPED_VIEW, VIEW_TAG
from orchestrator.study.trial import Trial
from stats.status import CellStatus
from training.spec import MethodSpec, RandomSplit, TrainingSpec

TRIAL = Trial(
    study="s",
    method="dpo",
    split="S1",
    seed=42,
    model="m",
    data="d",
    held_out={"share": 0.2, "seed": 0},
    groups=RandomSplit(seed=0, predicted="A = B"),
    objective=MethodSpec(),
    training=TrainingSpec(),
)
OTHER = dataclasses.replace(TRIAL, seed=43)


def result(trial: Trial, value: float = 0.5) -> TrialResult:
    """A whole result of a cell, with one value in its metrics, outcomes and curves."""
    outcomes = pd.DataFrame({"arm": ["A", "B"], "pair_id": ["p1", "p1"], "margin": [value, -value]})
    curves = pd.DataFrame({"arm": "A", "step": range(3), "metric": "loss", "value": [0.7, 0.6, value]})
    facts = {"geometry": "cpu x1", "hardware": "cpu"}
    return TrialResult(trial.trial_id, {"diff/pref_acc_tail": value}, curves, outcomes, facts)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture
def ledger(root: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A study of its own in one shared SQLite store (a new store's migrations take seconds)."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Ledger(Places(request.node.name.replace("[", "-").strip("]"), root))


def test_a_result_comes_back_as_it_went_in(ledger: Ledger) -> None:
    ledger.finish(ledger.start(TRIAL, {"git_sha": "abc"}), result(TRIAL, 0.25), {"attempts": "1"})
    cells = ledger.cells.table([TRIAL, OTHER])
    assert cells["status"].tolist() == [CellStatus.FINISHED, CellStatus.MISSING]
    assert cells["diff/pref_acc_tail"].tolist()[0] == 0.25
    assert cells["geometry"].tolist()[0] == "cpu x1"
    (outcomes,) = ledger.cells.outcomes([TRIAL, OTHER])
    assert outcomes[["method", "split", "seed"]].drop_duplicates().to_numpy().tolist() == [["dpo", "S1", 42]]
    assert outcomes["margin"].tolist() == [0.25, -0.25]
    assert [table["value"].tolist() for table in ledger.cells.curves([TRIAL])] == [[0.7, 0.6, 0.25]]


def test_the_mlflow_ui_finds_metrics_curves_params_and_tags(ledger: Ledger, root: Path) -> None:
    run_id = ledger.start(TRIAL, {"git_sha": "abc"})
    ledger.finish(run_id, result(TRIAL), {})
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    run = client.get_run(run_id)
    assert run.info.run_name == "dpo/S1/42"
    assert run.data.params["objective.beta"] == "0.1"
    assert run.data.params["method"] == "dpo"
    assert [point.step for point in client.get_metric_history(run_id, "A/loss")] == [0, 1, 2]


@pytest.mark.parametrize("ending", [RunStatus.RUNNING, RunStatus.KILLED, RunStatus.FAILED])
def test_a_half_written_run_is_not_a_result(ledger: Ledger, root: Path, ending: RunStatus) -> None:
    run_id = ledger.start(TRIAL, {})
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    client.log_metric(run_id, "diff/pref_acc_tail", 0.1)
    if ending != RunStatus.RUNNING:
        client.set_terminated(run_id, str(ending))
    assert not ledger.cells.finished()


def test_a_run_finished_without_its_outcomes_is_not_a_result(ledger: Ledger, root: Path) -> None:
    run_id = ledger.start(TRIAL, {})
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    client.log_metric(run_id, "diff/pref_acc_tail", 0.1)
    client.set_terminated(run_id, str(RunStatus.FINISHED))
    assert not ledger.cells.finished()


def test_a_dead_drivers_open_runs_are_closed_and_never_count(ledger: Ledger) -> None:
    ledger.start(TRIAL, {})
    assert ledger.close_abandoned() == 1
    assert ledger.close_abandoned() == 0
    assert ledger.cells.table([TRIAL])["status"].tolist() == [CellStatus.MISSING]


def test_a_cell_finished_twice_counts_once_with_its_first_result(ledger: Ledger) -> None:
    ledger.finish(ledger.start(TRIAL, {}), result(TRIAL, 0.1), {})
    ledger.finish(ledger.start(TRIAL, {}), result(TRIAL, 0.9), {})
    assert [table["margin"].tolist() for table in ledger.cells.outcomes([TRIAL])] == [[0.1, -0.1]]


def test_a_failed_cell_shows_its_error_until_it_is_finished(ledger: Ledger) -> None:
    ledger.fail(ledger.start(TRIAL, {}), "out of luck", {"attempts": "3"})
    cells = ledger.cells.table([TRIAL])
    assert cells[["status", "error"]].to_numpy().tolist() == [[CellStatus.FAILED, "out of luck"]]
    ledger.finish(ledger.start(TRIAL, {}), result(TRIAL), {})
    assert ledger.cells.table([TRIAL])["status"].tolist() == [CellStatus.FINISHED]


def test_statuses_from_the_database_agree_with_those_of_whole_runs(ledger: Ledger, root: Path) -> None:
    trials = [dataclasses.replace(TRIAL, seed=seed) for seed in range(6)]
    runs = [ledger.start(trial, {}) for trial in trials]
    ledger.finish(runs[0], result(trials[0]), {})
    ledger.fail(runs[1], "out of luck", {})
    ledger.fail(runs[2], "out of luck once", {})
    ledger.finish(ledger.start(trials[2], {}), result(trials[2]), {})
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    client.set_terminated(runs[3], str(RunStatus.FINISHED))  # without a result
    ledger.finish(runs[4], result(trials[4]), {})
    client.delete_run(runs[4])
    assert ledger.cells.statuses() == {
        trials[0].trial_id: CellStatus.FINISHED,
        trials[1].trial_id: CellStatus.FAILED,
        trials[2].trial_id: CellStatus.FINISHED,
    }
    statuses = ledger.cells.table(trials).set_index("trial_id")["status"]
    assert statuses[statuses != CellStatus.MISSING].to_dict() == ledger.cells.statuses()


def test_an_artifact_that_changed_after_it_was_recorded_is_refused(ledger: Ledger, root: Path) -> None:
    run_id = ledger.start(TRIAL, {})
    ledger.finish(run_id, result(TRIAL), {})
    (path,) = root.rglob(f"{run_id}/artifacts/outcomes.parquet")
    result(TRIAL, 0.9).outcomes.to_parquet(path)
    with pytest.raises(DamagedTable, match=run_id):
        list(ledger.cells.outcomes([TRIAL]))


def test_a_metric_that_is_not_finite_is_refused(ledger: Ledger) -> None:
    run_id = ledger.start(TRIAL, {})
    with pytest.raises(RunRefused, match="diff/pref_acc_tail"):
        ledger.finish(run_id, result(TRIAL, float("nan")), {})
    assert not ledger.cells.finished()


def test_a_published_folders_csv_files_are_tables_and_stay_so_when_it_is_published_again(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.md").write_text("# report")
    for content in ("split,pp\nS1,1.5\n", "split,pp\nS1,2.5\nS2,3.5\n"):
        (tmp_path / "verdicts.csv").write_text(content)
        run_id = ledger.study_run.publish(tmp_path, "report", {"cells": "2"})
    ledger.study_run.publish(tmp_path, "weights", {})
    client = MlflowClient(ledger.uri)
    run = client.get_run(run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ledger.uri)  # load_table searches there
    table = client.load_table(run.info.experiment_id, "report/tables/verdicts.json", run_ids=[run_id])
    assert table[["split", "pp"]].to_numpy().tolist() == [["S1", 2.5], ["S2", 3.5]]
    assert run.info.status == RunStatus.FINISHED
    assert run.data.tags["cells"] == "2"
    tables = run.data.tags["mlflow.loggedArtifacts"]
    assert "report/tables/verdicts.json" in tables
    assert "weights/tables/verdicts.json" in tables


def test_published_numbers_are_kept_once_and_never_count_as_cells(ledger: Ledger) -> None:
    diffs = pd.DataFrame(
        [("s", "dpo", "S1", seed, value) for seed, value in ((42, 1.5625), (123, -5.46875))],
        columns=["study", "method", "split", "seed", "diff_pp"],
    )
    for _ in range(2):
        cells = keep_diffs(ledger.experiment, diffs, "diffs.csv", "abc")
    assert cells["diff/pref_acc_tail"].tolist() == [0.015625, -0.0546875]
    assert set(cells["status"]) == {CellStatus.PUBLISHED}
    assert cells["run_id"].nunique() == 2
    client = MlflowClient(ledger.uri)
    run = client.get_run(cells["run_id"].iloc[0])
    assert run.data.tags["published"] == "true"
    runs = client.search_runs([run.info.experiment_id], "tags.published = 'true'")
    assert len(runs) == 2
    assert ledger.cells.table([TRIAL])["status"].tolist() == [CellStatus.MISSING]
    assert not ledger.cells.finished()


def test_the_description_links_the_views_and_is_cut_at_a_line_where_mlflow_accepts_no_more(
    ledger: Ledger,
) -> None:
    client = MlflowClient(ledger.uri)
    run_id = ledger.start(TRIAL, {})
    for line in ("an older report", "a line of the report " * 5):
        ledger.study_run.describe("\n".join([line] * 200), run_id, "report/report.html")
    experiment = client.get_experiment_by_name(ledger.study)
    assert experiment is not None
    text = experiment.tags["mlflow.note.content"]
    assert len(text) <= 5000
    links, _, *lines = text.splitlines()
    assert set(lines) == {"a line of the report " * 5}
    assert f"/runs/{run_id}/artifacts/report/report.html" in links
    linked = {link.split("&")[0].split("?")[1] for link in links.split("(") if "viewStateShareKey" in link}
    views = {key.rpartition(".")[2] for key in experiment.tags if key.startswith("mlflow.sharedViewState.")}
    assert linked == {f"viewStateShareKey={view}" for view in views}


def test_the_description_is_a_reports_title_and_first_section_without_pictures_and_front_matter() -> None:
    front, first = "---\ntags: [study]\n---\n\n", "# s: 2 of 4 cells\n\n## First\n\n![p](p.png)\na"
    assert description(f"{front}{first}\n\n## Second\n\nb\n") == "# s: 2 of 4 cells\n\n## First\n\na"
    assert description("# s\n\nno section\n") == "# s\n\nno section"


def test_time_is_summed_over_all_runs_of_a_cell(ledger: Ledger) -> None:
    """A sweep whose driver was killed, one that failed the cell, and one that finished it."""
    for end in ("killed", "failed", "finished"):
        run_id, spent = ledger.start(TRIAL, {}), {"seconds_cell": "10", "gpu_seconds": "20"}
        if end == "killed":
            ledger.note(run_id, "A 1/2", spent)
            ledger.close_abandoned()
        elif end == "failed":
            ledger.fail(run_id, "out of luck", spent)
        else:
            ledger.finish(run_id, result(TRIAL), spent)
    ledger.fail(ledger.start(OTHER, {}), "out of luck", {"seconds_cell": "1", "gpu_seconds": "2"})
    assert ledger.cells.gpu_seconds() == {TRIAL.trial_id: 60.0, OTHER.trial_id: 2.0}
    assert ledger.cells.seconds() == {TRIAL.trial_id: 30.0}


def test_views_show_the_runs_of_the_present_plan_alone(ledger: Ledger, root: Path) -> None:
    removed, failed, again = (dataclasses.replace(TRIAL, seed=seed) for seed in (44, 45, 46))
    kept = ledger.start(TRIAL, {})
    ledger.finish(kept, result(TRIAL), {})
    ledger.finish(ledger.start(TRIAL, {}), result(TRIAL, 0.1), {})  # a second result, which never counts
    ledger.finish(ledger.start(removed, {}), result(removed), {})
    ledger.fail(ledger.start(failed, {}), "boom", {})
    ledger.abandon(ledger.start(again, {}), "stopped")
    running = ledger.start(again, {})
    ledger.show([TRIAL, failed, again])

    def shown() -> set[str]:
        client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
        grouped = json.loads(client.get_experiment(ledger.experiment.id).tags[f"{VIEW_TAG}{GROUPED_VIEW}"])
        query = json.loads(grouped["state"])["searchFilter"]
        return {run.info.run_id for run in client.search_runs([ledger.experiment.id], query)}

    assert shown() == {kept, running}
    ledger.fail(running, "boom", {})
    assert shown() == {kept}
    ledger.show([removed])
    assert len(shown()) == 1
    assert kept not in shown()
    assert set(ledger.cells.finished()) == {TRIAL.trial_id, removed.trial_id}  # what is shown decides nothing
