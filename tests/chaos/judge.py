"""Hold a disturbed study against an undisturbed one."""

import os
from collections.abc import Callable, Sequence

import pandas as pd
from fake_study import FAKE_ARM_STEPS, Setting, journal_entries, undisturbed_result
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from orchestrator.drill import FaultRow
from orchestrator.record.ledger import Ledger
from stats.status import CellStatus

Record = Callable[[FaultRow], None]  # takes the rows of the table that is printed at the end


def judge(
    fault: str,
    injections: int,
    setting: Setting,
    must_fail: Sequence[int] = (),
    min_failed_attempts: int = 0,
) -> FaultRow:
    """Return what a fault did to a study, and assert that it lost and doubled nothing.

    Args:
        fault: How the printed table calls it.
        must_fail: The numbers of the cells that had to fail.
        min_failed_attempts: How many attempts at the other cells had to fail, since a fault that hits nothing
            tests nothing.
    """
    if setting.tracking:
        os.environ["MLFLOW_TRACKING_URI"] = setting.tracking
    ledger, trials = Ledger(setting.places), setting.trials
    client = MlflowClient(ledger.uri)
    cells = ledger.cells.table(trials).set_index("seed")
    finished_runs = _runs(client, "FINISHED")
    failed_attempts = sum(int(run.data.tags["attempts"]) - 1 for run in finished_runs)
    assert failed_attempts >= min_failed_attempts, f"{failed_attempts} attempts failed"
    run_counts = pd.Series([run.data.tags["trial_id"] for run in finished_runs], dtype=str).value_counts()
    lost = doubled = 0
    for trial in trials:
        if trial.seed in must_fail:
            assert cells.loc[trial.seed, "status"] == CellStatus.FAILED, trial
            assert cells.loc[trial.seed, "error"]
            continue
        lost += cells.loc[trial.seed, "status"] != CellStatus.FINISHED
        doubled += int(run_counts.get(trial.trial_id, 0)) > 1
    must_finish = [trial for trial in trials if trial.seed not in must_fail]
    for trial, outcomes in zip(must_finish, ledger.cells.outcomes(trials), strict=True):
        undisturbed = undisturbed_result(trial)
        assert outcomes["margin"].tolist() == undisturbed.outcomes["margin"].tolist(), trial
        assert cells.loc[trial.seed, "A"] == undisturbed.metrics["A"]
        run_id = cells.loc[trial.seed, "run_id"]
        history = client.get_metric_history(run_id, "A/loss")
        assert [point.step for point in history] == list(range(FAKE_ARM_STEPS)), "a metric is doubled or lost"
    assert not _runs(client, "RUNNING")
    assert not ledger.claims.all(), "a driver's claim outlived it"
    assert not lost, f"lost cells: {cells['status']}"
    assert not doubled
    needed_steps = 2 * FAKE_ARM_STEPS * len(must_finish)
    made_steps = sum(entry.cell not in must_fail for entry in journal_entries(setting))
    return FaultRow(fault, injections, lost, doubled, made_steps / needed_steps - 1)


def _runs(client: MlflowClient, status: str) -> list[Run]:
    experiment = client.get_experiment_by_name("chaos")
    assert experiment is not None
    runs: list[Run] = client.search_runs(
        [experiment.experiment_id], f"tags.kind = 'cell' and attributes.status = '{status}'", max_results=5000
    )
    return runs
