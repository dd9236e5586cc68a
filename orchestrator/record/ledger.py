"""The record of results: the only module that reads and writes MLflow.

A trial is done when its run is FINISHED, carries its `trial_id`, holds its metrics, and names the
checksum of its `outcomes.parquet`. Everything else is unfinished, whatever it looks like.
"""

import hashlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store
from sqlalchemy import exists
from sqlalchemy.orm import aliased

from orchestrator.record import views
from orchestrator.record.places import Places, without_passwords
from orchestrator.record.result import GPU_SECONDS, TrialResult
from orchestrator.study.trial import Trial
from training.errors import StudyError

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # how long to wait is decided here
logging.getLogger("mlflow").setLevel(logging.WARNING)  # a new store's migrations are no news
# What these say of a store that cannot be reached is raised, too, and met here.
for noisy in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)
FEW = 200  # runs that an estimate looks at
METRICS_A_CALL = 1000  # MLflow's limit of one log_batch
OUTCOMES, CURVES = "outcomes.parquet", "curves.parquet"
OUTCOMES_SUM = "outcomes_sha256"
TABLES = "mlflow.loggedArtifacts"  # MLflow's own list of the tables of a run
NOTE = "mlflow.note.content"  # what the UI shows as a description
NOTE_LENGTH = 5000  # MLflow's limit of an experiment's tag
CLAIM = "driver."  # tags of an experiment: who drives its study
# MLflow's codes, also of a server whose database is away.
UNREACHABLE = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")
LONGEST_WAIT_S = 10.0


