"""Arms under DeepSpeed on the CPU: the same result as plain PyTorch, resumable, and safe to resume."""

import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH, make_a_gradient_infinite
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum
from deepspeed.utils import safe_get_full_fp32_param
from waits import Waits

from training import resharding
from training.arm import ArmTask, Execution, train_arm
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.lora_spec import LoraSpec
from training.model import ModelFiles
from training.partitioned import gathered
from training.spec import MethodSpec, TrainingSpec

pytestmark = pytest.mark.integration
TRAINING = TrainingSpec(
    max_steps=4, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
CONFIGS = Path(__file__).parents[2] / "configs/deepspeed"
ZERO2 = json.loads((CONFIGS / "zero2.json").read_text())


@pytest.fixture
def arm(scored, tiny_folder):
    def train(method, deepspeed, rows=range(32), training=TRAINING, lora=None, **more):
        task = ArmTask("test", ModelFiles(str(tiny_folder)), method, training, 1, np.array(rows), lora=lora)
        return train_arm(task, scored, Execution(2, deepspeed), **more)

    return train


@pytest.mark.parametrize("alignment", ["sampled", "greedy"])
def test_zero2_changes_no_result(arm, alignment):
    method = MethodSpec(use_weighting=True, wpo_alignment=alignment)
    plain = arm(method, None)
    zero = arm(method, ZERO2)
    pd.testing.assert_frame_equal(zero.curve, plain.curve, rtol=1e-3, atol=1e-4)
    arm(MethodSpec(loss_type="hinge"), ZERO2, rows=range(32, 60))
    again = arm(method, ZERO2)
    pd.testing.assert_frame_equal(again.curve, zero.curve, check_exact=True)


@pytest.mark.parametrize(("stage", "python"), [(0, "here"), (2, "here"), (2, "3.11.2"), (3, "here")])
def test_a_cut_arm_resumes_to_the_same_bits(arm, tmp_path, monkeypatch, stage, python):
    if python == "3.11.2":  # Debian 12's Python pickles enum members by name
        by_name = lambda member, protocol: (getattr, (type(member), member.name))  # noqa: E731
        monkeypatch.setattr(ZeroStageEnum, "__reduce_ex__", by_name)
    method = MethodSpec(use_weighting=True)
    settings = json.loads((CONFIGS / f"zero{stage}.json").read_text())
    whole = arm(method, settings)

    def cut(step, _):
        if step == 3:
            raise ConnectionError("a node was lost")

    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    with pytest.raises(ConnectionError):
        arm(method, settings, checkpoints=checkpoints, on_step=cut)
    steps = []
    resumed = arm(method, settings, checkpoints=checkpoints, on_step=lambda step, _: steps.append(step))
    assert steps == [3, 4]
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, check_exact=True)
    weights = dict(whole.model.named_parameters())
    for name, weight in resumed.model.named_parameters():
        assert torch.equal(weight, weights[name]), name


