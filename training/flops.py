"""Count the arithmetic that a training step needs, for its model FLOPs utilisation (MFU).

MFU (Chowdhery et al. 2022, PaLM, appendix B) divides the operations that a step needs by what the hardware
could do in the step's time. Operations that the step does not need (padding, recomputation) do not count.
"""

from collections.abc import Sequence
from typing import Any


def step_flops(config: Any, lengths: Sequence[int], scored_tokens: int) -> int:
    """Return the floating point operations of one forward and backward pass over sequences without padding.

    A multiplication and an addition are two operations; a backward pass needs twice as many as its forward
    pass. Attention counts the pairs of tokens that a causal mask leaves. Norms, rotations and the optimiser
    are left out; they need less than one per cent.

    Args:
        config: Configuration of a decoder with gated MLPs (Llama, Qwen2, Mistral and similar models).
        lengths: Tokens of each sequence, chosen and rejected.
        scored_tokens: Positions whose logits the loss needs.
    """
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    queries, keys = heads * head_size, config.num_key_value_heads * head_size
    attention = config.hidden_size * (2 * queries + 2 * keys)
    mlp = 3 * config.hidden_size * config.intermediate_size
    tokens, causal_pairs = sum(lengths), sum(length * (length + 1) // 2 for length in lengths)
    layers = config.num_hidden_layers * (2 * (attention + mlp) * tokens + 4 * queries * causal_pairs)
    return int(3 * (layers + 2 * config.hidden_size * config.vocab_size * scored_tokens))


def mfu(flops: float, seconds: float, peak_flops_per_s: float) -> float:
    """Return the model FLOPs utilisation, a fraction; `flops` and `seconds` are those of one step."""
    return flops / (seconds * peak_flops_per_s)
