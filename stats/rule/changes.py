"""Changes from the reference method's published verdicts to another method's."""

from collections.abc import Iterable

import pandas as pd

from stats.errors import TableError
from stats.names import SPLIT
from stats.rule.labels import UNLABELLED, Change, Prediction, Verdict

SplitKey = tuple[str, str, str]  # (study, method, split)
NO_SPLIT: SplitKey = ("", "", "")
CHANGE_COLUMNS = [*SPLIT, "reference_verdict", "method_verdict", "change"]
RANKS = {
    Verdict.MISMATCH: 0,
    Verdict.NOT_NULL: 0,
    Verdict.WEAK: 1,
    Verdict.LEAN: 1,
    Verdict.MATCH: 2,
    Verdict.OK: 2,
}


def change(reference: str | None, method: str | None) -> Change:
    """Return the label of a change from the reference's verdict to the method's.

    The change is INCOMPLETE if either side has no verdict (None), or one that is INCOMPLETE or WITHHELD.
    """
    if reference is None or method is None or {reference, method} & UNLABELLED:
        return Change.INCOMPLETE
    if reference == method:
        return Change.STABLE if method == Verdict.MATCH else Change.UNCHANGED
    before, after = RANKS[Verdict(reference)], RANKS[Verdict(method)]
    if after > before:
        return Change.FIXED if (before, after) == (0, 2) else Change.IMPROVED
    if after < before:
        return Change.WEAKENED if after == 1 else Change.REGRESSED
    return Change.UNCHANGED


def changes(verdict_table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare each method's verdicts with the reference method's, split by split.

    Args:
        verdict_table: the result of `stats.rule.verdicts.verdicts`. A method is compared with the reference
            of its own study or, where that study has none, with the reference of another.

    Returns:
        study, method, split, reference_verdict, method_verdict, change. Exploratory splits have no verdict
        and are left out.

    Raises:
        TableError: The reference has no verdicts, or two for a split.
    """
    if not (verdict_table["method"] == reference).any():
        methods = ", ".join(sorted(set(verdict_table["method"]))) or "none"
        raise TableError(f"reference: no diffs of {reference!r}; methods: {methods}")
    predicted = verdict_table[verdict_table["predicted"] != Prediction.EXPLORATORY]
    keys = [(str(a), str(b), str(c)) for a, b, c in predicted[SPLIT].itertuples(index=False, name=None)]
    verdict_of = dict(zip(keys, predicted["verdict"], strict=True))
    rows = []
    for study, method in dict.fromkeys(key[:2] for key in verdict_of if key[1] != reference):
        before = reference_splits(verdict_of, study, reference)
        splits = [key[2] for key in verdict_of if key[:2] == (study, method)]
        for split in dict.fromkeys([*splits, *before]):
            sides = verdict_of.get(before.get(split, NO_SPLIT)), verdict_of.get((study, method, split))
            rows.append(
                (study, method, split, *(side or Verdict.INCOMPLETE for side in sides), change(*sides))
            )
    return pd.DataFrame(rows, columns=CHANGE_COLUMNS)


def changes_as_published(verdict_table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare as `changes` does, without study and method where there is only one other method.

    Returns:
        split, reference_verdict, method_verdict, change; with several methods also study and method in front.
    """
    table = changes(verdict_table, reference)
    others = verdict_table.loc[verdict_table["method"] != reference, ["study", "method"]].drop_duplicates()
    return table.drop(columns=["study", "method"]) if len(others) <= 1 else table


def reference_splits(keys: Iterable[SplitKey], study: str, reference: str) -> dict[str, SplitKey]:
    """Find the reference that each split of a study's methods is compared with.

    It is the study's own reference or, where the study has none, another study's.

    Args:
        keys: (study, method, split) of everything in the table.
        study: the study whose methods are compared.
        reference: the reference method.

    Returns:
        Split -> (study, method, split) of its reference.

    Raises:
        TableError: A split has two references.
    """
    every = [key for key in keys if key[1] == reference]
    candidates = [key for key in every if key[0] == study] or every
    key_of: dict[str, SplitKey] = {}
    for key in candidates:
        if key[2] in key_of:
            raise TableError(
                f"verdicts: {key[0]}/{key[1]} is a second reference for split {key[2]!r} beside "
                f"{key_of[key[2]][0]}/{key[1]}; keep one, or give {study} its own"
            )
        key_of[key[2]] = key
    return key_of
