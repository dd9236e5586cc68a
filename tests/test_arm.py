"""An arm is seeded, isolated and resumable, and its curve is right."""

import json
import math
import sys
from pathlib import Path

import bitsandbytes
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import MAX_LENGTH
from transformers import Trainer, TrainingArguments
from trl import DPOConfig
from waits import Waits

from training.arm import ArmTask, Execution, train_arm
from training.batches import data_order, sequence_lengths
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.curve import summarise
from training.errors import OutOfMemory, Preempted, StudyError
from training.evaluate import heldout_margins
from training.heldout_curve import HeldOut
from training.layout import Layout
from training.losses import LOSSES
from training.model import ModelFiles, load_model
from training.spec import MethodSpec, TrainingSpec
from training.trainer import PairTrainer

TRAINING = TrainingSpec(
    max_steps=6, batch_size=4, learning_rate=1e-2, max_length=MAX_LENGTH, dtype="float32", logging_steps=2
)
WPO = MethodSpec(use_weighting=True)
ZERO2 = json.loads((Path(__file__).parents[1] / "configs/deepspeed/zero2.json").read_text())


@pytest.fixture
def arm(scored, tiny_folder):
    """Trains an arm with the given parts of its task."""

    def train(
        method=MethodSpec(),  # noqa: B008
        training=TRAINING,
        rows=range(32),
        seed=1,
        micro_batch=4,
        deepspeed=None,
        **more,
    ):
        task = ArmTask(
            "wpo/age/1 arm A", ModelFiles(str(tiny_folder)), method, training, seed, np.array(rows)
        )
        return train_arm(task, scored, Execution(micro_batch, deepspeed), **more)

    return train


def weights_of(result):
    return {name: p.detach().clone() for name, p in result.model.named_parameters()}


def assert_same_arm(one, other):
    pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=True)
    assert one.summary == other.summary
    for name, weight in weights_of(one).items():
        assert torch.equal(weight, weights_of(other)[name]), name


def test_an_arm_is_not_affected_by_the_one_before(arm):
    """Trains the same arm alone, after another method and data, and with another seed."""
    torch.manual_seed(99)
    alone = arm(WPO)
    arm(MethodSpec(loss_type="hinge"), rows=range(32, 60), seed=7, micro_batch=2)
    assert_same_arm(arm(WPO), alone)
    assert not arm(WPO, seed=2).curve.equals(alone.curve)


def test_the_curve_starts_at_log_two_and_holds_every_logged_step(arm):
    result = arm(WPO, TRAINING.model_copy(update={"max_steps": 7}))
    table = result.curve.pivot(index="step", columns="metric", values="value")
    assert list(table.index) == [0, 2, 4, 6, 7]
    assert table.loc[0, "loss"] == pytest.approx(math.log(2), rel=1e-5)
    assert result.summary["loss_step0"] == table.loc[0, "loss"]
    assert result.summary["margin_final"] == table.loc[7, "margin"]
    assert result.summary["pairs_seen"] == 7 * 4
    assert result.summary["pairs_train"] == 32
    assert (table["weight_max"] <= 1).all()
    assert 0 < result.summary["weight_capped_share"] < 1
    # (sum w)^2 / sum w^2 lies between 1 and the pairs since the last point
    assert table["weight_ess"].between(1, 8).all()
    assert 1 < result.summary["weight_ess"] <= 28


def test_dpo_logs_no_weights(arm):
    result = arm()
    assert not [name for name in result.summary if "weight" in name]
    assert (
        result.curve.query("metric == 'train_loss'")["value"].tolist()
        == pytest.approx(result.curve.query("metric == 'loss'")["value"].tolist())
    )  # fmt: skip


