"""Held-out outcomes summed by user: all that the estimates need.

A table of 3.6 million scored pairs becomes one of seeds x users. Where several users rated an item, the sums
of each user on it are kept beside his own (`stats.evidence.shared_items`). Sums of several tables may be
concatenated, so a large ledger can be read one cell at a time.
"""

import numpy as np
import pandas as pd

from stats.errors import TableError
from stats.evidence.shared_items import BY_ITEM
from stats.names import CELL

SCORED_BLOCK = [*CELL, "arm", "eval_group"]  # an arm of a cell, scored on one group
USER_KEY = [*SCORED_BLOCK, "user_id"]
# The columns of one cell's outcomes that are read.
CELL_OUTCOMES = ["arm", "eval_group", "user_id", "item", "pair_id", "margin", "correct"]
OUTCOME_COLUMNS = [*USER_KEY, "pair_id", "margin", "correct"]
SUM_COLUMNS = [*USER_KEY, "pairs", "correct", "margin", "pairs_key", "by_item"]


def user_sums(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Sum an outcomes table by (cell, arm, eval_group, user).

    Args:
        outcomes: study, method, split, seed, arm, eval_group, user_id, pair_id, margin (nats, without beta),
            correct (margin > 0); one row per held-out pair that an arm scored. Where it has a column item,
            users who rated one item share it; a missing item is shared with nobody.

    Returns:
        study, method, split, seed, arm, eval_group, user_id, pairs (count), correct (count), margin (sum,
        nats), pairs_key (order-free hash of the user's pair ids: equal keys are equal sets of pairs), by_item
        (array of the type BY_ITEM, sorted by item: the user's sums on the items that other users of the cell
        rated, too; empty where there are none).

    Raises:
        TableError: A column or label is missing, a margin is not a number, an arm scored a pair twice, or
            `correct` contradicts its margin.
    """
    missing = [column for column in OUTCOME_COLUMNS if column not in outcomes]
    if missing:
        raise TableError(f"outcomes: no column {missing[0]!r}; columns are {', '.join(OUTCOME_COLUMNS)}")
    if outcomes.empty:
        return pd.DataFrame(columns=SUM_COLUMNS)
    codes, labels = {}, {}
    for column in [*USER_KEY, "pair_id"]:
        codes[column], labels[column] = pd.factorize(outcomes[column])
        _refuse(outcomes, codes[column] < 0, f"has no {column}")
    margin = outcomes["margin"].to_numpy(dtype=float)
    correct = outcomes["correct"].to_numpy(dtype=float)
    _refuse(outcomes, ~np.isfinite(margin), "has no number as its margin")
    _refuse(outcomes, correct != (margin > 0), "has a `correct` that contradicts its margin")
    arm = _combine([codes[column] for column in SCORED_BLOCK])
    _refuse(outcomes, pd.Series(_combine([arm, codes["pair_id"]])).duplicated(), "scored its pair twice")
    groups, first, place = np.unique(
        _combine([arm, codes["user_id"]]), return_index=True, return_inverse=True
    )
    table = pd.DataFrame({column: labels[column].take(codes[column][first]) for column in USER_KEY})
    table["pairs"] = np.bincount(place, minlength=len(groups))
    table["correct"] = np.bincount(place, weights=correct)
    table["margin"] = np.bincount(place, weights=margin)
    hashes = pd.util.hash_array(np.asarray(labels["pair_id"], dtype=object))[codes["pair_id"]]
    keys = np.zeros(len(groups), dtype=np.uint64)
    np.add.at(keys, place, hashes)  # wraps modulo 2^64; a sum does not depend on the order
    table["pairs_key"] = keys
    table["by_item"] = _by_item(outcomes, codes, place, margin, correct, len(groups))
    return table


def _by_item(
    outcomes: pd.DataFrame,
    codes: dict[str, np.ndarray],
    place: np.ndarray,
    margin: np.ndarray,
    correct: np.ndarray,
    rows: int,
) -> np.ndarray:
    """Return the sums on shared items for each of `rows` rows of the result.

    `place` is the row to which an outcome belongs.
    """
    result = np.empty(rows, dtype=object)
    result[:] = [np.empty(0, BY_ITEM)] * rows
    if "item" not in outcomes:
        return result
    item, names = pd.factorize(outcomes["item"])
    of_cell = _combine([*(codes[column] for column in CELL), item + 1])
    first = ~pd.Series(_combine([of_cell, codes["user_id"]])).duplicated().to_numpy()
    shared = np.flatnonzero((item >= 0) & (np.bincount(of_cell[first])[of_cell] > 1))
    if not len(shared):
        return result
    hashes = pd.util.hash_array(np.asarray(names, dtype=object))[item[shared]]
    order = np.lexsort((hashes, place[shared]))
    ordered = shared[order]
    is_new = (np.diff(place[ordered], prepend=-1) != 0) | (np.diff(item[ordered], prepend=-1) != 0)
    entry = is_new.cumsum() - 1
    sums = np.empty(entry[-1] + 1, BY_ITEM)
    sums["item"] = hashes[order][is_new]
    sums["pairs"] = np.bincount(entry)
    sums["correct"] = np.bincount(entry, weights=correct[ordered])
    sums["margin"] = np.bincount(entry, weights=margin[ordered])
    owners, starts = np.unique(place[ordered][is_new], return_index=True)
    for owner, part in zip(owners, np.split(sums, starts[1:]), strict=True):
        result[owner] = part
    return result


def _combine(codes: list[np.ndarray]) -> np.ndarray:
    """Combine columns of codes into one, dense so that the next combination does not overflow."""
    key = codes[0].astype(np.int64)
    for code in codes[1:]:
        key = pd.factorize(key * (int(code.max()) + 1) + code)[0]
    return key


def _refuse(outcomes: pd.DataFrame, bad: "np.ndarray | pd.Series[bool]", why: str) -> None:
    places = np.flatnonzero(np.asarray(bad))
    if len(places):
        row = outcomes.iloc[places[0]]
        labels = ", ".join(f"{column} {row[column]}" for column in [*USER_KEY, "pair_id"])
        raise TableError(f"outcomes: row {labels} {why} ({len(places)} such rows)")
