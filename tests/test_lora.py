"""Adapters: the loss and gradients of TRL, a base model that stays as it is, resuming, and what is kept."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH
from datasets import Dataset
from peft import LoraConfig, PeftModel
from pydantic import ValidationError
from test_arm import cut_at
from test_trainer import BATCH_PAIRS, assert_same, loss_and_gradients, make_batch, trl_config
from transformers import AutoModelForCausalLM, set_seed
from trl import DPOTrainer

from training.arm import ArmTask, Execution, train_arm
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import StudyError
from training.evaluate import heldout_margins
from training.layout import Layout
from training.lora import peft_config, refuse_unknown_targets
from training.lora_spec import LoraSpec
from training.model import ModelFiles, load_model, load_tokenizer
from training.scoring import score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData
from training.trainer import PairTrainer
from training.tuned_model import save_tuned_model

LORA = LoraSpec(r=4, alpha=8)
DROPOUT = LoraSpec(r=4, alpha=8, dropout=0.3, target_modules=["q_proj", "down_proj"], rslora=True)
TRAINING = TrainingSpec(
    max_steps=6, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
WPO = MethodSpec(use_weighting=True)


@pytest.fixture
def files(tiny_folder):
    return ModelFiles(str(tiny_folder))


@pytest.fixture
def arm(scored, files):
    def train(lora=LORA, method=WPO, seed=1, micro_batch=2, deepspeed=None, **more):
        task = ArmTask("wpo/age/1 arm A", files, method, TRAINING, seed, np.arange(32), lora=lora)
        return train_arm(task, scored, Execution(micro_batch, deepspeed), **more)

    return train


def trained_weights(result):
    return {name: weight for name, weight in result.model.named_parameters() if weight.requires_grad}


def assert_same_arm(one, other):
    pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=True)
    for name, weight in trained_weights(one).items():
        assert torch.equal(weight, trained_weights(other)[name]), name


@pytest.mark.parametrize(
    "method", [MethodSpec(), MethodSpec(use_weighting=True, wpo_clamp="trl")], ids=["dpo", "wpo"]
)
@pytest.mark.parametrize("rslora", [False, True])
def test_stock_trl_with_the_same_adapters_agrees(method, rslora, scored, files, pairs, tmp_path):
    """Its reference is live: the model with its adapters off."""
    chats = [
        {
            "prompt": row.prompt,
            "chosen": [{"role": "assistant", "content": row.chosen}],
            "rejected": [{"role": "assistant", "content": row.rejected}],
        }
        for row in pairs.itertuples()
    ]
    set_seed(3)
    stock = DPOTrainer(
        model=load_model(files, "float32"),
        args=trl_config(method, tmp_path),
        train_dataset=Dataset.from_list(chats),
        processing_class=load_tokenizer(files),
        peft_config=LoraConfig(
            r=4, lora_alpha=8, use_rslora=rslora, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    set_seed(3)
    ours = PairTrainer(
        method,
        "test",
        BATCH_PAIRS,
        Layout.PACKED,
        model=load_model(files, "float32"),
        args=trl_config(method, tmp_path, precompute_ref_log_probs=True),
        train_dataset=scored,
        processing_class=load_tokenizer(files),
        peft_config=peft_config(LORA.model_copy(update={"rslora": rslora}), files),
    )
    at_start = loss_and_gradients(ours, make_batch(ours))
    assert_same(at_start, loss_and_gradients(stock, make_batch(stock)))
    if not method.use_weighting:
        assert at_start[0] == pytest.approx(math.log(2), rel=1e-5)
    for trainer in (stock, ours):  # B is 0 at the start, and the gradients of A with it
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for weight in trainer.model.parameters():
                if weight.requires_grad:
                    weight += 0.1 * torch.randn(weight.shape, generator=generator)
    got, expected = (loss_and_gradients(trainer, make_batch(trainer)) for trainer in (ours, stock))
    assert_same(got, expected)
    assert len(got[1]) == 2 * 2 * 7  # A and B of the seven linear layers of two layers
    assert abs(got[0] - at_start[0]) > 1e-3


@pytest.mark.parametrize("lora", [LORA, DROPOUT], ids=["all layers", "dropout"])
def test_an_arm_trains_its_adapters_alone_from_log_two_on(arm, lora, files):
    result = arm(lora)
    table = result.curve.pivot(index="step", columns="metric", values="value")
    assert table.loc[0, "loss"] == pytest.approx(math.log(2), rel=1e-5)
    assert abs(table.loc[6, "margin"]) > 0.01  # nats; 0 at the start
    before, after = load_model(files, "float32").state_dict(), result.model.unload().state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_the_adapters_dropout_is_on_and_seeded(arm):
    dropped = arm(DROPOUT)
    assert_same_arm(arm(DROPOUT), dropped)
    assert not arm(DROPOUT.model_copy(update={"dropout": 0.0})).curve.equals(dropped.curve)


def test_the_seed_draws_the_adapters(arm):
    torch.manual_seed(99)
    one = arm()
    torch.manual_seed(5)
    assert_same_arm(arm(), one)
    drawn = [next(iter(trained_weights(arm(seed=seed)).values())) for seed in (1, 2)]
    assert not torch.allclose(*drawn, atol=0.05)


@pytest.mark.parametrize("lora", [LORA, DROPOUT], ids=["all layers", "dropout"])
def test_a_cut_arm_resumes_to_the_same_bits_from_its_adapters(arm, tmp_path, tiny_folder, lora):
    whole = arm(lora)
    store = CheckpointStore(str(tmp_path))
    with pytest.raises(ConnectionError):
        arm(lora, checkpoints=Checkpoints(store, 2), on_step=cut_at(5))
    assert store.names() == ["checkpoint-2", "checkpoint-4"]
    assert not list(tmp_path.rglob("model.safetensors"))
    resumed = arm(lora, checkpoints=Checkpoints(store, 2))
    assert resumed.notes == ("resumed from checkpoint-4",)
    assert_same_arm(resumed, whole)


def test_peft_loads_what_is_kept_on_the_base_model(arm, files, tmp_path, scored):
    result = arm()
    save_tuned_model(result.model, files, tmp_path / "kept", {"cell": "wpo/age/1"})
    size = sum(file.stat().st_size for file in (tmp_path / "kept").glob("*.safetensors"))
    assert size < 4 * 1.1 * sum(weight.numel() for weight in trained_weights(result).values()) + 8192
    base = AutoModelForCausalLM.from_pretrained(files.path, dtype="float32")
    loaded = PeftModel.from_pretrained(base, tmp_path / "kept")
    by_transformers = AutoModelForCausalLM.from_pretrained(tmp_path / "kept", dtype="float32")
    rows = np.arange(40, 60)
    margins = [
        heldout_margins(model, scored, rows, MAX_LENGTH, "x", Layout.PACKED)["margin"]
        for model in (result.model, loaded, by_transformers, loaded.merge_and_unload())
    ]
    assert margins[0].abs().max() > 0.01
    for other in margins[1:]:
        np.testing.assert_allclose(other, margins[0], atol=1e-4)


def test_full_cells_and_cells_with_adapters_share_their_scores(pairs, tiny_folder, tmp_path):
    def scored_with(lora):
        model = ModelSpec(path=str(tiny_folder), lora=lora)
        return score(pairs, model, TwinData(), TRAINING, tmp_path)

    first, second = scored_with(None), scored_with(LORA)
    assert (second.path, second.computed) == (first.path, False)


def test_a_layer_that_the_model_has_not_is_refused_with_the_nearest_name(files):
    with pytest.raises(StudyError, match=r"target_modules: no linear layer 'q_prj'.*did you mean 'q_proj'"):
        refuse_unknown_targets(LoraSpec(target_modules=["v_proj", "q_prj"]), files)
    with pytest.raises(StudyError, match="no linear layer 'lm_head'"):
        refuse_unknown_targets(LoraSpec(target_modules=["lm_head"]), files)
    refuse_unknown_targets(DROPOUT, files)
    refuse_unknown_targets(LORA, files)


@pytest.mark.parametrize("wrong", [{"r": 0}, {"dropout": 1.0}, {"target_modules": []}, {"rank": 4}])
def test_a_value_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        LoraSpec(**wrong)
