"""Forward passes without padding: the sequences of a batch one after another in a single row.

Chats differ in length by far, so that most of a padded batch may be padding. transformers knows packed rows
for its flash kernels only, and TRL 1.16 has its `padding_free` switched off; here torch's kernels do it.

Shape suffixes: B sequences, T positions of the padded batch, N tokens that are none of its padding, H heads,
D features of a head.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "packed"


def fits(model: PreTrainedModel) -> bool:
    """Whether nothing but full attention mixes a model's tokens, and attention can be chosen from outside.
    Others (sliding windows, state spaces) are computed with padding."""
    config = model.config.get_text_config()
    layers = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        model.is_backend_compatible()
        and not model._is_stateful
        and layers == {"full_attention"}
        and getattr(config, "sliding_window", None) is None
    )


@contextmanager
def without_padding(
    model: PreTrainedModel, input_ids_BT: Tensor, attention_mask_BT: Tensor
) -> Iterator[dict[str, Any]]:
    """Arguments for one call of the model (or of what wraps it) inside the block, in place of the batch's.

    Activation checkpointing, which calls attention again later, is not for it.
    """
    real_BT = attention_mask_BT.bool()
    lengths_B = real_BT.sum(1)
    bounds = nn.functional.pad(lengths_B.cumsum(0), (1, 0)).int()
    longest = int(lengths_B.max())
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield {
            "input_ids": input_ids_BT[real_BT][None],
            "position_ids": (real_BT.cumsum(1) - 1)[real_BT][None],
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
        }
    finally:
        config._attn_implementation = before


def fused_forward(model: nn.Module, inner: PreTrainedModel, **batch: Any) -> Any:
    """TRL's `model(**batch, labels=..., fused_lm_head=True)` without padding: the same output, each token's
    values [B, T - 1] where the padded call has them. `inner`: the model that `model` wraps."""
    ids_BT, mask_BT, labels_BT = batch.pop("input_ids"), batch.pop("attention_mask"), batch.pop("labels")
    real_BT = mask_BT.bool()
    with without_padding(inner, ids_BT, mask_BT) as packed:
        # A sequence's first token is its prompt's, whose label is -100: none is predicted from its neighbour.
        output = model(**batch, **packed, labels=labels_BT[real_BT][None])
    pairs = real_BT[:, :-1] & real_BT[:, 1:]
    same = packed["position_ids"][0, 1:] > 0
    for field in fields(output):
        value = getattr(output, field.name)
        if isinstance(value, Tensor) and value.shape == (1, len(same)):
            padded = value.new_zeros(pairs.shape).masked_scatter(pairs, value[0, same])
            setattr(output, field.name, padded)
    return output


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a packed row: [1, H, N, D] in, [1, N, H, D] out."""
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
        bounds, longest = cu_seq_lens_q, max_length_q
        out = _flash()(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=(-1, 0))
        return out[None], None
    lengths = cu_seq_lens_q.diff().tolist()
    parts = zip(*(torch.split(states, lengths, dim=2) for states in (query, key, value)), strict=True)
    outs = [
        sdpa_attention_forward(module, q, k, v, None, dropout, scaling, is_causal=True)[0]
        for q, k, v in parts
    ]
    return torch.cat(outs, dim=1), None


@cache
def _flash() -> Callable[..., Tensor]:
    """Torch's kernel for packed rows. Torch 2.13 wants to be told that heads share keys; 2.11, which a GPU
    machine may have, takes them as they are."""
    from torch.nn.attention.varlen import varlen_attn

    kernel: Any = varlen_attn
    told = {"enable_gqa"} & inspect.signature(kernel).parameters.keys()
    return partial(kernel, **dict.fromkeys(told, True))


AttentionInterface.register(NAME, attention)
