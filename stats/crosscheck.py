"""Do two versions of a study say the same about the same variable?"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stats.errors import TableError


def crosscheck(a: pd.DataFrame, b: pd.DataFrame, variables: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Compare one method's verdicts of two studies, variable by variable.

    Args:
        a, b: of `stats.verdicts.verdicts`, one row a split.
        variables: variable -> (split in a, split in b).

    Returns:
        variable, mean_pp_a, verdict_a, mean_pp_b, verdict_b, agree (same verdict), same_direction (both means
        on the same side of zero).

    Raises:
        TableError: a split that stands twice in its table, or not at all.
    """
    rows = []
    for variable, (split_a, split_b) in variables.items():
        left, right = _row(a, split_a, "a"), _row(b, split_b, "b")
        rows.append(
            {
                "variable": variable,
                "mean_pp_a": left["mean_pp"],
                "verdict_a": left["verdict"],
                "mean_pp_b": right["mean_pp"],
                "verdict_b": right["verdict"],
                "agree": left["verdict"] == right["verdict"],
                "same_direction": left["direction"] == right["direction"],
            }
        )
    return pd.DataFrame(rows)


def _row(table: pd.DataFrame, split: str, name: str) -> "pd.Series[Any]":
    found = table[table["split"] == split]
    if len(found) != 1:
        have = ", ".join(map(str, table["split"].unique()))
        raise TableError(
            f"crosscheck {name}: split {split!r} stands {len(found)} times, not once; splits: {have}"
        )
    return found.iloc[0]
