"""Identify a study's data in 16 hex digits.

This module imports no pandas, because a plan is made without it.
"""

import hashlib
from pathlib import Path

from training.data.files import check_hub_id, data_files, is_local
from training.errors import StudyError
from training.spec import DataSource, TwinData

TWIN_RECIPE = "twin-2"  # raised with every change to what a twin is
TABLE_RECIPE = "table-1"  # raised with every change to how a table is read


def fingerprint(data: DataSource) -> str:
    """Return 16 hex digits that identify the data.

    They hash the options in the study file and the content of local files, the hub id, or the twin's recipe.
    This is cheap: neither the hub nor torch is needed. Raises StudyError if a local file cannot be read.
    """
    key = data.model_dump_json()
    if key not in _known:
        _known[key] = _computed(data)
    return _known[key]


_known: dict[str, str] = {}


def _computed(data: DataSource) -> str:
    if isinstance(data, TwinData):
        digest = hashlib.sha256(data.model_dump_json(exclude={"path"}).encode())
        digest.update(TWIN_RECIPE.encode())
        return digest.hexdigest()[:16]
    # A shipped description and the same keys written out are the same data.
    options = data.model_dump_json(exclude={"source": True, "path": True, "people": {"path"}})
    digest = hashlib.sha256(f"{TABLE_RECIPE} {options}".encode())
    _add(digest, data.path, data.table, "data.path")
    if data.people:
        place = "data.people.path" if data.people.path else "data.path"
        _add(digest, data.people.path or data.path, data.people.table, place)
    return digest.hexdigest()[:16]


def _add(digest: "hashlib._Hash", path: str, table: str | None, place: str) -> None:
    """Add the content of local files, or the id of a data set on the hub."""
    if not is_local(path):
        check_hub_id(path, place)
        digest.update(path.encode())
        return
    for file in data_files(path, table, place):
        _add_file(digest, file, place)


def _add_file(digest: "hashlib._Hash", path: Path, place: str) -> None:
    try:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise StudyError(
            f"{place}: {path} cannot be read ({error.strerror}); give the file's path"
        ) from error
