"""Evidence from diffs by seed alone, as published tables have them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stats.evidence.anova import Estimate
from stats.evidence.family import judge_family
from stats.evidence.options import Options
from stats.evidence.seeds import (
    SAME_PAIRS,
    change_estimate,
    mean_estimate,
    prediction_interval,
    sign_flip,
)
from stats.names import SPLIT
from stats.rule.changes import SplitKey, reference_splits

TRAINING_TAIL = "new seeds, each with the training pairs it ends on; nothing about new users"


@dataclass(frozen=True)
class SeedEvidence:
    """Evidence from diffs by seed, in percentage points.

    diffs: the result of `stats.evidence.family.judge_family` with study, method, split, n_seeds, p_sign_flip.
    changes: the same for every method but the reference, with study, method, split, n_seeds,
        reference_low, reference_high (where one more seed of the reference would lie: a prediction interval),
        inside (whether that interval holds the method's mean).
    """

    diffs: pd.DataFrame
    changes: pd.DataFrame


def seed_evidence(
    diffs: pd.DataFrame, predicted: Mapping[tuple[str, str], str], reference: str, options: Options
) -> SeedEvidence:
    """Judge every method's diffs, and every other method's change from the reference.

    Args:
        diffs: study, method, split, seed, diff_pp.
        predicted: (study, split) -> predicted.
        reference: the method that the others are compared with.

    Raises:
        TableError: A split has two references.
    """
    rng = np.random.default_rng(options.seed)
    diffs_of = {
        (str(study), str(method), str(split)): dict(zip(part["seed"], part["diff_pp"], strict=True))
        for (study, method, split), part in diffs.groupby(SPLIT, sort=False)
    }
    diff_tables, change_tables = [], []
    for study, method in dict.fromkeys(key[:2] for key in diffs_of):
        before = reference_splits(diffs_of, study, reference)
        own, changes = [], []
        for split, seeds in (
            (key[2], seeds) for key, seeds in diffs_of.items() if key[:2] == (study, method)
        ):
            key = (study, method, split)
            expected, values = predicted[study, split], list(seeds.values())
            reference_seeds = diffs_of[before[split]] if split in before else {}
            reference_values = list(reference_seeds.values())
            flip = {"p_sign_flip": sign_flip(values, rng)}
            mean = _of_tail(mean_estimate(values, reference_values))
            own.append((_identity(key, seeds) | flip, expected, mean))
            if method != reference and reference_values:
                one_more = _one_more_seed(reference_values, values, options.level)
                change = _of_tail(change_estimate(seeds, reference_seeds))
                changes.append((_identity(key, seeds) | one_more, expected, change))
        diff_tables.append(judge_family(own, options))
        if changes:
            change_tables.append(judge_family(changes, options))
    return SeedEvidence(_joined(diff_tables), _joined(change_tables))


def _identity(key: SplitKey, seeds: Mapping[int, float]) -> dict[str, object]:
    return dict(zip(SPLIT, key, strict=True)) | {"n_seeds": len(seeds)}


def _one_more_seed(reference_values: list[float], values: list[float], level: float) -> dict[str, object]:
    """Return where one more seed of the reference would lie, and whether the method's mean lies there."""
    low, high = prediction_interval(reference_values, level) or (np.nan, np.nan)
    inside = bool(low <= float(np.mean(values)) <= high) if np.isfinite(low) else None
    return {"reference_low": low, "reference_high": high, "inside": inside}


def _of_tail(estimate: Estimate) -> Estimate:
    """Return the estimate with the uncertainty that a spread over training tails captures.

    Every seed's tail holds other pairs of the same users, so the spread is not that of seeds alone.
    """
    return replace(estimate, captures=TRAINING_TAIL) if estimate.captures == SAME_PAIRS else estimate


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=SPLIT)
