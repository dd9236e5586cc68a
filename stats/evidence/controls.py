"""What chance alone does: every method on random halves of the users, judged as if something were predicted.

A random half is drawn from all users, those who train included, so its diffs hold everything that differs
between two groups by chance: users, pairs, seeds and training. Nothing is true in them, and each label or
interval that claims something errs. This calibrates them on the study's own data, model and methods, without
any assumption about distributions.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest

from stats.evidence.held_out import held_out_evidence
from stats.evidence.options import Options
from stats.evidence.words import EvidenceWord
from stats.names import CELL, SPLIT
from stats.rule.changes import changes
from stats.rule.labels import UNLABELLED, Prediction
from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import verdicts

RATE_COLUMNS = ["method", "quantity", "claim", "seeds", "errors", "halves", "share", "low", "high"]
RANK_COLUMNS = ["method", "split", "quantity", "estimate", "halves", "as_large", "p_control"]
CLAIMS = (EvidenceWord.SUPPORTED, EvidenceWord.CONTRADICTED)


@dataclass(frozen=True)
class Controls:
    """What happened in the random halves.

    rates: one row per method, quantity and claim that something differs: method, quantity ("A minus B",
        "change" or "own-group advantage" of the held-out evidence; "verdict" or "change label" of the
        published rule), claim (a label; that the adjusted interval, or the 95 % one, excludes zero), seeds
        (of a half, the median), errors (halves with it), halves (with an answer), share, low, high (exact
        95 % interval of the share, Clopper & Pearson 1934).
    ranks: one row per estimate of the study: method, split, quantity, estimate (pp, held-out), halves,
        as_large (halves whose estimate is as far from zero), p_control ((1 + as_large) / (1 + halves)).
    """

    rates: pd.DataFrame
    ranks: pd.DataFrame


def controls(
    diffs: pd.DataFrame,
    sums: pd.DataFrame | None,
    judged: Sequence[pd.DataFrame],
    reference: str,
    rule: PublishedRule,
    options: Options,
    families: Mapping[tuple[str, str], int],
) -> Controls | None:
    """Judge the random halves as the study's splits are judged, each with the prediction A > B.

    Args:
        diffs: study, method, split, seed, diff_pp of the halves.
        sums: the result of `stats.evidence.sums.user_sums`, with rows of the halves.
        judged: the study's held-out diffs, changes and advantages, which are ranked among those of the
            halves; empty without held-out outcomes.
        reference, rule, options: as for the study. families: (study, method) -> size of its family.

    Returns:
        None if there are no halves with numbers.
    """
    if diffs.empty:
        return None
    splits = diffs[["study", "split"]].drop_duplicates()
    labelled = verdicts(diffs, splits.assign(predicted=Prediction.A_ABOVE_B), rule)
    rates = _label_rates(labelled, "verdict", "verdict")
    if (labelled["method"] == reference).any():
        seeds = labelled[[*SPLIT, "n_seeds"]]
        rates += _label_rates(changes(labelled, reference).merge(seeds, on=SPLIT), "change", "change label")
    ranks: list[dict[str, object]] = []
    if sums is not None:
        of_halves = sums.merge(diffs[CELL], on=CELL)
        predictions = dict.fromkeys(splits["split"], Prediction.A_ABOVE_B.value)
        evidence = held_out_evidence(of_halves, predictions, reference, options, families)
        of_controls = (evidence.diffs, evidence.changes, evidence.advantages)
        for of_study, of_control in zip(judged, of_controls, strict=True):
            rates += _interval_rates(of_control)
            ranks += _ranks(of_study, of_control)
    return Controls(pd.DataFrame(rates, columns=RATE_COLUMNS), pd.DataFrame(ranks, columns=RANK_COLUMNS))


def _label_rates(table: pd.DataFrame, column: str, quantity: str) -> list[dict[str, object]]:
    """Return how often each label of the published rule came up, by method."""
    answered = table[table[column].notna() & ~table[column].isin(list(UNLABELLED))]
    return [
        _rate(part, method, quantity, str(label), int(errors))
        for method, part in answered.groupby("method", sort=False)
        for label, errors in part[column].value_counts().items()
    ]


def _interval_rates(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return how often the held-out evidence said that something differs from zero, by method."""
    rows = []
    for method, part in table.groupby("method", sort=False):
        claimed = int(part["evidence"].isin(list(CLAIMS)).sum())
        excluded = int(((part["low"] > 0) | (part["high"] < 0)).sum())
        for claim, errors in (("differs from zero", claimed), ("95% interval without zero", excluded)):
            rows.append(_rate(part, method, part["quantity"].iloc[0], claim, errors))
    return rows


def _rate(
    halves: pd.DataFrame, method: Hashable, quantity: str, claim: str, errors: int
) -> dict[str, object]:
    interval = binomtest(errors, len(halves)).proportion_ci()
    seeds = int(halves["n_seeds"].median())
    share = errors / len(halves)
    row = (method, quantity, claim, seeds, errors, len(halves), share, interval.low, interval.high)
    return dict(zip(RATE_COLUMNS, row, strict=True))


def _ranks(of_study: pd.DataFrame, of_control: pd.DataFrame) -> list[dict[str, object]]:
    """Return how far each estimate lies from zero among those of the halves."""
    rows: list[dict[str, object]] = []
    columns = ["method", "split", "quantity", "estimate"]
    for method, split, quantity, value in of_study.reindex(columns=columns).to_numpy().tolist():
        sizes = of_control.loc[of_control["method"] == method, "estimate"].abs()
        as_large = int((sizes >= abs(value)).sum())
        p = (1 + as_large) / (1 + len(sizes))
        values = (method, split, quantity, value, len(sizes), as_large, p)
        rows.append(dict(zip(RANK_COLUMNS, values, strict=True)))
    return rows
