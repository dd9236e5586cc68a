"""Packed rows: what a model computes for a sequence does not depend on the row it is in."""

import copy

import numpy as np
import pytest
import torch
from test_trainer import assert_same, loss_and_gradients, make_batch, trl_config
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config
from trl.trainer.utils import add_fused_lm_head

from training import packed, packed_row
from training.layout import Layout
from training.layout_check import check_layout
from training.likelihood import Answers, answer_logps
from training.model import ModelFiles, load_model, load_tokenizer
from training.packed_row import PackedRow
from training.spec import MethodSpec
from training.trainer import PairTrainer

SMALL = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
}  # fmt: skip
ARCHITECTURES = {
    "grouped heads": (LlamaConfig(**SMALL), Layout.PACKED),
    "a window in every layer": (MistralConfig(**SMALL, sliding_window=4), Layout.PADDED),
    "a window longer than any sequence": (MistralConfig(**SMALL, sliding_window=4096), Layout.PADDED),
    "a window in one layer": (
        Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        Layout.PADDED,
    ),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_sequence_scores_as_it_does_alone(name):
    config, layout = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).eval()
    assert check_layout(model, "cpu").layout == layout
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 300, length).tolist() for length in (17, 2, 9, 30)]
    with torch.no_grad():
        alone = [_logps(model, ids) for ids in sequences]
    together = answer_logps(model, layout, Answers(sequences, [1] * 4))
    np.testing.assert_allclose(together, [float(logps.sum()) for logps in alone], rtol=1e-5)


def _logps(model, ids):
    return model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)[range(len(ids) - 1), ids[1:]]


def _sharing_prompts():
    """Return a model, sequences of which some share a prompt, and where their answers start."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(LlamaConfig(**SMALL)).eval()
    rng = np.random.default_rng(1)
    prompts = [rng.integers(0, 300, length).tolist() for length in (1, 6, 11)]
    prompt_of = [1, 0, 1, 2, 1, 1, 2]
    answers = [rng.integers(0, 300, length).tolist() for length in (4, 9, 1, 12, 7, 4, 2)]
    sequences = [prompts[k] + answer for k, answer in zip(prompt_of, answers, strict=True)]
    return model, sequences, [len(prompts[k]) for k in prompt_of]


def _row(sequences, starts):
    ids = pad_sequence([torch.tensor(ids) for ids in sequences], batch_first=True)
    position = torch.arange(ids.shape[1])
    real = position < torch.tensor([len(ids) for ids in sequences])[:, None]
    return PackedRow.of(ids, real, real & (position >= torch.tensor(starts)[:, None]))


@pytest.mark.parametrize("block", [4, 20, 128])
def test_answers_of_one_prompt_score_as_they_do_alone(block, monkeypatch):
    monkeypatch.setattr(packed_row, "BLOCK_TOKENS", block)
    model, sequences, starts = _sharing_prompts()
    with torch.no_grad():
        alone = [
            float(_logps(model, ids)[start - 1 :].sum()) for ids, start in zip(sequences, starts, strict=True)
        ]
    together = answer_logps(model, Layout.PACKED, Answers(sequences, starts))
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    tokens = _row(sequences, starts).input_ids.numel()
    assert tokens == 1 + 6 + 11 + sum(map(len, sequences)) - sum(starts)  # each prompt once


@pytest.mark.parametrize("block", [4, 20, 128])
def test_answers_of_one_prompt_have_the_gradients_they_have_alone(block, monkeypatch):
    monkeypatch.setattr(packed_row, "BLOCK_TOKENS", block)
    model, sequences, starts = _sharing_prompts()
    weights = np.random.default_rng(2).normal(size=len(sequences)).tolist()
    alone = copy.deepcopy(model)
    for weight, ids, start in zip(weights, sequences, starts, strict=True):
        (weight * _logps(alone, ids)[start - 1 :].sum()).backward()
    add_fused_lm_head(model)
    logps = packed.fused_forward(model, model, _row(sequences, starts), fused_lm_head=True).log_probs.sum(1)
    (torch.tensor(weights) @ logps).backward()
    for one, other in zip(model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    [MethodSpec(), MethodSpec(use_weighting=True, wpo_alignment="greedy", wpo_clamp="authors")],
    ids=["dpo", "wpo greedy"],
)
def test_padded_rows_train_as_packed_ones_do(method, scored, tiny_folder, tmp_path):
    full = load_model(ModelFiles(str(tiny_folder)), "float32")
    with torch.no_grad():
        for parameter in full.parameters():
            parameter *= 1.02

    def of_trainer(layout):
        trainer = PairTrainer(
            method,
            "test",
            12,
            layout,
            model=copy.deepcopy(full),
            args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
            train_dataset=scored,
            processing_class=load_tokenizer(ModelFiles(str(tiny_folder))),
        )
        return loss_and_gradients(trainer, make_batch(trainer))

    assert_same(of_trainer(Layout.PACKED), of_trainer(Layout.PADDED))
