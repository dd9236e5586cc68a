"""The counted memory of an arm against what transformers, TRL and torch keep, tensor by tensor."""

import json
from pathlib import Path

import bitsandbytes
import pytest
import torch
from card import take_the_cpu_for_a_card
from peft import get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config
from trl.kernels import chunked_logprob
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from training import memory, packed, zero_states
from training.checkpointing import checkpoint_activations
from training.likelihood import CHUNK_LOGITS
from training.lora import peft_config
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.packed_row import PackedRow
from training.spec import TrainingSpec

SIZES = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
QWEN_05B = Qwen2Config(
    hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
    num_key_value_heads=2, vocab_size=151_936, tie_word_embeddings=True,
)  # fmt: skip
CONFIGS = {
    "tied": Qwen2Config(**SIZES, tie_word_embeddings=True),
    "untied, wide heads": LlamaConfig(**SIZES, head_dim=32, tie_word_embeddings=False),
    "half a billion": QWEN_05B,
}
DEEPSPEED = {
    stage: json.loads((Path(__file__).parents[1] / f"configs/deepspeed/zero{stage}.json").read_text())
    for stage in (0, 2, 3, "3_offload_optimizer", "3_offload")
}


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_the_model(name: str) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(CONFIGS[name])
    assert memory.parameters(CONFIGS[name]) == pytest.approx(model.num_parameters(), rel=5e-3)


ADAPTERS = {
    "none": None,
    "all layers": LoraSpec(r=8),
    "two layers": LoraSpec(r=4, target_modules=["q_proj", "v_proj"]),
    "dropout": LoraSpec(r=8, dropout=0.1),
}


