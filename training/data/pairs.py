"""Make the table of pairs from candidates of any shape: what is no usable pair is dropped and counted."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.data.chats import as_text
from training.errors import StudyError
from training.table_data import TableData

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
    empty = is_empty(frame["chosen"], data) | is_empty(frame["rejected"], data)
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
    both_ways = _both_ways(pairs)
    if data.contradictions == "drop":
        pairs = pairs[~both_ways]
    counts = {reason: int(rows.sum()) for reason, rows in reasons.items()}
    counts["the same pair again"] = int(repeated.sum())
    if data.contradictions == "drop":
        counts["both answers preferred by one person"] = int(both_ways.sum())
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


def is_empty(texts: pd.Series, data: TableData) -> pd.Series:
    """Return which texts are empty or a placeholder for nothing."""
    return texts.isin(["", *data.placeholders])


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
    prompts = pd.Series(prompt_texts(frame["prompt"]), index=frame.index, dtype="str")
    if frame["identity"].notna().all():
        ids = [_hash(text)[:16] for text in frame["identity"]]
    else:
        item = frame["item"].fillna("")
        ids = content_ids(frame["user_id"], item, prompts, frame["chosen"], frame["rejected"])
    same = (frame["chosen_model"] == frame["rejected_model"]).fillna(False).astype(bool)
    return frame.assign(
        pair_id=pd.Series(ids, index=frame.index, dtype="str"),
        source_model=frame["chosen_model"].where(same),
        prompt_text=prompts,
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


def _both_ways(pairs: pd.DataFrame) -> "pd.Series[bool]":
    """Return which pairs one person labelled both ways, about the same item and prompt."""
    codes = pd.factorize(pd.concat([pairs["chosen"], pairs["rejected"]], ignore_index=True))[0]
    chosen, rejected = codes[: len(pairs)], codes[len(pairs) :]
    about = pairs.groupby(["user_id", "item", "turn", "prompt_text"], dropna=False, sort=False).ngroup()
    table = pd.DataFrame(
        {
            "about": about.to_numpy(),
            "low": np.minimum(chosen, rejected),
            "high": np.maximum(chosen, rejected),
            "way": chosen < rejected,
        }
    )
    ways = table.groupby(["about", "low", "high"], sort=False)["way"].transform("nunique")
    return pd.Series((ways > 1).to_numpy(), index=pairs.index)
