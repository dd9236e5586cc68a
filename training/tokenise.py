"""Tokenise pairs exactly as TRL's `DPOTrainer._prepare_dataset` does, but in batches.

TRL tokenises row by row under `Dataset.map`, which also pickles and disassembles its function to hash it (and
writes thousands of lines to a log). Here the tokenizer gets a whole slice of chats at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from datasets import Dataset, Features, List, Value
from transformers import PreTrainedTokenizerBase
from trl.data_utils import common_prefix_length

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
    }
)


@dataclass(frozen=True)
class Tokenised:
    """Tokenised pairs.

    rows: One row per pair that is left, with the columns of `TOKEN_FEATURES`.
    dropped: Ids of pairs whose prompt alone fills `max_length`, so that truncation would leave nothing of the
        answer. TRL drops them, too.
    """

    rows: Dataset
    dropped: tuple[str, ...]


def tokenise(pairs: pd.DataFrame, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Tokenised:
    """Tokenise pairs (columns pair_id, prompt as chat messages, chosen, rejected).

    The ids are not truncated: TRL's collator keeps the first `max_length` tokens of prompt + answer.
    `*_tokens` count the tokens that then remain; `*_truncated` is true where part of the answer is cut.
    """
    columns: dict[str, list[object]] = {name: [] for name in TOKEN_FEATURES}
    dropped: list[str] = []
    for start in range(0, len(pairs), SLICE_PAIRS):
        for pair_id, prompt, chosen, rejected in _ids(pairs.iloc[start : start + SLICE_PAIRS], tokenizer):
            if len(prompt) >= max_length:
                dropped.append(pair_id)
                continue
            room = max_length - len(prompt)
            counts = (len(prompt), min(len(chosen), room), min(len(rejected), room))
            values = (pair_id, prompt, chosen, rejected, *counts, len(chosen) > room, len(rejected) > room)
            for name, value in zip(TOKEN_FEATURES, values, strict=True):
                columns[name].append(value)
    return Tokenised(Dataset.from_dict(columns, features=TOKEN_FEATURES), tuple(dropped))


def _ids(
    pairs: pd.DataFrame, tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[str, list[int], list[int], list[int]]]:
    """Yield pair_id and the token ids of prompt, chosen and rejected answer for each pair."""
    prompts = pairs["prompt"].tolist()

    def render(answers: list[str] | None) -> list[list[int]]:
        """Return the ids of each prompt, with its answer unless `answers` is None."""
        chats = prompts
        if answers is not None:
            chats = [
                [*prompt, {"role": "assistant", "content": answer}]
                for prompt, answer in zip(prompts, answers, strict=True)
            ]
        ids: list[list[int]] = tokenizer.apply_chat_template(
            chats, tokenize=True, return_dict=True, add_generation_prompt=answers is None
        )["input_ids"]
        return ids

    rendered = (render(None), render(pairs["chosen"].tolist()), render(pairs["rejected"].tolist()))
    for pair_id, prompt, chosen, rejected in zip(pairs["pair_id"], *rendered, strict=True):
        # A template may render the prompt alone differently: the answer starts where the token ids diverge.
        end = min(common_prefix_length(prompt, chosen), common_prefix_length(prompt, rejected))
        yield pair_id, prompt[:end], chosen[end:], rejected[end:]
