"""Which cell decides: every verdict and count again, with one cell, one split or one seed gone."""

from collections.abc import Iterator

import pandas as pd

from stats.verdicts import INCOMPLETE, PublishedRule, every_change, verdicts

NONE = "-"
Key = tuple[str, str, str]  # study, method, split


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
        where nothing is left, `-` for the reference), counts, counts_without (splits by change label).
    """
    before = _labels(diffs, predictions, reference, rule)
    rows = []
    for lost, rest in _losses(diffs):
        found = _labels(rest, predictions, reference, rule)
        gone = {
            key: (INCOMPLETE, NONE if change == NONE else INCOMPLETE) for key, (_, change) in before.items()
        }
        after = gone | found
        for key, (verdict, change) in before.items():
            if (verdict, change) != after[key]:
                new = after[key]
                rows.append((lost, *key, verdict, new[0], change, new[1], _counts(before), _counts(after)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _losses(diffs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    names = diffs["method"] + "/" + diffs["split"] + "/" + diffs["seed"].astype(str)
    for place, name in enumerate(names):
        yield f"cell {name}", diffs.drop(diffs.index[place])
    for column in ("split", "seed"):
        for value in dict.fromkeys(diffs[column]):
            yield f"{column} {value}", diffs[diffs[column] != value]


def _labels(
    diffs: pd.DataFrame, predictions: pd.DataFrame, reference: str, rule: PublishedRule
) -> dict[Key, tuple[str, str]]:
    """(study, method, split) -> (verdict, change)."""
    judged = verdicts(diffs, predictions, rule)
    judged = judged[judged["predicted"] != "exploratory"]
    keys = judged[["study", "method", "split"]].itertuples(index=False, name=None)
    labels = {
        key: (verdict, NONE if key[1] == reference else INCOMPLETE)
        for key, verdict in zip(keys, judged["verdict"], strict=True)
    }
    if (judged["method"] == reference).any():
        for *key, _, after, label in every_change(judged, reference).itertuples(index=False, name=None):
            labels[key[0], key[1], key[2]] = (after, label)
    return labels


def _counts(labels: dict[Key, tuple[str, str]]) -> str:
    changed = [change for _, change in labels.values() if change != NONE]
    return ", ".join(f"{changed.count(label)} {label}" for label in sorted(set(changed))) or NONE
