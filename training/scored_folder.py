"""Write a scored table to a folder, whole or not at all, and verify its checksum when it is read.

Unlike a `CheckpointStore`, which copies an arm's state to shared storage and back, this folder is read in
place, memory-mapped, by every trial.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset

DESCRIPTION_FILE = "scores.json"


class DamagedScores(Exception):
    """A scored table on disk is not what its name says; the message names the file and what is wrong."""


def save(rows: "Dataset", folder: Path, description: dict[str, object] | None = None) -> None:
    """Write a data set to a folder under a temporary name, then rename the folder.

    `description` is what `verify` will return; it is written beside the rows, together with their checksum.
    """
    from datasets import disable_progress_bars

    disable_progress_bars()
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name))
    rows.save_to_disk(str(unfinished))
    if description is not None:
        description = description | {"sha256": _checksum(unfinished)}
        (unfinished / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def verify(folder: Path) -> dict[str, Any]:
    """Return the description that `save` wrote; raise DamagedScores if the files are not those it wrote."""
    try:
        description: dict[str, Any] = json.loads((folder / DESCRIPTION_FILE).read_text())
    except (OSError, ValueError) as error:
        raise DamagedScores(f"{folder / DESCRIPTION_FILE}: {error}") from error
    if description.get("sha256") != _checksum(folder):
        raise DamagedScores(f"{folder}: its checksum is not the one written with it")
    return description


def _checksum(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.arrow")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
