"""Tokenise pairs exactly as TRL's `DPOTrainer._prepare_dataset` does, but in batches, and check the result.

TRL tokenises row by row under `Dataset.map`, which also pickles and disassembles its function to hash it (and
writes thousands of lines to a log). Here the tokenizer gets a whole slice of chats at once. The checks look
at what the loss will see: token ids, after the template and after truncation.
"""

import datetime
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase

from training.chat import ChatRenderer, without_oldest_turn
from training.truncation import PairIds, Truncation

SLICE_PAIRS = 2000  # pairs per call of the tokenizer

TOKEN_FEATURES = Features(
    {
        "pair_id": Value("string"),
        "prompt_ids": List(Value("int32")),
        "chosen_ids": List(Value("int32")),
        "rejected_ids": List(Value("int32")),
        "prompt_tokens": Value("int32"),
        "chosen_tokens": Value("int32"),
        "rejected_tokens": Value("int32"),
        "chosen_truncated": Value("bool"),
        "rejected_truncated": Value("bool"),
        "text_id": Value("string"),
    }
)

# Why a pair is dropped.
NO_ROOM = "no room for an answer"
NO_ANSWER = "answer without tokens"
IDENTICAL = "identical token ids"
CONTROL_TOKENS = "control tokens in a text"
# What is counted of the pairs that are kept, besides control tokens.
PROMPT_TRUNCATED = "prompt without its start"
TURNS_DROPPED = "oldest turns left out"
NO_PREFIX = "prompt rendered otherwise alone"
NO_END = "answer without an end token"


@dataclass(frozen=True)
class Tokenised:
    """Tokenised pairs.

    rows: One row per pair that is left, with the columns of `TOKEN_FEATURES`: truncated ids, how many they
        are, whether part of an answer was cut, and a hash of the ids that ignores which answer was chosen.
    dropped: Reason -> ids of the pairs that were dropped for it.
    noted: What is unusual about pairs that are left -> the number of these pairs.
    tokens: A hash of all rows: pair ids and token ids.
    dated: Whether the chat template writes a date.
    random: Whether the chat template writes a random value.
    """

    rows: Dataset
    dropped: dict[str, tuple[str, ...]]
    noted: dict[str, int]
    tokens: str
    dated: bool = False
    random: bool = False


def tokenise(
    pairs: pd.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    truncation: Truncation = "keep_start",
    control_tokens: Literal["keep", "text", "drop"] = "keep",
    date: datetime.date | None = None,
) -> Tokenised:
    """Tokenise pairs (columns pair_id, prompt as chat messages, chosen, rejected).

    A pair is dropped if its truncated token ids hold nothing to learn from: nothing of an answer, or the same
    answer twice.

    Args:
        pairs: The pairs, in the order of the rows.
        tokenizer: The model's tokenizer; its chat template is set to `date`.
        max_length: Tokens of prompt and answer together.
        truncation: What a pair that is longer keeps (`TrainingSpec.truncation`).
        control_tokens: What happens to control tokens in a text (`Checks.control_tokens`).
        date: What a template writes as today's date; by default, today.

    Raises:
        StudyError: The chat template refuses a chat.
    """
    renderer = ChatRenderer(tokenizer, date or datetime.date.today(), control_tokens == "text")
    columns: dict[str, list[object]] = {name: [] for name in TOKEN_FEATURES}
    dropped: dict[str, list[str]] = defaultdict(list)
    noted: Counter[str] = Counter()
    digest = hashlib.sha256()
    for start in range(0, len(pairs), SLICE_PAIRS):
        part = pairs.iloc[start : start + SLICE_PAIRS]
        texts = zip(part["prompt"], part["chosen"], part["rejected"], strict=True)
        typed = [renderer.holds_control_tokens(prompt, answers) for prompt, *answers in texts]
        rendered = _rendered(part, renderer, max_length, truncation)
        for pair_id, has_typed, (whole, notes) in zip(part["pair_id"], typed, rendered, strict=True):
            ids = whole.truncated(max_length, truncation)
            reason = CONTROL_TOKENS if has_typed and control_tokens == "drop" else _useless(ids, whole)
            if reason:
                dropped[reason].append(pair_id)
                continue
            if has_typed:
                notes.append(CONTROL_TOKENS)
            if len(ids.prompt) < len(whole.prompt):
                notes.append(PROMPT_TRUNCATED)
            if not (renderer.ends(whole.chosen) and renderer.ends(whole.rejected)):
                notes.append(NO_END)
            noted.update(notes)
            row = (
                pair_id,
                ids.prompt,
                ids.chosen,
                ids.rejected,
                len(ids.prompt),
                len(ids.chosen),
                len(ids.rejected),
                len(ids.chosen) < len(whole.chosen),
                len(ids.rejected) < len(whole.rejected),
                _digest(ids.prompt, *sorted((ids.chosen, ids.rejected))),
            )
            digest.update(f"{pair_id} {_digest(ids.prompt, ids.chosen, ids.rejected)}\n".encode())
            for name, value in zip(TOKEN_FEATURES, row, strict=True):
                columns[name].append(value)
    return Tokenised(
        Dataset.from_dict(columns, features=TOKEN_FEATURES),
        {reason: tuple(ids) for reason, ids in dropped.items()},
        dict(noted),
        digest.hexdigest()[:16],
        renderer.dated,
        renderer.random,
    )


def _rendered(
    pairs: pd.DataFrame, renderer: ChatRenderer, max_length: int, truncation: Truncation
) -> Iterator[tuple[PairIds, list[str]]]:
    """Yield the ids of each pair before truncation, and what is to be noted about them."""
    rendered = renderer.pairs(pairs)
    turns_left_out: set[int] = set()
    if truncation == "drop_turns":
        shorter = pairs["prompt"].tolist()
        too_long = list(range(len(pairs)))
        while too_long := [row for row in too_long if rendered[row][0].length > max_length]:
            later = {row: chat for row in too_long if (chat := without_oldest_turn(shorter[row]))}
            too_long = list(later)
            if later:
                again = pairs.iloc[too_long].assign(prompt=pd.Series(later).to_numpy())
                for row, found in zip(too_long, renderer.pairs(again), strict=True):
                    shorter[row], rendered[row] = later[row], found
                turns_left_out |= set(too_long)
    for row, (ids, diverges) in enumerate(rendered):
        notes = {NO_PREFIX: diverges, TURNS_DROPPED: row in turns_left_out}
        yield ids, [note for note, applies in notes.items() if applies]


def _useless(ids: PairIds, whole: PairIds) -> str | None:
    """Return why a pair with these ids is of no use, or None."""
    if not whole.chosen or not whole.rejected:
        return NO_ANSWER
    if not ids.chosen or not ids.rejected:
        return NO_ROOM
    return IDENTICAL if ids.chosen == ids.rejected else None


def _digest(*parts: list[int]) -> str:
    with_ends = np.array([number for part in parts for number in (*part, -1)], dtype="<i8")
    return hashlib.sha256(with_ends.tobytes()).hexdigest()[:16]
