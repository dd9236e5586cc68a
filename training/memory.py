"""Count the memory that one worker of an arm needs on a card; it decides how many cells share the card.

The count follows what `training/arm.py` keeps: TRL's trainer under DeepSpeed, no reference model, no
activation checkpointing, packed rows. Each term is read from the libraries' sources (transformers 5.23, TRL
1.16, DeepSpeed 0.19) and compared with their tensors in `tests/test_memory.py` and
`tests/integration/test_arm_memory.py`. The CUDA context and what the allocator wastes cannot be read there;
they are allowances. This module imports no torch.
"""

from dataclasses import dataclass
from typing import Any

from training.spec import TrainingSpec

HEAD_TOKENS, HEAD_COLUMNS = 4096, 32_768  # TRL: the tile of logits that its fused head holds
SCORED_LOGITS = 2**27  # training/likelihood.py: logits of a chunk, held in three float32 tensors
BUCKET = 500_000_000  # DeepSpeed: elements of `reduce_bucket_size`, allocated with the first gradient
CONTEXT_BYTES = 2**30  # an allowance for CUDA's context, its libraries and NCCL
WASTE = 0.10  # an allowance for what the caching allocator holds and cannot use
FLOAT32 = 4  # bytes per number


@dataclass(frozen=True)
class Footprint:
    """Bytes on one worker's card.

    states: Weights, their float32 copy, and AdamW's two moments.
    gradients: Gradients that earlier micro-batches have accumulated.
    activations: Tensors of a micro-batch that autograd keeps.
    workspace: The largest temporary need: that of the fused head, of a layer's backward pass with ZeRO's
        bucket, or of a chunk of scoring.
    update: Gradients during the optimiser's step, when activations are gone.
    """

    states: int
    gradients: int
    activations: int
    workspace: int
    update: int

    @property
    def worst(self) -> int:
        """The bytes of all tensors at the worst moment."""
        return self.states + max(self.gradients + self.activations + self.workspace, self.update)

    @property
    def total(self) -> int:
        """The worst moment, including the allowances."""
        return int(self.worst * (1 + WASTE)) + CONTEXT_BYTES


def footprint(
    config: Any, training: TrainingSpec, micro_batch: int, workers: int, deepspeed: dict[str, Any]
) -> Footprint:
    """Count what a worker needs when every sequence has `max_length` tokens and no two share a prompt.

    Args:
        config: Configuration of a decoder with gated MLPs (Llama, Qwen2, Mistral and similar models).
        training: Its dtype and max_length apply.
        micro_batch: Pairs per forward pass of one worker.
        workers: Workers of the arm.
        deepspeed: A file of configs/deepspeed/. Stage 3 is counted as stage 2, which it does not exceed.
    """
    width = 2 if training.dtype == "bfloat16" else FLOAT32
    count, tokens = parameters(config), 2 * micro_batch * training.max_length
    float32_copy = FLOAT32 if width < FLOAT32 else 0
    zero, bucket = deepspeed["zero_optimization"], 0
    if zero["stage"]:
        own_share = -(-count // workers)
        states = width * count + 3 * FLOAT32 * own_share
        gradients = width * (own_share if zero["stage"] > 1 else count)
        update = (2 * width + float32_copy) * own_share
        if zero.get("contiguous_gradients", True):
            bucket = width * zero.get("reduce_bucket_size", BUCKET)
    else:
        states = (width + float32_copy + 2 * FLOAT32) * count
        gradients = width * count
        update = (width + float32_copy) * count
    workspace = max(
        head(config, tokens, width), bucket + layer(config, tokens, width), 3 * FLOAT32 * SCORED_LOGITS
    )
    return Footprint(states, gradients, activations(config, tokens, width), workspace, update)


def parameters(config: Any) -> int:
    """Return the number of the model's parameters, without biases (well below one per cent)."""
    hidden, (queries, keys) = config.hidden_size, _attention(config)
    per_layer = hidden * (2 * queries + 2 * keys + 3 * config.intermediate_size + 2)
    embeddings = (1 if config.tie_word_embeddings else 2) * hidden * config.vocab_size
    return int(config.num_hidden_layers * per_layer + embeddings + hidden)


def activations(config: Any, tokens: int, width: int) -> int:
    """Return the bytes that autograd keeps for `tokens` tokens; `width` is the bytes per number.

    A norm keeps its input in float32, the normalised values, and its output. Attention keeps queries, keys,
    values, its output (twice where it is called block by block) and one float32 per head. The MLP keeps the
    gate before and after its activation, the other factor, and their product. The head keeps a copy of its
    input.
    """
    hidden, (queries, keys) = config.hidden_size, _attention(config)
    norm = FLOAT32 * hidden + 2 * width * hidden
    attention = width * (3 * queries + 2 * keys) + FLOAT32 * config.num_attention_heads
    mlp = 4 * width * config.intermediate_size
    return int(tokens * (config.num_hidden_layers * (2 * norm + attention + mlp) + norm + width * hidden))


def head(config: Any, tokens: int, width: int) -> int:
    """Return the bytes that TRL's fused head needs in its backward pass.

    These are a tile of logits, and the gradients of its input and of its weights in float32, which are then
    cast to the model's dtype.
    """
    gradients = config.hidden_size * (tokens + config.vocab_size)
    cast = width * gradients if width < FLOAT32 else 0
    return int(width * min(tokens, HEAD_TOKENS) * HEAD_COLUMNS + FLOAT32 * gradients + cast)


def layer(config: Any, tokens: int, width: int) -> int:
    """Return the bytes of gradients within a layer's backward pass: those of the MLP's four tensors."""
    return int(4 * width * tokens * config.intermediate_size)


def _attention(config: Any) -> tuple[int, int]:
    """Return the columns of the queries and of the keys; the values have as many columns as the keys."""
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_attention_heads * head_size, config.num_key_value_heads * head_size
