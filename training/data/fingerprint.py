"""Identify a study's data in 16 hex digits.

This module imports no pandas, because a plan is made without it.
"""

import hashlib
from functools import lru_cache
from pathlib import Path

from training.errors import StudyError
from training.spec import DataSource, PairsData, PrismData, TwinData

TWIN_RECIPE = "twin-2"  # raised with every change to what a twin is


@lru_cache
def fingerprint(data: DataSource) -> str:
    """Return 16 hex digits that identify the data.

    They hash the options in the study file and the content of local files, the hub id, or the twin's recipe.
    This is cheap: neither the hub nor torch is needed. Raises StudyError if a local file cannot be read.
    """
    digest = hashlib.sha256(data.model_dump_json(exclude={"path"}).encode())
    if isinstance(data, TwinData):
        digest.update(TWIN_RECIPE.encode())
    elif isinstance(data, PairsData):
        _add_file(digest, Path(data.path), "data.path")
    elif is_local(data):
        for name in ("survey.jsonl", "utterances.jsonl"):
            _add_file(digest, Path(data.path) / name, "data.path")
    else:
        digest.update(data.path.encode())
    return digest.hexdigest()[:16]


def is_local(data: PrismData) -> bool:
    """Return whether the path is a folder that exists or is written like one; otherwise it names the hub."""
    return Path(data.path).exists() or data.path.startswith((".", "/", "~"))


def _add_file(digest: "hashlib._Hash", path: Path, place: str) -> None:
    try:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise StudyError(
            f"{place}: {path} cannot be read ({error.strerror}); give the file's path"
        ) from error
