"""The count of operations against torch's own count, and against a figure computed by hand."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

from training.flops import mfu, step_flops

SMALL = {
    "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        Qwen2Config(**SMALL, num_key_value_heads=2),
        LlamaConfig(**SMALL, num_key_value_heads=4, head_dim=32),
    ],
    ids=["grouped heads", "wide heads"],
)
def test_operations_are_those_that_torch_counts(config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    lengths = [7, 30, 19]
    # Torch counts a causal attention as a full one, so the pairs above the diagonal are subtracted.
    above = sum(length * (length - 1) // 2 for length in lengths)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    unneeded = 3 * config.num_hidden_layers * 4 * config.num_attention_heads * size * above
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for length in lengths:
            model(input_ids=torch.arange(length)[None]).logits.sum().backward()
    assert step_flops(config, lengths, sum(lengths)) == pytest.approx(
        counter.get_total_flops() - unneeded, rel=1e-3
    )


def test_a_step_of_qwen_05b_by_hand():
    """8 pairs of 2 x 180 tokens: 6 operations per parameter and token (Kaplan et al. 2020).

    The tied embedding counts once, as the head; attention adds one per cent at these lengths.
    """
    config = Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, vocab_size=151_936,
    )  # fmt: skip
    parameters = 24 * (896 * (896 + 128 + 128 + 896) + 3 * 896 * 4864) + 896 * 151_936
    lengths = [180] * 16
    assert step_flops(config, lengths, sum(lengths)) == pytest.approx(6 * parameters * 2880, rel=0.02)
    assert step_flops(config, lengths, sum(lengths)) == pytest.approx(8.6e12, rel=0.02)


def test_utilisation_is_a_fraction_of_the_peak():
    assert mfu(5e12, seconds=0.02, peak_flops_per_s=1e15) == pytest.approx(0.25)