class Ledger:
    """One study's runs in MLflow. Only the driver writes, so workers need no credentials.

    A store that cannot be reached is tried again for `patience_s` seconds, with growing waits, before its
    error is raised. Every write can be made twice without harm: what is there already stays as it is.
    `guard` is called before each write of a cell, and raises where this driver may write no more.
    """

    def __init__(self, places: Places, patience_s: float = 0.0) -> None:
        self.guard: Callable[[], None] = lambda: None
        self.uri, self._shown = places.tracking_uri, places.record
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self.study = places.study
        try:
            self._client: Any = _Patient(MlflowClient(tracking_uri=self.uri), self._shown, patience_s)
            self._experiment = self._open_experiment(places)
        except MlflowException as error:
            why = without_passwords(" ".join(str(error).split()))[:200]
            raise StudyError(
                f"MLFLOW_TRACKING_URI: no record at {self._shown} ({why}); start its server or mend the "
                "name; without one the record is a file here"
            ) from error

    def _open_experiment(self, places: Places) -> str:
        found = self._client.get_experiment_by_name(places.study)
        if found:
            return str(found.experiment_id)
        root = f"{places.artifacts}/{places.study}" if places.artifacts else None
        try:
            # The kind opens the UI on runs and charts, not on its pages for chat applications.
            tags = {"mlflow.experimentKind": "custom_model_development"} | views.tags(int(time.time() * 1000))
            return str(self._client.create_experiment(places.study, artifact_location=root, tags=tags))
        except MlflowException:  # another driver was quicker
            found = self._client.get_experiment_by_name(places.study)
            if found is None:
                raise
            return str(found.experiment_id)

    @property
    def page(self) -> str:
        """Where a person finds the study in MLflow's UI; of a store without a server also how to start it."""
        served = self.uri.startswith("http")
        root = self.uri.rstrip("/") if served else "http://127.0.0.1:5000"
        page = f"{root}/{views.link(self._experiment, views.GROUPED, charts=False)}"
        start = f"mlflow ui --host 127.0.0.1 --backend-store-uri {self._shown}"
        return page if served else f"{page} after: {start}"

    # --- reading ------------------------------------------------------------------------------------

    def finished(self) -> dict[str, Run]:
        """Done trials: trial_id -> run. The first finished run of a trial counts, a second never does."""
        runs = self._search("attributes.status = 'FINISHED' and tags.kind = 'cell'")
        done: dict[str, Run] = {}
        for run in sorted(runs, key=lambda run: (run.info.end_time, run.info.run_id)):
            if run.data.metrics and OUTCOMES_SUM in run.data.tags:
                done.setdefault(run.data.tags["trial_id"], run)
        return done

    def doubled(self) -> int:
        """Finished runs beyond the first of their trial: work done twice, which no report counts."""
        runs = self._search("attributes.status = 'FINISHED' and tags.kind = 'cell'")
        return max(0, sum(1 for run in runs if OUTCOMES_SUM in run.data.tags) - len(self.finished()))

    def failed_runs(self) -> list[Run]:
        """Runs of trials that ran out of attempts, oldest first."""
        runs = self._search("attributes.status = 'FAILED' and tags.kind = 'cell'")
        return sorted(runs, key=lambda run: run.info.start_time)

    def failures(self) -> dict[str, str]:
        """Trials with a failed run: trial_id -> error of the newest one."""
        return {run.data.tags["trial_id"]: run.data.tags["error"] for run in self.failed_runs()}

    def status(self) -> dict[str, str]:
        """trial_id -> finished or failed: what `finished` and `failures` say, less all that a plan can do
        without. A database is asked for just that, thousands of runs a second; a server sends whole runs."""
        store = _get_store(self.uri)
        if not isinstance(store, SqlAlchemyStore):
            return {**dict.fromkeys(self.failures(), "failed"), **dict.fromkeys(self.finished(), "finished")}
        rows = self._client.patiently(_ended_cells, store, self._experiment)
        done = {trial_id for trial_id, status, whole in rows if status == "FINISHED" and whole}
        failed = {trial_id for trial_id, status, _ in rows if status == "FAILED"}
        return {**dict.fromkeys(failed, "failed"), **dict.fromkeys(done, "finished")}

    def running(self) -> dict[str, str]:
        """Cells of a sweep that claims the study: trial_id -> how far it was when last noted (`B 20/60`)."""
        if not self.claims():
            return {}
        runs = self._search("attributes.status = 'RUNNING' and tags.kind = 'cell'")
        return {run.data.tags["trial_id"]: run.data.tags.get("progress", "started") for run in runs}

    def seconds(self) -> dict[str, float]:
        """How long finished cells took their workers, of the newest few: trial_id -> seconds."""
        query = "attributes.status = 'FINISHED' and tags.kind = 'cell'"
        tags = [run.data.tags for run in self._client.search_runs([self._experiment], query, max_results=FEW)]
        return {tag["trial_id"]: float(tag["seconds_cell"]) for tag in tags if "seconds_cell" in tag}

    def gpu_seconds(self) -> dict[str, float]:
        """What finished cells cost: trial_id -> seconds times the cards they held."""
        return {
            trial_id: float(run.data.tags[GPU_SECONDS])
            for trial_id, run in self.finished().items()
            if GPU_SECONDS in run.data.tags
        }

    def cells(self, trials: Sequence[Trial]) -> pd.DataFrame:
        """One row a planned cell: identity, status (finished, failed, missing), error, when it ended (UTC),
        metrics by name."""
        done, failed = self.finished(), self.failures()
        rows: list[dict[str, Any]] = []
        for trial in trials:
            row: dict[str, Any] = {**trial.labels, "status": "missing", "error": None}
            if run := done.get(trial.trial_id):
                tags = run.data.tags
                row |= {"status": "finished", "geometry": tags["geometry"], "run_id": run.info.run_id}
                row["ended"] = pd.Timestamp(run.info.end_time, unit="ms", tz="UTC")
                row |= run.data.metrics
            elif trial.trial_id in failed:
                row |= {"status": "failed", "error": failed[trial.trial_id]}
            rows.append(row | {"data_fingerprint": trial.data})
        return pd.DataFrame(rows)

    def outcomes(
        self, trials: Sequence[Trial], columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """The outcomes table of each finished trial, labelled by the plan; one at a time: they are long. Of
        its own columns `columns` alone are read, or all."""
        return self._tables(trials, OUTCOMES, columns)

    def curves(self, trials: Sequence[Trial]) -> Iterator[pd.DataFrame]:
        """The logged points of each finished trial: identity, arm, step, metric, value."""
        return self._tables(trials, CURVES)

    def _tables(
        self, trials: Sequence[Trial], name: str, columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        done = self.finished()
        for trial in trials:
            if run := done.get(trial.trial_id):
                table = self._read(run, name, columns)
                for position, (label, value) in enumerate(trial.labels.items()):
                    table.insert(position, label, value)
                yield table

    def _read(self, run: Run, name: str, columns: Sequence[str] | None) -> pd.DataFrame:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(self._client.download_artifacts(run.info.run_id, name, folder))
            content = path.read_bytes()
            wanted = run.data.tags[f"{Path(name).stem}_sha256"]
            if hashlib.sha256(content).hexdigest() != wanted:
                raise RuntimeError(
                    f"MLflow run {run.info.run_id} ({run.info.run_name}): {name} is not the file it recorded"
                )
            return pd.read_parquet(path, columns=list(columns) if columns else None)

    def _search(self, query: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], query, max_results=5000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    # --- writing ------------------------------------------------------------------------------------

    def start(self, trial: Trial, provenance: Mapping[str, str]) -> str:
        """Open the run of a trial that is about to be trained; returns its run id."""
        self.guard()
        tags = {
            "kind": "cell",
            **{name: str(value) for name, value in trial.labels.items()},
            "data_fingerprint": trial.data,
            "model_fingerprint": trial.model,
            **provenance,
        }
        run = self._client.create_run(self._experiment, tags=tags, run_name=trial.name)
        params = [Param(key, str(value)[:6000]) for key, value in _flat(trial.identity)]
        self._client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def finish(self, run_id: str, result: TrialResult, tags: Mapping[str, str]) -> None:
        """Record a result; the run becomes FINISHED last, when everything else is in."""
        self.guard()
        bad = [name for name, value in result.metrics.items() if not math.isfinite(value)]
        if bad:
            raise ValueError(f"trial {result.trial_id}: metric {bad[0]} is {result.metrics[bad[0]]}")
        now = int(time.time() * 1000)
        points = [Metric(name, value, now, 0) for name, value in result.metrics.items()]
        points += [
            Metric(f"{metric}/{arm}", float(value), now, int(step))
            for arm, step, metric, value in result.curves[["arm", "step", "metric", "value"]].to_numpy()
        ]
        for start in range(0, len(points), METRICS_A_CALL):
            self._client.log_batch(run_id, metrics=points[start : start + METRICS_A_CALL])
        sums = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, table in ((OUTCOMES, result.outcomes), (CURVES, result.curves)):
                path = Path(folder) / name
                table.to_parquet(path, index=False)
                sums[f"{path.stem}_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
                self._client.log_artifact(run_id, str(path))
        self._tag(run_id, {**result.facts, **tags, **sums})
        self._client.set_terminated(run_id, "FINISHED")

    def fail(self, run_id: str, error: str, tags: Mapping[str, str]) -> None:
        self.guard()
        self._tag(run_id, {**tags, "error": error})
        self._client.set_terminated(run_id, "FAILED")

    def close_abandoned(self) -> int:
        """Mark runs that a dead driver left open; they never count. Returns how many there were."""
        open_runs = list(self._search("attributes.status = 'RUNNING' and tags.kind = 'cell'"))
        for run in open_runs:
            self._tag(run.info.run_id, {"abandoned": "its driver ended before the trial did"})
            self._client.set_terminated(run.info.run_id, "KILLED")
        return len(open_runs)

    def published(self, diffs: pd.DataFrame, source: str, sha256: str) -> pd.DataFrame:
        """Keep published diffs as runs tagged `published`, each once; rows as of `cells`.

        Args:
            diffs: study, method, split, seed, diff_pp. source, sha256: name and checksum of their file.
        """
        known = {
            (run.data.tags["method"], run.data.tags["split"], run.data.tags["seed"]): run
            for run in self._search(f"tags.kind = 'published' and tags.source_sha256 = '{sha256}'")
        }
        rows = []
        for row in diffs.to_dict("records"):
            name = tuple(str(row[key]) for key in ("method", "split", "seed"))
            run_id = known[name].info.run_id if name in known else None
            if run_id is None:
                labels = {key: str(row[key]) for key in ("study", "method", "split", "seed")}
                tags = {**labels, "kind": "published", "published": "true"}
                tags |= {"source": source, "source_sha256": sha256}
                run = self._client.create_run(
                    self._experiment, tags=tags, run_name=f"{'/'.join(name)} (published)"
                )
                run_id = str(run.info.run_id)
                self._client.log_metric(run_id, "diff/pref_acc_tail", row["diff_pp"] / 100)
                self._client.set_terminated(run_id, "FINISHED")
            labels = {key: row[key] for key in ("study", "method", "split", "seed")}
            facts = {"status": "published", "error": None, "run_id": run_id}
            rows.append(labels | facts | {"diff/pref_acc_tail": row["diff_pp"] / 100})
        return pd.DataFrame(rows)

    def publish(self, folder: Path, name: str, tags: Mapping[str, str]) -> str:
        """Keep a folder as `name` in the run of the study itself, of which there is one; its CSV files are
        MLflow tables, too."""
        found = list(self._search("tags.kind = 'study'"))
        kept: set[str] = set()
        if found:
            run_id = str(found[0].info.run_id)
            kept = {entry["path"] for entry in json.loads(found[0].data.tags.get(TABLES, "[]"))}
        else:
            run = self._client.create_run(
                self._experiment, tags={"kind": "study", "study": self.study}, run_name="study"
            )
            run_id = str(run.info.run_id)
        self._client.log_artifacts(run_id, str(folder), name)
        # Not log_table: it appends to the table of an earlier call.
        with tempfile.TemporaryDirectory() as made:
            for file in sorted(folder.glob("*.csv")):
                frame = pd.read_csv(file)
                frame.to_json(Path(made) / f"{file.stem}.json", orient="split", index=False)
                kept.add(f"{name}/tables/{file.stem}.json")
            self._client.log_artifacts(run_id, made, f"{name}/tables")
        listed = json.dumps([{"path": path, "type": "table"} for path in sorted(kept)])
        self._tag(run_id, {**tags, TABLES: listed})
        self._client.set_terminated(run_id, "FINISHED")
        return run_id

    def describe(self, text: str, run_id: str, page: str) -> None:
        """The experiment's description, Markdown: links to the study's views and to the artifact `page` of a
        run, then `text`, cut at a line where MLflow takes no more."""
        shown = {
            "cells by method and split": views.link(self._experiment, views.GROUPED, charts=False),
            "curves of arms A and B": views.link(self._experiment, views.CELLS, charts=True),
            "report": f"#/experiments/{self._experiment}/runs/{run_id}/artifacts/{page}",
        }
        whole = " · ".join(f"[{name}]({link})" for name, link in shown.items()) + f"\n\n{text}"
        cut = whole if len(whole) <= NOTE_LENGTH else whole[:NOTE_LENGTH].rpartition("\n")[0]
        self._client.set_experiment_tag(self._experiment, NOTE, cut)

    def note(self, run_id: str, progress: str) -> None:
        """How far a running cell is."""
        self.guard()
        self._tag(run_id, {"progress": progress})

    # --- who drives -----------------------------------------------------------------------------------

    def claims(self) -> dict[str, str]:
        """Drivers that claim the study: driver -> what it last said."""
        tags = self._client.get_experiment(self._experiment).tags
        return {key.removeprefix(CLAIM): value for key, value in tags.items() if key.startswith(CLAIM)}

    def claim(self, driver: str, word: str) -> None:
        """Say that a driver claims the study, or still does."""
        self._client.set_experiment_tag(self._experiment, f"{CLAIM}{driver}", word)

    def unclaim(self, driver: str) -> None:
        """Take a driver's claim away, if it is there."""
        if driver in self.claims():
            self._client.delete_experiment_tag(self._experiment, f"{CLAIM}{driver}")

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        self._client.log_batch(run_id, tags=[RunTag(key, str(value)[:5000]) for key, value in tags.items()])


class _Patient:
    """An MLflow client each of whose calls waits for a store that cannot be reached."""

    def __init__(self, client: MlflowClient, uri: str, patience_s: float) -> None:
        self._client, self._uri, self._patience_s = client, uri, patience_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(self.patiently, getattr(self._client, name))

    def patiently(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        until, wait = time.monotonic() + self._patience_s, 0.5
        while True:
            try:
                return call(*args, **kwargs)
            except Exception as error:
                left = until - time.monotonic()
                if left <= 0 or not _unreachable(error):
                    raise
                log.warning("MLflow at %s cannot be reached; trying for %.0f s more", self._uri, left)
                time.sleep(min(wait, left))
                wait = min(2 * wait, LONGEST_WAIT_S)


def _ended_cells(store: SqlAlchemyStore, experiment: str) -> list[tuple[str, str, bool]]:
    """Of each ended run of a cell: trial_id, status, whether its result is whole."""
    kind, trial, outcomes = aliased(SqlTag), aliased(SqlTag), aliased(SqlTag)
    metrics = exists().where(SqlLatestMetric.run_uuid == SqlRun.run_uuid)
    with store.ManagedSessionMaker() as session:
        query = (
            session.query(trial.value, SqlRun.status, outcomes.value.is_not(None) & metrics)
            .select_from(SqlRun)
            .join(kind, (kind.run_uuid == SqlRun.run_uuid) & (kind.key == "kind") & (kind.value == "cell"))
            .join(trial, (trial.run_uuid == SqlRun.run_uuid) & (trial.key == "trial_id"))
            .outerjoin(outcomes, (outcomes.run_uuid == SqlRun.run_uuid) & (outcomes.key == OUTCOMES_SUM))
            .where(SqlRun.experiment_id == int(experiment), SqlRun.lifecycle_stage == "active")
            .where(SqlRun.status.in_(["FINISHED", "FAILED"]))
        )
        return [(str(trial_id), str(status), bool(whole)) for trial_id, status, whole in query]


def _unreachable(error: Exception) -> bool:
    """Whether a store, its server, its database or its artifacts, may answer if asked again."""
    if isinstance(error, MlflowException):
        return error.error_code in UNREACHABLE
    # requests' errors are OSErrors; those of S3 come from a library that need not be installed
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("boto3", "botocore")


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested identity as dotted parameters."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
