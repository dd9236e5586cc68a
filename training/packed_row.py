"""Pack a batch into one row of tokens: no padding, and each distinct prompt once, followed by its answers.

Chats differ widely in length, so most of a padded batch may be padding, and the two answers of a pair follow
the same prompt (prefix sharing, Wang and Hegde 2024, arXiv 2410.20305).

Shape suffixes: B sequences, T positions of the padded batch, N tokens of the row, M answer tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import torch
from torch import Tensor, nn

BLOCK_TOKENS = 128  # larger blocks need fewer calls, but more of each mask is closed


@dataclass(frozen=True)
class PromptGroup:
    """A distinct prompt of `prompt` tokens, and the lengths of the answers that follow it."""

    prompt: int
    answers: list[int]


@dataclass(frozen=True)
class AttentionBlock:
    """Consecutive tokens of a row whose attention is computed at once.

    They are a prompt with answers to it, or further answers to the prompt with which an earlier block begins.

    length: Tokens of the block.
    first: Number of the block that begins with the prompt.
    prompt: Tokens of that prompt.
    mask: [length, keys], to be added to attention scores; a token sees its prompt, and its answer up to
        itself.
    """

    length: int
    first: int
    prompt: int
    mask: Tensor


@dataclass(frozen=True)
class PackedRow:
    """A batch as one row: each distinct prompt, followed by its answers.

    A row is packed in the host's memory, where the collator has the batch, so that its layout is known
    without waiting for a device. `to` then moves it as a batch is moved.

    input_ids, position_ids: [1, N].
    groups: The prompts in the order of the row, with the lengths of their answers.
    answers: [B, T - 1], true where the padded batch, less its first column, has answer tokens.
    targets: [M], the ids of those tokens.
    predictors: [M], the positions of the row that predict those tokens.
    keys: The positions of the row that are keys of the kernel's segments, one after another (`segments`).
    query_bounds, key_bounds: int32, where the segments of queries and of keys begin and end.
    """

    input_ids: Tensor
    position_ids: Tensor
    groups: list[PromptGroup]
    answers: Tensor
    targets: Tensor
    predictors: Tensor
    keys: Tensor
    query_bounds: Tensor
    key_bounds: Tensor

    @classmethod
    def of(cls, input_ids_BT: Tensor, attention_mask_BT: Tensor, answer_mask_BT: Tensor) -> Self:
        """Pack a padded batch in the host's memory.

        The prompt of a sequence is everything before its first answer token.
        """
        real_BT, is_answer_BT = attention_mask_BT.bool(), answer_mask_BT.bool()
        in_answer_BT = real_BT & (is_answer_BT.cumsum(1) > 0)
        in_prompt_BT = real_BT & ~in_answer_BT
        _, prompt_of_B = torch.unique(input_ids_BT.masked_fill(~in_prompt_BT, -1), dim=0, return_inverse=True)
        prompt_of, prompt_lengths, answer_lengths = torch.stack(
            [prompt_of_B, in_prompt_BT.sum(1), in_answer_BT.sum(1)]
        ).tolist()
        sequences_by_prompt: dict[int, list[int]] = {}
        for sequence, prompt in enumerate(prompt_of):
            sequences_by_prompt.setdefault(prompt, []).append(sequence)
        groups, starts, end = [], torch.empty(2, len(prompt_of), dtype=torch.int64), 0
        for sequences in sequences_by_prompt.values():
            group = PromptGroup(
                prompt_lengths[sequences[0]], [answer_lengths[sequence] for sequence in sequences]
            )
            groups.append(group)
            starts[0, sequences] = end
            end += group.prompt
            for sequence in sequences:
                starts[1, sequence] = end - group.prompt  # an answer's positions continue its prompt's
                end += answer_lengths[sequence]
        prompt_start_B1, answer_start_B1 = starts[:, :, None]
        position_BT = real_BT.cumsum(1) - 1
        place_BT = position_BT + torch.where(in_prompt_BT, prompt_start_B1, answer_start_B1)
        places = place_BT[real_BT]
        ids, positions = input_ids_BT.new_empty(2, 1, end)
        ids[0, places], positions[0, places] = input_ids_BT[real_BT], position_BT[real_BT]
        answers = is_answer_BT[:, 1:]
        targets, predictors = input_ids_BT[:, 1:][answers], place_BT[:, :-1][answers]
        parts = segments(groups)
        keys = torch.cat([torch.arange(*part) for _, of_segment in parts for part in of_segment])
        query_bounds, key_bounds = (
            torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
            for lengths in zip(*(segment_lengths(part) for part in parts), strict=True)
        )
        return cls(ids, positions, groups, answers, targets, predictors, keys, query_bounds, key_bounds)

    @classmethod
    def joined(cls, rows: Sequence["PackedRow"]) -> Self:
        """Put rows one after another. The result belongs to no padded batch, so its `answers` are empty."""

        def one_after_another(name: str, offsets: list[int], first: int = 0) -> Tensor:
            parts = [getattr(row, name) for row in rows]
            moved = [part[first:] + offset for part, offset in zip(parts[1:], offsets[1:], strict=True)]
            return torch.cat([parts[0], *moved])

        tokens = list(accumulate((row.input_ids.shape[1] for row in rows[:-1]), initial=0))
        keys = list(accumulate((len(row.keys) for row in rows[:-1]), initial=0))
        return cls(
            torch.cat([row.input_ids for row in rows], dim=1),
            torch.cat([row.position_ids for row in rows], dim=1),
            [group for row in rows for group in row.groups],
            rows[0].answers.new_empty(0, 0),
            torch.cat([row.targets for row in rows]),
            one_after_another("predictors", tokens),
            one_after_another("keys", tokens),
            one_after_another("query_bounds", tokens, first=1),
            one_after_another("key_bounds", keys, first=1),
        )

    def filled(self, lengths: Sequence[int]) -> Self:
        """Return the row filled up to the next of some ascending lengths; a longer row stays as it is.

        The fill is a segment of its own, which attends to itself alone and predicts nothing.
        """
        tokens = self.input_ids.shape[1]
        fill = next((length for length in lengths if length >= tokens), tokens) - tokens
        if not fill:
            return self
        return replace(
            self,
            input_ids=nn.functional.pad(self.input_ids, (0, fill)),
            position_ids=nn.functional.pad(self.position_ids, (0, fill)),
            groups=[*self.groups, PromptGroup(0, [fill])],
            keys=torch.cat([self.keys, torch.arange(tokens, tokens + fill)]),
            query_bounds=torch.cat([self.query_bounds, self.query_bounds[-1:] + fill]),
            key_bounds=torch.cat([self.key_bounds, self.key_bounds[-1:] + fill]),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the row with its tensors on a device, as `Tensor.to` does."""
        return self._with(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the row in page-locked memory, from which a copy to a card waits for nothing."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        changed: dict[str, Any] = {name: change(value) for name, value in values if isinstance(value, Tensor)}
        return replace(self, **changed)

    def padded(self, values_M: Tensor) -> Tensor:
        """Put values of answer tokens where the padded batch, less its first column, has them: [B, T - 1]."""
        return values_M.new_zeros(self.answers.shape).masked_scatter(self.answers, values_M)

    @cached_property
    def blocks(self) -> list[AttentionBlock]:
        """The row cut into blocks of at most `BLOCK_TOKENS` tokens, unless a single part is longer."""
        blocks: list[AttentionBlock] = []
        for group in self.groups:
            first, parts_of_blocks = len(blocks), [[group.prompt]]
            for answer in group.answers:
                parts = parts_of_blocks[-1]
                if sum(parts) and sum(parts) + answer > BLOCK_TOKENS:
                    parts = []
                    parts_of_blocks.append(parts)
                parts.append(answer)
            for parts in parts_of_blocks:
                mask = block_mask(group.prompt, parts, prompt_inside=len(blocks) == first)
                blocks.append(AttentionBlock(sum(parts), first, group.prompt, mask.to(self.input_ids.device)))
        return blocks

    @cached_property
    def longest_segment(self) -> tuple[int, int]:
        """The most queries and the most keys of a segment."""
        queries, keys = zip(*(segment_lengths(part) for part in segments(self.groups)), strict=True)
        return max(queries), max(keys)

    @property
    def repeats_keys(self) -> bool:
        """Whether some tokens are keys of several segments; otherwise `keys` is every position in order."""
        return any(len(group.answers) > 1 for group in self.groups)


Segment = tuple[int, list[tuple[int, int]]]  # its queries; its keys, as ranges of positions of the row


def segments(groups: list[PromptGroup]) -> list[Segment]:
    """Cut a row for torch's kernel: a prompt with its first answer, then each other answer.

    A token sees its prompt, and its answer up to itself. So the keys of a prompt with its first answer are
    these tokens themselves, and those of another answer are the prompt and that answer; the queries are the
    last of the keys.
    """
    cut: list[Segment] = []
    start = 0
    for group in groups:
        prompt = (start, start + group.prompt)
        first, *others = group.answers
        start += group.prompt + first
        cut.append((group.prompt + first, [(prompt[0], start)]))
        for answer in others:
            cut.append((answer, [prompt, (start, start + answer)]))
            start += answer
    return cut


def segment_lengths(segment: Segment) -> tuple[int, int]:
    """Return the number of queries and of keys of a segment."""
    queries, keys = segment
    return queries, sum(end - start for start, end in keys)


def block_mask(prompt: int, parts: list[int], prompt_inside: bool) -> Tensor:
    """Return the mask of a block, to be added to its attention scores: [queries, keys].

    Args:
        prompt: Tokens of the prompt.
        parts: Tokens of each part of the block; the first part is the prompt if `prompt_inside`. Otherwise
            the prompt's tokens are keys before those of the block.
    """
    part_of_query = torch.arange(len(parts)).repeat_interleave(torch.tensor(parts)) + (not prompt_inside)
    part_of_key = part_of_query if prompt_inside else nn.functional.pad(part_of_query, (prompt, 0))
    visible = (part_of_key == 0) | (part_of_key == part_of_query[:, None])
    causal = visible.tril(len(part_of_key) - len(part_of_query))
    return torch.zeros(visible.shape).masked_fill(~causal, -torch.inf)
