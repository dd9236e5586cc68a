"""Arms under DeepSpeed ZeRO-2 on this machine: the same answer as plain PyTorch, alone and in twos."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import MAX_LENGTH

from training.arm import Checkpoints, train_arm
from training.model import ModelFiles
from training.spec import MethodSpec, TrainingSpec

pytestmark = pytest.mark.integration
TRAINING = TrainingSpec(
    max_steps=4, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
ZERO2 = json.loads((Path(__file__).parents[2] / "configs/deepspeed/zero2.json").read_text())


@pytest.fixture
def arm(scored, tiny_folder):
    def train(method, deepspeed, rows=range(32), **more):
        files = ModelFiles(str(tiny_folder))
        options = {"name": "test", "micro_batch": 2, "deepspeed": deepspeed} | more
        return train_arm(scored, np.array(rows), files, method, TRAINING, 1, **options)

    return train


@pytest.mark.parametrize("alignment", ["sampled", "greedy"])
def test_zero2_changes_no_answer(arm, alignment):
    method = MethodSpec(use_weighting=True, wpo_alignment=alignment)
    plain = arm(method, None)
    zero = arm(method, ZERO2)
    pd.testing.assert_frame_equal(zero.curve, plain.curve, rtol=1e-3, atol=1e-4)
    arm(MethodSpec(loss_type="hinge"), ZERO2, rows=range(32, 60))
    again = arm(method, ZERO2)
    pd.testing.assert_frame_equal(again.curve, zero.curve, check_exact=True)


def test_a_cut_arm_resumes_to_the_same_bits(arm, tmp_path):
    method = MethodSpec(use_weighting=True)
    whole = arm(method, ZERO2)

    def cut(step, _):
        if step == 3:
            raise ConnectionError("a node was lost")

    with pytest.raises(ConnectionError):
        arm(method, ZERO2, checkpoints=Checkpoints(tmp_path, every=2), on_step=cut)
    seen = []
    resumed = arm(
        method, ZERO2, checkpoints=Checkpoints(tmp_path, every=2), on_step=lambda step, _: seen.append(step)
    )
    assert seen == [3, 4]
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, check_exact=True)
