"""Which cells have ended, read straight from MLflow's database at thousands of runs per second."""

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import exists
from sqlalchemy.orm import aliased

from orchestrator.record.experiment import RunKind, RunStatus
from orchestrator.record.run_tables import OUTCOMES_FILE, checksum_tag
from stats.status import CellStatus


def ended_cells(database: SqlAlchemyStore, experiment_id: str) -> dict[str, CellStatus]:
    """Return trial_id -> finished or failed, by the rule of `RecordedCells.finished`."""
    runs = _ended_runs(database, experiment_id)
    failed = {trial_id for trial_id, status, _ in runs if status == RunStatus.FAILED}
    finished = {trial_id for trial_id, status, complete in runs if status == RunStatus.FINISHED and complete}
    return {**dict.fromkeys(failed, CellStatus.FAILED), **dict.fromkeys(finished, CellStatus.FINISHED)}


def _ended_runs(database: SqlAlchemyStore, experiment_id: str) -> list[tuple[str, str, bool]]:
    """Return the trial_id, the status, and whether the result is complete, for each ended run of a cell."""
    kind, trial, outcomes = aliased(SqlTag), aliased(SqlTag), aliased(SqlTag)
    has_metrics = exists().where(SqlLatestMetric.run_uuid == SqlRun.run_uuid)
    checksum = checksum_tag(OUTCOMES_FILE)
    with database.ManagedSessionMaker() as session:
        query = (
            session.query(trial.value, SqlRun.status, outcomes.value.is_not(None) & has_metrics)
            .select_from(SqlRun)
            .join(
                kind,
                (kind.run_uuid == SqlRun.run_uuid) & (kind.key == "kind") & (kind.value == str(RunKind.CELL)),
            )
            .join(trial, (trial.run_uuid == SqlRun.run_uuid) & (trial.key == "trial_id"))
            .outerjoin(outcomes, (outcomes.run_uuid == SqlRun.run_uuid) & (outcomes.key == checksum))
            .where(SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == "active")
            .where(SqlRun.status.in_([str(RunStatus.FINISHED), str(RunStatus.FAILED)]))
        )
        return [(str(trial_id), str(status), bool(complete)) for trial_id, status, complete in query]
