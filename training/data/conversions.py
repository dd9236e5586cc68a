"""Turn the columns of a table into names, numbers and texts; a value that is none is named with its place."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from training.data.tables import Table
from training.errors import StudyError
from training.table_data import level_text

# Long texts stand in many pairs. Stored as Python's, a text is held once, and its pairs point to it.
TEXT = pd.StringDtype("python", na_value=np.nan)
OTHERWISE_WRITTEN = r"-?\d+\.0+|True|False|TRUE|FALSE"  # what `level_text` writes in another way
LARGEST_TURN = 1_000_000
OLDEST = 130  # years


def is_missing(value: Any) -> bool:
    """Return whether a value is absent: None, not a number, or an empty text."""
    return value is None or value is pd.NA or value is pd.NaT or value == "" or value != value


def without_missing(table: Table, columns: Iterable[str], missing: Iterable[str]) -> Table:
    """Return a table whose values that mean "missing" are absent.

    Args:
        table: Any rows.
        columns: Our names of the columns to look at.
        missing: The values, as `data.missing_values` lists them.
    """
    meant = {value.strip().casefold() for value in missing}

    def means_missing(value: Any) -> bool:
        text = level_text(value.item() if isinstance(value, np.generic) else value)
        return isinstance(text, str) and text.strip().casefold() in meant

    found = {}
    for column in columns:
        values = table.frame[column]
        try:
            absent = [value for value in values.unique() if means_missing(value)]
        except TypeError:  # a list or an object, which is refused where it is read
            continue
        if absent:
            found[column] = values.mask(values.isin(absent))
    return replace(table, frame=table.frame.assign(**found))


def refuse(table: Table, row: int, column: str, value: object, what: str) -> StudyError:
    """Return the error that a value is not what it has to be."""
    return StudyError(f"{table.place(row, column)}: {what} (found {value!r:.80})")


def names(table: Table, column: str, required: bool = True) -> pd.Series:
    """Return a column of names, each a text: the numbers 7 and 7.0, "7" and "7.0" are one name."""

    def name(value: Any) -> str:
        if isinstance(value, str) and value.strip():
            return str(level_text(value.strip()))
        if isinstance(value, int | float | Decimal | np.number) and not isinstance(value, bool):
            return str(level_text(value.item() if isinstance(value, np.generic) else value))
        raise ValueError("a name, as a text or a number, is needed")

    values = table.frame[column]
    if pd.api.types.is_integer_dtype(values):  # the usual cases, a million rows at once
        return values.astype("str")
    if isinstance(values.dtype, pd.StringDtype):
        stripped = values.str.strip()
        same = stripped.notna() & (stripped != "") & ~stripped.str.fullmatch(OTHERWISE_WRITTEN)
        if same.all():
            return stripped
    return _mapped(table, column, name, "str", required)


def texts(table: Table, column: str) -> pd.Series:
    """Return a column of texts without white space around them; a missing one is the empty text."""
    values = table.frame[column]
    if not isinstance(values.dtype, pd.StringDtype):
        for row, value in enumerate(values):
            if not isinstance(value, str) and not is_missing(value):
                raise refuse(table, row, column, value, "a text is needed")
    return values.where(values.notna(), "").astype(TEXT).str.strip()


def numbers(
    table: Table, column: str, required: bool = True, between: tuple[float, float] | None = None
) -> pd.Series:
    """Return a column of numbers, which may be written as texts; a missing one is NaN if none is required."""
    values = table.frame[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        found = _finite(table, column, values.astype(float))
        if required and found.isna().any():
            row = int(np.argmax(found.isna()))
            raise refuse(table, row, column, None, "a number is needed")
    else:
        found = _mapped(table, column, _number, float, required)
    if between:
        low, high = between
        outside = (found < low) | (found > high)
        if outside.any():
            row = int(np.argmax(outside))
            what = f"not between {low:g} and {high:g}"
            raise refuse(table, row, column, values.iloc[row], what)
    return found


def turns(table: Table, column: str) -> pd.Series:
    """Return a column of whole numbers that are not negative."""
    found = numbers(table, column, between=(0, LARGEST_TURN))
    if (found % 1 != 0).any():
        row = int(np.argmax(found % 1 != 0))
        raise refuse(table, row, column, found.iloc[row], "a whole number is needed")
    return found.astype(np.int64)


def _finite(table: Table, column: str, values: pd.Series) -> pd.Series:
    infinite = np.isinf(values.to_numpy())
    if infinite.any():
        row = int(np.argmax(infinite))
        raise refuse(table, row, column, float(values.iloc[row]), "a finite number is needed")
    return values


def flags(table: Table, column: str) -> pd.Series:
    """Return a column of booleans, which may be written as texts or as 0 and 1; missing counts as false."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

    def flag(value: Any) -> bool:
        text = str(level_text(value.item() if isinstance(value, np.generic) else value)).lower()
        if text not in known:
            raise ValueError("true or false is needed")
        return known[text]

    values = table.frame[column]
    if pd.api.types.is_bool_dtype(values):
        return values.astype(bool)
    return _mapped(table, column, flag, object, required=False).map(lambda value: value is True)