def test_the_loss_of_the_curve_is_of_the_margin_that_beta_scales(arm):
    """A large beta per token, with answers of many tokens, is no divergence."""
    curve = arm(MethodSpec(loss_type="sigmoid_norm", beta=20.0)).curve.pivot(index="step", columns="metric")
    np.testing.assert_allclose(curve["value"]["loss"], curve["value"]["train_loss"], rtol=1e-5)
    one = TRAINING.model_copy(update={"batch_size": 1, "logging_steps": 1})
    of_ipo = arm(MethodSpec(loss_type="ipo", beta=0.5), one, micro_batch=1).curve
    points = of_ipo.pivot(index="step", columns="metric", values="value")
    margins = -np.log(np.expm1(points["loss"])) / 0.5  # of the single pair of a step
    np.testing.assert_allclose((margins - 1 / (2 * 0.5)) ** 2, points["train_loss"], rtol=1e-3)


@pytest.mark.parametrize(
    "method",
    [MethodSpec(), WPO, MethodSpec(use_weighting=True, wpo_alignment="greedy")],
    ids=["dpo", "wpo", "wpo greedy"],
)
def test_only_a_point_waits_for_the_device(arm, method):
    """Between points, no module reads anything; the collator packs the row."""
    steps = []
    with Waits() as waits:

        def on_step(*_):
            steps.append(set(waits.by_module))
            waits.by_module.clear()

        arm(method, TRAINING.model_copy(update={"logging_steps": 3}), on_step=on_step)
    assert steps[2] == steps[5] == {"training.recorder"}
    assert [steps[at] for at in (1, 3, 4)] == [set()] * 3


def test_micro_batches_are_one_batch(arm):
    whole, parts = arm(WPO), arm(WPO, micro_batch=1)
    pd.testing.assert_frame_equal(whole.curve, parts.curve, rtol=1e-3, atol=1e-4)
    assert whole.summary["tokens_seen"] == parts.summary["tokens_seen"]


@pytest.mark.parametrize("loss", ["aot", "aot_unpaired", ["sigmoid", "sft"]])
def test_a_loss_across_pairs_is_not_cut_into_micro_batches(arm, loss):
    with pytest.raises(StudyError, match=r"arm A: (aot|sft).* micro-batch of 2 .*micro_batch: 4"):
        arm(MethodSpec(loss_type=loss), micro_batch=2)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "sigmoid"])
def test_a_method_nobody_wrote_code_for_trains(arm, loss):
    smoothing = {"label_smoothing": 0.01} if loss in ("exo_pair", "robust") else {}
    result = arm(MethodSpec(loss_type=loss, **smoothing), TRAINING.model_copy(update={"max_steps": 2}))
    assert result.summary["loss_step0"] == pytest.approx(math.log(2), rel=1e-5)
    assert result.summary["margin_final"] != result.summary["margin_step0"]


def cut_at(cut):
    def on_step(step, _):
        if step == cut:
            raise ConnectionError("a node was lost")

    return on_step


@pytest.mark.parametrize(("every", "cut", "kept"), [(2, 3, [2]), (2, 5, [2, 4]), (3, 5, [3]), (1, 6, [4, 5])])
def test_a_cut_arm_resumes_to_the_same_bits(arm, tmp_path, every, cut, kept):
    """Also from checkpoints between two points of the curve, which has a point every 2 steps."""
    whole = arm(WPO)
    store = CheckpointStore(str(tmp_path))
    with pytest.raises(ConnectionError):
        arm(WPO, checkpoints=Checkpoints(store, every), on_step=cut_at(cut))
    assert store.names() == [f"checkpoint-{step}" for step in kept]
    steps = []
    resumed = arm(WPO, checkpoints=Checkpoints(store, every), on_step=lambda *step: steps.append(step))
    assert steps == [(step, 6) for step in range(kept[-1] + 1, 7)]
    assert resumed.notes == (f"resumed from checkpoint-{kept[-1]}",)
    assert_same_arm(resumed, whole)


