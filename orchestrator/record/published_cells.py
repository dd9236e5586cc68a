"""Published diffs in the record: one run each, beside the cells that were trained here."""

import hashlib

import pandas as pd

from orchestrator.record.experiment import Experiment, RunKind, RunStatus
from orchestrator.record.published import published_diffs
from orchestrator.study.study import Study
from stats.names import CELL, TAIL_METRIC
from stats.status import CellStatus

DIFF_METRIC = f"diff/{TAIL_METRIC}"


def published_cells(study: Study, experiment: Experiment) -> pd.DataFrame:
    """Keep the study's published diffs in its record, and return their rows as `keep_diffs` does."""
    tables = [
        keep_diffs(experiment, diffs, file.name, hashlib.sha256(file.read_bytes()).hexdigest())
        for file, diffs in published_diffs(study).items()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def keep_diffs(experiment: Experiment, diffs: pd.DataFrame, source: str, sha256: str) -> pd.DataFrame:
    """Keep published diffs as runs tagged `published`, one run per diff.

    Args:
        diffs: study, method, split, seed, diff_pp (percentage points).
        source: Name of their file.
        sha256: Checksum of that file, by which a diff that was kept before is recognised.

    Returns:
        One row per diff, as `RecordedCells.table` has them: study, method, split, seed, status (published),
        error, run_id and the diff as a fraction.
    """
    earlier_runs = experiment.runs(RunKind.PUBLISHED, where=f"tags.source_sha256 = '{sha256}'")
    run_ids = {_name(run.data.tags): str(run.info.run_id) for run in earlier_runs}
    rows = []
    for row in diffs.to_dict("records"):
        cell, fraction = {column: row[column] for column in CELL}, row["diff_pp"] / 100
        run_id = run_ids.get(_name(cell))
        if run_id is None:
            labels = {column: str(value) for column, value in cell.items()}
            tags = {**labels, "published": "true", "source": source, "source_sha256": sha256}
            run_id = experiment.open_run(RunKind.PUBLISHED, f"{_name(cell)} (published)", tags)
            experiment.client.log_metric(run_id, DIFF_METRIC, fraction)
            experiment.close_run(run_id, RunStatus.FINISHED)
        facts = {"status": CellStatus.PUBLISHED, "error": None, "run_id": run_id}
        rows.append({**cell, **facts, DIFF_METRIC: fraction})
    return pd.DataFrame(rows)


def _name(labels: dict[str, object]) -> str:
    return f"{labels['method']}/{labels['split']}/{labels['seed']}"
