"""Evidence from diffs by seed alone, as published tables give them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from stats.evidence.anova import Estimate
from stats.evidence.judge import judged
from stats.evidence.options import Options
from stats.evidence.seeds import SEEDS, change_estimate, mean_estimate, prediction_interval, sign_flip
from stats.rule.verdicts import references

TAIL_SEEDS = "new seeds, each with the training pairs it ends on; nothing about new users"


def seed_evidence(
    diffs: pd.DataFrame, predicted: Mapping[tuple[str, str], str], reference: str, options: Options
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(diffs, changes): every method's diffs, and every other method against the reference.

    Args:
        diffs: study, method, split, seed, diff_pp.
        predicted: (study, split) -> predicted.

    Returns:
        Two frames of `stats.evidence.judge.judged` with study, method, split, n_seeds; the first with
        p_sign_flip, the
        second with reference_low, reference_high: where one more seed of the reference would lie (a
        prediction interval at `options.level`), and inside: whether it holds the method's mean.
    """
    rng = np.random.default_rng(options.seed)
    by_seed = {
        (str(study), str(method), str(split)): dict(zip(part["seed"], part["diff_pp"], strict=True))
        for (study, method, split), part in diffs.groupby(["study", "method", "split"], sort=False)
    }
    own, changed = [], []
    for family in dict.fromkeys(key[:2] for key in by_seed):
        mine = {key[2]: seeds for key, seeds in by_seed.items() if key[:2] == family}
        theirs = {split: by_seed[key] for split, key in references(by_seed, family[0], reference).items()}
        rows, against = [], []
        for split, seeds in mine.items():
            identity: dict[str, object] = {
                "study": family[0],
                "method": family[1],
                "split": split,
                "n_seeds": len(seeds),
            }
            expected = predicted[family[0], split]
            values, others = list(seeds.values()), list(theirs.get(split, {}).values())
            flip = {"p_sign_flip": sign_flip(values, rng)}
            rows.append(({**identity, **flip}, expected, _tail(mean_estimate(values, others))))
            if family[1] != reference and others:
                low, high = prediction_interval(others, options.level) or (np.nan, np.nan)
                inside = bool(low <= float(np.mean(values)) <= high) if np.isfinite(low) else None
                lie = {"reference_low": low, "reference_high": high, "inside": inside}
                against.append(({**identity, **lie}, expected, _tail(change_estimate(seeds, theirs[split]))))
        own.append(judged(rows, options))
        if against:
            changed.append(judged(against, options))
    empty = pd.DataFrame(columns=["study", "method", "split"])
    return tuple(pd.concat(part, ignore_index=True) if part else empty for part in (own, changed))  # type: ignore[return-value]


def _tail(estimate: Estimate) -> Estimate:
    """Every seed's training tail holds other pairs of the same users, so more than seeds is in its spread."""
    return replace(estimate, captures=TAIL_SEEDS) if estimate.captures == SEEDS else estimate
