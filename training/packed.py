"""Forward passes that compute nothing twice: a batch as one row, without padding, each distinct prompt once.

Chats differ in length by far, so that most of a padded batch may be padding, and the two answers of a pair
follow one prompt (prefix sharing, Wang and Hegde 2024, arXiv 2410.20305). transformers knows packed rows for
its flash kernels only, and TRL 1.16 has its `padding_free` switched off; here torch's kernels do it.

Shape suffixes: B sequences, T positions of the padded batch, N tokens of the row, M answer tokens, H heads,
D features of a head.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, partial
from itertools import accumulate, chain
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

NAME = "packed"
BLOCK = 128  # tokens: fewer and larger calls against more of a mask that lets nothing through


def fits(model: PreTrainedModel) -> bool:
    """Whether nothing but full attention mixes a model's tokens, and attention can be chosen from outside.
    Others (sliding windows, state spaces, routers whose balance is in the loss) are computed with padding."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        model.is_backend_compatible()
        and not model._is_stateful
        and layers == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
        and not getattr(config, "output_router_logits", False)
    )


@dataclass(frozen=True)
class Group:
    """A distinct prompt of `prompt` tokens, and the lengths of the answers that follow it."""

    prompt: int
    answers: list[int]


@dataclass(frozen=True)
class Block:
    """`length` consecutive tokens of a row whose attention is computed at once: a prompt with answers to it,
    or further answers to the `prompt` tokens that block number `first` begins with. `mask`: [length, keys],
    to be added; a token sees its prompt, and its answer up to itself."""

    length: int
    first: int
    prompt: int
    mask: Tensor


@dataclass(frozen=True)
class Row:
    """A batch as one row: each distinct prompt, and behind it the answers that follow it.

    `input_ids`, `position_ids`: [1, N]. `answers`: [B, T - 1], where the padded batch, less its first column,
    has answer tokens; `targets`: [M], those tokens; `predictors`: [M], which tokens of the row predict them.
    """

    input_ids: Tensor
    position_ids: Tensor
    groups: list[Group]
    answers: Tensor
    targets: Tensor
    predictors: Tensor

    @classmethod
    def of(cls, input_ids_BT: Tensor, attention_mask_BT: Tensor, answer_mask_BT: Tensor) -> Self:
        """The row of a padded batch. What comes before a sequence's first answer token is its prompt."""
        real_BT, is_answer_BT = attention_mask_BT.bool(), answer_mask_BT.bool()
        after_BT = real_BT & (is_answer_BT.cumsum(1) > 0)
        before_BT = real_BT & ~after_BT
        _, same_B = torch.unique(input_ids_BT.masked_fill(~before_BT, -1), dim=0, return_inverse=True)
        members: dict[int, list[int]] = {}
        same, prompts, owns = torch.stack([same_B, before_BT.sum(1), after_BT.sum(1)]).tolist()
        for sequence, prompt in enumerate(same):
            members.setdefault(prompt, []).append(sequence)
        groups, starts, end = [], torch.empty(2, len(same), dtype=torch.int64), 0
        for sequences in members.values():
            groups.append(Group(prompts[sequences[0]], [owns[sequence] for sequence in sequences]))
            starts[0, sequences] = end
            end += groups[-1].prompt
            for sequence in sequences:
                starts[1, sequence] = end - groups[-1].prompt  # an answer's positions go on from its prompt's
                end += owns[sequence]
        of_prompt_B1, of_answer_B1 = starts.to(input_ids_BT.device)[:, :, None]
        positions_BT = real_BT.cumsum(1) - 1
        place_BT = positions_BT + torch.where(before_BT, of_prompt_B1, of_answer_B1)
        places = place_BT[real_BT]
        ids, positions = input_ids_BT.new_empty(2, 1, end)
        ids[0, places], positions[0, places] = input_ids_BT[real_BT], positions_BT[real_BT]
        answers = is_answer_BT[:, 1:]
        targets, predictors = input_ids_BT[:, 1:][answers], place_BT[:, :-1][answers]
        return cls(ids, positions, groups, answers, targets, predictors)

    def padded(self, values_M: Tensor) -> Tensor:
        """The answers' values where the padded batch less its first column has them: [B, T - 1]."""
        return values_M.new_zeros(self.answers.shape).masked_scatter(self.answers, values_M)

    @cached_property
    def blocks(self) -> list[Block]:
        """The row cut into blocks of at most `BLOCK` tokens, if no sequence is longer."""
        blocks: list[Block] = []
        for group in self.groups:
            first, parts = len(blocks), [[group.prompt]]
            for own in group.answers:
                if sum(parts[-1]) and sum(parts[-1]) + own > BLOCK:
                    parts.append([])
                parts[-1].append(own)
            for part in parts:
                mask = _mask(group.prompt, part, inside=len(blocks) == first)
                blocks.append(Block(sum(part), first, group.prompt, mask.to(self.input_ids.device)))
        return blocks

    @cached_property
    def kernel_arguments(self) -> tuple[Tensor, tuple[Tensor, Tensor, int, int]]:
        """Of torch's kernel for packed rows: which tokens are keys, and the bounds (int32) and the longest of
        queries and of keys. A prompt's tokens look at themselves, an answer's at their prompt's, too."""
        keys: list[list[int]] = []
        lengths: list[int] = []
        for group in self.groups:
            prompt = range(sum(lengths), sum(lengths) + group.prompt)
            keys.append([*prompt])
            lengths.append(group.prompt)
            for own in group.answers:
                keys.append([*prompt, *range(sum(lengths), sum(lengths) + own)])
                lengths.append(own)
        device = self.input_ids.device
        index = torch.tensor(list(chain.from_iterable(keys)), device=device)
        reach = [len(part) for part in keys]
        q, k = (
            torch.tensor([0, *accumulate(sizes)], dtype=torch.int32, device=device)
            for sizes in (lengths, reach)
        )
        return index, (q, k, max(lengths), max(reach))