@pytest.mark.parametrize("damaged", [1, 2], ids=["the one before", "the start"])
def test_a_damaged_checkpoint_is_skipped_and_reported(arm, tmp_path, damaged):
    whole = arm(WPO)
    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 2)
    with pytest.raises(ConnectionError):
        arm(WPO, checkpoints=checkpoints, on_step=cut_at(5))
    for step in (4, 2)[:damaged]:
        path = tmp_path / f"checkpoint-{step}" / "optimizer.pt"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1  # one bit flips on the disk
        path.write_bytes(content)
    steps = []
    resumed = arm(WPO, checkpoints=checkpoints, on_step=lambda step, _: steps.append(step))
    assert steps[0] == (3 if damaged == 1 else 1)
    assert resumed.notes[0] == "skipped checkpoint-4: optimizer.pt is not the file that was put there"
    assert_same_arm(resumed, whole)


def test_an_arm_asked_to_stop_saves_itself_at_that_step(arm, tmp_path):
    whole = arm(WPO)
    store = CheckpointStore(str(tmp_path))
    with pytest.raises(Preempted, match="saved at step 3"):
        arm(WPO, checkpoints=Checkpoints(store, None), on_step=lambda step, _: step == 3)
    assert store.names() == ["checkpoint-3"]
    assert_same_arm(arm(WPO, checkpoints=Checkpoints(store, None)), whole)


def test_an_arm_asked_to_stop_at_its_last_step_is_complete(arm, tmp_path):
    checkpoints = Checkpoints(CheckpointStore(str(tmp_path)), 4)
    assert_same_arm(arm(WPO, checkpoints=checkpoints, on_step=lambda step, total: step == total), arm(WPO))


def test_a_store_that_is_full_costs_the_arm_its_checkpoints_only(arm, tmp_path, monkeypatch):
    whole = arm(WPO)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointStore, "put", full)
    result = arm(WPO, checkpoints=Checkpoints(CheckpointStore(str(tmp_path)), 3))
    assert [note.split(":")[0] for note in result.notes] == ["kept no checkpoint at step 3"]
    assert_same_arm(result, whole)


def test_memory_that_is_too_small_is_an_error_of_its_own(arm, monkeypatch):
    def too_large(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(PairTrainer, "compute_loss", too_large)
    with pytest.raises(OutOfMemory, match="a micro-batch of 4 does not fit: CUDA out of memory"):
        arm()


def test_held_out_margins_start_at_zero_and_follow_training(arm, scored, tiny_folder):
    rows = np.arange(40, 60)
    reference = load_model(ModelFiles(str(tiny_folder)), "float32")
    untrained = heldout_margins(reference, scored, rows, MAX_LENGTH, "x", Layout.PACKED)
    np.testing.assert_allclose(untrained["margin"], 0, atol=1e-4)
    assert untrained["pair_id"].tolist() == scored["pair_id"][40:60]
    trained = heldout_margins(arm(rows=rows).model, scored, rows, MAX_LENGTH, "x", Layout.PACKED)
    assert (trained["margin"] > 0).mean() >= 0.75


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": range(3)}, "wpo/age/1 arm A: 3 training pairs, fewer than one batch of 4"),
        ({"micro_batch": 3}, "not a multiple of micro-batch 3"),
        (
            {"training": TRAINING.model_copy(update={"learning_rate": 1e30})},
            "wpo/age/1 arm A: the loss is nan at step",
        ),
    ],
)
def test_a_mistake_names_trial_and_arm(arm, arguments, message):
    with pytest.raises(StudyError) as error:
        arm(**arguments)
    assert message in str(error.value)


def test_a_loss_that_is_not_finite_is_reported_by_its_step_and_never_saved(arm, tmp_path):
    diverging = TRAINING.model_copy(update={"learning_rate": 1e30, "logging_steps": 5})
    with pytest.raises(StudyError, match="the loss is nan at step 2;"):
        arm(training=diverging)
    store = CheckpointStore(str(tmp_path))
    with pytest.raises(StudyError, match="the loss is nan at step 2;"):
        arm(training=diverging, checkpoints=Checkpoints(store, 1))
    assert store.names() == ["checkpoint-1"]


