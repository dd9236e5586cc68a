"""The published verdict rule (studies v4 to v5b), exactly: labels from diffs of arm A minus arm B.

N seeds of a (study, method, split); mean = plain mean; k = seeds whose diff has, strictly, the expected sign:
1. predicted "A = B": OK if |mean| < null_pp, else NOT NULL; exploratory: no verdict.
2. mean zero or of the wrong sign, or k/N < lean_share: MISMATCH.
3. k/N < match_share: LEAN.
4. N = 1 and |mean| < weak_pp: WEAK.
5. MATCH.
The rule has no notion of uncertainty: `stats/evidence.py` stands beside it.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from stats.errors import TableError

PREDICTED = ("A > B", "A < B", "A = B", "exploratory")
CELL = ["study", "method", "split"]
INCOMPLETE = "INCOMPLETE"
ZERO_PP = 1e-9  # a mean inside it is zero but for the rounding of its sum


@dataclass(frozen=True)
class PublishedRule:
    """Thresholds of the published rule, percentage points and shares of seeds."""

    null_pp: float = 5.0
    lean_share: float = 0.5
    match_share: float = 0.8
    weak_pp: float = 1.0


PUBLISHED = PublishedRule()


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
    _check(diffs, ["study", "method", "split", "seed", "diff_pp"], "diffs")
    _check(predictions, ["study", "split", "predicted"], "predictions")
    _refuse_rows(diffs, diffs.duplicated([*CELL, "seed"]), "diffs", "stands twice; keep one row a seed")
    bad = ~np.isfinite(pd.to_numeric(diffs["diff_pp"], errors="coerce"))
    _refuse_rows(diffs, bad, "diffs", "has no number in diff_pp")
    rows = []
    for (study, method, split), group in diffs.groupby(CELL, sort=False):
        predicted = _prediction(predictions, str(study), str(split))
        values = group["diff_pp"].astype(float).to_numpy()
        mean = float(values.mean())
        sign = 0 if abs(mean) < ZERO_PP else int(np.sign(mean))
        rows.append(
            {
                "study": study,
                "method": method,
                "split": split,
                "predicted": predicted,
                "n_seeds": len(values),
                "mean_pp": mean,
                "std_pp": float(values.std(ddof=0)),
                "direction": {1: "A > B", -1: "A < B", 0: "A = B"}[sign],
                "x_of_n": f"{int((np.sign(values) == sign).sum()) if sign else 0}/{len(values)}",
                "verdict": _verdict(values, sign, predicted, rule),
            }
        )
    columns = [*CELL, "predicted", "n_seeds", "mean_pp", "std_pp", "direction", "x_of_n", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(values: np.ndarray, sign: int, predicted: str, rule: PublishedRule) -> str | None:
    mean, seeds = float(values.mean()), len(values)
    if predicted == "exploratory":
        return None
    if predicted == "A = B":
        return "OK" if abs(mean) < rule.null_pp else "NOT NULL"
    expected = 1 if predicted == "A > B" else -1
    share = Fraction(int((np.sign(values) == expected).sum()), seeds)
    if sign != expected or share < _exact(rule.lean_share):
        return "MISMATCH"
    if share < _exact(rule.match_share):
        return "LEAN"
    if seeds == 1 and abs(mean) < rule.weak_pp:
        return "WEAK"
    return "MATCH"


def _exact(threshold: float) -> Fraction:
    """0.8 as 4/5: four seeds of five are not fewer than that."""
    return Fraction(str(threshold))


def change(reference: str | None, method: str | None) -> str:
    """The label of a change from the reference's verdict to the method's.

    The published notes name FIXED, IMPROVED, UNCHANGED and STABLE; REGRESSED, WEAKENED and INCOMPLETE
    (a side missing) complete them. LEAN or WEAK to MATCH is IMPROVED, to MISMATCH REGRESSED.
    """
    if reference is None or method is None or INCOMPLETE in (reference, method):
        return INCOMPLETE
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
    """From the reference method's verdicts to each other method's, split by split.

    Args:
        table: of `verdicts`; the reference may stand in another study than the methods.

    Returns:
        split, reference_verdict, method_verdict, change; with several methods also study and method in front.
        Exploratory splits have no verdict and are left out.
    """
    judged = table[table["predicted"] != "exploratory"]
    ours = judged[judged["method"] == reference]
    if ours.empty:
        raise TableError(
            f"reference: no diffs of {reference!r}; methods: {', '.join(sorted(set(table['method'])))}"
        )
    _refuse_rows(ours, ours.duplicated("split"), "verdicts", "is a second reference for its split")
    before = dict(zip(ours["split"], ours["verdict"], strict=True))
    columns = ["split", "reference_verdict", "method_verdict", "change"]
    rows: list[dict[str, object]] = []
    others = judged[judged["method"] != reference].groupby(["study", "method"], sort=False)
    for (study, method), group in others:
        after = dict(zip(group["split"], group["verdict"], strict=True))
        for split in dict.fromkeys([*group["split"], *before]):
            pair = before.get(split), after.get(split)
            labels = dict(
                zip(columns, [split, *(side or INCOMPLETE for side in pair), change(*pair)], strict=True)
            )
            rows.append({"study": study, "method": method, **labels})
    return pd.DataFrame(rows, columns=columns if others.ngroups == 1 else ["study", "method", *columns])


def _prediction(predictions: pd.DataFrame, study: str, split: str) -> str:
    rows = predictions[predictions["split"] == split]
    own = rows[rows["study"] == study]
    found = sorted(set((own if len(own) else rows)["predicted"]))
    if not found:
        raise TableError(f"predictions: none for split {split!r} of {study!r}; add a row")
    if len(found) > 1:
        raise TableError(
            f"predictions: split {split!r} is predicted {' and '.join(found)}; keep one for {study!r}"
        )
    if found[0] not in PREDICTED:
        raise TableError(
            f"predictions: split {split!r} is predicted {found[0]!r}; valid: {', '.join(PREDICTED)}"
        )
    return str(found[0])


def _check(table: pd.DataFrame, columns: list[str], name: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise TableError(f"{name}: no column {missing[0]!r}; columns are {', '.join(columns)}")


def _refuse_rows(table: pd.DataFrame, bad: "pd.Series[bool]", name: str, why: str) -> None:
    if bad.any():
        row = table[bad].iloc[0]
        labels = " ".join(str(row[column]) for column in [*CELL, "seed"] if column in table)
        raise TableError(f"{name}: {labels} {why}")