@pytest.mark.parametrize("stage", [0, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_arm_with_adapters_resumes_to_the_same_bits_from_these_alone(arm, tmp_path, stage, dtype):
    settings = json.loads((CONFIGS / f"zero{stage}.json").read_text())
    training = TRAINING.model_copy(update={"dtype": dtype})
    more = {"training": training, "lora": LoraSpec(r=2, alpha=4, dropout=0.2)}
    whole = arm(MethodSpec(), settings, **more)

    def cut(step, _):
        if step == 3:
            raise ConnectionError("a node was lost")

    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    with pytest.raises(ConnectionError):
        arm(MethodSpec(), settings, checkpoints=checkpoints, on_step=cut, **more)
    (states,) = tmp_path.rglob("*model_states.pt")
    whole_states = torch.load(states, weights_only=False)
    assert all(".lora_" in name for name in whole_states["module"] or whole_states["param_shapes"][0])
    resumed = arm(MethodSpec(), settings, checkpoints=checkpoints, **more)
    assert resumed.notes == ("resumed from checkpoint-2",)
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, check_exact=True)
    weights = dict(whole.model.named_parameters())
    for name, weight in resumed.model.named_parameters():
        assert torch.equal(weight, weights[name]), name
    if dtype == "float32":
        plain = arm(MethodSpec(), None, **more)
        pd.testing.assert_frame_equal(whole.curve, plain.curve, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("offload", ["zero3_offload_optimizer", "zero3_offload"])
def test_offload_changes_no_result_and_resumes_without_it(arm, tmp_path, offload):
    """On the CPU, what is offloaded stays where it is, but DeepSpeed takes its way through it."""
    settings, plain = (json.loads((CONFIGS / f"{name}.json").read_text()) for name in (offload, "zero3"))
    for one in (settings, plain):
        one["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    method = MethodSpec(use_weighting=True)
    whole = arm(method, settings)
    pd.testing.assert_frame_equal(whole.curve, arm(method, None).curve, rtol=1e-4, atol=1e-4)
    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    arm(method, settings, checkpoints=checkpoints)
    resumed = arm(method, plain, checkpoints=checkpoints)
    assert resumed.notes == ("resumed from checkpoint-2",)
    pd.testing.assert_frame_equal(resumed.curve, whole.curve, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("before", "now"), [(0, 3), (3, 2)])
def test_float32_copies_and_moments_of_half_precision_move_to_another_stage(
    arm, tmp_path, monkeypatch, before, now
):
    training = TRAINING.model_copy(update={"dtype": "bfloat16"})
    settings = {stage: json.loads((CONFIGS / f"zero{stage}.json").read_text()) for stage in (before, now)}
    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    arm(MethodSpec(), settings[before], training=training, checkpoints=checkpoints)
    restore, found = resharding.restore, {}

    def checked(engine, saved):
        restore(engine, saved)
        weights = dict(engine.module.named_parameters())
        squares = dict.fromkeys(resharding.MOMENTS, 0.0)
        for name, states in saved.weights([place.name for place in resharding._places(engine)]):
            with gathered([weights[name]]):
                used = weights[name].detach().flatten()
            copy = safe_get_full_fp32_param(weights[name]).flatten()
            found[name] = torch.equal(copy, states["fp32"]) and torch.equal(used, copy.bfloat16())
            for key in squares:
                squares[key] += states[key].norm().item() ** 2
        for key, square in squares.items():
            moved = sum(state[key].norm().item() ** 2 for state in engine.basic_optimizer.state.values())
            found[key] = moved == pytest.approx(square, rel=1e-5)

    monkeypatch.setattr(resharding, "restore", checked)
    resumed = arm(MethodSpec(), settings[now], training=training, checkpoints=checkpoints)
    (note,) = resumed.notes
    assert note.startswith(f"resumed from checkpoint-2 of ZeRO stage {before}")
    assert len(found) == 28
    assert all(found.values()), found


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nothing_but_deepspeed_waits_for_the_device_between_points(arm, dtype):
    """DeepSpeed checks whether the norm of the gradients is finite."""
    training = TRAINING.model_copy(update={"dtype": dtype, "logging_steps": 4})
    steps = []
    with Waits() as waits:

        def on_step(*_):
            steps.append({name for name in waits.by_module if not name.startswith("deepspeed.")})
            waits.by_module.clear()

        arm(MethodSpec(use_weighting=True), ZERO2, training=training, on_step=on_step)
    assert steps[1:] == [set(), set(), {"training.recorder"}]


def test_a_step_that_deepspeed_skips_is_recorded_as_a_note(arm, monkeypatch):
    make_a_gradient_infinite(monkeypatch)
    bfloat16 = TRAINING.model_copy(update={"dtype": "bfloat16"})
    result = arm(MethodSpec(), ZERO2, training=bfloat16)
    assert result.notes == ("steps skipped for gradients that are not finite: 1",)


def test_half_precision_rounds_no_reference_log_probability(scored, tiny_folder):
    """Both answers' are moved by 1,000 nats, which changes no margin."""
    sides = ("ref_chosen_logps", "ref_rejected_logps")
    moved = scored.map(lambda row: {side: row[side] - 1000 for side in sides}, keep_in_memory=True)
    training = TRAINING.model_copy(update={"dtype": "bfloat16"})
    task = ArmTask("test", ModelFiles(str(tiny_folder)), MethodSpec(), training, 1, np.arange(32))
    near, far = (train_arm(task, table, Execution(2, ZERO2)).curve for table in (scored, moved))
    first = near["step"] == 0
    np.testing.assert_allclose(far.loc[first, "value"], near.loc[first, "value"], atol=2e-3)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class Attribute:
    """Pickles as an attribute of an allowed class that is no enum member."""

    def __init__(self, path):
        pass

    def __reduce__(self):
        return (getattr, (LossScaler, "__init__"))


@pytest.mark.parametrize("payload", [Touch, Attribute])
def test_a_checkpoint_that_would_run_code_is_refused(arm, tmp_path, payload):
    """Checksums do not help here, since whoever can write to the shared store can also write them."""
    store = CheckpointStore(str(tmp_path / "store"))
    checkpoints = Checkpoints(store, 2)
    arm(MethodSpec(), ZERO2, checkpoints=checkpoints)
    store.fetch("checkpoint-2", tmp_path / "bad")
    (states,) = (tmp_path / "bad").rglob("*optim_states.pt")
    torch.save({"optimizer_state_dict": payload(tmp_path / "it ran")}, states)
    store.put(tmp_path / "bad", "checkpoint-2")
    with pytest.raises(pickle.UnpicklingError):
        arm(MethodSpec(), ZERO2, checkpoints=checkpoints)
    assert not (tmp_path / "it ran").exists()