@pytest.mark.parametrize("checkpointing", [False, True], ids=["", "checkpointing"])
@pytest.mark.parametrize("adapters", ADAPTERS)
@pytest.mark.parametrize(
    ("device", "dtype"), [("cpu", torch.bfloat16), ("cpu", torch.float32), ("card", torch.bfloat16)], ids=str
)
def test_autograd_keeps_what_is_counted(
    device: str, dtype: torch.dtype, adapters: str, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums every storage that autograd saves in a packed forward pass with TRL's head, except the weights."""
    if device == "card":
        take_the_cpu_for_a_card(monkeypatch)
    monkeypatch.setattr(memory, "DROPOUT_MASK", dtype.itemsize)  # on the CPU; a GPU keeps one byte
    config = CONFIGS["tied"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).to(dtype)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    lora = ADAPTERS[adapters]
    whole = get_peft_model(model, peft_config(lora, ModelFiles(""))).to(dtype) if lora else model
    whole.train()
    if checkpointing:
        checkpoint_activations(model)
    weights = {weight.untyped_storage().data_ptr() for weight in whole.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.arange(20 * 24).reshape(20, 24)
    row = PackedRow.of(ids, torch.ones_like(ids), torch.arange(24).expand(20, 24) > 0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        packed.fused_forward(whole, model, row, fused_lm_head=True)
    counted = memory.activations(config, ids.numel(), dtype.itemsize, lora, checkpointing)
    found = sum(storage.nbytes() for storage in kept.values())
    # The rest is masks and tables of positions, which weigh more in a small model. With adapters, the first
    # layer's input needs no gradient, so that little of it is kept.
    tolerance = 0.06 if lora or checkpointing else 0.03
    if device == "card":  # its kernel keeps its output once, in the layout that the next layer takes
        assert (1 - tolerance) * found <= counted <= (1.1 + tolerance) * found
    else:
        assert counted == pytest.approx(found, rel=tolerance)


@pytest.mark.parametrize("adapters", [name for name in ADAPTERS if name != "none"])
def test_the_adapters_parameters_are_those_of_peft(adapters: str) -> None:
    lora = ADAPTERS[adapters]
    assert lora is not None
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(QWEN_05B)
        trained, _ = get_peft_model(model, peft_config(lora, ModelFiles(""))).get_nb_trainable_parameters()
    assert memory.adapter_parameters(QWEN_05B, lora) == trained


def test_constants_are_the_libraries() -> None:
    assert memory.HEAD_TOKENS == chunked_logprob.TOKEN_CHUNK_SIZE
    assert memory.HEAD_COLUMNS == utils._CHUNKED_LOGPROB_CHUNK_SIZE
    assert CHUNK_LOGITS["cuda"] == memory.SCORED_LOGITS


def test_a_cell_of_v5b_by_hand() -> None:
    """bfloat16 under ZeRO-2 on one worker, for 16 sequences of 1,024 tokens.

    Per parameter: 2 bytes of weights, 4 of their copy, 8 of AdamW and 2 of gradients. Per token: 1.43 MB.
    """
    counted = memory.footprint(QWEN_05B, TrainingSpec(), 8, 1, DEEPSPEED[2])
    count = 494_032_768  # transformers' count
    assert counted.states == pytest.approx(14 * count, rel=1e-3)
    assert counted.gradients == pytest.approx(2 * count, rel=1e-3)
    assert counted.activations == pytest.approx(16 * 1024 * 1.43e6, rel=0.01)
    assert 34 < counted.total / 2**30 < 37


@pytest.mark.parametrize("stage", [0, 2])
def test_arms_side_by_side_hold_the_base_model_once(stage: int) -> None:
    lora = LoraSpec(r=16)

    def counted(arms: int) -> memory.Footprint:
        return memory.footprint(QWEN_05B, TrainingSpec(), 2, 1, DEEPSPEED[stage], lora, arms=arms)

    base, adapters = 2 * memory.parameters(QWEN_05B), 14 * memory.adapter_parameters(QWEN_05B, lora)
    assert counted(1).states == base + adapters
    assert counted(2).states == base + 2 * adapters
    assert counted(2).activations == 2 * counted(1).activations
    assert counted(2).gradients == 2 * counted(1).gradients


def test_which_states_workers_share() -> None:
    """ZeRO-2 divides the float32 copy and AdamW's moments, 12 bytes per parameter; ZeRO-0 divides nothing."""
    count = memory.parameters(QWEN_05B)

    def states(stage: int, workers: int) -> int:
        return memory.footprint(QWEN_05B, TrainingSpec(), 2, workers, DEEPSPEED[stage]).states

    assert states(2, 1) - states(2, 4) == pytest.approx(12 * count * 3 / 4)
    assert states(0, 1) == states(0, 4) == 14 * count
    plain = TrainingSpec(dtype="float32")
    assert memory.footprint(QWEN_05B, plain, 2, 1, DEEPSPEED[0]).states == 12 * count


def test_what_stage_3_divides_gathers_and_offloads() -> None:
    """Of bfloat16, 16 bytes per parameter are divided; 18 are offloaded, and 20 with the weights."""
    count = memory.parameters(QWEN_05B)
    bucket, weights = 2 * zero_states.BUCKET, 2 * count

    def counted(settings: int | str, workers: int = 1, lora: LoraSpec | None = None) -> memory.Footprint:
        return memory.footprint(QWEN_05B, TrainingSpec(), 2, workers, DEEPSPEED[settings], lora)

    for workers in (1, 2, 4):
        assert counted(3, workers).states == pytest.approx(bucket + 16 * count / workers)
        assert counted(3, workers).gradients == 0  # their buffer is one of the states
        assert counted(3, workers).host == 0
    assert counted(3, 2).workspace - counted(3, 1).workspace == weights  # fewer than DeepSpeed lets gather
    assert counted("3_offload_optimizer").states == bucket + weights
    assert counted("3_offload_optimizer").host == 18 * count
    assert counted("3_offload").states == bucket
    assert counted("3_offload").host == 20 * count
    assert counted("3_offload", 4).host == pytest.approx(5 * count)
    assert counted("3_offload").outside >= weights

    lora = LoraSpec(r=16)
    adapters = memory.adapter_parameters(QWEN_05B, lora)
    assert counted(3, 2, lora).states == pytest.approx(bucket + weights / 2 + 16 * adapters / 2)
    assert counted("3_offload", 1, lora).host == weights + 20 * adapters


@pytest.mark.parametrize("lora", [None, LoraSpec(r=4), LoraSpec(r=40)], ids=["full", "small", "large"])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
def test_the_moments_are_those_of_the_optimiser(optimizer: str, lora: LoraSpec | None) -> None:
    """Makes a step with each library's AdamW, on a model some of whose tensors keep moments of 32 bits."""
    config = CONFIGS["untied, wide heads"]  # without biases
    model: torch.nn.Module = AutoModelForCausalLM.from_config(config)
    if lora:
        model = get_peft_model(model, peft_config(lora, ModelFiles("")))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.grad = torch.ones_like(weight)
    adamw = torch.optim.AdamW(trained) if optimizer == "adamw" else bitsandbytes.optim.AdamW8bit(trained)
    adamw.step()
    shared = {id(table) for state in adamw.state.values() for name, table in state.items() if "qmap" in name}
    kept = [
        tensor.nbytes
        for state in adamw.state.values()
        for tensor in state.values()
        if isinstance(tensor, torch.Tensor) and tensor.numel() > 1 and id(tensor) not in shared
    ]
    sizes = memory.adapter_sizes(config, lora) if lora else memory.tensor_sizes(config)
    counted = zero_states.moments(sizes, TrainingSpec(optimizer=optimizer))
    assert counted == pytest.approx(sum(kept), rel=1e-3)  # blocks that are not full


def test_moments_of_8_bits_make_room() -> None:
    """Per parameter, 6 bytes less: two moments of one byte and 1/64, in place of two of four bytes."""
    count = memory.parameters(QWEN_05B)
    small = TrainingSpec(optimizer="adamw_8bit")
    for stage in (0, 2):
        whole, less = (
            memory.footprint(QWEN_05B, training, 2, 1, DEEPSPEED[stage]).states
            for training in (TrainingSpec(), small)
        )
        assert whole - less == pytest.approx(2 * (3 - 1 / 64) * count, rel=1e-3)
