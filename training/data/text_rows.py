"""Read rows from text: JSON lines, a JSON array, and comma- or tab-separated values, each row with its line.

UTF-8 (with or without a byte order mark) and UTF-16 with one are read, and so are Windows' line ends and
blank lines. What cannot be read is a `StudyError` with file, line and column.
"""

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from training.data.files import compression_of, format_of
from training.errors import StudyError

Row = tuple[int, dict[str, Any]]
_TAB = "\t"
_SEPARATORS = (";", _TAB, "|", ",")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def rows(file: Path, place: str = "data.path") -> Iterator[Row]:
    """Yield the rows of a text file: the number of the line (of an array: of the row), and name -> value.

    Args:
        file: A file of format json, csv or tsv, also gzipped or zstd.
        place: The key of the study file that names it, for messages.

    Raises:
        StudyError: The file cannot be opened, is cut short, or holds something that is no text or no row.
    """
    number = 0
    kind = format_of(file)
    try:
        with _opened(file, newline="\n" if kind == "json" else "") as stream:
            lines = _checked(stream, file)
            parsed = _json(lines, file) if kind == "json" else _separated(lines, file, kind == "tsv")
            for number, row in parsed:
                yield number, row
    except UnicodeError as error:
        raise StudyError(f"{file}: after line {number}: not UTF-16 ({error}); save it as UTF-8") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise StudyError(f"{file}: after line {number}: {error}; the file is cut or damaged") from error
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        after = f" after line {number}" if number else ""
        raise StudyError(f"{place}: {file} cannot be read{after} ({reason}); name another file") from error


def _opened(file: Path, newline: str) -> IO[str]:
    """Open a file as text. Bytes that are not UTF-8 become lone surrogates, which `_checked` reports."""
    compression = compression_of(file)
    if compression == "gzip":
        binary = cast(IO[bytes], gzip.open(file))  # noqa: SIM115
    elif compression == "zstd":
        import pyarrow as pa

        binary = io.BufferedReader(pa.input_stream(str(file), compression="zstd"))
    else:
        binary = file.open("rb")
    buffered = binary if hasattr(binary, "peek") else io.BufferedReader(binary)  # type: ignore[type-var]
    start = buffered.peek(3)[:3]
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    return io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline=newline)


def _checked(stream: IO[str], file: Path) -> Iterator[str]:
    """Yield the lines; refuse one with a byte that is not UTF-8, or with a NUL character."""
    for number, line in enumerate(stream, start=1):
        if "\0" in line:
            raise StudyError(
                f"{file}: line {number}, character {line.index(chr(0)) + 1}: a NUL character; save the file "
                "as UTF-8 text"
            )
        try:
            line.encode()
        except UnicodeEncodeError as error:
            byte = ord(line[error.start]) - 0xDC00
            near = line[max(0, error.start - 20) : error.start]
            raise StudyError(
                f"{file}: line {number}, character {error.start + 1}: byte 0x{byte:02X} is not UTF-8 "
                f"(after {near!r}); save the file as UTF-8"
            ) from error
        yield line


def _json(lines: Iterator[str], file: Path) -> Iterator[Row]:
    """Yield the objects of JSON lines, or of one array."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if line.lstrip().startswith("["):
            value = _parsed("\n" * (number - 1) + line + "".join(lines), file, None)
            for position, item in enumerate(value, start=1):
                yield position, _object(item, f"{file}: row {position}")
            return
        yield number, _object(_parsed(line, file, number), f"{file}: line {number}")


def _parsed(text: str, file: Path, number: int | None) -> Any:
    try:
        value = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        line = number or error.lineno
        raise StudyError(
            f"{file}: line {line} is not JSON ({error.msg} at character {error.colno}: "
            f"{text[max(0, error.pos - 30) : error.pos + 30].strip()!r}); fix or remove it"
        ) from error
    except (RecursionError, ValueError) as error:  # too deep, or an integer of thousands of digits
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise StudyError(f"{file}: line {number or 1} is not JSON ({reason}); fix or remove it") from error
    if "\\u" in text:
        _check_escapes(value, f"{file}: line {number}" if number else str(file), "")
    return value


def _check_escapes(value: Any, place: str, column: str) -> None:
    """Refuse half of a surrogate pair and a NUL character, which an escape such as `\\ud83d` can hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_escapes(item, place, f"{column}.{key}" if column else key)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_escapes(item, place, f"{column}.{position}" if column else str(position))
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            found = f"\\u{ord(value[error.start]):04x}"
            raise StudyError(
                f"{place}, column {column}: {found} after {value[: error.start][-20:]!r} is half a "
                "character; remove it"
            ) from error
        if "\0" in value:
            raise StudyError(f"{place}, column {column}: a NUL character in {value[:60]!r}; remove it")


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StudyError(
            f"{place} is a {type(value).__name__}, not an object with named columns: {str(value)[:60]!r}"
        )
    return value


def _separated(lines: Iterator[str], file: Path, tabs: bool) -> Iterator[Row]:
    """Yield the rows of separated values under the names of the first row."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(lines, delimiter="\t" if tabs else ",", strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            if cells and header is None:
                header = _header([cell.strip() for cell in cells], file, tabs)
            elif cells and header is not None:
                if len(cells) != len(header):
                    raise StudyError(
                        f"{file}: line {start} has {len(cells)} columns and the header {len(header)}: "
                        f"{cells[-1][:60]!r} is the last value; quote a value that holds a separator"
                    )
                yield start, dict(zip(header, cells, strict=True))
            start = reader.line_num + 1
    except csv.Error as error:
        raise StudyError(f"{file}: line {start}: {error}; fix the quotes") from error


def _header(names: list[str], file: Path, tabs: bool) -> list[str]:
    other = next((mark for mark in _SEPARATORS if len(names) == 1 and mark in names[0]), None)
    if other:
        raise StudyError(
            f"{file}: line 1 is one column, {names[0][:60]!r}, which seems to be separated by {other!r}; "
            f"{'name the file .csv' if tabs and other == ',' else 'save it with commas'}"
            f"{', or name it .tsv' if other == _TAB else ''}"
        )
    twice = [name for position, name in enumerate(names) if name in names[:position]]
    if twice:
        raise StudyError(f"{file}: line 1 names column {twice[0]!r} twice; rename one")
    return names
