"""The honest side of a comparison: estimates from held-out outcomes, with seeds and users as samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd

from stats.evidence.anova import squares
from stats.evidence.crossed import ACCURACY, CONTRASTS, MARGIN
from stats.evidence.judge import judged
from stats.evidence.options import Options
from stats.evidence.quantity import Quantity, quantities
from stats.evidence.seeds import sign_flip


@dataclass(frozen=True)
class Evidence:
    """Frames of a study's held-out evidence; accuracies in percentage points, margins in nats.

    diffs, changes: of `stats.evidence.judge.judged` with study, method, split, n_seeds, users, pairs,
    p_sign_flip
        (NaN where method and reference share fewer than two seeds) and, for diffs, effect_vs_null (estimate
        over the root mean square of the null controls' diffs by seed; NaN without such a control).
    intervals: every interval of the same quantities, one a row: study, method, split, quantity, metric,
        interval, estimate, low, high, unit, captures, note.
    contrasts: train group x test group: study, method, split, contrast, estimate, low, high, captures.
    variances: study, method, split, quantity, n_seeds, users, pairs, seed_variance, user_variance,
        residual_variance (pp^2 of a user's linearised outcome, `stats.evidence.power`).
    """

    diffs: pd.DataFrame
    changes: pd.DataFrame
    intervals: pd.DataFrame
    contrasts: pd.DataFrame
    variances: pd.DataFrame


def evidence(
    sums: pd.DataFrame, predictions: Mapping[str, str], reference: str, options: Options
) -> Evidence:
    """All estimates of a study.

    Args:
        sums: of `stats.evidence.sums.user_sums`; rows of splits without prediction (baselines) are left out.
        predictions: split -> predicted.
        reference: the method that the others are compared with.

    Raises:
        TableError: outcomes from which a contrast cannot be made (`stats.evidence.crossed`).
    """
    rng = np.random.default_rng(options.seed)
    diffs, changes = quantities(sums, predictions, reference, ACCURACY)
    margins = [item for part in quantities(sums, predictions, reference, MARGIN) for item in part]
    spread = null_spread(diffs, predictions)
    table = _families(diffs, predictions, options, rng)
    table["effect_vs_null"] = [
        value / spread.get((study, method), np.nan)
        for study, method, value in zip(table["study"], table["method"], table["estimate"], strict=True)
    ]
    every = [row for item in [*diffs, *changes] for row in item.intervals(options, rng)]
    every += [row for item in margins for row in islice(item.intervals(options, rng), 2)]
    return Evidence(
        diffs=table,
        changes=_families(changes, predictions, options, rng),
        intervals=pd.DataFrame(every),
        contrasts=_contrasts(sums, predictions, reference, options),
        variances=variances([*diffs, *changes]),
    )


def _families(
    items: Sequence[Quantity], predictions: Mapping[str, str], options: Options, rng: np.random.Generator
) -> pd.DataFrame:
    """Judge method by method: the splits of one method are one family."""
    frames = [pd.DataFrame(columns=["study", "method", "split", "estimate"])]
    for family in dict.fromkeys((item.study, item.method) for item in items):
        rows = []
        for item in items:
            if (item.study, item.method) == family:
                by_seed = item.by_seed
                flip = {"p_sign_flip": np.nan if by_seed is None else sign_flip(by_seed, rng)}
                rows.append(({**item.identity, **flip}, predictions[item.split], item.estimate))
        frames.append(judged(rows, options))
    return pd.concat(frames[1:], ignore_index=True) if len(frames) > 1 else frames[0]


def null_spread(diffs: Iterable[Quantity], predictions: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """(study, method) -> root mean square of its null controls' diffs by seed (their truth is zero)."""
    values: dict[tuple[str, str], list[float]] = {}
    for item in diffs:
        if predictions[item.split] == "A = B" and item.by_seed is not None:
            values.setdefault((item.study, item.method), []).extend(item.by_seed)
    found = {key: float(np.sqrt(np.mean(np.square(part)))) for key, part in values.items()}
    return {key: value for key, value in found.items() if value > 0}


def _contrasts(
    sums: pd.DataFrame, predictions: Mapping[str, str], reference: str, options: Options
) -> pd.DataFrame:
    """The two-by-two of train and test group. Left out are splits whose arms scored their own group only."""
    key = ["study", "method", "split"]
    arms = sums.groupby(key, sort=False)[["arm", "eval_group"]].value_counts().groupby(key, sort=False).size()
    both = sums.join(arms.rename("blocks"), on=key).query("blocks == 4")
    rows = []
    for name, contrast in CONTRASTS.items():
        for item in quantities(both, predictions, reference, ACCURACY, contrast)[0]:
            found = item.estimate
            low, high = found.interval(options.level) or (np.nan, np.nan)
            rows.append(
                {
                    "study": item.study,
                    "method": item.method,
                    "split": item.split,
                    "contrast": name,
                    "estimate": found.value,
                    "low": low,
                    "high": high,
                    "captures": found.captures,
                    "note": found.note,
                }
            )
    return pd.DataFrame(rows)


def variances(items: Iterable[Quantity]) -> pd.DataFrame:
    """Variance components of every diff, and every change paired by seed, with two seeds or more."""
    rows = []
    for item in items:
        parts = squares(item.legs[0][1])
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
