"""A study's cells, as its record holds them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd
from mlflow.entities import Run

from orchestrator.record.cell_statuses import ended_cells
from orchestrator.record.experiment import Experiment, RunKind, RunStatus
from orchestrator.record.finished_cell import FinishedCell
from orchestrator.record.result import GPU_SECONDS
from orchestrator.record.run_tables import CURVES_FILE, OUTCOMES_FILE, checksum_tag, read_table
from orchestrator.study.trial import Trial
from stats.names import CELL
from stats.status import CellStatus

EMPTY_TABLE_COLUMNS = [*CELL, "trial_id", "status", "error", "data_fingerprint"]
TIMED_CELLS = 200  # the most finished cells that an estimate of time reads


class RecordedCells:
    """Read access to the runs of a study's cells.

    A cell is finished when a run of it is FINISHED, carries its `trial_id`, holds metrics, and names the
    checksum of its `outcomes.parquet`. A run that lacks any of these counts as unfinished.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def finished(self) -> dict[str, Run]:
        """Return trial_id -> run of each finished cell. Only a cell's first finished run counts."""
        runs: dict[str, Run] = {}
        for run in sorted(self._whole_runs(), key=lambda run: (run.info.end_time, run.info.run_id)):
            runs.setdefault(run.data.tags["trial_id"], run)
        return runs

    def doubled(self) -> int:
        """Count the finished runs beyond the first of their cell. No report uses this repeated work."""
        trial_ids = [run.data.tags["trial_id"] for run in self._whole_runs()]
        return len(trial_ids) - len(set(trial_ids))

    def failed_runs(self) -> list[Run]:
        """Return the runs of cells that ran out of attempts, the oldest first."""
        runs = self._experiment.runs(RunKind.CELL, RunStatus.FAILED)
        return sorted(runs, key=lambda run: run.info.start_time)

    def failures(self) -> dict[str, str]:
        """Return trial_id -> error of the newest failed run, for cells that have one."""
        return {run.data.tags["trial_id"]: run.data.tags["error"] for run in self.failed_runs()}

    def statuses(self) -> dict[str, CellStatus]:
        """Return trial_id -> finished or failed.

        `finished` and `failures` say the same, but read whole runs, which a plan does not need. A database
        can return the statuses alone; a server sends whole runs.
        """
        client = self._experiment.client
        database = client.database()
        if database:
            statuses: dict[str, CellStatus] = client.patiently(ended_cells, database, self._experiment.id)
            return statuses
        failed = dict.fromkeys(self.failures(), CellStatus.FAILED)
        return {**failed, **dict.fromkeys(self.finished(), CellStatus.FINISHED)}

    def open_runs(self) -> dict[str, str]:
        """Return trial_id -> last noted progress (`B 20/60`) of each run that is not closed."""
        tags = [run.data.tags for run in self._experiment.runs(RunKind.CELL, RunStatus.RUNNING)]
        return {tag["trial_id"]: tag.get("progress", str(CellStatus.STARTED)) for tag in tags}

    def seconds(self) -> dict[str, float]:
        """Return trial_id -> seconds that the workers took, for the newest finished cells."""
        runs = self._experiment.newest_runs(RunKind.CELL, RunStatus.FINISHED, TIMED_CELLS)
        tags = [run.data.tags for run in runs]
        return {tag["trial_id"]: float(tag["seconds_cell"]) for tag in tags if "seconds_cell" in tag}

    def gpu_seconds(self) -> dict[str, float]:
        """Return trial_id -> GPU seconds (seconds times the cards held) of each finished cell."""
        return {
            trial_id: float(run.data.tags[GPU_SECONDS])
            for trial_id, run in self.finished().items()
            if GPU_SECONDS in run.data.tags
        }

    def metrics(self) -> dict[str, dict[str, float]]:
        """Return trial_id -> metrics by name, for the finished cells."""
        return {trial_id: dict(run.data.metrics) for trial_id, run in self.finished().items()}

    def identities(self, trial_ids: Collection[str]) -> list[FinishedCell]:
        """Return place and identity of these finished cells, the newest first."""
        runs = [run for trial_id, run in self.finished().items() if trial_id in trial_ids]
        return [
            FinishedCell((tags["method"], tags["split"], int(tags["seed"])), run.data.params)
            for run in sorted(runs, key=lambda run: run.info.end_time, reverse=True)
            for tags in [run.data.tags]
        ]

    def table(self, trials: Sequence[Trial]) -> pd.DataFrame:
        """Return one row per planned cell.

        Columns: study, method, split, seed, trial_id, status (finished, failed or missing), error,
        data_fingerprint; for finished cells also geometry, run_id, ended (UTC) and the metrics by name.
        """
        finished, errors = self.finished(), self.failures()
        rows: list[dict[str, Any]] = []
        for trial in trials:
            row: dict[str, Any] = {**trial.labels, "status": CellStatus.MISSING, "error": None}
            if run := finished.get(trial.trial_id):
                row |= {
                    "status": CellStatus.FINISHED,
                    "geometry": run.data.tags["geometry"],
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

    def _whole_runs(self) -> list[Run]:
        runs = self._experiment.runs(RunKind.CELL, RunStatus.FINISHED)
        return [run for run in runs if run.data.metrics and checksum_tag(OUTCOMES_FILE) in run.data.tags]

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
