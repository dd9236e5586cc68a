"""What the published rule says when nothing is there, by simulation."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import change, verdict


@dataclass(frozen=True)
class Nothing:
    """A study without effects: both arms of every cell have the same true accuracy, on independent pairs.

    seeds, reference_seeds: of the method and of the reference; pairs: behind one accuracy.
    """

    seeds: int
    reference_seeds: int
    pairs: int
    accuracy: float


def rule_errors(
    nothing: Nothing, rule: PublishedRule, studies: int, rng: np.random.Generator
) -> pd.DataFrame:
    """How often each label is printed about one split in which there is nothing.

    Returns:
        quantity (`verdict` of a directed split, `null control`, `change` of a directed split), label, share
        of `studies` simulated splits.
    """
    ours = _diffs(nothing, nothing.seeds, studies, rng)
    theirs = _diffs(nothing, nothing.reference_seeds, studies, rng)
    after = [verdict(row, "A > B", rule) for row in ours]
    before = [verdict(row, "A > B", rule) for row in theirs]
    found = {
        "verdict": after,
        "null control": [verdict(row, "A = B", rule) for row in ours],
        "change": [change(*pair) for pair in zip(before, after, strict=True)],
    }
    rows = [
        (quantity, label, count / studies)
        for quantity, labels in found.items()
        for label, count in pd.Series(labels).value_counts().sort_index().items()
    ]
    return pd.DataFrame(rows, columns=["quantity", "label", "share"])


def _diffs(nothing: Nothing, seeds: int, studies: int, rng: np.random.Generator) -> np.ndarray:
    """Diffs [studies, seeds], percentage points."""
    a, b = rng.binomial(nothing.pairs, nothing.accuracy, size=(2, studies, seeds))
    return np.asarray(100 * (a - b) / nothing.pairs)
