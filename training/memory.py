"""Count the memory that one worker of an arm needs on a card; it decides how many cells share the card.

The count follows what `training/arm.py` keeps: TRL's trainer under DeepSpeed, no reference model, packed
rows. Each term is read from the libraries' sources (transformers 5.23, TRL
1.16, DeepSpeed 0.19) and compared with their tensors in `tests/test_memory.py` and
`tests/integration/test_arm_memory.py`. The CUDA context and what the allocator wastes cannot be read there;
they are allowances. This module imports no torch.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from training.lora_spec import AUTO, LoraSpec
from training.spec import TrainingSpec
from training.zero_states import FLOAT32, Weights, zero_states

HEAD_TOKENS, HEAD_COLUMNS = 4096, 32_768  # TRL: the tile of logits that its fused head holds
SCORED_LOGITS = 2**27  # training/likelihood.py: logits of a chunk, held in three float32 tensors
CONTEXT_BYTES = 2**30  # an allowance for CUDA's context, its libraries and NCCL
WASTE = 0.10  # an allowance for what the caching allocator holds and cannot use
WIDTHS = {"float32": FLOAT32, "bfloat16": 2, "float16": 2}  # bytes per number of each dtype
# bitsandbytes: bytes per weight of 4 bits, with one byte per 64 weights and a float32 per 256 of these
FOUR_BITS = 0.5 + 1 / 64 + FLOAT32 / (64 * 256)
DROPOUT_MASK = 1  # bytes that dropout keeps per number, besides its output


@dataclass(frozen=True)
class Footprint:
    """Bytes on one worker's card.

    states: Weights; of those that are trained, also their float32 copy and AdamW's two moments. Under ZeRO
        stage 3, a worker's part of these, without what is offloaded, and the bucket.
    gradients: Gradients that earlier micro-batches have accumulated.
    activations: Tensors of a micro-batch that autograd keeps.
    workspace: The largest temporary need: that of the fused head, of a layer's backward pass with ZeRO's
        bucket and what is computed again, or of a chunk of scoring; under ZeRO stage 3 also the weights that
        are gathered meanwhile.
    update: Gradients during the optimiser's step, when activations are gone.
    outside: What a worker holds besides its states before and after training under ZeRO stage 3: the whole
        model's weights, or float32 gradients with which DeepSpeed sets up AdamW.
    host: Bytes that are offloaded to the memory of the worker's machine.
    """

    states: int
    gradients: int
    activations: int
    workspace: int
    update: int
    outside: int = 0
    host: int = 0

    @property
    def worst(self) -> int:
        """The bytes of all tensors at the worst moment."""
        training = self.gradients + self.activations + self.workspace
        return self.states + max(training, self.update, self.outside)

    @property
    def total(self) -> int:
        """The worst moment, including the allowances."""
        return int(self.worst * (1 + WASTE)) + CONTEXT_BYTES


def footprint(
    config: Any,
    training: TrainingSpec,
    micro_batch: int,
    workers: int,
    deepspeed: dict[str, Any] | None,
    lora: LoraSpec | None = None,
    checkpointing: bool = False,
    arms: int = 1,
) -> Footprint:
    """Count what a worker needs when every sequence has `max_length` tokens and no two share a prompt.

    Args:
        config: Configuration of a decoder with gated MLPs (Llama, Qwen2, Mistral and similar models).
        training: Its dtype, max_length and optimizer apply.
        micro_batch: Pairs per forward pass of one worker.
        workers: Workers of the arm.
        deepspeed: A file of configs/deepspeed/; None without DeepSpeed.
        lora: The adapters that are trained in place of the weights.
        checkpointing: Whether layers are computed again in the backward pass.
        arms: Arms with adapters that are trained side by side and share the base model.

    Raises:
        LookupError: An adapter's layer is not known here.
    """
    width, tokens = WIDTHS[training.dtype], arms * 2 * micro_batch * training.max_length
    sizes, linear = tensor_sizes(config), linear_layers(config).values()
    trained = adapter_sizes(config, lora) if lora else sizes
    weights = Weights(
        trained={size: arms * count for size, count in trained.items()},
        frozen=parameters(config) if lora else 0,
        largest=max(sizes),
        width=width,
    )
    zero = zero_states(weights, training, workers, deepspeed)
    again = layer_activations(config, tokens, width, lora) if checkpointing else 0
    workspace = zero.gathered + max(
        head(config, tokens, width, frozen=lora is not None),
        zero.bucket + layer(config, tokens, width) + again,
        3 * FLOAT32 * SCORED_LOGITS,
    )
    saved = 0
    if lora and lora.quantise:
        saved = int((width - FOUR_BITS) * config.num_hidden_layers * sum(into * out for into, out in linear))
        workspace += width * max(into * out for into, out in linear)  # one, unpacked
    kept = activations(config, tokens, width, lora, checkpointing)
    return Footprint(
        zero.states - saved, zero.gradients, kept, workspace, zero.update, zero.outside, zero.host
    )


def parameters(config: Any) -> int:
    """Return the number of the model's parameters, without biases (well below one per cent)."""
    return sum(size * count for size, count in tensor_sizes(config).items())


