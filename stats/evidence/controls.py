"""What chance alone does: every method on random halves of the users, judged as if something were predicted.

A random half is drawn from all users, those who train included, so its diffs hold everything that differs
between two groups by chance: users, pairs, seeds and training. Nothing is true in them, and each label or
interval that claims something errs. This calibrates them on the study's own data, model and methods, without
any assumption about distributions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.stats import binomtest

from stats.evidence.held_out import held_out_evidence
from stats.evidence.options import Options
from stats.evidence.words import EvidenceWord
from stats.names import CELL
from stats.rule.changes import changes
from stats.rule.labels import UNLABELLED, Prediction
from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import verdicts

RATE_COLUMNS = ["method", "quantity", "claim", "errors", "halves", "share", "low", "high"]
RANK_COLUMNS = ["method", "split", "quantity", "estimate", "halves", "as_large", "p_control"]
CLAIMS = (EvidenceWord.SUPPORTED, EvidenceWord.CONTRADICTED)


@dataclass(frozen=True)
class Controls:
    """What happened in the random halves.

    rates: one row per method, quantity and claim that something differs: method, quantity ("A minus B" or
        "change" of the held-out evidence; "verdict" or "change label" of the published rule), claim, errors
        (halves with it), halves (with an answer), share, low, high (exact 95 % interval of the share, Clopper
        & Pearson 1934).
    ranks: one row per diff and change of the study: method, split, quantity, estimate (pp, held-out), halves,
        as_large (halves whose estimate is as far from zero), p_control ((1 + as_large) / (1 + halves)).
    """

    rates: pd.DataFrame
    ranks: pd.DataFrame


def controls(
    diffs: pd.DataFrame,
    sums: pd.DataFrame | None,
    judged: tuple[pd.DataFrame, pd.DataFrame],
    reference: str,
    rule: PublishedRule,
    options: Options,
    families: Mapping[tuple[str, str], int],
) -> Controls | None:
    """Judge the random halves as the study's splits are judged, each with the prediction A > B.

    Args:
        diffs: study, method, split, seed, diff_pp of the halves.
        sums: the result of `stats.evidence.sums.user_sums`, with rows of the halves.
        judged: the study's held-out diffs and changes, which are ranked among those of the halves.
        reference, rule, options: as for the study. families: (study, method) -> size of its family.

    Returns:
        None if there are no halves with numbers.
    """
    if diffs.empty:
        return None
    splits = diffs[["study", "split"]].drop_duplicates()
    labelled = verdicts(diffs, splits.assign(predicted=Prediction.A_ABOVE_B), rule)
    rates = _rates(labelled, "verdict", "verdict")
    if (labelled["method"] == reference).any():
        rates += _rates(changes(labelled, reference), "change", "change label")
    ranks: list[dict[str, object]] = []
    if sums is not None:
        of_halves = sums.merge(diffs[CELL], on=CELL)
        predictions = dict.fromkeys(splits["split"], Prediction.A_ABOVE_B.value)
        evidence = held_out_evidence(of_halves, predictions, reference, options, families)
        for of_study, of_control in zip(judged, (evidence.diffs, evidence.changes), strict=True):
            rates += _rates(of_control, "evidence", None, lambda word: word in CLAIMS)
            ranks += _ranks(of_study, of_control)
    return Controls(pd.DataFrame(rates, columns=RATE_COLUMNS), pd.DataFrame(ranks, columns=RANK_COLUMNS))


def _rates(
    table: pd.DataFrame, column: str, quantity: str | None, claims: Callable[[str], bool] = lambda label: True
) -> list[dict[str, object]]:
    """Return how often each label or claim came up, by method."""
    rows: list[dict[str, object]] = []
    answered = table[table[column].notna() & ~table[column].isin(list(UNLABELLED))]
    for method, part in answered.groupby("method", sort=False):
        name = quantity or part["quantity"].iloc[0]
        labels = (
            {str(label): int(count) for label, count in part[column].value_counts().items()}
            if quantity
            else {"differs from zero": int(part[column].map(claims).sum())}
        )
        for label, errors in labels.items():
            interval = binomtest(errors, len(part)).proportion_ci()
            share = errors / len(part)
            row = (method, name, label, errors, len(part), share, interval.low, interval.high)
            rows.append(dict(zip(RATE_COLUMNS, row, strict=True)))
    return rows


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
