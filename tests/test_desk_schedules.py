"""The desk and the breaker keep their rules in thousands of schedules; `make schedules` plays a million."""

from concurrent.futures import ProcessPoolExecutor

from desk_schedules import explore_all

SCHEDULES = 2000


def test_no_cell_is_lost_or_doubled_in_any_schedule() -> None:
    parts = [range(first, first + 250) for first in range(0, SCHEDULES, 250)]
    with ProcessPoolExecutor(2) as pool:
        kinds = sum(pool.map(explore_all, parts), start=explore_all(range(0)))
    assert kinds == {"drawn_sweep": 1000, "one_bad_node": 500, "all_alike": 500}
