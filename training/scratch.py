"""Folders for work in progress, which are removed even if their process is killed: by whoever comes next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout


def scratch_root() -> Path:
    """Return the folder of this user's scratch folders on this machine."""
    return Path(tempfile.gettempdir()) / f"preference-orchestrator-{os.getuid()}"


@contextmanager
def scratch(root: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder that is removed at the end.

    A process that is killed leaves its folder behind. A lock on each folder, which ends with its process,
    shows that; the next caller with the same root removes it first.

    Args:
        root: Where the folder is made; by default `scratch_root()`, on this machine's own disk.

    Raises:
        PermissionError: The root belongs to another user.
    """
    root = root or scratch_root()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to another user; remove it, or name another folder in TMPDIR")
    for left_behind in [folder for folder in root.iterdir() if folder.is_dir()]:
        _remove_if_abandoned(left_behind)
    folder = root / uuid4().hex
    with FileLock(_lock_file(folder)):
        folder.mkdir(mode=0o700)  # only now, so that a folder without a held lock is always an abandoned one
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    _lock_file(folder).unlink(missing_ok=True)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        with FileLock(_lock_file(folder), timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:  # its process lives
        return
    _lock_file(folder).unlink(missing_ok=True)


def _lock_file(folder: Path) -> Path:
    return folder.with_suffix(".lock")
