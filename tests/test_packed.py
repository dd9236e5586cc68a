"""Rows without padding that share prompts: what a model says of a sequence does not depend on its row."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import MAX_LENGTH
from test_trainer import _arguments, _assert_same, _batch, _loss_and_gradients
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config
from trl.trainer.utils import add_fused_lm_head

from training import packed
from training.likelihood import Answers, answer_logps, score_answers
from training.model import ModelFiles, load_model, load_tokenizer
from training.spec import MethodSpec
from training.trainer import PairTrainer

SMALL = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
}  # fmt: skip
ARCHITECTURES = {
    "grouped heads": (LlamaConfig(**SMALL), True),
    "a window in every layer": (MistralConfig(**SMALL, sliding_window=4), False),
    "a window in one layer": (
        Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        False,
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_sequence_scores_as_it_does_alone(name):
    config, fits = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    assert packed.fits(model) == fits
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 300, length).tolist() for length in (17, 2, 9, 30)]
    with torch.no_grad():
        alone = [_logps(model, ids) for ids in sequences]
    together = score_answers(model, Answers(sequences, [1] * 4)).logp
    np.testing.assert_allclose(together, [float(logps.sum()) for logps in alone], rtol=1e-5)


def _logps(model, ids):
    return model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)[range(len(ids) - 1), ids[1:]]


def _grouped():
    """A model, sequences of which some share a prompt, and where their answers start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL)).eval()
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, 300, length).tolist() for length in (1, 6, 11)]
    which = [1, 0, 1, 2, 1, 1, 2]
    answers = [rng.integers(0, 300, length).tolist() for length in (4, 9, 1, 12, 7, 4, 2)]
    sequences = [prompts[k] + answer for k, answer in zip(which, answers, strict=True)]
    return model, sequences, [len(prompts[k]) for k in which]


def _row(sequences, starts):
    ids = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True)
    position = torch.arange(ids.shape[1])
    real = position < torch.tensor([len(ids) for ids in sequences])[:, None]
    return packed.Row.of(ids, real, real & (position >= torch.tensor(starts)[:, None]))


@pytest.mark.parametrize("block", [4, 20, 128])
def test_answers_of_one_prompt_score_as_they_do_alone(block, monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", block)
    model, sequences, starts = _grouped()
    with torch.no_grad():
        alone = [
            float(_logps(model, ids)[start - 1 :].sum()) for ids, start in zip(sequences, starts, strict=True)
        ]
    together = answer_logps(model, Answers(sequences, starts))
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    tokens = _row(sequences, starts).input_ids.numel()
    assert tokens == 1 + 6 + 11 + sum(map(len, sequences)) - sum(starts)  # each prompt once


@pytest.mark.parametrize("block", [4, 20, 128])
def test_answers_of_one_prompt_have_the_gradients_they_have_alone(block, monkeypatch):
    monkeypatch.setattr(packed, "BLOCK", block)
    model, sequences, starts = _grouped()
    weights = np.random.default_rng(2).normal(size=len(sequences)).tolist()
    alone = copy.deepcopy(model)
    for weight, ids, start in zip(weights, sequences, starts, strict=True):
        (weight * _logps(alone, ids)[start - 1 :].sum()).backward()
    add_fused_lm_head(model)
    logps = packed.fused_forward(model, model, _row(sequences, starts), fused_lm_head=True).log_probs.sum(1)
    (torch.tensor(weights) @ logps).backward()
    for one, other in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_what_the_gpu_kernel_is_told_is_the_same_attention():
    """The kernel's documented meaning, written out: segments of queries over segments of keys, causal from
    their ends. Against attention as it is computed without it."""
    _, sequences, starts = _grouped()
    row = _row(sequences, starts)
    rng = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, row.input_ids.numel(), 8, generator=rng) for heads in (4, 2, 2)
    )
    index, (q_ends, k_ends, longest_q, longest_k) = row.kernel_arguments
    outs = []
    for (q0, q1), (k0, k1) in zip(pairwise(q_ends.tolist()), pairwise(k_ends.tolist()), strict=True):
        assert q1 - q0 <= longest_q
        assert k1 - k0 <= longest_k
        k, v = (states[0, :, index[k0:k1]].repeat_interleave(2, dim=0) for states in (key, value))
        logits = query[0, :, q0:q1] @ k.transpose(1, 2) / 8**0.5
        hidden = torch.ones(q1 - q0, k1 - k0, dtype=torch.bool).triu(k1 - k0 - (q1 - q0) + 1)
        outs.append(logits.masked_fill(hidden, -torch.inf).softmax(-1) @ v)
    found, _ = packed.attention(torch.nn.Module(), query, key, value, None, row=row)
    torch.testing.assert_close(found[0].transpose(0, 1), torch.cat(outs, dim=1))


@pytest.mark.parametrize(
    "method",
    [MethodSpec(), MethodSpec(use_weighting=True, wpo_alignment="greedy", wpo_clamp="authors")],
    ids=["dpo", "wpo greedy"],
)
def test_a_model_that_needs_padding_trains_as_one_that_does_not(method, scored, tiny_folder, tmp_path):
    """The same weights with a window that no sequence exceeds: another way of computing the same."""
    full = load_model(ModelFiles(str(tiny_folder)), "float32")
    with torch.no_grad():
        for parameter in full.parameters():
            parameter *= 1.02
    windowed = copy.deepcopy(full)
    windowed.config.sliding_window = MAX_LENGTH + 1
    assert packed.fits(full)
    assert not packed.fits(windowed)

    def loss_and_gradients(model):
        trainer = PairTrainer(
            method,
            "test",
            12,
            model=model,
            args=_arguments(method, tmp_path, precompute_ref_log_probs=True),
            train_dataset=scored,
            processing_class=load_tokenizer(ModelFiles(str(tiny_folder))),
        )
        return _loss_and_gradients(trainer, _batch(trainer))

    _assert_same(loss_and_gradients(full), loss_and_gradients(windowed))
