"""What a sweep is expected to do on each card: a rehearsal with the code that decides in the sweep itself.

Lanes are started and sent home as `orchestrator/run/packing.py` says, and take cells as the agenda hands them
out, the longest first: list scheduling by longest processing time (Graham 1969, SIAM J. Appl. Math. 17).
Every lane is as fast as expected, and nothing fails. This module does not import ray.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from orchestrator.plan.agenda import Agenda
from orchestrator.run.packing import Place, free_lane, lane_changes, place_lane, rooms_of
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial

ROUNDING = 1e-9  # of times that add up to the same end


@dataclass(eq=False)
class LaneForecast:
    """What one lane is expected to do.

    Attributes:
        places: The node and the cards of each worker.
        start: When it starts, in the unit of the cells' times; the sweep starts at 0.
        cells: Its cells, in the order in which it takes them.
        end: When its last cell ends.
        left: The time that its running cells still need, by trial_id; each alone would take so long.
    """

    shape: Shape
    places: Sequence[Place]
    start: float
    cells: list[Trial] = field(default_factory=list)
    end: float = 0.0
    left: dict[str, float] = field(default_factory=dict)

    @property
    def next_end(self) -> float:
        """The time until its next cell ends, as its running cells share the lane."""
        return len(self.left) * min(self.left.values())


def forecast(
    agenda: Agenda,
    shapes: Mapping[str, Shape],
    nodes: Sequence[tuple[float, int]],
    lane_time: Callable[[Trial, Shape], float],
    max_lanes: int | None = None,
) -> list[LaneForecast]:
    """Return the lanes that have cells, in the order in which they start.

    Cells that fit on no node are in no lane. The agenda is left as it was.

    Args:
        agenda: Which cells come next; of those of an adaptive study, the ones that are wanted now.
        shapes: Method -> the shape of its cells.
        nodes: CPUs and GPUs of each node.
        lane_time: Returns how long a cell takes a lane; of a lane with several cells at once, its part.
        max_lanes: The largest number of lanes of one shape; None sets no limit.
    """
    try:
        return _Rehearsal(agenda, shapes, nodes, lane_time, max_lanes).play()
    finally:
        agenda.give_back()


class _Rehearsal:
    def __init__(
        self,
        agenda: Agenda,
        shapes: Mapping[str, Shape],
        nodes: Sequence[tuple[float, int]],
        lane_time: Callable[[Trial, Shape], float],
        max_lanes: int | None,
    ) -> None:
        self._agenda, self._shapes, self._nodes = agenda, shapes, nodes
        self._lane_time, self._max_lanes = lane_time, max_lanes
        self._rooms = rooms_of(nodes)
        self._alive: list[LaneForecast] = []
        self._times = {trial.trial_id: lane_time(trial, shapes[trial.method]) for trial in agenda.open}
        self._shape_of = {trial.trial_id: shapes[trial.method] for trial in agenda.open}
        self._now = 0.0

    def play(self) -> list[LaneForecast]:
        """Play the sweep from its start to the end of its last cell."""
        lanes: list[LaneForecast] = []
        while True:
            lanes += self._adjust()
            self._hand_out()
            if any(not lane.left for lane in self._alive):
                lanes += self._adjust()  # idle lanes go home, and make room
                self._hand_out()
            if not any(lane.left for lane in self._alive):
                return [lane for lane in lanes if lane.cells]
            self._until_a_cell_ends()

    def _adjust(self) -> list[LaneForecast]:
        """Send idle lanes home and start others, and return these; one that does not fit waits."""
        left: dict[Shape, list[float]] = {shape: [] for shape in self._shapes.values()}
        for trial_id, time in self._times.items():
            left[self._shape_of[trial_id]].append(time)
        alive = {shape: sum(lane.shape == shape for lane in self._alive) for shape in left}
        changes = lane_changes(self._nodes, left, alive, self._max_lanes)
        started = []
        for shape, change in changes.items():
            idle = [lane for lane in self._alive if lane.shape == shape and not lane.left]
            for lane in idle[: max(0, -change)]:
                self._alive.remove(lane)
                free_lane(shape, lane.places, self._rooms)
        for shape, change in changes.items():
            for _ in range(change):
                if (places := place_lane(shape, self._rooms)) is not None:
                    started.append(LaneForecast(shape, places, self._now))
        self._alive += started
        return started

    def _hand_out(self) -> None:
        """Give cells to the lanes that have room, those with the least to do first."""
        full: list[LaneForecast] = []
        while open_lanes := [
            lane for lane in self._alive if lane not in full and len(lane.left) < lane.shape.cells_at_once
        ]:
            lane = min(open_lanes, key=lambda lane: len(lane.left))
            trial = self._agenda.next(partial(self._is_for, lane.shape))
            if trial is None:
                full.append(lane)
                continue
            lane.cells.append(trial)
            lane.left[trial.trial_id] = self._times[trial.trial_id]

    def _is_for(self, shape: Shape, trial: Trial) -> bool:
        return self._shapes[trial.method] == shape

    def _until_a_cell_ends(self) -> None:
        passed = min(lane.next_end for lane in self._alive if lane.left)
        self._now += passed
        for lane in self._alive:
            share = passed / max(1, len(lane.left))
            for trial_id in list(lane.left):
                lane.left[trial_id] -= share
                if lane.left[trial_id] <= ROUNDING * self._now:
                    del lane.left[trial_id], self._times[trial_id]
                    lane.end = self._now
