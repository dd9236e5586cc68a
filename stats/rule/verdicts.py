"""The published verdict rule (studies v4 to v5b), exactly: labels from diffs of arm A minus arm B.

N seeds of a (study, method, split); mean = plain mean; k = seeds whose diff has, strictly, the expected sign:
1. predicted "A = B": OK if |mean| < null_pp, else NOT NULL; exploratory: no verdict.
2. mean zero or of the wrong sign, or k/N < lean_share: MISMATCH.
3. k/N < match_share: LEAN.
4. N = 1 and |mean| < weak_pp: WEAK.
5. MATCH.
The rule has no notion of uncertainty: `stats/evidence/evidence.py` stands beside it.

Signs, means and shares are computed as exact fractions: four seeds of five are not fewer than 0.8, and
0.1 + 0.2 - 0.3 is zero.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.names import CELL, SPLIT
from stats.rule.thresholds import PREDICTED, PUBLISHED, PublishedRule

Key = tuple[str, str, str]  # of those three
NO_KEY: Key = ("", "", "")
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
CHANGE_COLUMNS = ["study", "method", "split", "reference_verdict", "method_verdict", "change"]
INCOMPLETE = "INCOMPLETE"
WITHHELD = "WITHHELD"  # a cell of the split failed a validity gate
DECIMALS = 9  # of a diff in pp: beyond them is the rounding of floating point


def verdicts(diffs: pd.DataFrame, predictions: pd.DataFrame, rule: PublishedRule = PUBLISHED) -> pd.DataFrame:
    """Label every (study, method, split).

    Args:
        diffs: study, method, split, seed, diff_pp (A minus B, percentage points), one row a seed.
        predictions: study, split, predicted. A split that its own study does not predict takes the prediction
            of another study, if all that predict it agree.

    Returns:
        study, method, split, predicted, n_seeds, mean_pp, std_pp (population), direction (sign of the mean as
        "A > B", "A < B" or "A = B"), x_of_n (seeds with the sign of the mean, an exact 0 does not count),
        verdict (missing where the split is exploratory).

    Raises:
        TableError: a missing column, a seed twice, a diff that is no number, a prediction that is unknown,
            contradictory or missing.
    """
    check_diffs(diffs)
    _check(predictions, ["study", "split", "predicted"], "predictions")
    unknown = ~predictions["predicted"].isin(PREDICTED)
    _refuse_rows(predictions, unknown, "predictions", f"has no valid `predicted`: {', '.join(PREDICTED)}")
    rows = []
    for (study, method, split), group in diffs.groupby(SPLIT, sort=False):
        predicted = prediction(predictions, str(study), str(split))
        values = group["diff_pp"].to_numpy(dtype=float)
        mean, signs = exact(values)
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
                "direction": {1: "A > B", -1: "A < B", 0: "A = B"}[sign],
                "x_of_n": f"{signs.count(sign) if sign else 0}/{len(signs)}",
                "verdict": verdict(values, predicted, rule),
            }
        )
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def check_diffs(diffs: pd.DataFrame) -> None:
    """Raises TableError for a missing column or label, a seed twice, or a diff that is no number."""
    _check(diffs, [*CELL, "diff_pp"], "diffs")
    _refuse_rows(diffs, diffs.duplicated([*CELL]), "diffs", "stands twice; keep one row a seed")
    bad = ~np.isfinite(pd.to_numeric(diffs["diff_pp"], errors="coerce"))
    _refuse_rows(diffs, bad, "diffs", "has no number in diff_pp")


def verdict(
    values: Sequence[float] | np.ndarray, predicted: str, rule: PublishedRule = PUBLISHED
) -> str | None:
    """The label of one split from its seeds' diffs (percentage points); None where it is exploratory."""
    if predicted == "exploratory":
        return None
    mean, signs = exact(values)
    if predicted == "A = B":
        return "OK" if abs(mean) < _decimal(rule.null_pp) else "NOT NULL"
    expected = 1 if predicted == "A > B" else -1
    share = Fraction(signs.count(expected), len(signs))
    if _sign(mean) != expected or share < _decimal(rule.lean_share):
        return "MISMATCH"
    if share < _decimal(rule.match_share):
        return "LEAN"
    if len(signs) == 1 and abs(mean) < _decimal(rule.weak_pp):
        return "WEAK"
    return "MATCH"


def exact(values: Sequence[float] | np.ndarray) -> tuple[Fraction, list[int]]:
    """Mean of diffs and the sign of each, free of floating point's rounding."""
    numbers = [_decimal(round(float(value), DECIMALS)) for value in values]
    return sum(numbers, Fraction()) / len(numbers), [_sign(number) for number in numbers]


