"""Identity: what can change an answer changes trial_id, and nothing else does."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.study.canonical import canonical
from orchestrator.study.trial import Trial
from training.lora_spec import LoraSpec
from training.spec import MethodSpec, RandomSplit, TrainingSpec

DPO_TRIAL = Trial(
    study="s",
    method="dpo",
    split="S1",
    seed=42,
    model="m",
    data="d",
    held_out={"share": 0.2, "seed": 0},
    groups=RandomSplit(seed=0, predicted="A = B"),
    objective=MethodSpec(),
    training=TrainingSpec(),
    tokens="t",
)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"model": "m2"},
        {"data": "d2"},
        {"tokens": "t2"},
        {"held_out": {"share": 0.25, "seed": 0}},
        {"groups": RandomSplit(seed=1, predicted="A = B")},
        {"groups": None},
        {"objective": MethodSpec(beta=0.2)},
        {"objective": MethodSpec(use_weighting=True)},
        {"training": TrainingSpec(max_steps=10)},
        {"training": TrainingSpec(dtype="float32")},
        {"training": TrainingSpec(epochs=1)},
        {"training": TrainingSpec(eval_every=10)},
        {"training": TrainingSpec(optimizer="adamw_8bit")},
        {"objective": MethodSpec(weights_from="score_gap")},
        {"objective": MethodSpec(margin_from="score_gap")},
        {"objective": MethodSpec(ld_alpha=0.5)},
        {"lora": LoraSpec()},
    ],
    ids=str,
)
def test_what_can_change_the_answer_changes_the_id(change: dict[str, object]) -> None:
    assert dataclasses.replace(DPO_TRIAL, **change).trial_id != DPO_TRIAL.trial_id  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"study": "t"},
        {"method": "my-dpo"},
        {"split": "age"},
        {"rendering": {"prompt": {"date": "2026-01-01"}}},
        {"groups": RandomSplit(seed=0, predicted="exploratory")},
    ],
    ids=str,
)
def test_labels_and_predictions_do_not_change_the_id(change: dict[str, object]) -> None:
    assert dataclasses.replace(DPO_TRIAL, **change).trial_id == DPO_TRIAL.trial_id  # type: ignore[arg-type]


def test_the_id_is_the_same_in_every_process_and_on_every_day() -> None:
    """Python's own hash is salted per process, but an id in yesterday's ledger has to be found today."""
    assert DPO_TRIAL.trial_id == dataclasses.replace(DPO_TRIAL).trial_id
    assert json.loads(canonical(DPO_TRIAL.identity)) == DPO_TRIAL.identity


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other tests share the cores
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_canonical_json_ignores_order_and_loses_nothing(value: dict[str, object]) -> None:
    reordered = dict(reversed(list(value.items())))
    assert canonical(value) == canonical(reordered)
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), float("inf"), object, {1: "a"}, b"x"], ids=repr)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="canonical form"):
        canonical({"key": value})


def test_every_setting_of_the_adapters_changes_the_id() -> None:
    changes = [
        {},
        {"r": 8},
        {"alpha": 16},
        {"dropout": 0.1},
        {"target_modules": ["q_proj"]},
        {"rslora": True},
    ]
    ids = {
        dataclasses.replace(DPO_TRIAL, lora=LoraSpec.model_validate(change)).trial_id for change in changes
    }
    assert len(ids) == len(changes)
