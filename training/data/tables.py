"""Read the columns of a table that a description names, and remember where each row stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from training.data.files import check_hub_id, compression_of, data_files, format_of, is_local
from training.data.text_rows import rows
from training.errors import StudyError
from training.hints import suggestion

_NOTHING = object()


@dataclass(frozen=True)
class Origin:
    """Where the rows of a file come from.

    name: The file, or the data set on the hub. unit: What is counted: `line` or `row`.
    numbers: The number of each of its rows: [rows].
    """

    name: str
    unit: str
    numbers: np.ndarray


@dataclass(frozen=True)
class Table:
    """Rows of one or more files.

    frame: One column per column that was asked for, under our name; rows in their order.
    origins: Where the rows come from, file by file.
    names: Our name -> the file's name of a column.
    """

    frame: pd.DataFrame
    origins: tuple[Origin, ...]
    names: Mapping[str, str]

    def place(self, row: int, column: str | None = None) -> str:
        """Return where a value stands, for a message: file, line and column."""
        for origin in self.origins:
            if row < len(origin.numbers):
                where = f"{origin.name}: {origin.unit} {origin.numbers[row]}"
                return where + (f", column {self.names.get(column, column)}" if column else "")
            row -= len(origin.numbers)
        raise IndexError(row)

    def take(self, positions: np.ndarray, frame: pd.DataFrame) -> "Table":
        """Return a table of the rows at `positions`, possibly repeated, with the columns of `frame`."""
        ends = np.cumsum([len(origin.numbers) for origin in self.origins])
        owner = np.searchsorted(ends, positions, side="right")
        numbers = np.concatenate([origin.numbers for origin in self.origins])[positions]
        bounds = np.flatnonzero(np.diff(owner)) + 1
        parts = np.split(numbers, bounds) if len(numbers) else []
        firsts = [0, *bounds.tolist()]
        origins = tuple(
            Origin(self.origins[owner[first]].name, self.origins[owner[first]].unit, part)
            for first, part in zip(firsts, parts, strict=False)
        )
        return Table(frame.reset_index(drop=True), origins, self.names)


def read_table(
    path: str,
    names: Mapping[str, str],
    place: str,
    table: str | None = None,
    revision: str = "main",
    split: str = "train",
) -> Table:
    """Read columns of local files or of a data set on the hub.

    Args:
        path: File, folder, glob or hub id.
        names: Our name -> the file's name of each column; a name inside another is written with a dot.
        place: The key of the study file that holds the path, for messages.
        table: The hub's configuration, or the name of the files in a folder.
        revision: Of a data set on the hub. split: Of a data set on the hub.

    Raises:
        StudyError: Something cannot be read, or a column is in no row.
    """
    if not is_local(path):
        check_hub_id(path, place)
        arrow = _from_hub(path, table, revision, split, names.values(), place)
        return _joined([_from_arrow(arrow, names, path, place)], names)
    parts = []
    for file in data_files(path, table, place):
        if format_of(file) in ("parquet", "arrow"):
            parts.append(_from_arrow(_arrow_file(file, names.values(), place), names, str(file), place))
        else:
            parts.append(_from_text(file, names, place))
    return _joined(parts, names)


def of_frame(frame: pd.DataFrame, names: Mapping[str, str], name: str) -> Table:
    """Return the named columns of a table in memory; their rows are counted from 1."""
    columns = {}
    for ours, theirs in names.items():
        top, *path = [theirs] if theirs in frame else theirs.split(".")
        column = frame[top].reset_index(drop=True)
        columns[ours] = column.map(lambda value, path=path: _inside(value, path)) if path else column
    return Table(pd.DataFrame(columns), (Origin(name, "row", np.arange(1, len(frame) + 1)),), names)


def first_rows(path: str, table: str | None, number: int, place: str = "--data") -> list[dict[str, Any]]:
    """Return the first rows of a local table, as they are written: name -> value.

    Raises:
        StudyError: The file cannot be read.
    """
    file = data_files(path, table, place)[0]
    if format_of(file) in ("parquet", "arrow"):
        head: list[dict[str, Any]] = _arrow_file(file, None, place).slice(0, number).to_pylist()
        return head
    return [row for _, row in islice(rows(file, place), number)]


def _joined(parts: list[Table], names: Mapping[str, str]) -> Table:
    frames = [part.frame for part in parts if len(part.frame)] or [parts[0].frame]
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(frame, tuple(origin for part in parts for origin in part.origins), names)


def _from_text(file: Path, names: Mapping[str, str], place: str) -> Table:
    numbers: list[int] = []
    columns: dict[str, list[Any]] = {ours: [] for ours in names}
    appends = [(ours, theirs, columns[ours].append) for ours, theirs in names.items()]
    missing = dict(names)
    seen: dict[str, None] = {}
    for number, row in rows(file, place):
        numbers.append(number)
        for ours, theirs, append in appends:
            value = inside(row, theirs, _NOTHING)
            if value is _NOTHING:
                value = None
            elif ours in missing:
                del missing[ours]
            append(value)
        if missing and len(numbers) <= 100:
            seen |= dict.fromkeys(row)
    if numbers and missing:
        _refuse_missing(*next(iter(missing.items())), seen, str(file))
    frame = pd.DataFrame({ours: pd.Series(values, dtype=object) for ours, values in columns.items()})
    return Table(frame, (Origin(str(file), "line", np.array(numbers, dtype=np.int64)),), names)


def _refuse_missing(ours: str, theirs: str, present: Iterable[str], file: str) -> None:
    why = ", which names the person (splits compare groups of people)" if ours == "user" else ""
    raise StudyError(f"{file}: no column {theirs!r}{why}; {suggestion(theirs, present)}")


def inside(row: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return the value of a name; a name that no column has may be one inside another, written with a dot."""
    if name in row:
        return row[name]
    return _inside(row, name.split("."), default) if "." in name else default