def test_a_step_that_is_not_of_the_studys_batch_size_stops_the_arm(arm, monkeypatch):
    """A launcher that loses gradient accumulation would train on a quarter of each batch."""
    from training import arm as module

    def without_accumulation(**arguments):
        return DPOConfig(**(arguments | {"gradient_accumulation_steps": 1}))

    monkeypatch.setattr(module, "DPOConfig", without_accumulation)
    with pytest.raises(RuntimeError, match="a step saw 1 pairs over all workers, not 4"):
        arm(micro_batch=1)


@pytest.mark.parametrize("grouped", [False, True])
def test_every_epoch_sees_every_pair_once(grouped, scored):
    rows, lengths = np.arange(5, 45), sequence_lengths(scored)
    training = TrainingSpec(max_steps=25, batch_size=4, group_by_length=grouped)
    order = data_order(rows, lengths, training, np.random.default_rng(0))
    assert len(order) == 100
    counts = pd.Series(order).value_counts()
    assert set(counts.index) == set(rows)
    assert set(counts) == {2, 3}
    spread = np.ptp(lengths[order].reshape(-1, 4), axis=1).mean()
    ungrouped = training.model_copy(update={"group_by_length": False})
    random = data_order(rows, lengths, ungrouped, np.random.default_rng(0))
    if grouped:
        assert spread < np.ptp(lengths[random].reshape(-1, 4), axis=1).mean() / 3
        means = lengths[order].reshape(-1, 4).mean(axis=1)
        assert (np.diff(means) > 0).any()  # batches do not run from long to short
        assert (np.diff(means) < 0).any()


def test_tails_are_the_last_fifth_of_the_logged_points():
    """80 points of 8 pairs each: the published tail is the mean of the last 16."""
    accuracies = np.arange(81) / 80
    points = [
        {"step": 25 * k, "accuracy": a, "loss": 1 - a, "margin": a, "train_loss": 2.0}
        for k, a in enumerate(accuracies)
    ]
    summary = summarise(points)
    assert summary["pref_acc_tail"] == pytest.approx(accuracies[-16:].mean())
    assert summary["steps_to_60pct"] == 48 * 25
    assert "steps_to_60pct" not in summarise(points[:40])


def test_scoring_held_out_pairs_along_the_run_changes_no_bit_of_it(arm, scored, tmp_path):
    """Also where the arm was cut after a point, and goes on from the checkpoint of that step."""
    rows = np.arange(40, 60)
    along = TRAINING.model_copy(update={"eval_every": 2})
    plain, scored_along = arm(WPO), arm(WPO, along, heldout=HeldOut(rows))
    is_held_out = scored_along.curve["metric"].str.startswith("heldout")
    pd.testing.assert_frame_equal(
        scored_along.curve[~is_held_out].reset_index(drop=True), plain.curve, check_exact=True
    )
    for name, weight in weights_of(plain).items():
        assert torch.equal(weight, weights_of(scored_along)[name]), name
    points = scored_along.curve[is_held_out].pivot(index="step", columns="metric", values="value")
    assert list(points.index) == [2, 4, 6]
    margins = heldout_margins(plain.model, scored, rows, MAX_LENGTH, "arm", plain.layout)["margin"]
    assert points.loc[6, "heldout_margin"] == margins.mean()
    assert points.loc[6, "heldout_accuracy"] == (margins > 0).mean()

    checkpoints = Checkpoints(CheckpointStore(str(tmp_path / "store")), 2)
    with pytest.raises(Preempted):
        arm(WPO, along, heldout=HeldOut(rows), checkpoints=checkpoints, on_step=lambda step, _: step == 4)
    resumed = arm(WPO, along, heldout=HeldOut(rows), checkpoints=checkpoints)
    assert_same_arm(resumed, scored_along)


