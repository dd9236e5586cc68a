"""Arms with adapters side by side: their numbers are those of each alone, whatever happens to the others."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import MAX_LENGTH
from test_arm import cut_at
from test_lora import DROPOUT, LORA, TRAINING, WPO, assert_same_arm, trained_weights

from training.arm import ArmTask, Execution, train_arm
from training.bundle import BundleModel, opened_bundle, train_together
from training.checkpoint_store import CheckpointStore
from training.checkpoints import Checkpoints
from training.errors import StudyError
from training.evaluate import heldout_margins
from training.model import ModelFiles
from training.spec import MethodSpec

ROOT = Path(__file__).resolve().parent.parent
HELDOUT = np.arange(40, 60)
ROUNDING = 2e-5  # nats, and the weights' own units: of sums in another order in float32
KINDS = {  # group, method and seed of each arm
    "dpo": (np.arange(32), MethodSpec(), 1),
    "wpo": (np.arange(32), WPO, 1),
    "other seed": (np.arange(32), MethodSpec(), 2),
    "other group": (np.arange(10, 40), MethodSpec(loss_type="ipo"), 3),
}


@pytest.fixture(scope="module")
def arm(scored, tiny_folder):
    """Trains one of KINDS, and scores its held-out pairs."""

    def train(kind, *, lora=LORA, deepspeed=None, rows=None, training=TRAINING, again=False, **more):
        of_kind, method, seed = KINDS[kind]
        rows = of_kind if rows is None else rows
        files = ModelFiles(str(tiny_folder))
        task = ArmTask(kind, files, method, training, seed, rows, lora=lora)
        result = train_arm(task, scored, Execution(2, deepspeed, activation_checkpointing=again), **more)
        margins = heldout_margins(result.model, scored, HELDOUT, MAX_LENGTH, kind, result.layout)
        return result, margins

    return train


@pytest.fixture(scope="module")
def alone(arm):
    """An arm of KINDS by itself, trained once for all tests of this file."""
    return cache(lambda kind: arm(kind))


@pytest.fixture
def together(arm, tiny_folder):
    """Trains kinds side by side; `more` holds further arguments of single arms."""

    def train(kinds=KINDS, more=None, **shared):
        functions = [
            lambda access, kind=kind: arm(kind, access=access, **shared, **(more or {}).get(kind, {}))
            for kind in kinds
        ]
        dtype = shared.get("training", TRAINING).dtype
        model = BundleModel(
            ModelFiles(str(tiny_folder)),
            dtype,
            shared.get("deepspeed") is not None,
            shared.get("again", False),
        )
        return dict(zip(kinds, train_together(functions, model), strict=True))

    return train


def assert_close(got, expected):
    (one, margins), (other, expected_margins) = got, expected
    pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=False, rtol=0, atol=ROUNDING)
    for name, weight in trained_weights(one).items():
        assert (weight - trained_weights(other)[name]).abs().max() < ROUNDING, name
    np.testing.assert_allclose(margins["margin"], expected_margins["margin"], rtol=0, atol=10 * ROUNDING)
    assert margins["margin"].abs().max() > 0.01


def test_arms_side_by_side_are_the_arms_alone_and_leave_nothing_behind(arm, alone, together):
    for kind, result in together().items():
        assert_close(result, alone(kind))
    assert_same_arm(arm("dpo")[0], alone("dpo")[0])


def test_each_arm_draws_its_own_dropout(arm, together):
    for kind, result in together(["dpo", "other seed"], lora=DROPOUT).items():
        assert_close(result, arm(kind, lora=DROPOUT))


ZERO2 = json.loads((ROOT / "configs/deepspeed/zero2.json").read_text())


@pytest.mark.parametrize(
    ("deepspeed", "dtype", "again"),
    [(ZERO2, "float32", True), (ZERO2, "bfloat16", False), (None, "bfloat16", True)],
    ids=["zero2", "zero2, bfloat16", "bfloat16"],
)
def test_arms_side_by_side_under_deepspeed_and_in_bfloat16(arm, together, deepspeed, dtype, again):
    """Also where layers are computed again in the backward pass."""
    shared = {"deepspeed": deepspeed, "training": TRAINING.model_copy(update={"dtype": dtype})}
    shared["again"] = again
    for kind, result in together(["dpo", "wpo"], **shared).items():
        expected = arm(kind, **shared)
        if dtype == "float32":
            assert_close(result, expected)
        else:
            pd.testing.assert_frame_equal(result[0].curve, expected[0].curve, rtol=0.05, atol=0.05)


def test_an_arm_that_fails_takes_no_other_with_it(alone, together):
    """One is lost at a step, one starts with too few pairs, one diverges, and one ends as it does alone."""
    diverging = TRAINING.model_copy(update={"learning_rate": 1e30})
    changes = {"on_step": cut_at(3)}, {"rows": np.arange(3)}, {"training": diverging}
    results = together(more=dict(zip(("wpo", "dpo", "other seed"), changes, strict=True)))
    assert isinstance(results["wpo"], ConnectionError)
    for kind, why in (("dpo", "3 training pairs, fewer than one batch"), ("other seed", "the loss is nan")):
        assert isinstance(results[kind], StudyError)
        assert why in str(results[kind])
    assert_close(results["other group"], alone("other group"))


def test_an_arm_of_a_bundle_that_died_goes_on_alone_or_in_another_bundle(arm, alone, together, tmp_path):
    def kept(kind):
        return Checkpoints(CheckpointStore(f"{tmp_path}/{kind}"), 2)

    kinds = ["dpo", "wpo", "other group"]
    dead = together(kinds, {kind: {"checkpoints": kept(kind), "on_step": cut_at(5)} for kind in kinds})
    assert all(isinstance(error, ConnectionError) for error in dead.values())
    resumed = together(kinds[:2], {kind: {"checkpoints": kept(kind)} for kind in kinds})
    resumed["other group"] = arm("other group", checkpoints=kept("other group"))
    for kind, result in resumed.items():
        assert result[0].notes == ("resumed from checkpoint-4",)
        assert_close(result, alone(kind))


def test_a_cell_of_two_arms_that_starts_while_another_goes_on_is_the_cell_alone(arm, alone, tiny_folder):
    """It joins in the middle of another arm, and its own arms outlast that one."""

    def trains(kind, **more):
        return lambda access: arm(kind, access=access, **more)

    steps = []
    with opened_bundle(BundleModel(ModelFiles(str(tiny_folder)), TRAINING.dtype, deepspeed=False)) as bundle:
        first = bundle.add(trains("dpo", on_step=lambda step, total: steps.append(step)))
        while len(steps) < 3:
            bundle.serve()
        cell = bundle.add(lambda access: access.train_together([trains("wpo"), trains("other group")]))
        while not first.turns.ended:
            bundle.serve()
        assert len(bundle.members) == 3
        while bundle.serve():
            pass
    assert_close(first.outcome, alone("dpo"))
    for kind, result in zip(("wpo", "other group"), cell.outcome, strict=True):
        assert_close(result, alone(kind))
