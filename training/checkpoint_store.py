"""Keep named folders in a store, each of them whole or absent.

A store is a local path or any URI that pyarrow or fsspec knows. It holds an arm's checkpoints
(`training/checkpoints.py`) or a trial's finished arms. Only a local disk can rename a folder, so what makes a
folder whole is the list of its files with their checksums, which is written last. A folder whose list is
missing, incomplete or inconsistent with its files is damaged.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import fs

from training.errors import StudyError

CHECKSUM_LIST = "part-{}.json"


class DamagedFolder(Exception):
    """A folder of a store is not what was put there, or is absent; the message says what is wrong."""


@dataclass(frozen=True)
class CheckpointStore:
    """Named folders under `uri`: an absolute path, or a URI such as s3://bucket/folder."""

    uri: str

    def open(self) -> None:
        """Create the store's root; raise StudyError if the store cannot be reached or written."""
        try:
            filesystem, root = self._filesystem()
            filesystem.create_dir(root, recursive=True)
        except (OSError, ValueError, ImportError) as error:  # some of pyarrow's errors are ValueErrors
            raise StudyError(
                f"storage {self.uri}: {' '.join(str(error).split())}; name a folder or a URI such as "
                "s3://bucket/folder, and set what it needs (keys, region, network) in the environment"
            ) from error

    def put(self, folder: Path, name: str, part: int = 0, parts: int = 1) -> None:
        """Keep the files of a local folder under `name`, in place of what is there.

        Several processes may put one folder together: each puts its own `part` of `parts`, and no two parts
        hold the same file. None of them can remove what was there before, so the folder must be new. Raises
        OSError if the store fails or is full.
        """
        filesystem, root = self._filesystem()
        if parts == 1:
            self.drop(name)
        filesystem.create_dir(f"{root}/{name}", recursive=True)
        checksums = {
            file.relative_to(folder).as_posix(): _sha256(file)
            for file in sorted(path for path in folder.rglob("*") if path.is_file())
        }
        fs.copy_files(str(folder), f"{root}/{name}", fs.LocalFileSystem(), filesystem)
        with filesystem.open_output_stream(f"{root}/{name}/{CHECKSUM_LIST.format(part)}") as stream:
            stream.write(json.dumps({"parts": parts, "sha256": checksums}).encode())

    def names(self) -> list[str]:
        """Return the names of all folders put here, whole or not."""
        filesystem, root = self._filesystem()
        entries = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
        return sorted(entry.base_name for entry in entries if entry.type == fs.FileType.Directory)

    def is_complete(self, name: str) -> bool:
        """Return whether all parts of a folder were put; whether its files are undamaged is not checked."""
        filesystem, root = self._filesystem()

        def read(file: str) -> str:
            content: bytes = filesystem.open_input_stream(f"{root}/{name}/{file}").read()
            return content.decode()

        try:
            _lists(name, read)
        except DamagedFolder:
            return False
        return True

    def fetch(self, name: str, into: Path) -> None:
        """Copy a folder out of the store to the new local folder `into`, as it was put, and check its files.

        Raises DamagedFolder if the folder is absent or is not whole.
        """
        filesystem, root = self._filesystem()
        try:
            into.mkdir(parents=True)
            fs.copy_files(f"{root}/{name}", str(into), filesystem, fs.LocalFileSystem())
        except FileNotFoundError as error:
            raise DamagedFolder(f"{name}: nothing there") from error
        lists = _lists(name, lambda file: (into / file).read_text())
        for file, checksum in [item for listed in lists for item in listed["sha256"].items()]:
            path = into / file
            if not path.is_file():
                raise DamagedFolder(f"{name}: {file} is missing")
            if _sha256(path) != checksum:
                raise DamagedFolder(f"{name}: {file} is not the file that was put there")
        for part in range(len(lists)):
            (into / CHECKSUM_LIST.format(part)).unlink()  # it belongs to the store

    def drop(self, name: str) -> None:
        """Remove a folder if it is there."""
        self._remove(f"/{name}")

    def clear(self) -> None:
        """Remove all folders and the store's root itself."""
        self._remove("")

    def _remove(self, below: str) -> None:
        filesystem, root = self._filesystem()
        if filesystem.get_file_info(f"{root}{below}").type == fs.FileType.Directory:
            filesystem.delete_dir(f"{root}{below}")

    def _filesystem(self) -> tuple[fs.FileSystem, str]:
        """Return the file system of the URI, and the root's path in it."""
        try:
            filesystem, root = fs.FileSystem.from_uri(self.uri)
        except pa.ArrowInvalid as error:
            if "Unrecognized filesystem type" not in str(error):
                raise
            fsspec_filesystem, root = fsspec.core.url_to_fs(self.uri)
            filesystem = fs.PyFileSystem(fs.FSSpecHandler(fsspec_filesystem))
        return filesystem, root.rstrip("/")


def _lists(name: str, read: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the lists of all parts of a folder, as many as the first says; `read` reads one of its files.

    Raises DamagedFolder if one is absent or unreadable, or says that the folder has another number of parts.
    """
    lists: list[dict[str, Any]] = []
    parts = 1
    while len(lists) < parts:
        file = CHECKSUM_LIST.format(len(lists))
        try:
            listed: dict[str, Any] = json.loads(read(file))
        except FileNotFoundError as error:
            raise DamagedFolder(f"{name}: incomplete, {file} is missing") from error
        except ValueError as error:
            raise DamagedFolder(f"{name}: {file} is not readable: {error}") from error
        if lists and listed["parts"] != parts:
            raise DamagedFolder(f"{name}: its parts were put by {parts} and by {listed['parts']} workers")
        parts = listed["parts"]
        lists.append(listed)
    return lists


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
