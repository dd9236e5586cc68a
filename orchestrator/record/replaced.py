"""Folders that are written anew: whoever looks sees the old one or the new one, never half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from training.scratch import scratch


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block ends without an error.

    Of several writers at once, the last one wins. What a killed writer leaves is removed by the next one.
    """
    with scratch(folder.parent / ".scratch") as room:
        new = room / folder.name
        new.mkdir()
        yield new
        with FileLock(folder.parent / ".scratch" / f"{folder.name}.replace"):
            if folder.exists():
                folder.rename(room / "old")
            new.rename(folder)
