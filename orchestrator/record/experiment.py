"""A study's MLflow experiment: opening it, searching it, and adding runs to it."""

import time
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from orchestrator.record import views
from orchestrator.record.mlflow_store import PatientClient
from orchestrator.record.places import Places, without_passwords
from training.errors import StudyError

TAG_LENGTH = 5000  # characters; MLflow refuses longer tags of a run
RUNS_PER_PAGE = 5000


class RunKind(StrEnum):
    """What a run holds: the value of its tag `kind`."""

    CELL = "cell"  # One cell that was trained here.
    STUDY = "study"  # The reports and tables of the whole study; there is one such run.
    VERDICT = "verdict"  # What is known of one method and split; nothing was run for it.
    PAST_VERDICT = "past verdict"  # A verdict of a split that the study no longer plans.
    PUBLISHED = "published"  # One published diff; nothing was run here.


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
        StudyError: The store cannot be reached, or MLflow does not know this kind of URI.
    """

    def __init__(self, places: Places, patience_s: float = 0.0) -> None:
        self.study, self.uri, self._printable_uri = places.study, places.tracking_uri, places.record
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        try:
            self.client = PatientClient(self.uri, self._printable_uri, patience_s)
            self.id = self._open(places)
        except MlflowException as error:
            reason = without_passwords(" ".join(str(error).split()))[:200]
            raise StudyError(
                f"MLFLOW_TRACKING_URI: no record at {self._printable_uri} ({reason}); start its server or "
                "fix the URI; without the variable, the record is a local file"
            ) from error

    def _open(self, places: Places) -> str:
        existing = self.client.get_experiment_by_name(places.study)
        if existing:
            return str(existing.experiment_id)
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

    @property
    def page(self) -> str:
        """The study's address in MLflow's UI; for a store without a server, also how to start one."""
        served = self.uri.startswith("http")
        root = self.uri.rstrip("/") if served else "http://127.0.0.1:5000"
        address = f"{root}/{views.link(self.id, views.VERDICTS_VIEW, charts=False)}"
        command = f"mlflow ui --host 127.0.0.1 --backend-store-uri {self._printable_uri}"
        return address if served else f"run `{command}` and visit {address}"

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