def test_epochs_are_the_trainers_steps(arm, tmp_path):
    """Transformers' Trainer counts its steps from the same pairs and batches."""
    for pairs, epochs in [(32, 1), (30, 2), (30, 0.5), (9, 1.3)]:
        stock = Trainer(
            model=torch.nn.Linear(1, 1),
            args=TrainingArguments(
                str(tmp_path),
                num_train_epochs=epochs,
                per_device_train_batch_size=4,
                use_cpu=True,
                report_to="none",
            ),
            train_dataset=[{"x": 1}] * pairs,
        )
        theirs = stock.set_initial_training_values(stock.args, stock.get_train_dataloader())[-1]
        spec = TrainingSpec(epochs=epochs, **TRAINING.model_dump(exclude={"max_steps"}))
        assert spec.for_pairs(pairs).max_steps == theirs, (pairs, epochs)
    two = arm(training=TrainingSpec(epochs=2, **TRAINING.model_dump(exclude={"max_steps"})), rows=range(10))
    assert two.curve["step"].max() == 6  # 2 * ceil(10 / 4)


@pytest.mark.parametrize(
    ("gaps", "message"),
    [
        (None, "wpo/age/1 arm A: the pairs have no score gap, which the method's weights_from needs"),
        (np.r_[np.nan, np.ones(31)], "1 of 32 pairs have no score gap"),
        (np.r_[0.0, -1.0, np.ones(30)], "2 of 32 pairs have a score gap of 0 or less"),
    ],
)
def test_a_method_of_gaps_refuses_pairs_without(scored, tiny_folder, gaps, message):
    method = MethodSpec(weights_from="score_gap")
    files = ModelFiles(str(tiny_folder))
    task = ArmTask("wpo/age/1 arm A", files, method, TRAINING, 1, np.arange(32), gaps)
    with pytest.raises(StudyError, match=message):
        train_arm(task, scored, Execution(4))


def test_gaps_that_are_all_alike_weight_nothing(scored, tiny_folder, arm):
    files, rows = ModelFiles(str(tiny_folder)), np.arange(32)
    method = MethodSpec(weights_from="score_gap")
    task = ArmTask("wpo/age/1 arm A", files, method, TRAINING, 1, rows, np.full(32, 7.0))
    alike = train_arm(task, scored, Execution(4))
    for name, weight in weights_of(arm()).items():
        torch.testing.assert_close(weights_of(alike)[name], weight, rtol=1e-4, atol=1e-6, msg=name)


def test_where_every_token_counts_in_full_ld_dpo_is_dpo(arm):
    dpo, in_full, less = (arm(MethodSpec(ld_alpha=alpha)).curve["value"] for alpha in (None, 1.0, 0.2))
    np.testing.assert_allclose(in_full, dpo, rtol=1e-3, atol=1e-4)
    assert (less - dpo).abs().max() > 0.1


def test_an_optimiser_that_is_not_installed_is_refused_with_a_way_out(arm, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(StudyError, match=r"adamw_8bit needs bitsandbytes.*or use adamw"):
        arm(training=TRAINING.model_copy(update={"optimizer": "adamw_8bit"}), deepspeed=ZERO2)


def test_moments_of_8_bits_train_nearly_alike_and_resume_to_the_same_bits(arm, tmp_path):
    training = TRAINING.model_copy(update={"optimizer": "adamw_8bit"})
    whole, in_32_bits = arm(WPO, training, deepspeed=ZERO2), arm(WPO)
    assert any(not torch.equal(w, weights_of(in_32_bits)[name]) for name, w in weights_of(whole).items())
    assert whole.summary["loss_tail"] == pytest.approx(in_32_bits.summary["loss_tail"], rel=0.1)
    store = CheckpointStore(str(tmp_path))
    with pytest.raises(ConnectionError):
        arm(WPO, training, deepspeed=ZERO2, checkpoints=Checkpoints(store, 2), on_step=cut_at(5))
    assert_same_arm(arm(WPO, training, deepspeed=ZERO2, checkpoints=Checkpoints(store, 2)), whole)
    held = bitsandbytes.optim.GlobalOptimManager.get_instance()  # embeddings of an arm that has ended
    assert not held.module_weight_config_triple
    assert not held.index2config