def _decimal(number: float) -> Fraction:
    """What the number says when printed: 0.8 is 4/5."""
    return Fraction(repr(float(number)))


def _sign(number: Fraction) -> int:
    return (number > 0) - (number < 0)


def change(reference: str | None, method: str | None) -> str:
    """The label of a change from the reference's verdict to the method's.

    The published notes name FIXED, IMPROVED, UNCHANGED and STABLE; REGRESSED, WEAKENED and INCOMPLETE
    (a side missing) complete them. LEAN or WEAK to MATCH is IMPROVED, to MISMATCH REGRESSED.
    """
    if not {reference, method}.isdisjoint({None, INCOMPLETE, WITHHELD}):
        return INCOMPLETE
    assert reference is not None
    assert method is not None
    if reference == method:
        return "STABLE" if method == "MATCH" else "UNCHANGED"
    order = {"MISMATCH": 0, "NOT NULL": 0, "WEAK": 1, "LEAN": 1, "MATCH": 2, "OK": 2}
    before, after = order[reference], order[method]
    if after > before:
        return "FIXED" if (before, after) == (0, 2) else "IMPROVED"
    if after < before:
        return "WEAKENED" if after == 1 else "REGRESSED"
    return "UNCHANGED"


def changes(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """From the reference method's verdicts to the other method's, split by split.

    Returns:
        split, reference_verdict, method_verdict, change; with several methods also study and method in front,
        as of `every_change`.
    """
    found = every_change(table, reference)
    others = table.loc[table["method"] != reference, ["study", "method"]].drop_duplicates()
    return found.drop(columns=["study", "method"]) if len(others) <= 1 else found


def every_change(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """From the reference method's verdicts to each other method's, split by split.

    Args:
        table: of `verdicts`. A method is compared with the reference of its own study or, where that has
            none, with the reference of another.

    Returns:
        study, method, split, reference_verdict, method_verdict, change. Exploratory splits have no verdict
        and are left out.

    Raises:
        TableError: the reference has no verdicts, or two for a split.
    """
    if not (table["method"] == reference).any():
        methods = ", ".join(sorted(set(table["method"]))) or "none"
        raise TableError(f"reference: no diffs of {reference!r}; methods: {methods}")
    judged = table[table["predicted"] != "exploratory"]
    verdict_of = dict(zip(_keys(judged), judged["verdict"], strict=True))
    rows = []
    for study, method in dict.fromkeys(key[:2] for key in verdict_of if key[1] != reference):
        before = references(verdict_of, study, reference)
        splits = [key[2] for key in verdict_of if key[:2] == (study, method)]
        for split in dict.fromkeys([*splits, *before]):
            pair = verdict_of.get(before.get(split, NO_KEY)), verdict_of.get((study, method, split))
            rows.append((study, method, split, *(side or INCOMPLETE for side in pair), change(*pair)))
    return pd.DataFrame(rows, columns=CHANGE_COLUMNS)


def references(keys: Iterable[Key], study: str, reference: str) -> dict[str, Key]:
    """Split -> the reference that methods of `study` are compared with: the study's own or, where it has
    none, another's.

    Args:
        keys: (study, method, split) of all there is.

    Raises:
        TableError: two references for a split.
    """
    every = [key for key in keys if key[1] == reference]
    ours = [key for key in every if key[0] == study] or every
    found: dict[str, Key] = {}
    for key in ours:
        if key[2] in found:
            raise TableError(
                f"verdicts: {key[0]}/{key[1]} is a second reference for split {key[2]!r} beside "
                f"{found[key[2]][0]}/{key[1]}; keep one, or give {study} its own"
            )
        found[key[2]] = key
    return found


def _keys(table: pd.DataFrame) -> list[Key]:
    return [(str(a), str(b), str(c)) for a, b, c in table[SPLIT].itertuples(index=False, name=None)]


def prediction(predictions: pd.DataFrame, study: str, split: str) -> str:
    """What a study predicts of a split; of another study where its own has no row and all others agree.

    Raises:
        TableError: no row, or rows that contradict each other.
    """
    rows = predictions[predictions["split"] == split]
    own = rows[rows["study"] == study]
    found = sorted(set((own if len(own) else rows)["predicted"]))
    if not found:
        raise TableError(f"predictions: none for split {split!r} of {study!r}; add a row")
    if len(found) > 1:
        raise TableError(
            f"predictions: split {split!r} is predicted {' and '.join(found)}; keep one for {study!r}"
        )
    return str(found[0])


def _check(table: pd.DataFrame, columns: list[str], name: str) -> None:
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
