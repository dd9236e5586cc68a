"""Run a model on packed rows (`training/packed_row.py`), so that nothing is computed twice.

transformers packs rows only for its flash kernels, and TRL 1.16 has its `padding_free` switched off. This
module uses torch's own kernels.

Shape suffixes: B sequences, T positions of the padded batch, N tokens of the row, M answer tokens, H heads,
D features of a head.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from trl.trainer import utils as trl_utils

from training import hardware
from training.packed_row import PackedRow

ATTENTION_NAME = "packed"  # the name by which transformers finds `attention`
# What torch's kernel for packed rows takes, as its documentation and its sources (torch 2.13) say.
KERNEL_DTYPES = (torch.bfloat16, torch.float16)
KERNEL_CAPABILITY = (8, 0)  # of Ampere, for example A100
LARGEST_HEAD, HEAD_MULTIPLE = 256, 8
# Arguments of attention that change nothing of what it computes.
_WITHOUT_EFFECT = {"position_ids", "cache_position", "use_cache", "output_attentions", "output_hidden_states"}


class NotPackable(Exception):
    """A model asks more of attention than packed rows offer; the message says what."""


def refusal(model: PreTrainedModel) -> str:
    """Say why a model's class or configuration rules out packed rows; "" if they do not.

    Only full attention may mix its tokens, and it must be possible to choose attention from outside. Whether
    a model that passes computes the same is measured (`training/layout_check.py`).
    """
    layers = set(getattr(model.config.get_text_config(), "layer_types", None) or ["full_attention"])
    if not model.is_backend_compatible():
        return "attention cannot be replaced"
    if model._is_stateful:
        return "a state runs along the tokens"
    if layers != {"full_attention"}:
        return ", ".join(sorted(layers - {"full_attention"})).replace("_", " ")
    return ""


@contextmanager
def packed(model: PreTrainedModel, row: PackedRow) -> Iterator[dict[str, Any]]:
    """Yield the arguments for one call of the model, or of what wraps it, inside the block.

    They replace the batch's own arguments.
    """
    with chosen_attention(model.config.get_text_config(), ATTENTION_NAME):
        yield {"input_ids": row.input_ids, "position_ids": row.position_ids, "row": row}


@contextmanager
def chosen_attention(config: Any, name: str) -> Iterator[None]:
    """Let a model compute its attention by the function of that name within the block.

    Args:
        config: The configuration of the model's text part.
        name: The name by which transformers finds the function.
    """
    original = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = original


def fused_forward(model: nn.Module, inner: PreTrainedModel, row: PackedRow, **rest: Any) -> Any:
    """Call the model as TRL's `model(**batch, labels=..., fused_lm_head=True)` does, on a packed row.

    The output is the same: its values [B, T - 1] of answer tokens are where the padded call has them.

    Args:
        model: The model that is called, or its wrapper, for example DeepSpeed's engine.
        inner: The model that `model` wraps.
        rest: The arguments of the call besides the batch and its labels.
    """
    output = fused_row(model, inner, row, **rest)
    for name, value_1M in values_of_answers(output, row).items():
        setattr(output, name, row.padded(value_1M[0]))
    return output


def fused_row(model: nn.Module, inner: PreTrainedModel, row: PackedRow, **rest: Any) -> Any:
    """Do as `fused_forward`, but leave the values in the order of the row's targets: [1, M].

    The head is given only the states that predict an answer's token.
    """

    def keep_predictors(_module: Any, _inputs: Any, output: Any) -> Any:
        return replace(output, last_hidden_state=output.last_hidden_state.index_select(1, row.predictors))

    hook = inner.base_model.register_forward_hook(keep_predictors, prepend=True)
    try:
        with packed(inner, row) as arguments, _all_rows_predict():
            return model(**arguments, **rest, shift_labels=row.targets[None])
    finally:
        hook.remove()


def values_of_answers(output: Any, row: PackedRow) -> dict[str, Tensor]:
    """Return those fields of `fused_row`'s output that have a value per answer token: [1, M] each."""
    values = {field.name: getattr(output, field.name) for field in fields(output)}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    return {name: value for name, value in tensors.items() if value.shape == (1, len(row.predictors))}


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row: PackedRow,
    scaling: float | None = None,
    dropout: float = 0.0,
    **more: Any,
) -> tuple[Tensor, None]:
    """Compute causal attention within each sequence of a row: [1, H, N, D] in, [1, N, H, D] out.

    Raises:
        NotPackable: The model passes an argument that would change attention, such as a mask of its own.
    """
    for name, given in [("attention_mask", attention_mask), *more.items()]:
        if given is not None and name not in _WITHOUT_EFFECT and (name, given) != ("is_causal", True):
            raise NotPackable(f"attention with {name}")
    if hardware.kind(query.device) == "cuda":
        return _by_kernel(query, key, value, row, scaling, dropout)[None], None
    lengths = [block.length for block in row.blocks]
    queries, keys, values = (torch.split(states, lengths, dim=2) for states in (query, key, value))
    outputs: list[Tensor] = []
    for number, block in enumerate(row.blocks):
        k, v = keys[number], values[number]
        if block.first != number:
            k, v = (
                torch.cat([states[block.first][:, :, : block.prompt], own], dim=2)
                for states, own in ((keys, k), (values, v))
            )
        outputs.append(
            nn.functional.scaled_dot_product_attention(
                queries[number], k, v, block.mask.to(query.dtype), dropout, scale=scaling, enable_gqa=True
            )
        )
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous(), None


