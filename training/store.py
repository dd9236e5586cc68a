"""A data set on disk that is whole, and provably the one that was written."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

ABOUT = "scores.json"


class DamagedScores(Exception):
    """A scored table on disk is not what its name says; the message names the file and what is wrong."""


def save(rows: "Dataset", folder: Path, about: dict[str, object] | None = None) -> None:
    """Write a data set folder under a temporary name with its checksum, then rename it."""
    from datasets import disable_progress_bars

    disable_progress_bars()
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
    rows.save_to_disk(str(unfinished))
    if about is not None:
        about = about | {"sha256": _checksum(unfinished)}
        (unfinished / ABOUT).write_text(json.dumps(about, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.arrow")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def verify(folder: Path) -> dict[str, Any]:
    """What `save` wrote about a folder; raises DamagedScores if its files are not those that were written."""
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError) as error:
        raise DamagedScores(f"{folder / ABOUT}: {error}") from error
    if about.get("sha256") != _checksum(folder):
        raise DamagedScores(f"{folder}: its checksum is not the one written with it")
    return about
