"""Find the files of a table. This module imports no pandas, because a plan identifies the data without it."""

import glob
import re
from pathlib import Path

from training.errors import StudyError

FORMATS = {
    ".jsonl": "json", ".ndjson": "json", ".json": "json", ".csv": "csv", ".tsv": "tsv",
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_GLOB = re.compile(r"[*?\[]")


def is_local(path: str) -> bool:
    """Return whether a path names files: it exists, or is written like a file; otherwise it names the hub."""
    file = Path(path).expanduser()
    return file.exists() or path.startswith((".", "/", "~")) or bool(_GLOB.search(path)) or known(file)


def known(file: Path) -> bool:
    """Return whether the name of a file says that it holds a table."""
    return format_of(file) is not None


def format_of(file: Path) -> str | None:
    """Return the format that a file's name says: json, csv, tsv, parquet or arrow; None for another name."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def compression_of(file: Path) -> str | None:
    """Return gzip or zstd if a file's name says so."""
    return COMPRESSIONS.get(file.suffix.lower())


def data_files(path: str, table: str | None, place: str) -> list[Path]:
    """Return the files of a local table, sorted.

    Args:
        path: A file, a folder (searched with its subfolders) or a glob.
        table: Of a folder, only the files with this name, and those in a subfolder with this name.
        place: The key of the study file, for messages.

    Raises:
        StudyError: There is no such file, the name of a file does not say its format, or a folder holds
            files of several formats.
    """
    root = Path(path).expanduser()
    if _GLOB.search(path) and not root.exists():
        found = [Path(name) for name in glob.glob(str(root), recursive=True)]
        files = [file for file in found if file.is_file()]
    elif root.is_dir():
        inside = [file for file in root.rglob("*") if file.is_file() and known(file)]
        files = [file for file in inside if table is None or _is_of(file, table)]
    else:
        if not root.exists():
            raise StudyError(
                f"{place}: {path} cannot be read (no such file or folder); name a file, a folder, a glob "
                "or a hub id"
            )
        files = [root]
    if not files:
        what = f"table {table!r}" if table else "data file"
        raise StudyError(
            f"{place}: {path} cannot be read (no {what} in it); readable: {', '.join(FORMATS)}, each also "
            f"with {' or '.join(COMPRESSIONS)}"
        )
    unknown = [file for file in files if not known(file)]
    if unknown:
        raise StudyError(f"{place}: {unknown[0]}: unknown format; readable: {', '.join(FORMATS)}")
    formats = sorted({str(format_of(file)) for file in files})
    if len(formats) > 1:
        raise StudyError(
            f"{place}: {path} holds files of several formats ({', '.join(formats)}); name one file, a glob "
            "such as folder/*.parquet, or data.table"
        )
    return sorted(files)


def check_hub_id(path: str, place: str) -> None:
    """Refuse what can be neither a file nor the id of a data set on the hub."""
    if not _HUB_ID.fullmatch(path):
        raise StudyError(f"{place}: nothing at {path!r}; name a file, a folder, a glob or a hub id")


def _is_of(file: Path, table: str) -> bool:
    return file.name.split(".")[0] == table or file.parent.name == table
