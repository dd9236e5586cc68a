"""How the nodes of a cluster are divided among lanes of different shapes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.run.packing import allocate_lanes, lane_changes
from orchestrator.study.shape import Shape

CPU_ONLY = Shape(cpus_per_worker=0.9)
QUARTER = Shape(gpus_per_worker=0.25)
FOUR_CARDS = Shape(workers=4, gpus_per_worker=1)
TWO_CARDS = Shape(workers=2, gpus_per_worker=1)
ONE_CARD = Shape(gpus_per_worker=1)


def lanes_of(
    nodes: list[tuple[float, int]], cells_left: dict[Shape, int], max_lanes: int | None = None
) -> dict[Shape, int]:
    """Return the lanes for so many cells of each shape, all of which take a lane's place equally long."""
    times = {shape: [1 / shape.cells_at_once] * cells for shape, cells in cells_left.items()}
    return allocate_lanes(nodes, times, max_lanes)


def test_there_are_as_many_lanes_as_fit_and_no_more_than_cells() -> None:
    assert lanes_of([(1.9, 0)], {CPU_ONLY: 16}) == {CPU_ONLY: 2}
    assert lanes_of([(32, 0)], {CPU_ONLY: 3}) == {CPU_ONLY: 3}
    assert lanes_of([(32, 0)], {CPU_ONLY: 16}, max_lanes=5) == {CPU_ONLY: 5}
    assert lanes_of([(32, 0)], {CPU_ONLY: 0}) == {}


def test_a_share_lies_on_one_card() -> None:
    assert lanes_of([(64, 2)], {Shape(gpus_per_worker=0.4): 99}) == {Shape(gpus_per_worker=0.4): 4}
    assert lanes_of([(64, 3)], {Shape(gpus_per_worker=1 / 3): 99}) == {Shape(gpus_per_worker=1 / 3): 9}
    assert lanes_of([(64, 5)], {Shape(gpus_per_worker=2): 99}) == {Shape(gpus_per_worker=2): 2}


def test_cells_on_several_cards_run_beside_cells_on_a_fraction() -> None:
    lanes = lanes_of([(16, 4), (16, 4)], {FOUR_CARDS: 4, QUARTER: 40})
    assert lanes == {FOUR_CARDS: 1, QUARTER: 16}


def test_a_group_of_workers_may_lie_on_several_nodes() -> None:
    assert lanes_of([(8, 2), (8, 2)], {FOUR_CARDS: 3}) == {FOUR_CARDS: 1}


def test_a_shape_that_does_not_fit_yet_still_gets_a_lane_that_waits() -> None:
    assert lanes_of([(4, 0)], {QUARTER: 8}) == {QUARTER: 1}


def test_lanes_of_several_cells_are_as_many_as_their_cells_fill() -> None:
    together = Shape(cells_together=4)
    assert [lanes_of([(32, 0)], {together: cells})[together] for cells in (1, 4, 5, 99)] == [
        1,
        1,
        2,
        25,
    ]
    # Of 3 CPUs, each shape gets one, and the last goes where a lane has more cells to do per place.
    assert lanes_of([(3, 0)], {together: 12, CPU_ONLY: 8}) == {together: 1, CPU_ONLY: 2}


def test_lanes_go_where_most_time_is_left_and_the_widest_cells_start_at_once() -> None:
    """Twenty cells of five hours on a card each, and four of one hour that need two cards together."""
    left = {ONE_CARD: [5.0] * 20, TWO_CARDS: [1.0] * 4}
    assert allocate_lanes([(16, 4)], left) == {ONE_CARD: 2, TWO_CARDS: 1}
    assert allocate_lanes([(16, 2)], left) == {ONE_CARD: 0, TWO_CARDS: 1}  # one after the other
    assert allocate_lanes([(16, 8)], left) == {ONE_CARD: 6, TWO_CARDS: 1}
    assert allocate_lanes([(16, 8)], {ONE_CARD: [1.0] * 4, TWO_CARDS: [9.0] * 9}) == {
        ONE_CARD: 2,
        TWO_CARDS: 3,
    }


def test_lanes_are_started_where_they_lack_and_sent_home_where_cells_lack() -> None:
    left = {ONE_CARD: [1.0] * 2, TWO_CARDS: [1.0]}
    assert lane_changes([(16, 4)], left, {ONE_CARD: 4, TWO_CARDS: 0}) == {ONE_CARD: -2, TWO_CARDS: 1}
    assert lane_changes([(16, 4)], left, {ONE_CARD: 1, TWO_CARDS: 1}) == {ONE_CARD: 1, TWO_CARDS: 0}


@settings(max_examples=60, deadline=None)
@given(
    nodes=st.lists(st.tuples(st.integers(1, 16), st.integers(0, 4)), min_size=1, max_size=4),
    shares=st.lists(st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 1, 2]), min_size=1, max_size=3, unique=True),
    cells=st.integers(1, 30),
    together=st.sampled_from([None, 1, 2, 5]),
)
def test_no_more_is_allocated_than_there_is(
    nodes: list[tuple[int, int]], shares: list[float], cells: int, together: int | None
) -> None:
    cells_left = {Shape(gpus_per_worker=share, cells_together=together): cells for share in shares}
    lanes = lanes_of(nodes, cells_left)
    cards, cpus = sum(gpus for _, gpus in nodes), sum(cpus for cpus, _ in nodes)
    placed = {shape: count for shape, count in lanes.items() if count > 1}  # a single lane may wait for room
    assert sum(shape.gpus_per_worker * count for shape, count in placed.items()) <= cards + 1e-6
    assert sum(placed.values()) <= cpus
    for shape, count in lanes.items():
        assert (count - 1) * shape.cells_at_once < cells, "a lane has no cell"


@pytest.mark.parametrize("size", [64, 512])
def test_a_large_cluster_is_used_to_its_last_card(size: int) -> None:
    cells_left = {Shape(gpus_per_worker=1): 10_000, QUARTER: 10_000}
    lanes = lanes_of([(128.0, 8)] * (size // 8), cells_left)
    assert sum(shape.gpus_per_worker * count for shape, count in lanes.items()) == size
