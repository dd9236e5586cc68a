"""A study's cells, as its record holds them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd
from mlflow.entities import Run

from orchestrator.record.cell_statuses import EndedRun, distinct_tags, ended_runs
from orchestrator.record.experiment import DAMAGED_TAG, HASH_TAGS, Experiment, RunKind, RunStatus
from orchestrator.record.finished_cell import FinishedCell
from orchestrator.record.open_cell import OpenCell
from orchestrator.record.provenance import SOURCE_TAG
from orchestrator.record.result import CELL_SECONDS, GPU_SECONDS, MODEL_COMMIT
from orchestrator.record.run_tables import (
    CURVES_FILE,
    OUTCOMES_FILE,
    checksum_tag,
    read_table,
    tables_are_gone,
)
from orchestrator.study.trial import Trial
from stats.names import CELL
from stats.status import CellStatus

EMPTY_TABLE_COLUMNS = [*CELL, "trial_id", "status", "error", "data_fingerprint"]
TIMED_CELLS = 200  # the most finished cells that an estimate of time reads


class RecordedCells:
    """Read access to the runs of a study's cells.

    A cell is finished when a run of it is FINISHED, carries its `trial_id`, holds metrics, names the checksum
    of its `outcomes.parquet`, has its tables, and is not marked as damaged. Any other run does not count.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def finished(self) -> dict[str, Run]:
        """Return trial_id -> run of each finished cell. Only a cell's first finished run counts."""
        runs: dict[str, Run] = {}
        counted = (run for run in self.unmarked_runs() if not tables_are_gone(run.info.artifact_uri))
        for run in sorted(counted, key=lambda run: (run.info.end_time, run.info.run_id)):
            runs.setdefault(run.data.tags["trial_id"], run)
        return runs

    def doubled(self) -> int:
        """Count the finished runs beyond the first of their cell. No report uses this repeated work."""
        trial_ids = [run.data.tags["trial_id"] for run in self.unmarked_runs()]
        return len(trial_ids) - len(set(trial_ids))

    def failed_runs(self) -> list[Run]:
        """Return the runs of cells that ran out of attempts, the oldest first."""
        runs = self._experiment.runs(RunKind.CELL, RunStatus.FAILED)
        return sorted(runs, key=lambda run: run.info.start_time)

    def failures(self) -> dict[str, str]:
        """Return trial_id -> error of the newest failed run, for cells that have one."""
        return {run.data.tags["trial_id"]: run.data.tags["error"] for run in self.failed_runs()}

    def statuses(self) -> dict[str, CellStatus]:
        """Return trial_id -> finished or failed."""
        runs = self._ended_runs()
        failed = (run.trial_id for run in runs if run.status == RunStatus.FAILED)
        finished = (run.trial_id for run in runs if run.counts)
        return {**dict.fromkeys(failed, CellStatus.FAILED), **dict.fromkeys(finished, CellStatus.FINISHED)}

    def lost(self) -> set[str]:
        """Return the trial_ids of cells that were finished, and whose tables are damaged or gone."""
        runs = self._ended_runs()
        had_results = {run.trial_id for run in runs if run.has_result}
        return had_results - {run.trial_id for run in runs if run.counts}

    def _ended_runs(self) -> list[EndedRun]:
        """Return the ended runs of all cells. A database returns no more than this; a server, whole runs."""
        client = self._experiment.client
        database = client.database()
        if database:
            from_database: list[EndedRun] = client.patiently(ended_runs, database, self._experiment.id)
            return from_database
        return [
            EndedRun(
                run.data.tags["trial_id"],
                run.info.status,
                status == RunStatus.FINISHED and _has_result(run),
                run.info.artifact_uri,
                DAMAGED_TAG in run.data.tags,
            )
            for status in (RunStatus.FAILED, RunStatus.FINISHED)
            for run in self._experiment.runs(RunKind.CELL, status)
        ]

    def may_differ_from(self, origin: Mapping[str, str]) -> bool:
        """Return whether a finished run may have another value of a tag than `origin`.

        If not, a plan of thousands of cells need not read whole runs.
        """
        client = self._experiment.client
        database = client.database()
        tags = [tag for tag in origin if tag == SOURCE_TAG or tag.startswith("version.")]
        if not database:
            return True
        values = client.patiently(distinct_tags, database, self._experiment.id, tags)
        return any(value != origin[tag] for tag, value in values)

    def open_runs(self) -> dict[str, OpenCell]:
        """Return trial_id -> what is noted of each run that is not closed."""
        runs = self._experiment.runs(RunKind.CELL, RunStatus.RUNNING)
        return {run.data.tags["trial_id"]: OpenCell.from_tags(run.data.tags) for run in runs}

    def seconds(self) -> dict[str, float]:
        """Return trial_id -> seconds that lanes held it, over all attempts, for the newest finished cells."""
        finished, *others = (
            self._experiment.newest_runs(RunKind.CELL, status, TIMED_CELLS)
            for status in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)
        )
        wanted = {run.data.tags["trial_id"] for run in finished if CELL_SECONDS in run.data.tags}
        seconds = _totals([*finished, *chain(*others)], CELL_SECONDS)
        return {trial_id: total for trial_id, total in seconds.items() if trial_id in wanted}

    def gpu_seconds(self) -> dict[str, float]:
        """Return trial_id -> GPU seconds (seconds times the cards held) of a cell, over all its runs."""
        return _totals(self._experiment.runs(RunKind.CELL), GPU_SECONDS)

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return trial_id -> metrics by name, for the finished cells."""
        return {trial_id: dict(run.data.metrics) for trial_id, run in self.finished().items()}

    def identities(self, trial_ids: Collection[str]) -> list[FinishedCell]:
        """Return place and identity of these finished cells, the newest first."""
        runs = [run for trial_id, run in self.finished().items() if trial_id in trial_ids]
        return [_finished_cell(run) for run in sorted(runs, key=lambda run: run.info.end_time, reverse=True)]

    def table(self, trials: Sequence[Trial]) -> pd.DataFrame:
        """Return one row per planned cell.

        Columns: study, method, split, seed, trial_id, status (finished, failed or missing), error,
        data_fingerprint; for finished cells also geometry, model_commit, run_id, ended (UTC)
        and the metrics by name.
        """
        finished, errors = self.finished(), self.failures()
        rows: list[dict[str, Any]] = []
        for trial in trials:
            row: dict[str, Any] = {**trial.labels, "status": CellStatus.MISSING, "error": None}
            if run := finished.get(trial.trial_id):
                row |= {
                    "status": CellStatus.FINISHED,
                    "geometry": run.data.tags["geometry"],
                    MODEL_COMMIT: run.data.tags.get(MODEL_COMMIT, ""),
                    "run_id": run.info.run_id,
                    "ended": pd.Timestamp(run.info.end_time, unit="ms", tz="UTC"),
                    **run.data.metrics,
                }
            elif trial.trial_id in errors:
                row |= {"status": CellStatus.FAILED, "error": errors[trial.trial_id]}
            rows.append(row | {"data_fingerprint": trial.data})
        # A study whose methods are all published has no cells, but its table still has columns.
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=EMPTY_TABLE_COLUMNS)

    def outcomes(
        self, trials: Sequence[Trial], columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """Yield the outcomes table of each finished cell, labelled as the plan labels it.

        The tables are long, so they come one at a time.

        Args:
            trials: The planned cells; those that are not finished are left out.
            columns: Which of the table's columns to read; None reads all of them.
        """
        return self._labelled_tables(trials, OUTCOMES_FILE, columns)

    def curves(self, trials: Sequence[Trial]) -> Iterator[pd.DataFrame]:
        """Yield the logged points of each finished cell: its labels, and arm, step, metric, value."""
        return self._labelled_tables(trials, CURVES_FILE)

    def unmarked_runs(self) -> list[Run]:
        """Return the runs with a result that are not marked as damaged; their tables may be damaged."""
        runs = self._experiment.runs(RunKind.CELL, RunStatus.FINISHED)
        return [run for run in runs if _has_result(run) and DAMAGED_TAG not in run.data.tags]

    def _labelled_tables(
        self, trials: Sequence[Trial], file: str, columns: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        finished = self.finished()
        for trial in trials:
            if run := finished.get(trial.trial_id):
                table = read_table(self._experiment.client, run, file, columns)
                for position, (label, value) in enumerate(trial.labels.items()):
                    table.insert(position, label, value)
                yield table


def _finished_cell(run: Run) -> FinishedCell:
    identity = dict(run.data.params)
    place = identity.pop("method"), identity.pop("split"), int(identity["seed"])
    return FinishedCell(place, identity | {key: run.data.tags[tag] for key, tag in HASH_TAGS.items()})


def _has_result(run: Run) -> bool:
    return bool(run.data.metrics) and checksum_tag(OUTCOMES_FILE) in run.data.tags


def _totals(runs: Iterable[Run], tag: str) -> dict[str, float]:
    """Return trial_id -> the sum of a tag over the runs of a cell that have it."""
    totals: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        if tag in run.data.tags:
            totals[run.data.tags["trial_id"]] += float(run.data.tags[tag])
    return dict(totals)
