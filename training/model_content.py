"""Identify a model on disk by its content. Imports no torch."""

import hashlib
from functools import lru_cache
from pathlib import Path

MODEL_FILES = {".safetensors", ".json", ".jinja", ".txt", ".model"}  # the files of a folder that make a model


def content_fingerprint(path: Path) -> str:
    """Return 16 hex digits that hash a model's file, or the files of its folder with their names.

    A file that has not been written since it was last hashed in this process is not read again.
    """
    digest = hashlib.sha256()
    for file in model_files(path):
        digest.update(b"" if path.is_file() else file.name.encode())
        stat = file.stat()
        digest.update(_file_digest(file, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return digest.hexdigest()[:16]


def model_files(path: Path) -> list[Path]:
    """Return the files that make a model, sorted: a single file itself, or those of a folder."""
    return [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in MODEL_FILES)


@lru_cache(maxsize=1024)
def _file_digest(file: Path, _size: int, _written_ns: int, _inode: int) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
