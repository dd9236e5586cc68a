"""Arms with adapters side by side: their numbers are those of each alone, whatever happens to the others."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import MAX_LENGTH
from test_arm import cut_at
from test_lora import DROPOUT, LORA, TRAINING, WPO, assert_same_arm, trained_weights

from training.arm import ArmTask, Execution, train_arm
from training.bundle import BundleModel, train_together
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


@pytest.fixture
def arm(scored, tiny_folder):
    """Trains one of KINDS, and scores its held-out pairs."""

    def train(kind, *, lora=LORA, deepspeed=None, rows=None, training=TRAINING, **more):
        of_kind, method, seed = KINDS[kind]
        rows = of_kind if rows is None else rows
        files = ModelFiles(str(tiny_folder))
        task = ArmTask(kind, files, method, training, seed, rows, lora=lora)
        result = train_arm(task, scored, Execution(2, deepspeed), **more)
        margins = heldout_margins(result.model, scored, HELDOUT, MAX_LENGTH, kind, result.layout)
        return result, margins

    return train


@pytest.fixture
def together(arm, tiny_folder):
    """Trains KINDS side by side; `more` holds further arguments of single arms."""

    def train(more=None, **shared):
        functions = [
            lambda access, kind=kind: arm(kind, access=access, **shared, **(more or {}).get(kind, {}))
            for kind in KINDS
        ]
        dtype = shared.get("training", TRAINING).dtype
        model = BundleModel(ModelFiles(str(tiny_folder)), dtype, shared.get("deepspeed") is not None)
        return dict(zip(KINDS, train_together(functions, model), strict=True))

    return train


def assert_close(got, expected):
    (one, margins), (other, expected_margins) = got, expected
    pd.testing.assert_frame_equal(one.curve, other.curve, check_exact=False, rtol=0, atol=ROUNDING)
    for name, weight in trained_weights(one).items():
        assert (weight - trained_weights(other)[name]).abs().max() < ROUNDING, name
    np.testing.assert_allclose(margins["margin"], expected_margins["margin"], rtol=0, atol=10 * ROUNDING)
    assert margins["margin"].abs().max() > 0.01


@pytest.mark.parametrize("lora", [LORA, DROPOUT], ids=["all layers", "dropout"])
def test_arms_side_by_side_are_the_arms_alone(arm, together, lora):
    for kind, result in together(lora=lora).items():
        assert_close(result, arm(kind, lora=lora))


@pytest.mark.parametrize(
    ("zero", "dtype"), [("zero0", "float32"), ("zero2", "float32"), ("zero2", "bfloat16")]
)
def test_arms_side_by_side_under_deepspeed(arm, together, zero, dtype):
    deepspeed = json.loads((ROOT / f"configs/deepspeed/{zero}.json").read_text())
    shared = {"deepspeed": deepspeed, "training": TRAINING.model_copy(update={"dtype": dtype})}
    for kind, result in together(**shared).items():
        alone = arm(kind, **shared)
        if dtype == "float32":
            assert_close(result, alone)
        else:
            pd.testing.assert_frame_equal(result[0].curve, alone[0].curve, rtol=0.05, atol=0.05)


def test_an_arm_that_fails_takes_no_other_with_it(arm, together):
    """One is lost at a step, one starts with too few pairs, one diverges, and one ends as it does alone."""
    diverging = TRAINING.model_copy(update={"learning_rate": 1e30})
    changes = {"on_step": cut_at(3)}, {"rows": np.arange(3)}, {"training": diverging}
    results = together(dict(zip(("wpo", "dpo", "other seed"), changes, strict=True)))
    assert isinstance(results["wpo"], ConnectionError)
    for kind, why in (("dpo", "3 training pairs, fewer than one batch"), ("other seed", "the loss is nan")):
        assert isinstance(results[kind], StudyError)
        assert why in str(results[kind])
    assert_close(results["other group"], arm("other group"))


def test_an_arm_of_a_bundle_that_died_goes_on_alone_or_in_another_bundle(arm, together, tmp_path):
    def kept(kind):
        return Checkpoints(CheckpointStore(f"{tmp_path}/{kind}"), 2)

    dead = together({kind: {"checkpoints": kept(kind), "on_step": cut_at(5)} for kind in KINDS})
    assert all(isinstance(error, ConnectionError) for error in dead.values())
    shutil.copytree(tmp_path, tmp_path / "copy")
    resumed = together({kind: {"checkpoints": kept(kind)} for kind in ("dpo", "wpo")})
    for kind in ("dpo", "wpo"):
        assert resumed[kind][0].notes == ("resumed from checkpoint-4",)
    for kind in KINDS:
        alone, _ = arm(kind, checkpoints=kept(f"copy/{kind}"))
        assert alone.notes == ("resumed from checkpoint-4",)
        assert_close((alone, _), arm(kind))
        assert_close(resumed[kind], arm(kind))


def test_a_bundle_leaves_nothing_behind_in_its_process(arm, together):
    before = arm("dpo")[0]
    together()
    assert_same_arm(arm("dpo")[0], before)
