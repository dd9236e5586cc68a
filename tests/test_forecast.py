"""What a sweep is expected to do on each card: a greedy rule, an optimum, and the room that cards have."""

import heapq
from collections import defaultdict
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan.agenda import Listed
from orchestrator.plan.pace import LanePace
from orchestrator.plan.plan import Plan
from orchestrator.record.places import Places
from orchestrator.run.card_table import asked_cards, card_table
from orchestrator.run.forecast import LaneForecast, forecast
from orchestrator.study import grid
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study
from orchestrator.study.trial import Trial
from training.errors import StudyError

SHAPES = Path(__file__).parents[1] / "docs/example/shapes"
ONE_CARD, TWO_CARDS = Shape(gpus_per_worker=1), Shape(workers=2, gpus_per_worker=1)
HALF = Shape(gpus_per_worker=0.5)


def study(resources: dict, wide: dict | None = None) -> Study:
    methods = {"dpo": {}} | ({"wide": {"use_weighting": True, "resources": wide}} if wide else {})
    return Study.model_validate(
        {
            "study": "cards",
            "model": {"path": str(SHAPES / "Qwen2.5-0.5B"), "lora": {"r": 8}},
            "splits": {"S": {"by": "random", "predicted": "A = B"}},
            "methods": methods,
            "reference": "dpo",
            "seeds": [1, 2, 3],
            "resources": resources,
            "training": {"max_steps": 10, "max_length": 512, "batch_size": 8},
        }
    )


TRIAL = next(trial for trial in grid.expand(study({"gpus_per_worker": 1})) if trial.groups)


def cells(method: str, durations: list[int]) -> list[Trial]:
    """Return cells of two arms, each of which makes so many steps. Cells of two methods are not the same."""
    return [
        replace(
            TRIAL,
            method=method,
            seed=1000 * ("half", "dpo", "wide").index(method) + number,
            training=TRIAL.training.model_copy(update={"max_steps": steps}),
        )
        for number, steps in enumerate(durations)
    ]


def hours(trial: Trial, shape: Shape) -> float:
    """Take a step of an arm for an hour of a lane."""
    return trial.training.max_steps


def longest_first(durations: list[int], lanes: int) -> list[int]:
    """Return when each lane ends if the longest remaining cell always goes to the lane that is free first."""
    ends = [0] * lanes
    for duration in sorted(durations, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + duration)
    return sorted(ends)


@settings(max_examples=80, deadline=None)
@given(durations=st.lists(st.integers(1, 30), min_size=1, max_size=7), cards=st.integers(1, 3))
def test_cells_of_one_shape_follow_the_longest_processing_time_rule(durations: list[int], cards: int) -> None:
    lanes = forecast(Listed(cells("dpo", durations), {}), {"dpo": ONE_CARD}, [(99.0, cards)], hours)
    used = min(cards, len(durations))
    ends = sorted(lane.end for lane in lanes)
    assert ends == pytest.approx(longest_first(durations, used))
    optimum = min(
        max(
            sum(d for d, lane in zip(durations, chosen, strict=True) if lane == card) for card in range(cards)
        )
        for chosen in product(range(cards), repeat=len(durations))
    )
    assert ends[-1] <= (4 / 3 - 1 / (3 * cards)) * optimum + 1e-6  # Graham 1969


def test_the_cards_of_wide_cells_are_taken_over_by_narrow_ones() -> None:
    """Of four cards, two train four wide cells of an hour, and then join two that train cells of five."""
    agenda = Listed([*cells("dpo", [5] * 20), *cells("wide", [1] * 4)], {})
    lanes = forecast(agenda, {"dpo": ONE_CARD, "wide": TWO_CARDS}, [(99.0, 4)], hours)
    (wide,) = [lane for lane in lanes if lane.shape == TWO_CARDS]
    assert (wide.start, wide.end, len(wide.cells)) == (0, 4, 4)
    narrow = [lane for lane in lanes if lane.shape == ONE_CARD]
    assert [lane.start for lane in narrow] == [0, 0, 4, 4]
    assert {lane.places[0][1] for lane in narrow[2:]} == {(0,), (1,)}
    assert [len(lane.cells) for lane in narrow] == [5] * 4
    assert max(lane.end for lane in lanes) == 29
    assert agenda.next(lambda _: True).training.max_steps == 5  # it hands out all its cells still


def test_cells_side_by_side_share_the_time_of_their_lane() -> None:
    together = Shape(gpus_per_worker=1, cells_together=3)
    (lane,) = forecast(Listed(cells("dpo", [6, 6, 6, 3, 3]), {}), {"dpo": together}, [(9.0, 1)], hours)
    assert [trial.training.max_steps for trial in lane.cells[:3]] == [6, 6, 6]
    assert lane.end == pytest.approx(24)


