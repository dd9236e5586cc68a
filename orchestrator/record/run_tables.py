"""The tables of a cell's run: Parquet artifacts, each with its checksum in a tag of the run."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pandas as pd
from mlflow.entities import Run

from orchestrator.record.mlflow_store import PatientClient

OUTCOMES_FILE, CURVES_FILE = "outcomes.parquet", "curves.parquet"


class DamagedTable(Exception):
    """A table of a run is gone, or is not the file that the run recorded; the message names it."""


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
            checksums[checksum_tag(file)] = _sha256(path)
            client.log_artifact(run_id, str(path))
    return checksums


def read_table(
    client: PatientClient, run: Run, file: str, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table of a run: the given columns, or all columns by default.

    Raises:
        DamagedTable: The table is gone, or its checksum is not the one that the run recorded.
    """
    with _checked(client, run, file) as path:
        return pd.read_parquet(path, columns=list(columns) if columns else None)


def check_tables(client: PatientClient, run: Run) -> None:
    """Raise DamagedTable if a table of a run is gone or is not the file that the run recorded."""
    for file in (OUTCOMES_FILE, CURVES_FILE):
        with _checked(client, run, file):
            pass


def tables_are_gone(artifact_uri: str) -> bool:
    """Return whether a run's artifacts are in a local folder that lacks a table; elsewhere nobody looks."""
    folder = local_folder(artifact_uri)
    return folder is not None and not all((folder / file).is_file() for file in (OUTCOMES_FILE, CURVES_FILE))


def local_folder(artifact_uri: str) -> Path | None:
    """Return the folder that a URI of artifacts stands for; None if a server or an object store has them."""
    parts = urlsplit(artifact_uri)
    if parts.scheme not in ("", "file"):
        return None
    return Path(url2pathname(parts.path) if parts.scheme else artifact_uri)


@contextmanager
def _checked(client: PatientClient, run: Run, file: str) -> Iterator[Path]:
    """Yield the path of a run's table once its checksum is found right: the file itself or a copy."""
    folder = local_folder(run.info.artifact_uri)
    with tempfile.TemporaryDirectory() as scratch:
        if folder is None and file in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}:
            path = Path(client.download_artifacts(run.info.run_id, file, scratch))
        else:
            path = (folder or Path(scratch)) / file
        name = f"MLflow run {run.info.run_id} ({run.info.run_name}): {file}"
        try:
            checksum = _sha256(path)
        except FileNotFoundError as error:
            raise DamagedTable(f"{name} is gone") from error
        if checksum != run.data.tags.get(checksum_tag(file)):
            raise DamagedTable(f"{name} is not the file that the run recorded")
        yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
