"""Do two versions of a study say the same about the same variable?"""

import re

import pandas as pd

from stats.errors import TableError

COLUMNS = [
    "method",
    "variable",
    "mean_pp",
    "verdict",
    "mean_pp_other",
    "verdict_other",
    "agree",
    "same_direction",
]


def variable(split: str) -> str:
    """What a split is about: its name without the number in front, S3_personalisation -> personalisation."""
    return re.sub(r"^[A-Za-z]+\d+_", "", split)


def crosscheck(verdicts: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Compare the verdicts of two studies, method by method and variable by variable.

    Args:
        verdicts, other: of `stats.rule.verdicts.verdicts` (columns method, split, mean_pp, direction,
        verdict).

    Returns:
        method, variable, mean_pp, verdict, mean_pp_other, verdict_other, agree (same verdict), same_direction
        (both means on the same side of zero); rows that both have, in the order of `verdicts`.

    Raises:
        TableError: a column that is missing, or two splits of one study about one variable.
    """
    sides = [_by_variable(table, name) for table, name in ((verdicts, "verdicts"), (other, "other"))]
    both = sides[0].merge(sides[1], on=["method", "variable"], suffixes=("", "_other"))
    both["agree"] = both["verdict"] == both["verdict_other"]
    both["same_direction"] = both["direction"] == both["direction_other"]
    return both[COLUMNS]


def _by_variable(table: pd.DataFrame, name: str) -> pd.DataFrame:
    missing = [
        column for column in ("method", "split", "mean_pp", "direction", "verdict") if column not in table
    ]
    if missing:
        raise TableError(f"crosscheck {name}: no column {missing[0]!r}; take a report's verdicts.csv")
    known = table[table["verdict"].notna()].assign(variable=table["split"].astype(str).map(variable))
    twice = known[known.duplicated(["method", "variable"])]
    if len(twice):
        first = twice.iloc[0]
        raise TableError(
            f"crosscheck {name}: two splits of {first['method']} are about {first['variable']!r}; rename one"
        )
    return known[["method", "variable", "mean_pp", "direction", "verdict"]]
