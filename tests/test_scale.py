"""The simulated sweep: known answers without preemptions, and what holds of any with them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scale import Costs, bound, limit, simulate

STEADY = Costs(arm=10, start=5, warm=1, driver=0, checkpoint=2, preemptions=0)


def makespan(arms: list[int], gpus: int, costs: Costs = STEADY) -> float:
    return simulate(arms, gpus, costs, np.random.default_rng(0)).makespan


def test_rounds_of_equal_cells_by_hand() -> None:
    assert makespan([2] * 10, 4) == 5 + 3 * 21
    assert makespan([2] * 8, 4) == 5 + 2 * 21


def test_long_cells_go_first() -> None:
    """The long cell beside three short ones takes 33 s; behind them it would take 44."""
    assert makespan([1, 1, 1, 3], 2) == 5 + 33


def test_a_driver_that_takes_a_second_a_cell_is_where_scaling_stops() -> None:
    costs = replace(STEADY, driver=1.0)
    assert makespan([1] * 400, 400, costs) == pytest.approx(5 + 11 + 400)


def test_what_a_reclaimed_gpu_had_since_its_checkpoint_is_trained_again() -> None:
    costs = replace(STEADY, preemptions=60.0, replacement=1.0, backoff=0.0)
    seen = simulate([2] * 50, 3, costs, np.random.default_rng(1))
    lost = sum(seen.attempts) - 50
    assert lost > 10
    assert 0 < seen.repeated < lost * costs.checkpoint


def test_cells_side_by_side_take_longer_each_and_less_together() -> None:
    """Four cells of 20 s at twice the throughput take 40 s and their starts; one by one, 80 s and four."""
    costs = replace(STEADY, together=4, gain=2.0)
    assert makespan([2] * 4, 1, costs) == 5 + 1 + 40
    assert makespan([2] * 4, 1) == 5 + 4 * 21
    assert makespan([2] * 4, 4, costs) == 5 + 21  # a cell for each GPU, rather than four for one


@pytest.mark.parametrize(
    ("arms", "gpus", "changes", "limited_by"),
    [
        ([1] * 400, 400, {"driver": 1.0}, "the driver"),
        ([1] * 8, 4, {"start": 60.0}, "the start of lanes"),
        ([2] * 100, 4, {"preemptions": 60.0}, "preemptions"),
        ([3] * 5, 4, {"start": 0.0}, "its last cells"),
        ([3] * 400, 4, {"start": 0.0, "warm": 0.0}, ""),
    ],
)
def test_what_limits_a_sweep(arms: list[int], gpus: int, changes: dict[str, float], limited_by: str) -> None:
    assert limit(arms, gpus, replace(STEADY, **changes)) == limited_by


@settings(max_examples=30, deadline=None)
@given(
    arms=st.lists(st.integers(1, 2), min_size=1, max_size=60),
    gpus=st.integers(1, 20),
    preemptions=st.sampled_from([0.0, 1.0, 30.0]),
    together=st.integers(1, 5),
    seed=st.integers(0, 5),
)
def test_every_cell_ends_and_none_beats_the_bound(
    arms: list[int], gpus: int, preemptions: float, together: int, seed: int
) -> None:
    costs = replace(STEADY, preemptions=preemptions, together=together, gain=1 + together / 5)
    seen = simulate(arms, gpus, costs, np.random.default_rng(seed))
    assert len(seen.attempts) == len(arms)
    assert seen.makespan >= bound(arms, gpus, costs)
