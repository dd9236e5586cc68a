"""A family of tests: the splits of one method, with adjusted intervals, adjusted p values and evidence."""

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from stats.evidence.estimate import OF_ONE_SEED, Estimate
from stats.evidence.options import Options
from stats.evidence.shrinkage import shrink
from stats.evidence.words import EvidenceWord, word_for
from stats.multiplicity import holm
from stats.rule.labels import Prediction

SHRUNKEN = ("shrunken", "low_shrunken", "high_shrunken")
Judged = tuple[dict[str, object], str, Estimate]  # identity columns, predicted, estimate


def family_sizes(splits: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return (study, method) -> number of its splits with a prediction.

    Args:
        splits: study, method, split, predicted; one row per planned split.
    """
    tested = splits["predicted"] != Prediction.EXPLORATORY
    sizes: dict[tuple[str, str], int] = {}
    for study, method, is_tested in zip(splits["study"], splits["method"], tested, strict=True):
        sizes[str(study), str(method)] = sizes.get((str(study), str(method)), 0) + int(is_tested)
    return sizes


def judge_family(estimates: list[Judged], options: Options, size: int) -> pd.DataFrame:
    """Judge one family of splits.

    Args:
        estimates: (identity columns, predicted, estimate) for splits of one method.
        options: levels and the margin.
        size: the number of predicted splits that were planned. One that failed, is incomplete or has no
            interval keeps its place: otherwise each failure would make the others look surer.

    Returns:
        The identity columns and: predicted, estimate, se, low, high (at `level`), p, p_holm, p_bh
        (Benjamini-Hochberg), low_adjusted, high_adjusted (Bonferroni over `size`: together they cover all
        truths at `level`), p_equivalent (two one-sided tests), shrunken, low_shrunken, high_shrunken (the
        effect and its interval at `level` when the family's effects have a common distribution, see
        `stats.evidence.shrinkage`; NaN for fewer than three), evidence, captures, note. Any other value is
        NaN only where `note` says why.
    """
    tested = [predicted != Prediction.EXPLORATORY and bool(of.parts) for _, predicted, of in estimates]
    adjusted_level = 1 - (1 - options.level) / max(1, size)
    rows = [
        identity | _judgement(predicted, estimate, is_tested, adjusted_level, options)
        for (identity, predicted, estimate), is_tested in zip(estimates, tested, strict=True)
    ]
    table = pd.DataFrame(rows)
    if any(tested):
        p = table.loc[tested, "p"].tolist()
        places = p + [1.0] * (size - len(p))
        table.loc[tested, "p_holm"] = holm(np.array(places))[: len(p)]
        table.loc[tested, "p_bh"] = false_discovery_control(places)[: len(p)]
        in_family = [of for (_, _, of), is_tested in zip(estimates, tested, strict=True) if is_tested]
        # As wide as the t intervals are, for a model that takes standard errors as known.
        widened = [of.half((1 - options.level) / 2) / norm.ppf(0.5 + options.level / 2) for of in in_family]
        shrunken = shrink([of.value for of in in_family], widened, options.level)
        if shrunken is not None:
            table.loc[tested, list(SHRUNKEN)] = np.stack(
                [shrunken.value, shrunken.low, shrunken.high], axis=1
            )
    return table


def _judgement(
    predicted: str, estimate: Estimate, tested: bool, adjusted_level: float, options: Options
) -> dict[str, object]:
    """Return the columns of one split; p_holm and p_bh are filled in for the whole family."""
    low, high = estimate.interval(options.level) or (np.nan, np.nan)
    adjusted = estimate.interval(adjusted_level) if tested else None
    known = bool(estimate.parts)
    return {
        "predicted": predicted,
        "estimate": estimate.value,
        "se": estimate.se if known else np.nan,
        "low": low,
        "high": high,
        "p": estimate.p if known else np.nan,
        "p_holm": np.nan,
        "p_bh": np.nan,
        "low_adjusted": adjusted[0] if adjusted else np.nan,
        "high_adjusted": adjusted[1] if adjusted else np.nan,
        **dict.fromkeys(SHRUNKEN, np.nan),
        "p_equivalent": estimate.p_equivalent(options.margin_pp) if known else np.nan,
        "evidence": EvidenceWord.UNDECIDED
        if estimate.captures in OF_ONE_SEED
        else word_for(predicted, adjusted, options.margin_pp),
        "captures": estimate.captures,
        "note": estimate.note or ("" if tested else "exploratory: not in the family of tests"),
    }
