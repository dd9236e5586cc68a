"""Compare what two versions of a study say about the same variables."""

import re

import pandas as pd

from stats.errors import TableError

CROSSCHECK_COLUMNS = [
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
    """Return the variable that a split is about: S3_personalisation -> personalisation."""
    return re.sub(r"^[A-Za-z]+\d+_", "", split)


def crosscheck(verdicts: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Compare the verdicts of two studies, method by method and variable by variable.

    Args:
        verdicts, other: results of `stats.rule.verdicts.verdicts` (columns method, split, mean_pp, direction,
            verdict).

    Returns:
        One row per (method, variable) that both tables have, in the order of `verdicts`: method, variable,
        mean_pp, verdict, mean_pp_other, verdict_other, agree (same verdict), same_direction (both means on
        the same side of zero).

    Raises:
        TableError: A column is missing, or two splits of one study are about one variable.
    """
    sides = [_by_variable(table, name) for table, name in ((verdicts, "verdicts"), (other, "other"))]
    both = sides[0].merge(sides[1], on=["method", "variable"], suffixes=("", "_other"))
    both["agree"] = both["verdict"] == both["verdict_other"]
    both["same_direction"] = both["direction"] == both["direction_other"]
    return both[CROSSCHECK_COLUMNS]


def _by_variable(table: pd.DataFrame, name: str) -> pd.DataFrame:
    needed = ("method", "split", "mean_pp", "direction", "verdict")
    missing = [column for column in needed if column not in table]
    if missing:
        raise TableError(f"crosscheck {name}: no column {missing[0]!r}; take a report's verdicts.csv")
    labelled = table[table["verdict"].notna()].assign(variable=table["split"].astype(str).map(variable))
    repeated = labelled[labelled.duplicated(["method", "variable"])]
    if len(repeated):
        first = repeated.iloc[0]
        raise TableError(
            f"crosscheck {name}: two splits of {first['method']} are about {first['variable']!r}; rename one"
        )
    return labelled[["method", "variable", "mean_pp", "direction", "verdict"]]