def _by_kernel(
    query: Tensor, key: Tensor, value: Tensor, row: PackedRow, scaling: float | None, dropout: float
) -> Tensor:
    """Compute attention with torch's kernel for packed rows: [1, H, N, D] in, [N, H, D] out.

    Raises:
        NotPackable: The kernel cannot compute this, or not on this card.
    """
    refused = _kernel_refusal(query, key, value, dropout)
    if refused:
        raise NotPackable(refused)
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    if row.repeats_keys:
        k, v = (states.index_select(0, row.keys) for states in (k, v))
    # Where there are fewer queries than keys, the kernel aligns its causal mask at the end.
    return _kernel()(
        q, k, v, row.query_bounds, row.key_bounds, *row.longest_segment, scale=scaling, window_size=(-1, 0)
    )


def _kernel_refusal(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> str:
    """Say why torch's kernel cannot compute this attention on this card; "" if it can.

    What remains is measured: a model whose packed numbers disagree is padded (`training/layout_check.py`).
    """
    size, capability = query.shape[-1], hardware.capability()
    if {key.shape[-1], value.shape[-1]} != {size}:
        return f"heads of {size} for queries, {key.shape[-1]} for keys and {value.shape[-1]} for values"
    if size % HEAD_MULTIPLE or size > LARGEST_HEAD:
        return f"heads of size {size}, not a multiple of {HEAD_MULTIPLE} up to {LARGEST_HEAD}"
    if query.dtype not in KERNEL_DTYPES:
        return f"no kernel for packed rows in {str(query.dtype).removeprefix('torch.')}"
    if capability < KERNEL_CAPABILITY:
        emulated = ", where bfloat16 is emulated" if query.dtype == torch.bfloat16 else ""
        major, minor = capability
        return f"no kernel for packed rows on compute capability {major}.{minor}, before 8.0{emulated}"
    return "attention with dropout" if dropout else ""


@cache
def _kernel() -> Callable[..., Tensor]:
    """Return torch's kernel for packed rows.

    Torch 2.13 must be told that heads share keys; torch 2.11, which a GPU machine may have, takes shared keys
    without being told.

    Raises:
        NotPackable: This torch has no such kernel.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError as error:
        raise NotPackable(f"torch {torch.__version__} has no kernel for packed rows") from error
    kernel: Any = varlen_attn
    flags = {"enable_gqa"} & inspect.signature(kernel).parameters.keys()
    return partial(kernel, **dict.fromkeys(flags, True))


@contextmanager
def _all_rows_predict() -> Iterator[None]:
    """Keep TRL's head from looking for the positions to score: each that it is given predicts a token.

    Where Triton runs, TRL would index them by a mask, and wait for the device to count them. Triton's kernels
    are used all the same.
    """
    choice = trl_utils._use_triton
    trl_utils._use_triton = lambda _: False
    try:
        yield
    finally:
        trl_utils._use_triton = choice


AttentionInterface.register(ATTENTION_NAME, attention)
