"""One worker without DeepSpeed trains as it does under ZeRO-2, to the bit, and waits for nothing."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH, make_a_gradient_infinite
from waits import Waits

from training.arm import ArmTask, Execution, train_arm
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import StudyError
from training.evaluate import heldout_margins
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.spec import MethodSpec, TrainingSpec

ZERO2 = json.loads((Path(__file__).parents[1] / "configs/deepspeed/zero2.json").read_text())
WPO = MethodSpec(use_weighting=True)


def spec(dtype="bfloat16", **more):
    settings = {"max_steps": 6, "batch_size": 4, "learning_rate": 1e-2, "logging_steps": 2}
    return TrainingSpec(max_length=MAX_LENGTH, dtype=dtype, **(settings | more))


@pytest.fixture
def arm(scored, tiny_folder):
    def train(deepspeed=None, training=None, micro_batch=2, again=False, lora=None, **more):
        files = ModelFiles(str(tiny_folder))
        task = ArmTask("wpo/age/1 arm A", files, WPO, training or spec(), 1, np.arange(32), lora=lora)
        return train_arm(
            task, scored, Execution(micro_batch, deepspeed, activation_checkpointing=again), **more
        )

    return train


def assert_same_arm(one, other, scored):
    pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=True)
    weights = dict(other.model.named_parameters())
    for name, weight in one.model.named_parameters():
        assert torch.equal(weight, weights[name]), name
    of_one, of_other = (
        heldout_margins(arm.model, scored, np.arange(40, 60), MAX_LENGTH, "arm", arm.layout)
        for arm in (one, other)
    )
    pd.testing.assert_frame_equal(of_one, of_other, check_exact=True)
    assert of_one["margin"].abs().max() > 0.5


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"micro_batch": 4},
        {"again": True},
        {"lora": LoraSpec(r=2, alpha=4, dropout=0.2)},
        {"training": {"max_grad_norm": 0.3, "weight_decay": 0.1, "warmup_steps": 2}},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_numbers_are_those_of_zero2_to_the_bit(arm, scored, dtype, how):
    how = how | {"training": spec(dtype, **how.get("training", {}))}
    assert_same_arm(arm(**how), arm(ZERO2, **how), scored)


@pytest.mark.parametrize("lora", [None, LoraSpec(r=2, alpha=4, dropout=0.2)], ids=["weights", "adapters"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cut_arm_resumes_to_the_same_bits_from_tensors_and_plain_values(arm, scored, tmp_path, dtype, lora):
    how = {"training": spec(dtype), "lora": lora}
    whole = arm(**how)

    def cut(step, _):
        if step == 5:
            raise ConnectionError("a node was lost")

    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    with pytest.raises(ConnectionError):
        arm(**how, checkpoints=checkpoints, on_step=cut)
    torch.load(tmp_path / "checkpoint-4" / "optimizer.pt", weights_only=True)
    resumed = arm(**how, checkpoints=checkpoints)
    assert resumed.notes == ("resumed from checkpoint-4",)
    assert_same_arm(resumed, whole, scored)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_that_is_not_finite_is_left_out_and_told_also_after_a_cut(arm, tmp_path, monkeypatch, dtype):
    make_a_gradient_infinite(monkeypatch)
    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 4)
    result = arm(training=spec(dtype), checkpoints=checkpoints)
    assert result.notes == ("steps skipped for gradients that are not finite: 1",)
    assert all(weight.isfinite().all() for weight in result.model.parameters())
    resumed = arm(training=spec(dtype), checkpoints=checkpoints)
    assert resumed.notes == ("resumed from checkpoint-4", *result.notes)


def test_nothing_waits_for_the_device_between_points(arm):
    steps = []
    with Waits() as waits:

        def on_step(*_):
            steps.append(set(waits.by_module))
            waits.by_module.clear()

        arm(training=spec(logging_steps=6), on_step=on_step)
    assert steps[1:] == [set()] * 4 + [{"training.recorder"}]


@pytest.mark.parametrize(
    ("change", "workers", "message"),
    [
        ({"dtype": "float16"}, "1", "not without DeepSpeed: it scales the loss of float16; set zero2"),
        ({"optimizer": "adamw_8bit"}, "1", "adamw_8bit updates weights through it; set zero2"),
        ({}, "2", "2 workers share an arm through it; set zero2, or one worker"),
    ],
)
def test_what_needs_deepspeed_is_refused_without(arm, monkeypatch, change, workers, message):
    monkeypatch.setenv("WORLD_SIZE", workers)
    with pytest.raises(StudyError, match=message):
        arm(training=spec(**change))


def test_a_launchers_group_of_one_is_no_group(arm, scored, monkeypatch):
    """Otherwise accelerate would wrap the model for several workers."""
    alone = arm()
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert_same_arm(arm(), alone, scored)
