"""Evidence from diffs by seed alone, as published tables have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stats.evidence.estimate import SAME_PAIRS, TRAINING_TAIL, Estimate
from stats.evidence.family import Judged, judge_family
from stats.evidence.missing import Planned, missing_seeds_bounded
from stats.evidence.options import Options
from stats.evidence.possible import LARGEST_PP
from stats.evidence.seeds import (
    common_diffs,
    mean_estimate,
    prediction_interval,
    sign_flip,
    spread_of,
    unpaired_estimate,
)
from stats.evidence.signs import sign_e_value
from stats.evidence.spread import Spread, moderated_by_method
from stats.names import SPLIT
from stats.rule.changes import SplitKey, reference_splits

DiffsBySeed = Mapping[SplitKey, dict[int, float]]


@dataclass(frozen=True)
class SeedEvidence:
    """Evidence from diffs by seed, in percentage points.

    diffs: the result of `stats.evidence.family.judge_family` with study, method, split, n_seeds, p_sign_flip,
        e_sign.
    changes: the same for every method but the reference, with study, method, split, n_seeds,
        reference_low, reference_high (where one more seed of the reference would lie: a prediction interval),
        inside (whether that interval holds the method's mean).
    """

    diffs: pd.DataFrame
    changes: pd.DataFrame


def seed_evidence(
    diffs: pd.DataFrame,
    predicted: Mapping[tuple[str, str], str],
    reference: str,
    options: Options,
    families: Mapping[tuple[str, str], int],
    planned: Mapping[SplitKey, Planned] | None = None,
) -> SeedEvidence:
    """Judge every method's diffs, and every other method's change from the reference.

    Args:
        diffs: study, method, split, seed, diff_pp.
        predicted: (study, split) -> predicted.
        reference: the method that the others are compared with.
        families: (study, method) -> number of predicted splits that were planned.
        planned: (study, method, split) -> what was planned, if intervals are to allow for what is missing.

    Raises:
        TableError: A split has two references.
    """
    rng = np.random.default_rng(options.seed)
    diffs_of: DiffsBySeed = {
        (str(study), str(method), str(split)): dict(zip(part["seed"], part["diff_pp"], strict=True))
        for (study, method, split), part in diffs.groupby(SPLIT, sort=False)
    }
    references = _references(diffs_of, reference)
    spreads = _steadied({key: list(seeds.values()) for key, seeds in diffs_of.items()})
    paired = {key: common_diffs(diffs_of[key], diffs_of[before]) for key, before in references.items()}
    paired_spreads = _steadied(paired)
    own: dict[tuple[str, str], list[Judged]] = {}
    changed: dict[tuple[str, str], list[Judged]] = {}
    for key, seeds in diffs_of.items():
        values, expected = list(seeds.values()), predicted[key[0], key[2]]
        before = references.get(key)
        lender = spreads.get(before) if before else None
        mean = mean_estimate(values, spreads.get(key), lender)
        identity: dict[str, object] = {**dict(zip(SPLIT, key, strict=True)), "n_seeds": len(seeds)}
        flip: dict[str, object] = {"p_sign_flip": sign_flip(values, rng), "e_sign": sign_e_value(values)}
        own_plan, its_plan = (planned or {}).get(key), (planned or {}).get(before or key)
        if own_plan:
            mean = missing_seeds_bounded(mean, own_plan.seeds_missing(len(seeds)), 0.0, LARGEST_PP)
        own.setdefault(key[:2], []).append((identity | flip, expected, _of_tail(mean)))
        if before and key[1] != reference:
            reference_values = list(diffs_of[before].values())
            if key in paired_spreads:
                change = mean_estimate(paired[key], paired_spreads[key])
            else:
                change = unpaired_estimate(values, reference_values, (spreads.get(key), lender))
            if own_plan and its_plan:
                missing = (
                    own_plan.seeds_missing(len(paired[key]), its_plan)
                    if key in paired_spreads
                    else max(
                        own_plan.seeds_missing(len(seeds)), its_plan.seeds_missing(len(reference_values))
                    )
                )
                change = missing_seeds_bounded(change, missing, 0.0, 2 * LARGEST_PP)
            one_more = _one_more_seed(reference_values, values, options.level)
            changed.setdefault(key[:2], []).append((identity | one_more, expected, _of_tail(change)))
    return SeedEvidence(_judged(own, options, families), _judged(changed, options, families))


def _references(diffs_of: DiffsBySeed, reference: str) -> dict[SplitKey, SplitKey]:
    """Return the reference's split of each split that has one."""
    references: dict[SplitKey, SplitKey] = {}
    for study in dict.fromkeys(key[0] for key in diffs_of):
        before = reference_splits(diffs_of, study, reference)
        of_study = (key for key in diffs_of if key[0] == study and key[2] in before)
        references |= {key: before[key[2]] for key in of_study}
    return references


def _steadied(values: Mapping[SplitKey, Sequence[float]]) -> dict[SplitKey, Spread]:
    """Return the spreads of the splits with two seeds or more, steadied within each method."""
    spreads = {key: spread_of(diffs) for key, diffs in values.items()}
    return moderated_by_method({key: spread for key, spread in spreads.items() if spread is not None})


def _judged(
    families: Mapping[tuple[str, str], list[Judged]],
    options: Options,
    sizes: Mapping[tuple[str, str], int],
) -> pd.DataFrame:
    tables = [judge_family(estimates, options, sizes[key]) for key, estimates in families.items()]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=SPLIT)


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
