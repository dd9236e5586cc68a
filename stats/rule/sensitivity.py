"""Which cell decides: every verdict, change and count again, with one cell, one split or one seed gone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from stats.rule.thresholds import PublishedRule
from stats.rule.verdicts import INCOMPLETE, Key, change, check_diffs, prediction, references, verdict
from stats.text import tally

NONE = "-"
Seeds = dict[object, float]  # seed -> diff_pp
COLUMNS = [
    "lost",
    "study",
    "method",
    "split",
    "verdict",
    "verdict_without",
    "change",
    "change_without",
    "counts",
    "counts_without",
]


@dataclass(frozen=True)
class Study:
    """What labels rest on: predictions, and whose verdict each one is compared with (none for the reference's
    own, and for splits that the reference has not)."""

    predicted: Mapping[Key, str]
    compared_with: Mapping[Key, Key]
    rule: PublishedRule
    reference: str

    def verdict(self, key: Key, seeds: Seeds) -> str:
        return verdict(list(seeds.values()), self.predicted[key], self.rule) or NONE if seeds else INCOMPLETE

    def change(self, key: Key, verdicts: Mapping[Key, str]) -> str:
        if key[1] == self.reference:
            return NONE
        before = self.compared_with.get(key)
        return change(verdicts[before] if before else None, verdicts[key])


def leave_one_out(
    diffs: pd.DataFrame, predictions: pd.DataFrame, reference: str, rule: PublishedRule
) -> pd.DataFrame:
    """What the report would have said without part of its cells.

    Args:
        diffs: study, method, split, seed, diff_pp. A cell is a row; each split and each seed is also left out
            as a whole.

    Returns:
        A row for every verdict or change that a loss alters: lost (`cell method/split/seed`, `split name` or
        `seed number`), study, method, split, verdict, verdict_without, change, change_without (INCOMPLETE
        where nothing is left, `-` for the reference), counts, counts_without (of the method, see `counted`).

    Raises:
        TableError: of `stats.rule.verdicts.verdicts`.
    """
    check_diffs(diffs)
    whole = _by_key(diffs, predictions)
    study = _study(whole, predictions, reference, rule)
    verdicts = {key: study.verdict(key, seeds) for key, seeds in whole.items()}
    changes = {key: study.change(key, verdicts) for key in whole}
    rows = []
    for lost, part in _losses(whole):
        hit = {key: study.verdict(key, seeds) for key, seeds in part.items()}
        after = verdicts | hit
        touched = [key for key in whole if key in hit or study.compared_with.get(key) in hit]
        moved = {key: study.change(key, after) for key in touched}
        for key in moved:
            labels = verdicts[key], after[key], changes[key], moved[key]
            if labels[0] != labels[1] or labels[2] != labels[3]:
                counts = counted(verdicts, changes, key[1]), counted(after, changes | moved, key[1])
                rows.append((lost, *key, *labels, *counts))
    return pd.DataFrame(rows, columns=COLUMNS)


def counted(verdicts: Mapping[Key, str], changes: Mapping[Key, str], method: str) -> str:
    """Splits of a method by verdict and by change: `3 MATCH, 3 MISMATCH, 1 WEAK; 2 FIXED, ...`."""
    return "; ".join(
        text
        for labels in (verdicts, changes)
        if (text := tally(label for key, label in labels.items() if key[1] == method and label != NONE))
    )


def _by_key(diffs: pd.DataFrame, predictions: pd.DataFrame) -> dict[Key, Seeds]:
    """Diffs by seed of every split with a verdict, in the order of the table."""
    found: dict[Key, Seeds] = {}
    for row in diffs.to_dict("records"):
        key = (str(row["study"]), str(row["method"]), str(row["split"]))
        if prediction(predictions, key[0], key[2]) != "exploratory":
            found.setdefault(key, {})[row["seed"]] = float(row["diff_pp"])
    return found


def _study(
    whole: Mapping[Key, Seeds], predictions: pd.DataFrame, reference: str, rule: PublishedRule
) -> Study:
    predicted = {key: prediction(predictions, key[0], key[2]) for key in whole}
    compared_with: dict[Key, Key] = {}
    for family in dict.fromkeys(key[:2] for key in whole if key[1] != reference):
        theirs = references(whole, family[0], reference)
        compared_with |= {key: theirs[key[2]] for key in whole if key[:2] == family and key[2] in theirs}
    return Study(predicted, compared_with, rule, reference)


def _losses(whole: Mapping[Key, Seeds]) -> Iterator[tuple[str, dict[Key, Seeds]]]:
    """(what is lost, the splits that it touches with what is left of them)."""
    for key, seeds in whole.items():
        for seed in seeds:
            yield f"cell {key[1]}/{key[2]}/{seed}", {key: _without(seeds, seed)}
    for split in dict.fromkeys(key[2] for key in whole):
        yield f"split {split}", {key: {} for key in whole if key[2] == split}
    for seed in dict.fromkeys(seed for seeds in whole.values() for seed in seeds):
        yield f"seed {seed}", {key: _without(seeds, seed) for key, seeds in whole.items() if seed in seeds}


def _without(seeds: Seeds, lost: object) -> Seeds:
    return {seed: value for seed, value in seeds.items() if seed != lost}
