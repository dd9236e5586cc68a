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


def cell(method: str, seed: int, split: str = "S") -> Trial:
    groups = None if split == "baseline" else RandomSplit(predicted="A = B")
    return Trial("s", method, split, seed, "m", "d", {}, groups, MethodSpec(), TrainingSpec())


def breaker_after(
    failed: Sequence[Failed], lanes: set[int], methods: set[str], splits: Sequence[str] = ("S", "baseline")
) -> Breaker:
    open_cells = [cell(method, 99, split) for method in methods for split in splits]
    breaker = Breaker(lambda: lanes, lambda: open_cells)
    for method, seed, lane, kind in failed:
        breaker.failed(
            cell(method, seed), Failure(f"error {kind}", True, kind=kind, node=f"n{lane}", lane=lane)
        )
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
    breaker = Breaker(lambda: {0, 1}, lambda: [])
    breaker.finished()
    for number in range(9):
        breaker.failed(cell("dpo", number), Failure("boom", True, kind="boom", lane=0))
    assert not breaker.reason


def test_the_reason_says_what_the_cells_have_in_common() -> None:
    reason = breaker_after(ALIKE, {0, 1}, {"dpo"}).reason
    assert (
        "the first 3 cells all failed alike, in 4 attempts, and none finished: error boom [node n0]" in reason
    )
    assert "in common: method dpo, split S;" in reason


def test_another_split_that_was_not_tried_keeps_the_sweep_going() -> None:
    assert not breaker_after(ALIKE, {0, 1}, {"dpo"}, ("S", "S2", "baseline")).reason


def test_methods_and_splits_take_turns_so_that_a_broken_one_shows_early_and_alone() -> None:
    trials = [
        cell(method, seed, split)
        for method in ("dpo", "wpo", "robust")
        for seed in (1, 2)
        for split in ("baseline", "S1", "S2")
    ]
    order = longest_first(trials)
    assert sorted(trial.name for trial in order) == sorted(trial.name for trial in trials)
    assert [trial.method for trial in order] == ["dpo", "wpo", "robust"] * 6
    assert [trial.split for trial in order[:3]] == ["S1", "S2", "S1"]
    assert {trial.split for trial in order[12:]} == {"baseline"}
