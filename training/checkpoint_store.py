"""Folders kept in a store, each whole or not there: a local path or any URI that pyarrow or fsspec knows.

No store but a local disk can rename a folder, so what makes one whole is the list of its files with their
checksums, written last. A list that is missing, cut short or at odds with its files is damage.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import fs

from training.errors import StudyError

LIST = "part-{}.json"


class Damaged(Exception):
    """A folder of a shelf is not what was put there; the message says what is wrong."""


@dataclass(frozen=True)
class CheckpointStore:
    """Named folders under `uri`: an absolute path, or a URI such as s3://bucket/folder."""

    uri: str

    def open(self) -> None:
        """Make the shelf's root. Raises StudyError if the store cannot be reached or written."""
        try:
            store, root = self._store()
            store.create_dir(root, recursive=True)
        except (OSError, ValueError, ImportError) as error:  # pyarrow's errors are ValueErrors, too
            raise StudyError(
                f"storage {self.uri}: {' '.join(str(error).split())}; name a folder or a URI such as "
                "s3://bucket/folder, and what it needs (keys, region, network) in the environment"
            ) from error

    def put(self, folder: Path, name: str, part: int = 0, parts: int = 1) -> None:
        """Keep a folder's files as `name`. Several processes put a folder together: each its own `part` of
        `parts`, of which no two hold the same file. Raises OSError where the store fails or is full."""
        store, root = self._store()
        store.create_dir(f"{root}/{name}", recursive=True)
        sums = {}
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            with file.open("rb") as stream:
                sums[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
        fs.copy_files(str(folder), f"{root}/{name}", fs.LocalFileSystem(), store)
        with store.open_output_stream(f"{root}/{name}/{LIST.format(part)}") as stream:
            stream.write(json.dumps({"parts": parts, "sha256": sums}).encode())

    def names(self) -> list[str]:
        """All folders put here, whole or not."""
        store, root = self._store()
        found = store.get_file_info(fs.FileSelector(root, allow_not_found=True))
        return sorted(info.base_name for info in found if info.type == fs.FileType.Directory)

    def fetch(self, name: str, into: Path, parts: int = 1) -> None:
        """Copy a folder out of the store and check it. Raises Damaged if it is not whole, or was put by
        another number of parts than `parts`."""
        store, root = self._store()
        try:
            into.mkdir(parents=True)
            fs.copy_files(f"{root}/{name}", str(into), store, fs.LocalFileSystem())
        except FileNotFoundError as error:
            raise Damaged(f"{name}: nothing there") from error
        sums: dict[str, str] = {}
        for part in range(parts):
            listed = self._list(into, name, part)
            if listed.get("parts") != parts:
                raise Damaged(f"{name}: put by {listed.get('parts')} workers, not {parts}")
            sums |= listed["sha256"]
        for file, wanted in sums.items():
            path = into / file
            if not path.is_file():
                raise Damaged(f"{name}: {file} is missing")
            with path.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
                    raise Damaged(f"{name}: {file} is not the file that was put there")

    def _list(self, folder: Path, name: str, part: int) -> dict[str, Any]:
        path = folder / LIST.format(part)
        try:
            listed: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise Damaged(f"{name}: cut short, {path.name} is missing") from error
        except ValueError as error:
            raise Damaged(f"{name}: {path.name} is not readable: {error}") from error
        return listed

    def drop(self, name: str) -> None:
        """Remove a folder if it is there."""
        self._remove(f"/{name}")

    def clear(self) -> None:
        """Remove everything, the shelf itself included."""
        self._remove("")

    def _remove(self, below: str) -> None:
        store, root = self._store()
        if store.get_file_info(f"{root}{below}").type == fs.FileType.Directory:
            store.delete_dir(f"{root}{below}")

    def _store(self) -> tuple[fs.FileSystem, str]:
        try:
            store, root = fs.FileSystem.from_uri(self.uri)
        except pa.ArrowInvalid as error:
            if "Unrecognized filesystem type" not in str(error):
                raise
            found, root = fsspec.core.url_to_fs(self.uri)
            store = fs.PyFileSystem(fs.FSSpecHandler(found))
        return store, root.rstrip("/")
