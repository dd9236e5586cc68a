"""Desk, agenda, lease and shelf keep their rules in any schedule; `make schedules` plays a million."""

from concurrent.futures import ProcessPoolExecutor

from schedules import explore_all

SCHEDULES = {"desk": 1600, "agenda": 1000, "lease": 504, "shelf": 400}
PARTS = 8


def test_no_rule_is_broken_in_any_schedule() -> None:
    parts = [
        (model, range(part * count // PARTS, (part + 1) * count // PARTS))
        for model, count in SCHEDULES.items()
        for part in range(PARTS)
    ]
    with ProcessPoolExecutor(2) as pool:
        kinds = sum(pool.map(explore_all, *zip(*parts, strict=True)), start=explore_all("desk", range(0)))
    assert kinds == {
        "drawn_sweep": 800, "one_bad_node": 400, "all_alike": 400, "agenda": 1000, "lease": 504, "shelf": 400,
    }  # fmt: skip