def levels(table: Table, column: str) -> pd.Series:
    """Return a trait: numbers as numbers, all else as texts (`true` for a boolean); missing stays missing."""
    values = table.frame[column]
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return _finite(table, column, values.astype(float))
    given = [value for value in values if not is_missing(value)]
    if any(isinstance(value, list | dict) for value in given):
        row = next(row for row, value in enumerate(values) if isinstance(value, list | dict))
        raise refuse(table, row, column, values.iloc[row], "a trait is a number, a text or a boolean")
    if given and all(_is_number(value) for value in given):
        return _mapped(table, column, _number, float, required=False)
    texts = _mapped(table, column, lambda value: str(level_text(value)).strip(), "str", required=False)
    boolean = texts.str.lower().isin(["true", "false"]) | texts.isna()
    return texts.str.lower() if boolean.all() else texts


def ages(table: Table, column: str, on: date) -> pd.Series:
    """Return the age in whole years, on a day, of people whose date of birth a column holds."""

    def age(value: Any) -> float:
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError as error:
                raise ValueError("a date such as 1990-05-31 is needed") from error
        if not isinstance(value, date):
            raise ValueError("a date such as 1990-05-31 is needed")
        years = on.year - value.year - ((on.month, on.day) < (value.month, value.day))
        if not 0 <= years <= OLDEST:
            raise ValueError(f"a date of birth at most {OLDEST} years before {on} is needed")
        return float(years)

    return _mapped(table, column, age, float, required=False)


def _is_number(value: Any) -> bool:
    try:
        _number(value)
    except ValueError:
        return False
    return True


def _number(value: Any) -> float:
    if isinstance(value, bool | np.bool_):
        raise ValueError("a number is needed")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("a number is needed") from error
    if not np.isfinite(found):
        raise ValueError("a finite number is needed")
    return found


def _mapped(
    table: Table, column: str, convert: Callable[[Any], Any], dtype: Any, required: bool
) -> pd.Series:
    """Convert each distinct value once; the first one that cannot be converted is reported with its place."""
    values = table.frame[column].to_numpy(dtype=object)
    known: dict[Any, Any] = {}
    converted = []
    for row, value in enumerate(values):
        if is_missing(value):
            if required:
                raise refuse(table, row, column, value, "a value is needed")
            converted.append(np.nan if dtype is float else None)
            continue
        try:
            key = (type(value), value)
            if key not in known:
                known[key] = convert(value)
            converted.append(known[key])
        except TypeError as error:  # a list or an object, which has no hash
            raise refuse(table, row, column, value, "one value is needed, not several") from error
        except ValueError as error:
            raise refuse(table, row, column, value, str(error)) from error
    return pd.Series(converted, index=table.frame.index, dtype=dtype)
