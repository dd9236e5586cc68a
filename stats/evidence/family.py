"""A family of tests: the splits of one method, with adjusted intervals, adjusted p values and evidence."""

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from stats.evidence.anova import USERS_ONLY, Estimate
from stats.evidence.options import Options
from stats.evidence.words import EvidenceWord, word_for
from stats.rule.labels import Prediction


def judge_family(estimates: list[tuple[dict[str, object], str, Estimate]], options: Options) -> pd.DataFrame:
    """Judge one family of splits.

    Args:
        estimates: (identity columns, predicted, estimate) for every split of one method.
        options: levels and the margin.

    Returns:
        The identity columns and: predicted, estimate, se, df, low, high (at `level`), p, p_holm, p_bh
        (Benjamini-Hochberg), low_adjusted, high_adjusted (Bonferroni over the predicted splits that have an
        interval: together they cover all truths at `level`), p_equivalent (two one-sided tests), evidence,
        captures, note. A value is NaN only where `note` says why.
    """
    tested = [
        predicted != Prediction.EXPLORATORY and estimate.se is not None
        for _, predicted, estimate in estimates
    ]
    adjusted_level = 1 - (1 - options.level) / max(1, sum(tested))
    rows = [
        identity | _judgement(predicted, estimate, is_tested, adjusted_level, options)
        for (identity, predicted, estimate), is_tested in zip(estimates, tested, strict=True)
    ]
    table = pd.DataFrame(rows)
    if any(tested):
        for column, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
            table.loc[tested, column] = multipletests(table.loc[tested, "p"], method=method)[1]
    return table


def _judgement(
    predicted: str, estimate: Estimate, tested: bool, adjusted_level: float, options: Options
) -> dict[str, object]:
    """Return the columns of one split; p_holm and p_bh are filled in for the whole family."""
    low, high = estimate.interval(options.level) or (np.nan, np.nan)
    adjusted = estimate.interval(adjusted_level) if tested else None
    known = estimate.se is not None
    return {
        "predicted": predicted,
        "estimate": estimate.value,
        "se": estimate.se if known else np.nan,
        "df": estimate.df if known else np.nan,
        "low": low,
        "high": high,
        "p": estimate.p if known else np.nan,
        "p_holm": np.nan,
        "p_bh": np.nan,
        "low_adjusted": adjusted[0] if adjusted else np.nan,
        "high_adjusted": adjusted[1] if adjusted else np.nan,
        "p_equivalent": estimate.p_equivalent(options.margin_pp) if known else np.nan,
        "evidence": EvidenceWord.UNDECIDED
        if estimate.captures == USERS_ONLY
        else word_for(predicted, adjusted, options.margin_pp),
        "captures": estimate.captures,
        "note": estimate.note or ("" if tested else "exploratory: not in the family of tests"),
    }
