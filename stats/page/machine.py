"""A report as one JSON document, for programs: the tables of its CSV files, and what they are tables of."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

SIGNIFICANT = ".10g"  # digits of a number, as in the CSV files


def write(facts: Mapping[str, object], tables: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Write facts about a report and its tables, name -> list of rows, as strict JSON.

    A missing value is null. JSON has no infinity, so an infinite number is the text `inf` or `-inf`, as in
    the CSV files.
    """
    rows = {
        name: [{column: _value(value) for column, value in row.items()} for row in table.to_dict("records")]
        for name, table in tables.items()
    }
    document = {**facts, "tables": rows}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _value(value: object) -> object:
    if isinstance(value, str | bool):
        return str(value) if isinstance(value, str) else value
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Timestamp):
        return str(value)  # as in the CSV files
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, float):
        if math.isnan(number):
            return None
        return float(format(number, SIGNIFICANT)) if math.isfinite(number) else str(number)
    return number
