"""Simulate what the published rule prints when there is no effect."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stats.rule.changes import change
from stats.rule.labels import Prediction
from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import verdict


@dataclass(frozen=True)
class NullDesign:
    """A study without effects: both arms of every cell have the same true accuracy, on independent pairs.

    seeds, reference_seeds: number of seeds of the method and of the reference.
    pairs: number of pairs behind one accuracy. accuracy: the true accuracy of every arm (share).
    """

    seeds: int
    reference_seeds: int
    pairs: int
    accuracy: float


def rule_errors(
    design: NullDesign, rule: PublishedRule, studies: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Simulate how often each label is printed about one split in which there is no effect.

    Returns:
        quantity (`verdict` of a directed split, `null control`, `change` of a directed split), label, share
        (of the `studies` simulated splits).
    """
    method_diffs = _simulated_diffs(design, design.seeds, studies, rng)
    reference_diffs = _simulated_diffs(design, design.reference_seeds, studies, rng)
    after = [verdict(row, Prediction.A_ABOVE_B, rule) for row in method_diffs]
    before = [verdict(row, Prediction.A_ABOVE_B, rule) for row in reference_diffs]
    labels_by_quantity = {
        "verdict": after,
        "null control": [verdict(row, Prediction.EQUAL, rule) for row in method_diffs],
        "change": [change(*pair) for pair in zip(before, after, strict=True)],
    }
    rows = [
        (quantity, label, count / studies)
        for quantity, labels in labels_by_quantity.items()
        for label, count in pd.Series(labels).value_counts().sort_index().items()
    ]
    return pd.DataFrame(rows, columns=["quantity", "label", "share"])


def rule_errors_by_method(
    seeds: Mapping[str, int],
    reference: str,
    pairs: int,
    accuracy: float,
    rule: PublishedRule,
    studies: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Simulate `rule_errors` for every method's number of seeds.

    Args:
        seeds: method -> number of seeds; the reference must be among them.
        reference: the method that the others are compared with.
        pairs, accuracy: number of pairs behind one accuracy, and its typical value (share).
        studies: number of simulated splits per method.

    Returns:
        method, seeds, quantity, label, share. The reference has no rows with quantity `change`.
    """
    frames = []
    for method, count in seeds.items():
        table = rule_errors(NullDesign(count, seeds[reference], pairs, accuracy), rule, studies, rng)
        table.insert(0, "method", method)
        table.insert(1, "seeds", count)
        frames.append(table if method != reference else table[table["quantity"] != "change"])
    return pd.concat(frames, ignore_index=True)


def _simulated_diffs(design: NullDesign, seeds: int, studies: int, rng: np.random.Generator) -> np.ndarray:
    """Draw diffs [studies, seeds], percentage points."""
    a, b = rng.binomial(design.pairs, design.accuracy, size=(2, studies, seeds))
    return np.asarray(100 * (a - b) / design.pairs)
