"""The evidence from held-out outcomes: estimates that treat both seeds and users as samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stats.evidence.anova import mean_squares
from stats.evidence.contrasts import ACCURACY, CONTRASTS, MARGIN
from stats.evidence.family import family_sizes, judge_family
from stats.evidence.missing import Planned
from stats.evidence.options import Options
from stats.evidence.quantity import (
    Quantity,
    advantage_predictions,
    advantages,
    quantities,
    scored_by_both,
)
from stats.evidence.seeds import sign_flip
from stats.evidence.signs import sign_e_value
from stats.names import SPLIT
from stats.rule.changes import SplitKey
from stats.rule.labels import Prediction


@dataclass(frozen=True)
class HeldOutEvidence:
    """Frames of a study's held-out evidence; accuracies in percentage points, margins in nats.

    diffs, changes, advantages: results of `stats.evidence.family.judge_family` with study, method, split,
        quantity, n_seeds, users, pairs, p_sign_flip and e_sign (`stats.evidence.signs`; both NaN where method
        and reference share fewer than two seeds) and, for diffs, effect_vs_null (estimate over the root mean
        square of the null controls' diffs by seed; NaN without such a control).
    intervals: one row per interval of the same quantities: study, method, split, quantity, metric,
        interval, estimate, low, high, unit, captures, note.
    contrasts: train group x test group: study, method, split, contrast, estimate, low, high, captures, note.
    variances: study, method, split, quantity, n_seeds, users, pairs, seed_variance, user_variance,
        residual_variance (pp^2 of a user's linearised outcome, see `stats.evidence.held_out_power`).
    """

    diffs: pd.DataFrame
    changes: pd.DataFrame
    advantages: pd.DataFrame
    intervals: pd.DataFrame
    contrasts: pd.DataFrame
    variances: pd.DataFrame


def held_out_evidence(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    reference: str,
    options: Options,
    families: Mapping[tuple[str, str], int] | None = None,
    planned: Mapping[SplitKey, Planned] | None = None,
) -> HeldOutEvidence:
    """Compute all held-out estimates of a study.

    Args:
        sums: the result of `stats.evidence.sums.user_sums`; rows of splits without a prediction (baselines)
            are left out.
        predictions: split -> predicted.
        reference: the method that the others are compared with.
        families: (study, method) -> number of predicted splits that were planned; by default those of `sums`.
        planned: (study, method, split) -> what was planned, if intervals are to allow for what is missing.

    Raises:
        TableError: No contrast can be made from the outcomes (`stats.evidence.crossed`).
    """
    families = sizes_in(sums, predictions) if families is None else families
    rng = np.random.default_rng(options.seed)
    diffs, changes = quantities(sums, predictions, reference, ACCURACY, planned=planned)
    in_nats = quantities(sums, predictions, reference, MARGIN, planned=planned)
    margins = [item for part in in_nats for item in part]
    spread = null_spread(diffs, predictions)
    diff_table = judge_by_method(diffs, predictions, options, families, rng)
    diff_table["effect_vs_null"] = [
        value / spread.get((study, method), np.nan)
        for study, method, value in zip(
            diff_table["study"], diff_table["method"], diff_table["estimate"], strict=True
        )
    ]
    intervals = [row for item in [*diffs, *changes, *margins] for row in item.intervals(options)]
    return HeldOutEvidence(
        diffs=diff_table,
        changes=judge_by_method(changes, predictions, options, families, rng),
        advantages=judge_by_method(
            advantages(sums, predictions, reference, ACCURACY, planned),
            advantage_predictions(predictions),
            options,
            families,
            rng,
        ),
        intervals=pd.DataFrame(intervals),
        contrasts=_contrasts(sums, predictions, reference, options, planned),
        variances=variances([*diffs, *changes]),
    )


def sizes_in(sums: pd.DataFrame, predictions: Mapping[str, str]) -> dict[tuple[str, str], int]:
    """Return (study, method) -> number of its splits in a table of sums that have a prediction."""
    splits = sums.loc[sums["split"].isin(predictions), SPLIT].drop_duplicates()
    return family_sizes(splits.assign(predicted=splits["split"].map(predictions)))


def judge_by_method(
    items: Sequence[Quantity],
    predictions: Mapping[str, str],
    options: Options,
    families: Mapping[tuple[str, str], int],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Judge method by method, because the splits of one method are one family."""
    frames = []
    for study, method in dict.fromkeys((item.study, item.method) for item in items):
        estimates = []
        for item in items:
            if (item.study, item.method) == (study, method):
                by_seed = item.by_seed
                signs = {
                    "p_sign_flip": np.nan if by_seed is None else sign_flip(by_seed, rng),
                    "e_sign": np.nan if by_seed is None else sign_e_value(by_seed),
                }
                identity = item.identity | signs
                estimates.append((identity, predictions[item.split], item.estimate))
        frames.append(judge_family(estimates, options, families[study, method]))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*SPLIT, "estimate"])


def null_spread(diffs: Iterable[Quantity], predictions: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """Return (study, method) -> root mean square of the diffs by seed of its null controls."""
    values: dict[tuple[str, str], list[float]] = {}
    for item in diffs:
        if predictions[item.split] == Prediction.EQUAL and item.by_seed is not None:
            values.setdefault((item.study, item.method), []).extend(item.by_seed)
    spread = {key: float(np.sqrt(np.mean(np.square(part)))) for key, part in values.items()}
    return {key: value for key, value in spread.items() if value > 0}


def _contrasts(
    sums: pd.DataFrame,
    predictions: Mapping[str, str],
    reference: str,
    options: Options,
    planned: Mapping[SplitKey, Planned] | None,
) -> pd.DataFrame:
    """Estimate train group x test group; splits whose arms scored only their own group are left out."""
    scored = scored_by_both(sums)
    rows = []
    for name, contrast in CONTRASTS.items():
        for item in quantities(scored, predictions, reference, ACCURACY, contrast, name, planned)[0]:
            estimate = item.estimate
            low, high = estimate.interval(options.level) or (np.nan, np.nan)
            rows.append(
                {
                    "study": item.study,
                    "method": item.method,
                    "split": item.split,
                    "contrast": name,
                    "estimate": estimate.value,
                    "low": low,
                    "high": high,
                    "captures": estimate.captures,
                    "note": estimate.note,
                }
            )
    return pd.DataFrame(rows)


def variances(items: Iterable[Quantity]) -> pd.DataFrame:
    """Return the variance components of diffs, and of changes paired by seed, with two or more seeds."""
    rows = []
    for item in items:
        parts = mean_squares(item.legs[0][1])
        if len(item.legs) == 1 and parts.seeds > 1 and item.estimate.se is not None:
            rows.append(
                {
                    **item.identity,
                    "seed_variance": parts.seed_variance,
                    "user_variance": parts.user_variance,
                    "residual_variance": parts.residual_variance,
                }
            )
    return pd.DataFrame(rows)
