"""Pairs as token ids, exactly as TRL's `DPOTrainer._prepare_dataset` makes them, but batched.

TRL tokenises row by row under `Dataset.map`, which also pickles and disassembles its function to hash it (the
thousands of lines it leaves in a log). Here a whole slice of chats goes through the tokenizer at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase
from trl.data_utils import common_prefix_length

SLICE = 2000  # pairs a call of the tokenizer

FEATURES = Features(
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
    }
)


@dataclass(frozen=True)
class Tokenised:
    """`rows`: one a surviving pair, columns as in `FEATURES`; `dropped`: pair ids whose prompt alone fills
    `max_length`, so that truncation would leave nothing of the answer (TRL drops them, too)."""

    rows: Dataset
    dropped: tuple[str, ...]


def tokenise(pairs: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Tokenised:
    """Tokenise pairs (columns pair_id, prompt as chat messages, chosen, rejected).

    The ids are whole; TRL's collator keeps the first `max_length` of prompt + answer. `*_tokens` count the
    tokens that remain, `*_truncated` says whether some of the answer were cut.
    """
    rows: dict[str, list[object]] = {name: [] for name in FEATURES}
    dropped: list[str] = []
    for start in range(0, len(pairs), SLICE):
        part = pairs.iloc[start : start + SLICE]
        for pair_id, prompt, chosen, rejected in _ids(part, tokenizer):
            if len(prompt) >= max_length:
                dropped.append(pair_id)
                continue
            room = max_length - len(prompt)
            counts = (len(prompt), min(len(chosen), room), min(len(rejected), room))
            values = (pair_id, prompt, chosen, rejected, *counts, len(chosen) > room, len(rejected) > room)
            for name, value in zip(FEATURES, values, strict=True):
                rows[name].append(value)
    return Tokenised(Dataset.from_dict(rows, features=FEATURES), tuple(dropped))


def _ids(
    part: pd.DataFrame, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, list[int], list[int], list[int]]]:
    prompts = part["prompt"].tolist()

    def chats(answers: list[str] | None) -> list[list[int]]:
        talks = prompts
        if answers is not None:
            talks = [
                [*prompt, {"role": "assistant", "content": answer}]
                for prompt, answer in zip(prompts, answers, strict=True)
            ]
        ids: list[list[int]] = tokenizer.apply_chat_template(
            talks, tokenize=True, return_dict=True, add_generation_prompt=answers is None
        )["input_ids"]
        return ids

    whole = (chats(None), chats(part["chosen"].tolist()), chats(part["rejected"].tolist()))
    for pair_id, prompt, chosen, rejected in zip(part["pair_id"], *whole, strict=True):
        # A template may render the prompt alone differently: the answer starts where the token ids diverge.
        end = min(common_prefix_length(prompt, chosen), common_prefix_length(prompt, rejected))
        yield pair_id, prompt[:end], chosen[end:], rejected[end:]
