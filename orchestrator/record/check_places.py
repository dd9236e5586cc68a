"""Whether the places of a study can be written, have room, are closed to others, and share this clock."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.record.finding import MOST_SKEW_S, Finding, differing_clock, problem
from orchestrator.record.places import Places

LEAST_FREE_GB = 5.0  # less does not hold a few checkpoints of a model of half a billion weights


def check_places(places: Places) -> Iterator[Finding]:
    """Look at the home of the record and, if it is another folder, at that of unfinished cells."""
    yield from _check_folder("home", places.root, "ORCHESTRATOR_HOME")
    if "://" in places.work:
        yield Finding("storage", f"{places.work} (its access is tried when a sweep starts)")
    elif not Path(places.work).is_relative_to(places.root):
        yield from _check_folder("storage", Path(places.work).parent, "ORCHESTRATOR_STORAGE")


def _check_folder(thing: str, folder: Path, variable: str) -> Iterator[Finding]:
    existing = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=existing) as file:
            now, written = time.time(), os.stat(file.name).st_mtime
    except OSError as error:
        way_out = f"set {variable} to a folder that you may write"
        yield problem(thing, f"{existing} cannot be written ({error.strerror}); {way_out}")
        return
    yield _check_mode(thing, folder, existing)
    yield _check_room(existing, variable)
    if abs(now - written) > MOST_SKEW_S:
        yield differing_clock(now - written, f"the file system of {existing}")
    else:
        yield Finding("clock", f"agrees with that of the file system of {existing}")


def _check_mode(thing: str, folder: Path, existing: Path) -> Finding:
    mode = stat.S_IMODE(existing.stat().st_mode)
    if mode & stat.S_IWOTH and folder == existing:
        return problem(thing, f"{folder} can be changed by every user (mode {mode:o}); chmod o-w {folder}")
    note = "" if folder == existing else f", which does not exist yet; {existing} can be written"
    return Finding(thing, f"{folder}{note}")


def _check_room(existing: Path, variable: str) -> Finding:
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < LEAST_FREE_GB:
        return problem(
            "disk",
            f"{free_gb:.1f} GB free in {existing}, and a sweep wants {LEAST_FREE_GB:g} GB; delete what is "
            f"not needed, or set {variable} to a folder on another disk",
        )
    return Finding("disk", f"{free_gb:,.0f} GB free in {existing}")
