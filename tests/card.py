"""A stand-in for a card: with it, the CPU takes every branch that training takes on a GPU.

`varlen_attn` computes what torch documents for `torch.nn.attention.varlen.varlen_attn`, and refuses what the
kernel refuses. TRL's head takes the way of devices with Triton, whose two kernels are replaced by the torch
code that TRL has for other devices. docs/training.md lists what no stand-in can show.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from trl.kernels import chunked_logprob
from trl.trainer import utils as trl_utils

from training import hardware, packed

NAME = "stand-in for a card"


def take_the_cpu_for_a_card(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] = (9, 0), dtypes: Any = packed.KERNEL_DTYPES
) -> None:
    """Take the CPU for a card of this compute capability, whose kernel takes these dtypes."""
    monkeypatch.setattr(hardware, "kind", lambda device: "cuda")
    monkeypatch.setattr(hardware, "device", lambda: f"{NAME} {capability}")
    monkeypatch.setattr(hardware, "capability", lambda: capability)
    monkeypatch.setattr(packed, "KERNEL_DTYPES", dtypes)
    monkeypatch.setattr(packed, "_kernel", lambda: varlen_attn)
    for module in (trl_utils, chunked_logprob):
        monkeypatch.setattr(module, "_use_triton", lambda device: True)
    for name in ("forward", "backward"):
        in_torch = getattr(chunked_logprob, f"_{name}_tile")
        monkeypatch.setattr(chunked_logprob, f"_{name}_kernel", _Launched(in_torch))
    monkeypatch.setattr(chunked_logprob, "triton", _Triton, raising=False)


class _Triton:
    @staticmethod
    def cdiv(size: int, block: int) -> int:
        return -(-size // block)


class _Launched:
    """A function that is called as a Triton kernel is: `kernel[grid](...)`."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        assert all(size > 0 for size in grid)
        return self.function


def varlen_attn(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = True,
) -> Tensor:
    """Attention of segments of queries [N, H, D] to segments of keys and values [K, G, D].

    With `window_size` (-1, 0), the last query of a segment sees all its keys, the one before it one fewer,
    and so on. Each of the G heads of keys serves H / G consecutive heads of queries.
    """
    if query.dtype not in packed.KERNEL_DTYPES or {key.dtype, value.dtype} != {query.dtype}:
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    if hardware.capability() < (8, 0):
        raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")
    if query.shape[2] % 8 or query.shape[2] > 256 or {key.shape[2], value.shape[2]} != {query.shape[2]}:
        raise RuntimeError("FlashAttention forward only supports head dimension at most 256")
    if query.shape[1] % key.shape[1] or (query.shape[1] != key.shape[1] and not enable_gqa):
        raise ValueError("Expect number of query heads to be a multiple of kv heads for GQA")
    if any(states.stride(-1) != 1 for states in (query, key, value)):
        raise RuntimeError("Input tensor must have contiguous last dimension")
    for bounds, states, longest in ((cu_seq_q, query, max_q), (cu_seq_k, key, max_k)):
        assert bounds.dtype == torch.int32
        assert bounds.is_contiguous()
        ends = bounds.tolist()
        assert ends[0] == 0
        assert ends[-1] == len(states)
        assert all(0 <= end - start <= longest for start, end in pairwise(ends))
    assert window_size == (-1, 0)
    scale = query.shape[2] ** -0.5 if scale is None else scale
    out: Tensor = _varlen(query, key, value, cu_seq_q, cu_seq_k, scale)
    return out


def _of_segments(
    q: Tensor, k: Tensor, v: Tensor, q_ends: Tensor, k_ends: Tensor, scale: float
) -> Iterator[tuple[slice, slice, Tensor, Tensor, Tensor, Tensor]]:
    """Yield each segment's places; its queries, keys and values [H, n, D]; and its attention [H, n, m]."""
    heads = q.shape[1] // k.shape[1]
    for of_q, of_k in zip(pairwise(q_ends.tolist()), pairwise(k_ends.tolist()), strict=True):
        in_q, in_k = slice(*of_q), slice(*of_k)
        queries = q[in_q].transpose(0, 1).float()
        keys, values = (s[in_k].transpose(0, 1).float().repeat_interleave(heads, dim=0) for s in (k, v))
        n, m = queries.shape[1], keys.shape[1]
        hidden = torch.arange(m) > torch.arange(m - n, m)[:, None]  # keys after the last that a query sees
        scores = (scale * queries @ keys.transpose(1, 2)).masked_fill(hidden, -torch.inf)
        yield in_q, in_k, queries, keys, values, scores.softmax(-1)


@torch.library.custom_op("stand_in::varlen", mutates_args=())
def _varlen(q: Tensor, k: Tensor, v: Tensor, q_ends: Tensor, k_ends: Tensor, scale: float) -> Tensor:
    """One operation, as the kernel is one."""
    out = torch.empty_like(q)
    for in_q, _, _, _, values, seen in _of_segments(q, k, v, q_ends, k_ends, scale):
        out[in_q] = (seen @ values).transpose(0, 1).to(q.dtype)
    return out


@torch.library.custom_op("stand_in::varlen_backward", mutates_args=())
def _varlen_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, q_ends: Tensor, k_ends: Tensor, scale: float
) -> list[Tensor]:
    """Return the gradients of queries, keys and values."""
    of_q, of_k, of_v = (torch.empty_like(states) for states in (q, k, v))

    def of_heads(of_queries_heads: Tensor) -> Tensor:  # [H, m, D] to [m, G, D]
        return of_queries_heads.unflatten(0, (k.shape[1], -1)).sum(1).transpose(0, 1).to(k.dtype)

    for in_q, in_k, queries, keys, values, seen in _of_segments(q, k, v, q_ends, k_ends, scale):
        of_out = grad[in_q].transpose(0, 1).float()
        of_seen = of_out @ values.transpose(1, 2)
        of_scores = scale * seen * (of_seen - (of_seen * seen).sum(-1, keepdim=True))
        of_q[in_q] = (of_scores @ keys).transpose(0, 1).to(q.dtype)
        of_k[in_k] = of_heads(of_scores.transpose(1, 2) @ queries)
        of_v[in_k] = of_heads(seen.transpose(1, 2) @ of_out)
    return [of_q, of_k, of_v]


def _keep(ctx: Any, inputs: Any, output: Tensor) -> None:
    *tensors, ctx.scale = inputs
    ctx.save_for_backward(*tensors, output)  # the kernel's backward pass reads its output, too


def _backward(ctx: Any, grad: Tensor) -> Any:
    return (*_varlen_backward(grad, *ctx.saved_tensors[:-1], ctx.scale), None, None, None)


_varlen.register_autograd(_backward, setup_context=_keep)
