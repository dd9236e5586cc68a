"""The published verdict rule (studies v4 to v5b), reproduced exactly: labels from diffs of arm A minus arm B.

A (study, method, split) has N seeds; its mean is the plain mean of their diffs, and k of them strictly have
the expected sign. The first condition that holds gives the label:

1. predicted "A = B": OK if |mean| < null_pp, else NOT NULL; exploratory: no verdict.
2. mean zero or of the wrong sign, or k/N < lean_share: MISMATCH.
3. k/N < match_share: LEAN.
4. N = 1 and |mean| < weak_pp: WEAK.
5. MATCH.

The rule has no notion of uncertainty; `stats.evidence` supplies it.

Signs, means and shares are computed as exact fractions: four seeds of five are not fewer than 0.8, and
0.1 + 0.2 - 0.3 is zero.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.names import CELL, SPLIT
from stats.rule.labels import Prediction, Verdict
from stats.rule.thresholds import PUBLISHED, PublishedRule

VERDICT_COLUMNS = [
    *SPLIT,
    "predicted",
    "n_seeds",
    "mean_pp",
    "std_pp",
    "direction",
    "x_of_n",
    "verdict",
]
DECIMALS = 9  # decimals of a diff in pp that count; further ones are floating-point rounding
DIRECTIONS = {1: Prediction.A_ABOVE_B, -1: Prediction.A_BELOW_B, 0: Prediction.EQUAL}


def verdicts(diffs: pd.DataFrame, predictions: pd.DataFrame, rule: PublishedRule = PUBLISHED) -> pd.DataFrame:
    """Label every (study, method, split).

    Args:
        diffs: study, method, split, seed, diff_pp (A minus B, percentage points), one row per seed.
        predictions: study, split, predicted. A split that its own study does not predict takes the prediction
            of another study, if all studies that predict it agree.

    Returns:
        study, method, split, predicted, n_seeds, mean_pp, std_pp (population), direction (sign of the mean as
        "A > B", "A < B" or "A = B"), x_of_n (seeds with the sign of the mean; an exact 0 does not count),
        verdict (missing where the split is exploratory).

    Raises:
        TableError: A column is missing, a seed appears twice, a diff is not a number, or a prediction is
            unknown, contradictory or missing.
    """
    check_diffs(diffs)
    check_predictions(predictions)
    rows = []
    for (study, method, split), group in diffs.groupby(SPLIT, sort=False):
        predicted = prediction_for(predictions, str(study), str(split))
        values = group["diff_pp"].to_numpy(dtype=float)
        mean, signs = exact_mean_and_signs(values)
        sign = _sign(mean)
        rows.append(
            {
                "study": study,
                "method": method,
                "split": split,
                "predicted": predicted,
                "n_seeds": len(values),
                "mean_pp": float(mean),
                "std_pp": float(values.std(ddof=0)),
                "direction": DIRECTIONS[sign],
                "x_of_n": f"{signs.count(sign) if sign else 0}/{len(signs)}",
                "verdict": verdict(values, predicted, rule),
            }
        )
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def verdict(
    values: Sequence[float] | np.ndarray, predicted: str, rule: PublishedRule = PUBLISHED
) -> Verdict | None:
    """Return the label of one split from its seeds' diffs (percentage points); None if it is exploratory."""
    if predicted == Prediction.EXPLORATORY:
        return None
    mean, signs = exact_mean_and_signs(values)
    if predicted == Prediction.EQUAL:
        return Verdict.OK if abs(mean) < _as_printed(rule.null_pp) else Verdict.NOT_NULL
    expected = 1 if predicted == Prediction.A_ABOVE_B else -1
    share = Fraction(signs.count(expected), len(signs))
    if _sign(mean) != expected or share < _as_printed(rule.lean_share):
        return Verdict.MISMATCH
    if share < _as_printed(rule.match_share):
        return Verdict.LEAN
    if len(signs) == 1 and abs(mean) < _as_printed(rule.weak_pp):
        return Verdict.WEAK
    return Verdict.MATCH


def exact_mean_and_signs(values: Sequence[float] | np.ndarray) -> tuple[Fraction, list[int]]:
    """Return the mean of diffs and the sign of each, free of floating-point rounding."""
    numbers = [_as_printed(round(float(value), DECIMALS)) for value in values]
    return sum(numbers, Fraction()) / len(numbers), [_sign(number) for number in numbers]


def prediction_for(predictions: pd.DataFrame, study: str, split: str) -> Prediction:
    """Return what a study predicts about a split.

    A split without a row in its own study takes the prediction of the others, if they agree.

    Raises:
        TableError: The split has no row, or rows that contradict each other.
    """
    rows = predictions[predictions["split"] == split]
    own = rows[rows["study"] == study]
    candidates = sorted(set((own if len(own) else rows)["predicted"]))
    if not candidates:
        raise TableError(f"predictions: none for split {split!r} of {study!r}; add a row")
    if len(candidates) > 1:
        raise TableError(
            f"predictions: split {split!r} is predicted {' and '.join(candidates)}; keep one for {study!r}"
        )
    return Prediction(candidates[0])


def check_diffs(diffs: pd.DataFrame) -> None:
    """Raise TableError if a column or label is missing, a seed appears twice, or a diff is not a number."""
    _check_columns(diffs, [*CELL, "diff_pp"], "diffs")
    _refuse_rows(diffs, diffs.duplicated([*CELL]), "diffs", "appears twice; keep one row per seed")
    not_a_number = ~np.isfinite(pd.to_numeric(diffs["diff_pp"], errors="coerce"))
    _refuse_rows(diffs, not_a_number, "diffs", "has no number in diff_pp")


def check_predictions(predictions: pd.DataFrame) -> None:
    """Raise TableError if a column or label is missing, or a prediction is unknown."""
    _check_columns(predictions, ["study", "split", "predicted"], "predictions")
    unknown = ~predictions["predicted"].isin(list(Prediction))
    _refuse_rows(predictions, unknown, "predictions", f"has no valid `predicted`: {', '.join(Prediction)}")


def _check_columns(table: pd.DataFrame, columns: list[str], name: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise TableError(f"{name}: no column {missing[0]!r}; columns are {', '.join(columns)}")
    labels = [column for column in columns if column != "diff_pp"]
    for column in labels:
        _refuse_rows(table, table[column].isna(), name, f"has no {column}")


def _refuse_rows(table: pd.DataFrame, bad: "pd.Series[bool]", name: str, why: str) -> None:
    if bad.any():
        row = table[bad].iloc[0]
        labels = [f"{column} {row[column]}" for column in [*CELL, "predicted"] if column in table]
        raise TableError(f"{name}: row {', '.join(labels)} {why}")


@lru_cache(maxsize=4096)  # thresholds, and simulated diffs of few pairs, are the same few numbers
def _as_printed(number: float) -> Fraction:
    """Return the number exactly as it prints: 0.8 is 4/5."""
    return Fraction(repr(float(number)))


def _sign(number: Fraction) -> int:
    return (number > 0) - (number < 0)
