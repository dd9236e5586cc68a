"""A study's MLflow experiment: opening it, searching it, and adding runs to it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from mlflow.entities import Experiment as MlflowExperiment
from mlflow.entities import LifecycleStage, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from orchestrator.record import views
from orchestrator.record.mlflow_store import PatientClient
from orchestrator.record.moved import refuse_moved
from orchestrator.record.places import Places, without_passwords
from orchestrator.record.store_faults import permanent_fault
from training.errors import StudyError

TAG_LENGTH = 5000  # characters; MLflow refuses longer tags of a run
RUNS_PER_PAGE = 5000
PLAN_TAG = "plan"  # whether a cell's run belongs to the present plan of its study, which the views show
# Names are parameters of a run, and hashes are tags: key of a cell's identity -> tag.
HASH_TAGS = {"model": "model_fingerprint", "data": "data_fingerprint", "tokens": "tokens_fingerprint"}
DAMAGED_TAG = "damaged"  # marks a finished run of a cell that does not count, and says what is wrong with it


class RunKind(StrEnum):
    """What a run holds: the value of its tag `kind`."""

    CELL = "cell"  # One cell that was trained here.
    PAST_CELL = "past cell"  # A finished cell that was asked for again; its result counts no longer.
    STUDY = "study"  # The reports and tables of the whole study; there is one such run.
    VERDICT = "verdict"  # What is known of one method and split; nothing was run for it.
    PAST_VERDICT = "past verdict"  # A verdict of a split that the study no longer plans.
    PUBLISHED = "published"  # One published diff; nothing was run here.


class InPlan(StrEnum):
    """Values of a run's tag `plan`."""

    PRESENT = "present"  # The run of a cell that the study plans: it runs, or its result counts.
    PAST = "past"  # It failed or was cut off, or the study plans its cell no longer.


class RunStatus(StrEnum):
    """MLflow's own statuses of a run."""

    RUNNING = "RUNNING"  # It was opened and not yet closed.
    FINISHED = "FINISHED"  # Everything that belongs to it is recorded.
    FAILED = "FAILED"  # Its cell ran out of attempts.
    KILLED = "KILLED"  # Its driver ended before its cell did.


