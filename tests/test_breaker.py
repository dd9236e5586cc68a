"""A sweep stops when its first cells all fail alike, and for nothing less."""

from collections.abc import Sequence

import pytest

from orchestrator.plan.agenda import longest_first
from orchestrator.run.breaker import Breaker
from orchestrator.run.messages import Failure
from orchestrator.study.trial import Trial
from training.spec import MethodSpec, RandomSplit, TrainingSpec

# A failure: the cell's method and seed, the lane, and what failures that are alike have in common.
Failed = tuple[str, int, int, str]


def breaker_after(failed: Sequence[Failed], lanes: set[int], methods: set[str]) -> Breaker:
    breaker = Breaker(lambda: lanes, lambda: methods)
    for method, seed, lane, kind in failed:
        trial = Trial("s", method, "S", seed, "m", "d", {}, None, MethodSpec(), TrainingSpec())
        breaker.failed(trial, Failure(f"error {kind}", True, kind=kind, node=f"n{lane}", lane=lane))
    return breaker


ALIKE: list[Failed] = [
    ("dpo", 1, 0, "boom"),
    ("dpo", 2, 1, "boom"),
    ("dpo", 1, 1, "boom"),
    ("dpo", 3, 0, "boom"),
]
EACH_ITS_OWN_WAY = [(*cell[:3], f"error {number}") for number, cell in enumerate(ALIKE)]


@pytest.mark.parametrize(
    ("failed", "lanes", "methods", "trips"),
    [
        pytest.param(ALIKE, {0, 1}, {"dpo"}, True, id="all alike"),
        pytest.param(ALIKE[:3], {0, 1}, {"dpo"}, False, id="too few to tell"),
        pytest.param(ALIKE, {0, 1, 2}, {"dpo"}, False, id="a third lane has not failed yet"),
        pytest.param(ALIKE, {0, 1}, {"dpo", "wpo"}, False, id="another method was not tried"),
        pytest.param([*ALIKE, ("wpo", 1, 0, "boom")], {0, 1}, {"dpo", "wpo"}, True, id="nor does it work"),
        pytest.param([("dpo", 1, 0, "boom")] * 9, {0}, {"dpo"}, False, id="one cell, again and again"),
        pytest.param(EACH_ITS_OWN_WAY, {0, 1}, {"dpo"}, False, id="each in its own way"),
        pytest.param([(*cell[:3], "") for cell in ALIKE], {0, 1}, {"dpo"}, False, id="lost workers"),
        pytest.param([("dpo", 9, 0, "other"), *ALIKE], {0, 1}, {"dpo"}, True, id="one more, in another way"),
    ],
)  # fmt: skip
def test_the_breaker_trips_when_the_first_cells_all_fail_alike(
    failed: Sequence[Failed], lanes: set[int], methods: set[str], trips: bool
) -> None:
    assert bool(breaker_after(failed, lanes, methods).reason) == trips


def test_once_a_cell_has_finished_nothing_stops_the_sweep() -> None:
    breaker = Breaker(lambda: {0, 1}, lambda: {"dpo"})
    breaker.finished()
    trial = Trial("s", "dpo", "S", 1, "m", "d", {}, None, MethodSpec(), TrainingSpec())
    for _ in range(9):
        breaker.failed(trial, Failure("boom", True, kind="boom", lane=0))
    assert not breaker.reason


def test_the_reason_says_what_the_cells_have_in_common() -> None:
    reason = breaker_after(ALIKE, {0, 1}, {"dpo"}).reason
    assert (
        "the first 3 cells all failed alike, in 4 attempts, and none finished: error boom [node n0]" in reason
    )
    assert "in common: method dpo, split S;" in reason


def test_the_methods_of_a_study_take_turns_so_that_a_broken_one_shows_early_and_alone() -> None:
    trials = [
        Trial("s", method, "S", seed, "m", "d", {}, groups, MethodSpec(), TrainingSpec())
        for method in ("dpo", "wpo", "robust")
        for groups in (None, RandomSplit(predicted="A = B"))
        for seed in (1, 2)
    ]
    order = longest_first(trials)
    assert [trial.method for trial in order] == ["dpo", "wpo", "robust"] * 4
    assert [len(trial.arms) for trial in order] == [2] * 6 + [1] * 6
