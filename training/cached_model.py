"""Models that are built or unpacked once and kept in a folder; a damaged one is made again."""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from filelock import FileLock

CHECKSUMS = "checksums.json"
log = logging.getLogger(__name__)


def cached_model(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that holds what `make` writes. Other processes wait while it is made.

    Args:
        folder: Where the files are kept.
        make: `make(empty_folder)` writes the files. It is called if there are none, or if they are damaged.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.exists() and not _is_whole(folder):
            log.warning("%s: damaged; making it again", folder)
            shutil.rmtree(folder)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=folder.name) as scratch:
                unfinished = Path(scratch) / "model"
                unfinished.mkdir()
                make(unfinished)
                (unfinished / CHECKSUMS).write_text(json.dumps(_checksums(unfinished), indent=1))
                unfinished.rename(folder)
    return folder.resolve()


def _is_whole(folder: Path) -> bool:
    """Return whether a model's files are those that were written; each is read once per process."""
    return _has_written_checksums(folder, _stamps(folder))


@cache
def _has_written_checksums(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> bool:
    try:
        written = json.loads((folder / CHECKSUMS).read_text())
    except (OSError, ValueError):
        return False
    return bool(written == _checksums(folder))


def _stamps(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of the last change (ns) of each file."""
    stats = ((file.name, file.stat()) for file in sorted(folder.iterdir()))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _checksums(folder: Path) -> dict[str, str]:
    """Return file name -> SHA-256 of each file of a model."""
    checksums = {}
    for file in sorted(folder.iterdir()):
        if file.name != CHECKSUMS:
            with file.open("rb") as stream:
                checksums[file.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return checksums
