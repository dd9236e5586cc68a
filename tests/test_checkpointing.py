"""Activation checkpointing: the same numbers, with less kept for the backward pass."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH

from training.arm import ArmTask, Execution, train_arm
from training.checkpointing import checkpoint_activations
from training.errors import StudyError
from training.layout import Layout, LayoutCheck
from training.layout_check import check_layout
from training.lora_spec import LoraSpec
from training.model import ModelFiles, load_model
from training.spec import MethodSpec, TrainingSpec

TRAINING = TrainingSpec(
    max_steps=4, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
WPO = MethodSpec(use_weighting=True)


def padded(check: LayoutCheck) -> LayoutCheck:
    return LayoutCheck(Layout.PADDED, check.device, check.distance, check.plain, "test")


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize(
    ("method", "lora"),
    [
        (WPO, None),
        (WPO.model_copy(update={"wpo_alignment": "greedy"}), None),
        (MethodSpec(), LoraSpec(r=4, dropout=0.2)),
    ],
    ids=["wpo", "wpo greedy", "adapters with dropout"],
)
def test_an_arm_has_the_same_bits(method, lora, layout, scored, tiny_folder, monkeypatch):
    files = ModelFiles(str(tiny_folder))
    check = check_layout(load_model(files, "float32"), "cpu")
    check = check if layout is Layout.PACKED else padded(check)
    monkeypatch.setattr("training.arm.check_in_this_process", lambda *_: check)
    results = [
        train_arm(
            ArmTask("test", files, method, TRAINING, 1, np.arange(32), lora=lora),
            scored,
            Execution(2, activation_checkpointing=on),
        )
        for on in (False, True)
    ]
    assert results[1].layout is layout
    pd.testing.assert_frame_equal(results[0].curve, results[1].curve, check_exact=True)
    for one, other in zip(*(result.model.parameters() for result in results), strict=True):
        assert torch.equal(one, other)


def test_a_model_without_it_is_refused(tiny_folder):
    model = load_model(ModelFiles(str(tiny_folder)), "float32")
    model.supports_gradient_checkpointing = False
    with pytest.raises(StudyError, match="qwen2 has no activation checkpointing; set activation_checkpoint"):
        checkpoint_activations(model)
