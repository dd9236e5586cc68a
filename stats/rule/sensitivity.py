"""Which single cell a result depends on.

Every verdict, change and count is recomputed without one cell, one split or one seed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from stats.names import SPLIT
from stats.rule.changes import SplitKey, change, reference_splits
from stats.rule.labels import Prediction, Verdict
from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import check_diffs, prediction_for, verdict
from stats.text import tally

NO_LABEL = "-"
DiffBySeed = dict[object, float]  # seed -> diff_pp
LOSS_COLUMNS = [
    "lost",
    *SPLIT,
    "verdict",
    "verdict_without",
    "change",
    "change_without",
    "counts",
    "counts_without",
]


@dataclass(frozen=True)
class Labeller:
    """What the labels depend on besides the diffs.

    predicted: split -> its prediction.
    compared_with: split -> the reference's split that its change starts from. The reference's own splits, and
        splits that the reference lacks, have no entry.
    """

    predicted: Mapping[SplitKey, str]
    compared_with: Mapping[SplitKey, SplitKey]
    rule: PublishedRule
    reference: str

    def verdict(self, key: SplitKey, diff_by_seed: DiffBySeed) -> str:
        if not diff_by_seed:
            return Verdict.INCOMPLETE
        return verdict(list(diff_by_seed.values()), self.predicted[key], self.rule) or NO_LABEL

    def change(self, key: SplitKey, verdict_of: Mapping[SplitKey, str]) -> str:
        if key[1] == self.reference:
            return NO_LABEL
        before = self.compared_with.get(key)
        return change(verdict_of[before] if before else None, verdict_of[key])


def leave_one_out(
    diffs: pd.DataFrame, predictions: pd.DataFrame, reference: str, rule: PublishedRule
) -> pd.DataFrame:
    """Compute what the report would have said without part of its cells.

    Args:
        diffs: study, method, split, seed, diff_pp. A cell is a row; each split and each seed is also left out
            as a whole.
        predictions: study, split, predicted.
        reference: the method that the others are compared with.

    Returns:
        One row per verdict or change that a loss alters: lost (`cell method/split/seed`, `split name` or
        `seed number`), study, method, split, verdict, verdict_without, change, change_without (INCOMPLETE
        where no diff remains, `-` for the reference), counts, counts_without (of the method, see
        `label_counts`).

    Raises:
        TableError: See `stats.rule.verdicts.verdicts`.
    """
    check_diffs(diffs)
    diffs_of = _diffs_by_split(diffs, predictions)
    labeller = _labeller(diffs_of, predictions, reference, rule)
    verdict_of = {key: labeller.verdict(key, seeds) for key, seeds in diffs_of.items()}
    change_of = {key: labeller.change(key, verdict_of) for key in diffs_of}
    rows = []
    for lost, remaining in _losses(diffs_of):
        new_verdicts = {key: labeller.verdict(key, seeds) for key, seeds in remaining.items()}
        verdicts_without = verdict_of | new_verdicts
        touched = [
            key for key in diffs_of if key in new_verdicts or labeller.compared_with.get(key) in new_verdicts
        ]
        new_changes = {key: labeller.change(key, verdicts_without) for key in touched}
        for key in touched:
            verdict_pair = verdict_of[key], verdicts_without[key]
            change_pair = change_of[key], new_changes[key]
            if verdict_pair[0] != verdict_pair[1] or change_pair[0] != change_pair[1]:
                counts = (
                    label_counts(verdict_of, change_of, key[1]),
                    label_counts(verdicts_without, change_of | new_changes, key[1]),
                )
                rows.append((lost, *key, *verdict_pair, *change_pair, *counts))
    return pd.DataFrame(rows, columns=LOSS_COLUMNS)


def label_counts(verdict_of: Mapping[SplitKey, str], change_of: Mapping[SplitKey, str], method: str) -> str:
    """Count a method's splits by verdict and by change: `3 MATCH, 3 MISMATCH, 1 WEAK; 2 FIXED, ...`."""
    return "; ".join(
        text
        for labels in (verdict_of, change_of)
        if (text := tally(label for key, label in labels.items() if key[1] == method and label != NO_LABEL))
    )


def _diffs_by_split(diffs: pd.DataFrame, predictions: pd.DataFrame) -> dict[SplitKey, DiffBySeed]:
    """Collect the diffs of every split with a verdict, in the order of the table."""
    diffs_of: dict[SplitKey, DiffBySeed] = {}
    for row in diffs.to_dict("records"):
        key = (str(row["study"]), str(row["method"]), str(row["split"]))
        if prediction_for(predictions, key[0], key[2]) != Prediction.EXPLORATORY:
            diffs_of.setdefault(key, {})[row["seed"]] = float(row["diff_pp"])
    return diffs_of


def _labeller(
    diffs_of: Mapping[SplitKey, DiffBySeed], predictions: pd.DataFrame, reference: str, rule: PublishedRule
) -> Labeller:
    predicted = {key: prediction_for(predictions, key[0], key[2]) for key in diffs_of}
    compared_with: dict[SplitKey, SplitKey] = {}
    for family in dict.fromkeys(key[:2] for key in diffs_of if key[1] != reference):
        before = reference_splits(diffs_of, family[0], reference)
        compared_with |= {key: before[key[2]] for key in diffs_of if key[:2] == family and key[2] in before}
    return Labeller(predicted, compared_with, rule, reference)


def _losses(diffs_of: Mapping[SplitKey, DiffBySeed]) -> Iterator[tuple[str, dict[SplitKey, DiffBySeed]]]:
    """Yield (what is lost, the splits that it touches with their remaining diffs)."""
    for key, seeds in diffs_of.items():
        for seed in seeds:
            yield f"cell {key[1]}/{key[2]}/{seed}", {key: _without(seeds, seed)}
    for split in dict.fromkeys(key[2] for key in diffs_of):
        yield f"split {split}", {key: {} for key in diffs_of if key[2] == split}
    for seed in dict.fromkeys(seed for seeds in diffs_of.values() for seed in seeds):
        yield (
            f"seed {seed}",
            {key: _without(seeds, seed) for key, seeds in diffs_of.items() if seed in seeds},
        )


def _without(seeds: DiffBySeed, lost: object) -> DiffBySeed:
    return {seed: value for seed, value in seeds.items() if seed != lost}
