"""Which runs of cells have ended, read straight from MLflow's database at thousands of runs per second."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import exists
from sqlalchemy.orm import aliased

from orchestrator.record.experiment import DAMAGED_TAG, RunKind, RunStatus
from orchestrator.record.run_tables import OUTCOMES_FILE, checksum_tag, tables_are_gone


@dataclass(frozen=True)
class EndedRun:
    """A run of a cell that is FINISHED or FAILED.

    Attributes:
        has_result: Whether it is FINISHED, holds metrics, and names the checksum of its outcomes.
        artifact_uri: Where its tables are.
        marked: Whether it is marked as damaged.
    """

    trial_id: str
    status: str
    has_result: bool
    artifact_uri: str
    marked: bool

    @property
    def counts(self) -> bool:
        """Whether the run makes its cell a finished one: it has a result, and its tables are there."""
        return self.has_result and not self.marked and not tables_are_gone(self.artifact_uri)


def ended_runs(database: SqlAlchemyStore, experiment_id: str) -> list[EndedRun]:
    """Return the ended runs of all cells of an experiment."""
    kind, trial, outcomes, damaged = (aliased(SqlTag) for _ in range(4))
    has_metrics = exists().where(SqlLatestMetric.run_uuid == SqlRun.run_uuid)
    checksum = checksum_tag(OUTCOMES_FILE)
    with database.ManagedSessionMaker() as session:
        query = (
            session.query(
                trial.value,
                SqlRun.status,
                (SqlRun.status == str(RunStatus.FINISHED)) & outcomes.value.is_not(None) & has_metrics,
                SqlRun.artifact_uri,
                damaged.value.is_not(None),
            )
            .select_from(SqlRun)
            .join(
                kind,
                (kind.run_uuid == SqlRun.run_uuid) & (kind.key == "kind") & (kind.value == str(RunKind.CELL)),
            )
            .join(trial, (trial.run_uuid == SqlRun.run_uuid) & (trial.key == "trial_id"))
            .outerjoin(outcomes, (outcomes.run_uuid == SqlRun.run_uuid) & (outcomes.key == checksum))
            .outerjoin(damaged, (damaged.run_uuid == SqlRun.run_uuid) & (damaged.key == DAMAGED_TAG))
            .where(SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == "active")
            .where(SqlRun.status.in_([str(RunStatus.FINISHED), str(RunStatus.FAILED)]))
        )
        return [
            EndedRun(trial_id, status, bool(has_result), artifact_uri, bool(marked))
            for trial_id, status, has_result, artifact_uri, marked in query
        ]


def distinct_tags(
    database: SqlAlchemyStore, experiment_id: str, tags: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the distinct (tag, value) of the given tags over the finished runs of an experiment."""
    with database.ManagedSessionMaker() as session:
        query = (
            session.query(SqlTag.key, SqlTag.value)
            .join(SqlRun, SqlTag.run_uuid == SqlRun.run_uuid)
            .where(SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == "active")
            .where(SqlRun.status == str(RunStatus.FINISHED), SqlTag.key.in_(tags))
            .distinct()
        )
        return [(str(tag), str(value)) for tag, value in query]