def tensor_sizes(config: Any) -> Counter[int]:
    """Return how many of the model's tensors have a size: elements -> tensors, without biases."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    sizes = Counter({hidden: 2 * layers + 1})
    sizes[hidden * config.vocab_size] += 1 if config.tie_word_embeddings else 2
    for into, out in linear_layers(config).values():
        sizes[into * out] += layers
    return sizes


def linear_layers(config: Any) -> dict[str, tuple[int, int]]:
    """Return the inputs and outputs of each linear layer of a decoder layer, by name."""
    hidden, mlp, (queries, keys) = config.hidden_size, config.intermediate_size, _attention(config)
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, mlp),
        "up_proj": (hidden, mlp),
        "down_proj": (mlp, hidden),
    }


def adapted(config: Any, lora: LoraSpec) -> dict[str, tuple[int, int]]:
    """Return those of the `linear_layers` that have an adapter. Raises LookupError for any other name."""
    layers = linear_layers(config)
    return layers if lora.target_modules == AUTO else {name: layers[name] for name in lora.target_modules}


def adapter_parameters(config: Any, lora: LoraSpec) -> int:
    """Return the number of the adapters' parameters."""
    return sum(size * count for size, count in adapter_sizes(config, lora).items())


def adapter_sizes(config: Any, lora: LoraSpec) -> Counter[int]:
    """Return elements -> tensors of the adapters: A holds r rows of inputs, B r columns of outputs."""
    sizes: Counter[int] = Counter()
    for layer_sizes in adapted(config, lora).values():
        for size in layer_sizes:
            sizes[lora.r * size] += config.num_hidden_layers
    return sizes


def activations(
    config: Any, tokens: int, width: int, lora: LoraSpec | None = None, checkpointing: bool = False
) -> int:
    """Return the bytes that autograd keeps for `tokens` tokens; `width` is the bytes per number.

    With checkpointing, these are the inputs of the decoder layers. Added are the last norm and the copy of
    its output that the head keeps.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    last = (FLOAT32 + width * (1 if lora else 2)) * hidden
    if checkpointing:
        return int(tokens * (layers * width * hidden + last))
    return int(layers * layer_activations(config, tokens, width, lora) + tokens * last)


def layer_activations(config: Any, tokens: int, width: int, lora: LoraSpec | None) -> int:
    """Return the bytes that autograd keeps of a decoder layer.

    A norm keeps its input in float32, the normalised values, and its output. Attention keeps queries, keys,
    values, its output (twice where it is called block by block) and one float32 per head. The MLP keeps the
    gate before and after its activation, the other factor, and their product.

    With adapters, no weight needs a gradient: a norm does not keep the normalised values, and an input of
    linear layers is kept only where an adapter reads it. An adapter keeps its r numbers, and with dropout its
    input as well.
    """
    hidden, (queries, keys) = config.hidden_size, _attention(config)
    attention = width * (3 * queries + 2 * keys) + FLOAT32 * config.num_attention_heads
    whole = 2 * (FLOAT32 + 2 * width) * hidden + attention + 4 * width * config.intermediate_size
    if lora is None:
        return int(tokens * whole)
    targets, layers = adapted(config, lora), linear_layers(config)
    unread = 2 * hidden  # the normalised values of the two norms
    for readers in (("q_proj", "k_proj", "v_proj"), ("o_proj",), ("gate_proj", "up_proj"), ("down_proj",)):
        if lora.dropout or not targets.keys() & set(readers):
            unread += layers[readers[0]][0]
    own = width * lora.r * len(targets)
    if lora.dropout:
        own += (width + DROPOUT_MASK) * sum(into for into, _ in targets.values())
    return int(tokens * (whole - width * unread + own))


def head(config: Any, tokens: int, width: int, frozen: bool = False) -> int:
    """Return the bytes that TRL's fused head needs in its backward pass.

    These are a tile of logits, and the gradients of its input and, unless they are frozen, of its weights in
    float32, which are then cast to the model's dtype.
    """
    gradients = config.hidden_size * (tokens + (0 if frozen else config.vocab_size))
    cast = width * gradients if width < FLOAT32 else 0
    return int(width * min(tokens, HEAD_TOKENS) * HEAD_COLUMNS + FLOAT32 * gradients + cast)


def layer(config: Any, tokens: int, width: int) -> int:
    """Return the bytes of gradients within a layer's backward pass: those of the MLP's four tensors."""
    return int(4 * width * tokens * config.intermediate_size)


def _attention(config: Any) -> tuple[int, int]:
    """Return the columns of the queries and of the keys; the values have as many columns as the keys."""
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.num_attention_heads * head_size, config.num_key_value_heads * head_size