def _inside(value: Any, path: list[str], default: Any = None) -> Any:
    """Return what stands in nested objects under the names of a path."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return value


def _arrow_file(file: Path, wanted: Iterable[str] | None, place: str) -> pa.Table:
    """Read the columns of a Parquet or Arrow file that hold the wanted names; None wants all of them."""
    import pyarrow.parquet as pq

    try:
        source = pa.memory_map(str(file))
        if compression := compression_of(file):
            with pa.CompressedInputStream(source, compression) as stream:
                source = pa.BufferReader(stream.read())
        if format_of(file) == "parquet":
            parquet = pq.ParquetFile(source)
            present = parquet.schema_arrow.names
            return parquet.read(columns=present if wanted is None else _tops(wanted, present))
        content = _ipc(source)
        return content if wanted is None else content.select(_tops(wanted, content.schema.names))
    except (pa.ArrowException, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise StudyError(f"{place}: {file} cannot be read ({reason}); name another file") from error


def _ipc(source: Any) -> pa.Table:
    """Read Arrow's file format, or its stream format, which `datasets` writes."""
    try:
        return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source).read_all()


def _tops(wanted: Iterable[str], present: list[str]) -> list[str]:
    tops = (name if name in present else name.split(".")[0] for name in wanted)
    return [name for name in dict.fromkeys(tops) if name in present]


def _from_arrow(arrow: pa.Table, names: Mapping[str, str], name: str, place: str) -> Table:
    columns = {}
    for ours, theirs in names.items():
        top, *path = [theirs] if theirs in arrow.schema.names else theirs.split(".")
        if top not in arrow.schema.names:
            _refuse_missing(ours, theirs, arrow.schema.names, name)
        column = arrow.column(top)
        for inner in path:
            kind = column.type
            if not pa.types.is_struct(kind) or kind.get_field_index(inner) < 0:
                fields = [field.name for field in kind] if pa.types.is_struct(kind) else []
                _refuse_missing(ours, theirs, (f"{top}.{field}" for field in fields), name)
            column = pc.struct_field(column, inner)
        try:
            columns[ours] = _series(column)
        except UnicodeDecodeError as error:
            raise StudyError(
                f"{name}: column {theirs}: not UTF-8 ({error.reason}); write it again"
            ) from error
    frame = pd.DataFrame(columns)
    return Table(frame, (Origin(name, "row", np.arange(1, len(arrow) + 1)),), names)


def _series(column: pa.ChunkedArray) -> pd.Series:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_nested(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    series: pd.Series = column.to_pandas(integer_object_nulls=True, date_as_object=True)
    return series


def _from_hub(
    path: str, table: str | None, revision: str, split: str, wanted: Iterable[str], place: str
) -> pa.Table:
    from datasets import load_dataset

    try:
        data = load_dataset(path, table, split=split, revision=revision)
    except (OSError, ValueError) as error:  # from `datasets`: not found, no access, no network
        named = f"{table} of {path!r}" if table else repr(path)
        raise StudyError(
            f"{place}: {named} at revision {revision!r} cannot be loaded from the hub "
            f"({' '.join(str(error).split())[:200]}); correct the name or the network, or give a file or "
            "a folder"
        ) from error
    tops = _tops(wanted, data.column_names)
    return data.select_columns(tops or data.column_names[:1]).with_format("arrow")[:]