@settings(max_examples=60, deadline=None)
@given(
    nodes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    durations=st.tuples(*[st.lists(st.integers(1, 20), max_size=8)] * 3),
    together=st.sampled_from([None, 2]),
)
def test_mixed_cells_are_all_trained_once_and_no_card_holds_more_than_it_has(
    nodes: list[int], durations: tuple[list[int], ...], together: int | None
) -> None:
    shapes = {
        "half": HALF.model_copy(update={"cells_together": together}),
        "dpo": ONE_CARD,
        "wide": TWO_CARDS,
    }
    trials = [
        trial for method, given in zip(shapes, durations, strict=True) for trial in cells(method, given)
    ]
    lanes = forecast(Listed(trials, {}), shapes, [(99.0, count) for count in nodes], hours)
    fits = [trial for trial in trials if trial.method != "wide" or sum(nodes) > 1]
    done = sorted((trial.method, trial.seed) for lane in lanes for trial in lane.cells)
    assert done == sorted((trial.method, trial.seed) for trial in fits)
    for time in {lane.start for lane in lanes}:
        assert all(share <= 1 + 1e-6 for share in shares_at(lanes, time).values())
    end = max((lane.end for lane in lanes), default=0)
    card_hours = sum(trial.training.max_steps * cards_of(shapes[trial.method]) for trial in fits)
    assert card_hours / sum(nodes) - 1e-6 <= end <= sum(trial.training.max_steps for trial in fits) + 1e-6


def cards_of(shape: Shape) -> float:
    return shape.workers * shape.gpus


def shares_at(lanes: list[LaneForecast], time: float) -> dict[tuple[int, int], float]:
    """Return which share of each card is held by the lanes that train right after a time."""
    shares: defaultdict[tuple[int, int], float] = defaultdict(float)
    for lane in lanes:
        if lane.start <= time < lane.end - 1e-6:
            for node, cards in lane.places:
                for card in cards:
                    shares[node, card] += min(lane.shape.gpus, 1.0)
    return shares


def test_the_pace_is_that_of_finished_cells_of_the_same_shape() -> None:
    trials = [*cells("dpo", [10, 20, 40]), *cells("wide", [10])]
    shapes = {"dpo": ONE_CARD, "wide": TWO_CARDS}
    unknown = LanePace.of(trials, shapes, {})
    assert unknown.lane_time(trials[1], ONE_CARD) == 2 * 20  # steps of two arms
    # Half a second and a second per step of an arm
    known = LanePace.of(trials, shapes, {trials[0].trial_id: 10.0, trials[1].trial_id: 40.0})
    assert known.finished == 2
    assert known.lane_time(trials[2], ONE_CARD) == pytest.approx(80 * 0.75)
    assert known.lane_time(trials[3], TWO_CARDS) == pytest.approx(20 * 0.75)  # nothing better is known


def plan_of(asked: Study, folder: Path) -> Plan:
    return Plan.from_record(asked, Places("cards", folder))


def test_a_dry_run_prints_what_each_card_does(tmp_path: Path) -> None:
    asked = study({"gpus_per_worker": 0.5}, {"workers": 2, "gpus_per_worker": 1})
    plan = plan_of(asked, tmp_path)  # of each method three cells of 20 steps, and three baselines of 10
    head, _, *rows = card_table(plan, asked_cards("2x24")).splitlines()
    # The wide cells first, 90 steps on both cards; then four lanes with 20, 20, 20 and 30 steps.
    assert "120 steps to go; no order takes less than 113 steps" in head.replace("112 steps", "113 steps")
    assert [row.split()[:3] for row in rows if row.startswith("0, 1")] == [["0,", "1", "1"]]
    assert sum(row.startswith(("0  ", "1  ")) for row in rows) == 4
    assert sum("90 steps" in row for row in rows) == 5  # the end of the wide lane, the start of the others

    timed = replace(plan, cell_seconds={plan.open[0].trial_id: 3600.0 * len(plan.open[0].arms)})
    assert "from 1 finished cell: 12.0 h to go" in card_table(timed, asked_cards("2x24")).splitlines()[0]


def test_auto_is_counted_for_the_cards_that_are_asked_for(tmp_path: Path) -> None:
    plan = plan_of(study({"gpus_per_worker": "auto", "activation_checkpointing": True}), tmp_path)
    on_small, on_large = (card_table(plan, asked_cards(cards)).splitlines()[2:] for cards in ("1x6", "1x80"))
    assert len(on_small) < len(on_large) == 6  # all cells at once


def test_what_cannot_be_forecast_is_said(tmp_path: Path) -> None:
    assert card_table(plan_of(study({"gpus_per_worker": 0}), tmp_path), asked_cards("1x24")) == ""
    asked = plan_of(study({"gpus_per_worker": 1}, {"workers": 2, "gpus_per_worker": 1}), tmp_path)
    assert "--cards 2x24" in card_table(asked, [])
    assert card_table(asked, asked_cards("1x24")).endswith("6 cells of wide fit on no node of these")
    for wrong in ("24", "0x24", "2x0", "2 cards"):
        with pytest.raises(StudyError, match=r"--cards .*: give the cards of each node and their GB"):
            asked_cards(wrong)
