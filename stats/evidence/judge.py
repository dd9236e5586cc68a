"""What an interval says about a prediction, and whether it carries a published label."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from stats.evidence.anova import USERS_ONLY, Estimate
from stats.evidence.options import Options

SUPPORTED, CONTRADICTED, NULL, UNDECIDED = "supported", "contradicted", "practically null", "undecided"

# Published label -> the evidence that would carry it.
CARRIED_BY = {
    "MATCH": {SUPPORTED},
    "LEAN": {SUPPORTED},
    "WEAK": {SUPPORTED},
    "MISMATCH": {CONTRADICTED, NULL},
    "OK": {NULL},
    "NOT NULL": {CONTRADICTED},
    "FIXED": {SUPPORTED},
    "IMPROVED": {SUPPORTED},
    "REGRESSED": {CONTRADICTED},
    "WEAKENED": {CONTRADICTED},
    "STABLE": {NULL},
    "UNCHANGED": {NULL},
}


def judge(predicted: str, interval: tuple[float, float] | None, margin: float) -> str:
    """Supported, contradicted, practically null or undecided, from a (multiplicity-adjusted) interval.

    Inside +-margin: practically null, whatever its sign. Else entirely on the predicted side of zero:
    supported; on the other: contradicted (for `A = B` either side contradicts). Else undecided.
    """
    if interval is None or predicted == "exploratory":
        return UNDECIDED
    low, high = interval
    if -margin < low and high < margin:
        return NULL
    if low <= 0 <= high:
        return UNDECIDED
    return (
        SUPPORTED
        if (predicted == "A > B" and low > 0) or (predicted == "A < B" and high < 0)
        else CONTRADICTED
    )


def carried(label: str | None, evidence: str) -> str:
    """Whether the evidence carries a published label: yes, no, or - where there is no label."""
    if label not in CARRIED_BY:
        return "-"
    return "yes" if evidence in CARRIED_BY[label] else "no"


def judged(estimates: list[tuple[dict[str, object], str, Estimate]], options: Options) -> pd.DataFrame:
    """One family of splits: intervals, p values with Holm and Benjamini-Hochberg, and evidence.

    Args:
        estimates: (identity columns, predicted, estimate) of every split of one method.

    Returns:
        The identity columns and: predicted, estimate, se, df, low, high (at `level`), p, p_holm, p_bh,
        low_adjusted, high_adjusted (Bonferroni over the predicted splits that have an interval: together they
        cover all truths at `level`), p_equivalent (TOST), evidence, captures, note. NaN only where `note`
        says why.
    """
    family = [predicted != "exploratory" and est.se is not None for _, predicted, est in estimates]
    level = 1 - (1 - options.level) / max(1, sum(family))
    rows = []
    for (identity, predicted, est), tested in zip(estimates, family, strict=True):
        low, high = est.interval(options.level) or (np.nan, np.nan)
        adjusted = est.interval(level) if tested else None
        note = est.note or ("" if tested else "exploratory: not in the family of tests")
        rows.append(
            {
                **identity,
                "predicted": predicted,
                "estimate": est.value,
                "se": np.nan if est.se is None else est.se,
                "df": est.df if est.se is not None else np.nan,
                "low": low,
                "high": high,
                "p": est.p if est.se is not None else np.nan,
                "p_holm": np.nan,
                "p_bh": np.nan,
                "low_adjusted": adjusted[0] if adjusted else np.nan,
                "high_adjusted": adjusted[1] if adjusted else np.nan,
                "p_equivalent": est.p_equivalent(options.margin_pp) if est.se is not None else np.nan,
                "evidence": UNDECIDED
                if est.captures == USERS_ONLY
                else judge(predicted, adjusted, options.margin_pp),
                "captures": est.captures,
                "note": note,
            }
        )
    table = pd.DataFrame(rows)
    if any(family):
        for column, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            table.loc[family, column] = multipletests(table.loc[family, "p"], method=method)[1]
    return table
