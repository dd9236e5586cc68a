"""One regime of inference: where evidence chose the number of seeds, sequential verdicts are the evidence.

The tests of a fixed design would claim a difference in 17 % of studies without any, because they ignore that
each split stopped when its evidence looked good (docs/seeds.md).
"""

import numpy as np
import pandas as pd

from stats.evidence.decision import SplitState
from stats.evidence.family import SHRUNKEN
from stats.evidence.quantity import CHANGE
from stats.evidence.words import EvidenceWord

OF_A_FIXED_DESIGN = ("se", "p", "p_bh", "p_equivalent", "p_sign_flip", *SHRUNKEN)
NOTE = "seeds were added until the held-out evidence was clear: this metric is described, not tested"
OF_REFERENCE = "the reference's seeds depended on its evidence: the change is described, not tested"


def under_decisions(table: pd.DataFrame, decisions: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Put the sequential verdicts in the place of a fixed design's.

    Args:
        table: a result of `stats.evidence.family.judge_family` with method and split.
        decisions: the result of `stats.evidence.sequential.decide`.
        quantity: whose decisions these are, DIFF or CHANGE of `stats.evidence.quantity`.

    Returns:
        The table with the estimate, p_holm, interval (low and low_adjusted, high and high_adjusted: the
        repeated one) and evidence of the decision. A split of a decided method that has no decision yet is
        undecided.
    """
    methods = set(decisions["method"])
    decided = decisions[decisions["quantity"] == quantity].set_index(["method", "split"])
    result = table.copy()
    for row in result.index[result["method"].isin(methods)]:
        key = (result.loc[row, "method"], result.loc[row, "split"])
        columns = [column for column in OF_A_FIXED_DESIGN if column in result]
        result.loc[row, columns] = np.nan
        if key not in decided.index:
            result.loc[row, ["low", "high", "low_adjusted", "high_adjusted", "p_holm"]] = np.nan
            result.loc[row, "evidence"] = EvidenceWord.UNDECIDED
            continue
        decision = decided.loc[key]
        if not np.isnan(decision["estimate"]):
            result.loc[row, "estimate"] = decision["estimate"]
        result.loc[row, ["low", "low_adjusted"]] = decision["low"]
        result.loc[row, ["high", "high_adjusted"]] = decision["high"]
        result.loc[row, "p_holm"] = decision["p_holm"]
        is_open = decision["state"] == SplitState.OPEN
        result.loc[row, "evidence"] = EvidenceWord.UNDECIDED if is_open else EvidenceWord(decision["state"])
    return result


def described_only(table: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Take the tests of a fixed design from the methods whose seeds depended on evidence."""
    return _untested(table, table["method"].isin(set(decisions["method"])), NOTE)


def of_adaptive_reference(changes: pd.DataFrame, decisions: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Take the tests of a fixed design from all changes from a reference whose seeds depended on evidence.

    Methods with decisions of their own keep those (`under_decisions`).
    """
    decided = set(decisions["method"])
    return _untested(changes, ~changes["method"].isin(decided) & (reference in decided), OF_REFERENCE)


def _untested(table: pd.DataFrame, rows: pd.Series, note: str) -> pd.DataFrame:
    result = table.copy()
    columns = [*OF_A_FIXED_DESIGN, "low", "high", "low_adjusted", "high_adjusted", "p_holm"]
    result.loc[rows, [column for column in columns if column in result]] = np.nan
    result.loc[rows, ["evidence", "note"]] = [EvidenceWord.UNDECIDED, note]
    return result


def of_fixed_designs(
    table: pd.DataFrame, decisions: pd.DataFrame | None, reference: str | None = None
) -> pd.DataFrame:
    """Return the rows of the methods whose number of seeds did not depend on evidence.

    With an adaptive `reference`, no change from it is among them.
    """
    if decisions is None or table.empty:
        return table
    decided = set(decisions["method"])
    depends = table["method"].isin(decided)
    if reference in decided:
        depends |= table["quantity"] == CHANGE
    return table[~depends]


def without_intervals(table: pd.DataFrame, decisions: pd.DataFrame) -> pd.DataFrame:
    """Take the intervals of a fixed design from estimates that no sequential verdict is about."""
    if table.empty:
        return table
    return table.assign(
        **{end: table[end].where(~table["method"].isin(set(decisions["method"]))) for end in ("low", "high")}
    )