def _mask(prompt: int, parts: list[int], inside: bool) -> Tensor:
    """[tokens of `parts`, theirs and the prompt's]; the first part is the prompt where that is `inside`."""
    queries = torch.arange(len(parts)).repeat_interleave(torch.tensor(parts)) + (0 if inside else 1)
    keys = queries if inside else nn.functional.pad(queries, (prompt, 0))
    seen = (keys == 0) | (keys == queries[:, None])
    return torch.zeros(seen.shape).masked_fill(~seen.tril(len(keys) - len(queries)), -torch.inf)


@contextmanager
def packed(model: PreTrainedModel, row: Row) -> Iterator[dict[str, Any]]:
    """Arguments for one call of the model (or of what wraps it) inside the block, in place of the batch's.

    Activation checkpointing, which calls attention again later, is not for it.
    """
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield {"input_ids": row.input_ids, "position_ids": row.position_ids, "row": row}
    finally:
        config._attn_implementation = before


def fused_forward(model: nn.Module, inner: PreTrainedModel, row: Row, **rest: Any) -> Any:
    """TRL's `model(**batch, labels=..., fused_lm_head=True)` of a row: the same output, each answer token's
    values [B, T - 1] where the padded call has them. `inner`: the model that `model` wraps; `rest`: what the
    call says besides the batch and its labels.

    The head is given the states that predict an answer's token, and nothing else: on the CPU TRL would take
    it over prompts as well.
    """

    def predicting(_module: Any, _inputs: Any, output: Any) -> Any:
        return replace(output, last_hidden_state=output.last_hidden_state[:, row.predictors])

    hook = inner.base_model.register_forward_hook(predicting, prepend=True)
    try:
        with packed(inner, row) as arguments:
            output = model(**arguments, **rest, shift_labels=row.targets[None])
    finally:
        hook.remove()
    for field in fields(output):
        value = getattr(output, field.name)
        if isinstance(value, Tensor) and value.shape == (1, len(row.predictors)):
            setattr(output, field.name, row.padded(value[0]))
    return output


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row: Row,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a row: [1, H, N, D] in, [1, N, H, D] out."""
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        index, bounds = row.kernel_arguments
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        # Fewer queries than keys are the last of them: the kernel aligns its causal mask at the end.
        return _flash()(q, k[index], v[index], *bounds, scale=scaling, window_size=(-1, 0))[None], None
    sizes = [block.length for block in row.blocks]
    queries, keys, values = (torch.split(states, sizes, dim=2) for states in (query, key, value))
    outs: list[Tensor] = []
    for number, block in enumerate(row.blocks):
        k, v = keys[number], values[number]
        if block.first != number:
            k, v = (
                torch.cat([states[block.first][:, :, : block.prompt], own], dim=2)
                for states, own in ((keys, k), (values, v))
            )
        outs.append(
            nn.functional.scaled_dot_product_attention(
                queries[number], k, v, block.mask.to(query.dtype), dropout, scale=scaling, enable_gqa=True
            )
        )
    return torch.cat(outs, dim=2).transpose(1, 2).contiguous(), None


@cache
def _flash() -> Callable[..., Tensor]:
    """Torch's kernel for packed rows. Torch 2.13 wants to be told that heads share keys; 2.11, which a GPU
    machine may have, takes them as they are."""
    from torch.nn.attention.varlen import varlen_attn

    kernel: Any = varlen_attn
    told = {"enable_gqa"} & inspect.signature(kernel).parameters.keys()
    return partial(kernel, **dict.fromkeys(told, True))


AttentionInterface.register(NAME, attention)
