"""Rows without padding: what a model says of a sequence does not depend on its neighbours in the row."""

import copy

import numpy as np
import pytest
import torch
from conftest import MAX_LENGTH
from test_trainer import _arguments, _assert_same, _batch, _loss_and_gradients
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config

from training import packed
from training.likelihood import Answers, score_answers
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
        alone = [
            model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)[range(len(ids) - 1), ids[1:]]
            for ids in sequences
        ]
    together = score_answers(model, Answers(sequences, [1] * 4)).logp
    np.testing.assert_allclose(together, [float(logps.sum()) for logps in alone], rtol=1e-5)


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
