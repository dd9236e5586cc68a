"""How much of a card one worker of an arm takes: what decides how many cells share it.

Counted is what `training/arm.py` keeps: TRL's trainer under DeepSpeed, no reference model, no activation
checkpointing, packed rows. Each term is read from the libraries' sources (transformers 5.23, TRL 1.16,
DeepSpeed 0.19) and held against their tensors in `tests/test_memory.py` and `tests/integration/
test_arm_memory.py`; the CUDA context and what the allocator wastes cannot be read there and are an allowance.
Knows no torch.
"""

from dataclasses import dataclass
from typing import Any

from training.spec import TrainingSpec

HEAD_TOKENS, HEAD_COLUMNS = 4096, 32_768  # TRL: the tile of logits that its fused head holds
SCORED_LOGITS = 2**27  # training/likelihood.py: float32 logits of a chunk, three such tensors at once
BUCKET = 500_000_000  # DeepSpeed: elements of `reduce_bucket_size`, allocated with the first gradient
CONTEXT = 2**30  # bytes: an allowance for CUDA's context, its libraries and NCCL
WASTE = 0.10  # an allowance for what the caching allocator holds and cannot use
FLOAT32 = 4


@dataclass(frozen=True)
class Footprint:
    """Bytes on one worker's card.

    `states`: weights, their float32 copy, AdamW's two moments. `gradients`: of the micro-batches before.
    `activations`: what autograd keeps of a micro-batch. `workspace`: the largest of what the fused head, a
    layer's backward pass with ZeRO's bucket, and a chunk of scoring need for a moment. `update`: gradients
    during the optimiser's step, when activations are gone.
    """

    states: int
    gradients: int
    activations: int
    workspace: int
    update: int

    @property
    def worst(self) -> int:
        """Tensors at the worst moment."""
        return self.states + max(self.gradients + self.activations + self.workspace, self.update)

    @property
    def total(self) -> int:
        """The worst moment with the allowances."""
        return int(self.worst * (1 + WASTE)) + CONTEXT


def footprint(
    config: Any, training: TrainingSpec, micro_batch: int, workers: int, deepspeed: dict[str, Any]
) -> Footprint:
    """What a worker needs when every sequence of a micro-batch has `max_length` tokens and shares no prompt.

    `config`: of a decoder with gated MLPs (Llama, Qwen2, Mistral and their kin); `micro_batch`: pairs of one
    forward pass of one worker; `deepspeed`: a file of configs/deepspeed/. Stage 3 is counted as stage 2,
    which it does not exceed.
    """
    wide = 2 if training.dtype == "bfloat16" else FLOAT32
    count, tokens = parameters(config), 2 * micro_batch * training.max_length
    copy = FLOAT32 if wide < FLOAT32 else 0
    zero, bucket = deepspeed["zero_optimization"], 0
    if zero["stage"]:
        mine = -(-count // workers)
        states = wide * count + 3 * FLOAT32 * mine
        gradients = wide * (mine if zero["stage"] > 1 else count)
        update = (2 * wide + copy) * mine
        if zero.get("contiguous_gradients", True):
            bucket = wide * zero.get("reduce_bucket_size", BUCKET)
    else:
        states = (wide + copy + 2 * FLOAT32) * count
        gradients = wide * count
        update = (wide + copy) * count
    workspace = max(
        head(config, tokens, wide), bucket + layer(config, tokens, wide), 3 * FLOAT32 * SCORED_LOGITS
    )
    return Footprint(states, gradients, activations(config, tokens, wide), workspace, update)


def parameters(config: Any) -> int:
    """The model's parameters; biases, well below one per cent, are left out."""
    hidden, (queries, keys) = config.hidden_size, _attention(config)
    a_layer = hidden * (2 * queries + 2 * keys + 3 * config.intermediate_size + 2)
    embeddings = (1 if config.tie_word_embeddings else 2) * hidden * config.vocab_size
    return int(config.num_hidden_layers * a_layer + embeddings + hidden)


def activations(config: Any, tokens: int, wide: int) -> int:
    """Bytes that autograd keeps of so many tokens; `wide`: bytes of a number of the model.

    A norm keeps its input in float32, what it normalised and its output; attention keeps queries, keys,
    values, its output (twice where it is called block by block) and a float32 a head; the MLP keeps the gate
    before and after its activation, the other factor and their product. The head keeps a copy of its input.
    """
    hidden, (queries, keys) = config.hidden_size, _attention(config)
    norm = FLOAT32 * hidden + 2 * wide * hidden
    attention = wide * (3 * queries + 2 * keys) + FLOAT32 * config.num_attention_heads
    mlp = 4 * wide * config.intermediate_size
    return int(tokens * (config.num_hidden_layers * (2 * norm + attention + mlp) + norm + wide * hidden))


def head(config: Any, tokens: int, wide: int) -> int:
    """Bytes that TRL's fused head needs in its backward pass: a tile of logits, and the gradients of its
    input and of its weights in float32, which are then cast."""
    outcome = config.hidden_size * (tokens + config.vocab_size)
    cast = wide * outcome if wide < FLOAT32 else 0
    return int(wide * min(tokens, HEAD_TOKENS) * HEAD_COLUMNS + FLOAT32 * outcome + cast)


def layer(config: Any, tokens: int, wide: int) -> int:
    """Bytes of gradients within a layer's backward pass: of the MLP's four tensors."""
    return int(4 * wide * tokens * config.intermediate_size)


def _attention(config: Any) -> tuple[int, int]:
    """Columns of the queries, and of the keys, which are those of the values."""
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_attention_heads * size, config.num_key_value_heads * size
