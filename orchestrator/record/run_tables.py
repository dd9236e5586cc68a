"""The tables of a cell's run: Parquet artifacts, each with its checksum in a tag of the run."""

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from mlflow.entities import Run

from orchestrator.record.mlflow_store import PatientClient

OUTCOMES_FILE, CURVES_FILE = "outcomes.parquet", "curves.parquet"


def checksum_tag(file: str) -> str:
    """Return the tag that holds a file's checksum: `outcomes_sha256` for `outcomes.parquet`."""
    return f"{Path(file).stem}_sha256"


def write_tables(client: PatientClient, run_id: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Store tables (by file name) as artifacts of a run, and return the tags that hold their checksums."""
    checksums = {}
    with tempfile.TemporaryDirectory() as folder:
        for file, table in tables.items():
            path = Path(folder) / file
            table.to_parquet(path, index=False)
            checksums[checksum_tag(file)] = hashlib.sha256(path.read_bytes()).hexdigest()
            client.log_artifact(run_id, str(path))
    return checksums


def read_table(
    client: PatientClient, run: Run, file: str, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table of a run: the given columns, or all columns by default.

    Raises:
        RuntimeError: The artifact's checksum is not the one that the run recorded.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run.info.run_id, file, folder))
        if hashlib.sha256(path.read_bytes()).hexdigest() != run.data.tags[checksum_tag(file)]:
            raise RuntimeError(
                f"MLflow run {run.info.run_id} ({run.info.run_name}): {file} is not the file it recorded"
            )
        return pd.read_parquet(path, columns=list(columns) if columns else None)
