"""Turn a list of annotations per item into one row per annotation."""

from typing import Any

import numpy as np
import pandas as pd

from training.data.tables import Table, inside
from training.errors import StudyError
from training.hints import suggestion
from training.table_data import ANNOTATION


def exploded(table: Table, lists: dict[str, str], names: dict[str, str]) -> Table:
    """Return one row per annotation.

    Args:
        table: One row per item; its columns `lists` hold lists of objects.
        lists: Our names of these columns -> the file's names.
        names: Our name of each column that an annotation holds -> `annotation.FIELD`; annotation.list is the
            file's name of the list.

    Raises:
        StudyError: A list holds something else than objects, or no annotation has a field.
    """
    positions: list[int] = []
    columns: dict[str, list[Any]] = {ours: [] for ours in names}
    fields: dict[str, None] = {}
    for row, values in enumerate(zip(*(table.frame[name] for name in lists), strict=True)):
        for (ours, theirs), value in zip(lists.items(), values, strict=True):
            if value is None:
                continue
            if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
                raise StudyError(
                    f"{table.place(row, ours)}: a list of annotations is needed (found {value!r:.80})"
                )
            for entry in value:
                positions.append(row)
                fields |= dict.fromkeys(entry)
                for name, field in names.items():
                    key = field.removeprefix(ANNOTATION)
                    columns[name].append(theirs if key == "list" else inside(entry, key))
    for field in names.values():
        key = field.removeprefix(ANNOTATION)
        if positions and key != "list" and not {key, key.split(".")[0]} & fields.keys():
            raise StudyError(f"data.annotations: no annotation has {key!r}; {suggestion(key, fields)}")
    where = np.array(positions, dtype=np.int64)
    frame = table.frame.drop(columns=list(lists)).iloc[where].reset_index(drop=True)
    entries = {name: pd.Series(values, dtype=object) for name, values in columns.items()}
    taken = table.take(where, frame.assign(**entries))
    return Table(taken.frame, taken.origins, {**table.names, **names})