class Experiment:
    """The MLflow experiment that is named after a study. It is created when it is first opened.

    Args:
        places: Where the study's record is.
        patience_s: Seconds for which a call to an unreachable store is repeated before its error is raised.

    Raises:
        StudyError: The store cannot be reached, made or used, MLflow does not know this kind of URI, or the
            experiment was deleted, or the project folder was moved.
    """

    def __init__(self, places: Places, patience_s: float = 0.0) -> None:
        self.study, self.uri, self._printable_uri = places.study, places.tracking_uri, places.record
        if places.database_file and not places.database_file.parent.is_dir():
            places.create()
        with _reachable(places):
            self.client = PatientClient(self.uri, self._printable_uri, patience_s)
            self.id = self._open(places)

    def _open(self, places: Places) -> str:
        existing = self.client.get_experiment_by_name(places.study)
        if existing:
            self._refuse_deleted(existing)
            self.id = str(existing.experiment_id)
            refuse_moved(
                existing, places, lambda: bool(self.newest_runs(RunKind.CELL, RunStatus.FINISHED, most=1))
            )
            return self.id
        artifacts = f"{places.artifacts}/{places.study}" if places.artifacts else None
        # The kind makes the UI open on runs and charts, not on its pages for chat applications.
        tags = {"mlflow.experimentKind": "custom_model_development"} | views.tags(now_ms())
        try:
            return str(self.client.create_experiment(places.study, artifact_location=artifacts, tags=tags))
        except MlflowException:  # another driver has just created it
            existing = self.client.get_experiment_by_name(places.study)
            if existing is None:
                raise
            return str(existing.experiment_id)

    def refuse_deleted(self) -> None:
        """Raise StudyError if the experiment was deleted."""
        self._refuse_deleted(self.client.get_experiment(self.id))

    def _refuse_deleted(self, experiment: MlflowExperiment) -> None:
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            number = experiment.experiment_id
            raise StudyError(
                f"study {self.study}: its experiment was deleted in MLflow at {self._printable_uri}; restore "
                f"it with `mlflow experiments restore --experiment-id {number}` (MLFLOW_TRACKING_URI names "
                "the store), or give the study another name"
            )

    @property
    def page(self) -> str:
        """The address of the study's verdicts in MLflow's UI; without a server, also how to start one."""
        served = self.uri.startswith("http")
        root = self.uri.rstrip("/") if served else "http://127.0.0.1:5000"
        address = f"{root}/{views.link(self.id, views.VERDICTS_VIEW, charts=False)}"
        return address if served else f"run `python -m orchestrator.ui` and visit {address}"

    def runs(self, kind: RunKind, status: RunStatus | None = None, where: str = "") -> Iterator[Run]:
        """Yield the runs of a kind, the newest first; `where` is a further condition, in MLflow's syntax."""
        query = _query(kind, status, where)
        token = None
        while True:
            page = self.client.search_runs([self.id], query, max_results=RUNS_PER_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def newest_runs(self, kind: RunKind, status: RunStatus, most: int) -> list[Run]:
        """Return at most `most` runs of a kind, the newest first."""
        return list(self.client.search_runs([self.id], _query(kind, status), max_results=most))

    def open_run(self, kind: RunKind, name: str, tags: Mapping[str, str]) -> str:
        """Open a run and return its id."""
        run = self.client.create_run(self.id, tags={"kind": str(kind), **tags}, run_name=name)
        return str(run.info.run_id)

    def close_run(self, run_id: str, status: RunStatus) -> None:
        """End a run with a status."""
        self.client.set_terminated(run_id, str(status))

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run; values longer than MLflow accepts are truncated."""
        run_tags = [RunTag(key, str(value)[:TAG_LENGTH]) for key, value in tags.items()]
        self.client.log_batch(run_id, tags=run_tags)


def recorded_studies(places: Places) -> list[str]:
    """Return the names of all experiments in the store, deleted ones too; this creates none.

    Raises:
        StudyError: The store cannot be reached or used.
    """
    if places.database_file and not places.database_file.exists():
        return []
    with _reachable(places):
        client = PatientClient(places.tracking_uri, places.record, 0.0)
        names, token = [], None
        while True:
            page = client.search_experiments(view_type=ViewType.ALL, page_token=token)
            names += [experiment.name for experiment in page]
            token = page.token
            if not token:
                return names


def verdict_pages(places: Places) -> dict[str, str]:
    """Return study -> address of its verdicts within the UI, the newest study first; this creates none.

    Raises:
        StudyError: The store cannot be reached or used.
    """
    if places.database_file and not places.database_file.exists():
        return {}
    with _reachable(places):
        found = PatientClient(places.tracking_uri, places.record, 0.0).search_experiments()
    return {
        experiment.name: views.link(experiment.experiment_id, views.VERDICTS_VIEW, charts=False)
        for experiment in found
        if f"{views.VIEW_TAG}{views.VERDICTS_VIEW}" in experiment.tags
    }


@contextmanager
def _reachable(places: Places) -> Iterator[None]:
    """Turn the errors of MLflow and its database on opening a store into one line."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        if fault := permanent_fault(error, places.record):
            raise fault from error
        if not isinstance(error, MlflowException):
            raise
        reason = without_passwords(" ".join(str(error).split()))[:200]
        if "://" not in places.record:
            reason = "it is a path; a server's address begins with http:// or https://"
        raise StudyError(
            f"MLFLOW_TRACKING_URI: no record at {places.record} ({reason}); start its server or "
            "fix the URI; without the variable, the record is a local file"
        ) from error


def now_ms() -> int:
    """Return the current time in MLflow's unit, Unix milliseconds."""
    return int(time.time() * 1000)


def _query(kind: RunKind, status: RunStatus | None, where: str = "") -> str:
    conditions = [f"tags.kind = '{kind}'"]
    if status:
        conditions.append(f"attributes.status = '{status}'")
    if where:
        conditions.append(where)
    return " and ".join(conditions)
