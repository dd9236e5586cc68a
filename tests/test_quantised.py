"""QLoRA: a base model of 4 bits is its own reference; without the library, one line before any training."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH
from test_arm import cut_at

from orchestrator.study.files import deepspeed_config
from orchestrator.study.shape import Shape
from training import quantised
from training.arm import ArmTask, Execution, train_arm
from training.bundle import BundleModel, train_together
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import StudyError
from training.lora_spec import LoraSpec
from training.model_path import check, resolve_model
from training.scoring import open_scored, score
from training.spec import MethodSpec, ModelSpec, TrainingSpec, TwinData

TRAINING = TrainingSpec(
    max_steps=4, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
QLORA = LoraSpec(r=4, quantise="4bit")


def test_without_the_library_a_study_is_refused_before_anything_starts(tiny_folder, monkeypatch):
    monkeypatch.setattr(quantised, "find_spec", lambda _: None)
    with pytest.raises(StudyError, match=r"^study.yaml: model.lora.quantise: 4bit needs bitsandbytes"):
        check(ModelSpec(path=str(tiny_folder), lora=QLORA), "study.yaml: model")
    check(ModelSpec(path=str(tiny_folder), lora=LoraSpec()), "study.yaml: model")


def test_an_arm_starts_at_log_two_trains_adapters_alone_and_resumes_to_the_same_bits(
    pairs, tiny_folder, tmp_path
):
    model = ModelSpec(path=str(tiny_folder), lora=QLORA)
    whole_scores = score(pairs, ModelSpec(path=str(tiny_folder)), TwinData(), TRAINING, tmp_path / "cache")
    table = score(pairs, model, TwinData(), TRAINING, tmp_path / "cache")
    assert table.path != whole_scores.path
    scored = open_scored(table.path)
    assert not np.allclose(scored["ref_chosen_logps"], open_scored(whole_scores.path)["ref_chosen_logps"])
    files = resolve_model(model, TwinData(), tmp_path / "cache")

    def arm(**more):
        task = ArmTask("test", files, MethodSpec(), TRAINING, 1, np.arange(32), lora=QLORA)
        return train_arm(task, scored, Execution(4, check=table.check), **more)

    whole = arm()
    curve = whole.curve.pivot(index="step", columns="metric", values="value")
    assert curve.loc[0, "loss"] == pytest.approx(math.log(2), rel=1e-5)
    assert abs(curve.loc[4, "margin"]) > 0.01
    kinds = {
        weight.requires_grad: weight.dtype for _, weight in whole.model.named_parameters() if weight.ndim > 1
    }
    assert kinds[True] == torch.float32
    store = CheckpointStore(str(tmp_path / "store"))
    with pytest.raises(ConnectionError):
        arm(checkpoints=Checkpoints(store, 2), on_step=cut_at(3))
    resumed = arm(checkpoints=Checkpoints(store, 2))
    assert resumed.notes == ("resumed from checkpoint-2",)
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, check_exact=True)


def test_arms_side_by_side_share_a_model_of_4_bits(pairs, tiny_folder, tmp_path):
    model = ModelSpec(path=str(tiny_folder), lora=QLORA)
    table = score(pairs, model, TwinData(), TRAINING, tmp_path / "cache")
    files = resolve_model(model, TwinData(), tmp_path / "cache")

    def arm(seed, access=None):
        task = ArmTask("test", files, MethodSpec(), TRAINING, seed, np.arange(32), lora=QLORA)
        return train_arm(task, open_scored(table.path), Execution(2, None, table.check), access=access)

    functions = [lambda access, seed=seed: arm(seed, access) for seed in (1, 2)]
    for seed, together in enumerate(train_together(functions, BundleModel(files, "float32", False)), start=1):
        pd.testing.assert_frame_equal(together.curve, arm(seed).curve, check_exact=False, rtol=0, atol=1e-4)


@pytest.mark.integration
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_deepspeed_trains_adapters_on_4_bits_and_resumes_to_the_same_bits(
    dtype, pairs, tiny_folder, tmp_path
):
    training = TRAINING.model_copy(update={"dtype": dtype})
    model = ModelSpec(path=str(tiny_folder), lora=QLORA)
    table = score(pairs, model, TwinData(), training, tmp_path / "cache")
    files = resolve_model(model, TwinData(), tmp_path / "cache")
    settings = deepspeed_config(Shape(deepspeed="zero2"), TrainingSpec())

    def arm(**more):
        task = ArmTask("test", files, MethodSpec(), training, 1, np.arange(32), lora=QLORA)
        execution = Execution(2, settings, table.check, activation_checkpointing=True)
        return train_arm(task, open_scored(table.path), execution, **more)

    whole = arm()
    tolerance = 1e-5 if dtype == "float32" else 5e-3
    assert whole.summary["loss_step0"] == pytest.approx(math.log(2), rel=tolerance)
    store = CheckpointStore(str(tmp_path / "store"))
    with pytest.raises(ConnectionError):
        arm(checkpoints=Checkpoints(store, 2), on_step=cut_at(3))
    resumed = arm(checkpoints=Checkpoints(store, 2))
    assert resumed.notes == ("resumed from checkpoint-2",)
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, check_exact=True)
