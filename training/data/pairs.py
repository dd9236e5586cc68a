"""Make the table of pairs from candidates of any shape: what is no usable pair is dropped and counted."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.data.chats import as_text
from training.errors import StudyError
from training.table_data import TableData

EMPTY = ("", "EMPTY STRING")  # the latter is how PRISM writes an empty text
PAIR_COLUMNS = [
    "pair_id", "user_id", "item", "source_model", "chosen_model", "rejected_model", "score_gap", "turn",
    "prompt", "chosen", "rejected",
]  # fmt: skip


@dataclass(frozen=True)
class Candidates:
    """Pairs as they were read.

    frame: user_id, item, chosen_model, rejected_model, score_gap, turn, prompt (chat messages), chosen,
        rejected (texts), and `identity`, a text that tells the pair from others, or missing where its content
        does. Answers may be empty, identical or, with a gap of 0, tied.
    read: Number of rows that were read. dropped: Number of answers or rows dropped before, by reason.
    """

    frame: pd.DataFrame
    read: int
    dropped: dict[str, int]


def usable_pairs(candidates: Candidates, data: TableData) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the usable pairs, sorted by id (`Corpus.pairs`), and what was dropped, by reason.

    Raises:
        StudyError: No pair is left.
    """
    frame = candidates.frame
    empty = is_empty(frame["chosen"]) | is_empty(frame["rejected"])
    identical = ~empty & (frame["chosen"] == frame["rejected"])
    tie = ~empty & ~identical & (frame["score_gap"] == 0)
    small = ~empty & ~identical & ~tie & (frame["score_gap"] < data.min_gap)
    reasons = {
        "empty answer": empty,
        "identical answers": identical,
        "tie": tie,
        f"gap below {data.min_gap:g}": small,
    }
    pairs = _with_ids(frame[~(empty | identical | tie | small)])
    order = ["pair_id", "score_gap", "chosen_model", "rejected_model", "turn"]
    pairs = pairs.sort_values(order, ignore_index=True)
    repeated = pairs["pair_id"].duplicated()
    pairs = pairs[~repeated]
    counts = {reason: int(rows.sum()) for reason, rows in reasons.items()}
    counts["the same pair again"] = int(repeated.sum())
    total = dict(candidates.dropped)
    for reason, count in counts.items():
        total[reason] = total.get(reason, 0) + count
    total = {reason: count for reason, count in total.items() if count}
    if pairs.empty:
        nothing = "no two answers to one prompt" if candidates.read else "the table has no row"
        why = ", ".join(f"{count} {reason}" for reason, count in total.items()) or nothing
        raise StudyError(
            f"data: {candidates.read} rows of {data.path} make no usable pair ({why}); see data.columns and "
            "data.min_gap"
        )
    return pairs[PAIR_COLUMNS].reset_index(drop=True), total


def is_empty(texts: pd.Series) -> pd.Series:
    """Return which texts are empty, or PRISM's word for it."""
    return texts.isin(EMPTY)


def content_ids(*columns: pd.Series) -> list[str]:
    """Return a stable id per row, made from its content alone: the order of rows does not matter.

    Each distinct text is hashed once, because answers are long and stand in many pairs.
    """
    return [_hash("\x1f".join(row))[:16] for row in zip(*map(_digests, columns), strict=True)]


def _digests(texts: pd.Series) -> list[str]:
    codes, distinct = pd.factorize(texts)
    digests = np.array([_hash(text) for text in distinct], dtype=object)
    hashed: list[str] = digests[codes].tolist()
    return hashed


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    if frame["identity"].notna().all():
        ids = [_hash(text)[:16] for text in frame["identity"]]
    else:
        item = frame["item"].fillna("")
        prompts = pd.Series(prompt_texts(frame["prompt"]), dtype="str")
        ids = content_ids(frame["user_id"], item, prompts, frame["chosen"], frame["rejected"])
    same = (frame["chosen_model"] == frame["rejected_model"]).fillna(False).astype(bool)
    return frame.assign(
        pair_id=pd.Series(ids, index=frame.index, dtype="str"),
        source_model=frame["chosen_model"].where(same),
    )


def prompt_texts(prompts: Iterable[list[dict[str, str]]]) -> list[str]:
    """Return prompts as texts; equal texts are equal prompts."""
    known: dict[int, str] = {}  # many rows share one list of messages
    texts = []
    for prompt in prompts:
        if id(prompt) not in known:
            known[id(prompt)] = as_text(prompt)
        texts.append(known[id(prompt)])
    return texts
