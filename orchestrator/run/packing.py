"""How many lanes of each shape fit on the nodes of a cluster, and on which cards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.study.shape import Shape

ROUNDING = 1e-6  # tolerance for the rounding of sums of GPU shares

Place = tuple[int, tuple[int, ...]]  # the node of a worker, and its cards there


@dataclass
class NodeRoom:
    """What is free on a node: CPUs, and the free share of each card."""

    cpus: float
    cards: list[float] = field(default_factory=list)

    def place(self, shape: Shape) -> tuple[int, ...] | None:
        """Place one worker and return its cards; None if it does not fit. A share is on a single card."""
        if self.cpus < shape.cpus_per_worker:
            return None
        card_count, share = -int(-shape.gpus // 1), min(shape.gpus, 1.0)
        cards = [card for card, free in enumerate(self.cards) if free > share - ROUNDING][:card_count]
        if len(cards) < card_count:
            return None
        self.cpus -= shape.cpus_per_worker
        for card in cards:
            self.cards[card] -= share
        return tuple(cards)

    def free(self, shape: Shape, cards: Iterable[int]) -> None:
        """Take one worker away from the cards that `place` has returned."""
        self.cpus += shape.cpus_per_worker
        for card in cards:
            self.cards[card] += min(shape.gpus, 1.0)


def rooms_of(nodes: Iterable[tuple[float, int]]) -> list[NodeRoom]:
    """Return the room of nodes on which nothing runs, given their CPUs and GPUs."""
    return [NodeRoom(cpus, [1.0] * gpus) for cpus, gpus in nodes]


def place_lane(shape: Shape, rooms: Sequence[NodeRoom]) -> list[Place] | None:
    """Place all workers of a lane and return their places; None, and none is placed, if they do not fit."""
    places: list[Place] = []
    for _ in range(shape.workers):
        place = next(
            ((node, cards) for node, room in enumerate(rooms) if (cards := room.place(shape)) is not None),
            None,
        )
        if place is None:
            free_lane(shape, places, rooms)
            return None
        places.append(place)
    return places


def free_lane(shape: Shape, places: Iterable[Place], rooms: Sequence[NodeRoom]) -> None:
    """Take a lane away from the places that `place_lane` has returned."""
    for node, cards in places:
        rooms[node].free(shape, cards)


def allocate_lanes(
    nodes: Sequence[tuple[float, int]],
    times_left: Mapping[Shape, Sequence[float]],
    max_lanes: int | None = None,
) -> dict[Shape, int]:
    """Return how many lanes of each shape a cluster should hold.

    Each shape gets a lane, those that need most cards first, so that they do not end last while other cards
    have nothing to do. Then, while one more lane fits, it goes to the shape whose lanes have the most to do.
    A shape never gets more lanes than its cells fill. One that finds its room taken gets none until other
    lanes have gone home. One that fits on no node gets a lane that waits: the cluster may be growing.

    Args:
        nodes: CPUs and GPUs of each node.
        times_left: For each shape, how long a lane is expected to take for each cell that has not ended, in
            any unit. A cell beside others counts with its part of their time.
        max_lanes: The largest number of lanes of one shape; None sets no limit.
    """
    rooms = rooms_of(nodes)
    work = {shape: sum(times) for shape, times in times_left.items() if times}
    lanes = dict.fromkeys(work, 0)
    full: set[Shape] = set()

    def urgency(shape: Shape) -> tuple[float, float]:
        return -1.0 if lanes[shape] else _cards(shape), work[shape] / (lanes[shape] + 1)

    while True:
        growing = [
            shape
            for shape, count in lanes.items()
            if shape not in full and count < lanes_filled(shape, len(times_left[shape]), max_lanes)
        ]
        if not growing:
            waiting = {shape for shape in lanes if not holds_a_lane(nodes, shape)}
            return {shape: 1 if shape in waiting else count for shape, count in lanes.items()}
        shape = max(growing, key=urgency)
        if place_lane(shape, rooms) is None:
            full.add(shape)
        else:
            lanes[shape] += 1


def lane_changes(
    nodes: Sequence[tuple[float, int]],
    times_left: Mapping[Shape, Sequence[float]],
    alive: Mapping[Shape, int],
    max_lanes: int | None = None,
) -> dict[Shape, int]:
    """Return for each shape how many lanes to start or, if negative, to send home once they are idle.

    The shapes that need most cards come first.

    Args:
        nodes: As in `allocate_lanes`, as are `times_left` and `max_lanes`.
        alive: How many lanes of each shape there are, or wait for room.
    """
    wanted = allocate_lanes(nodes, times_left, max_lanes)
    changes = {}
    for shape in sorted(times_left, key=_cards, reverse=True):
        too_few = wanted.get(shape, 0) - alive.get(shape, 0)
        too_many = alive.get(shape, 0) - lanes_filled(shape, len(times_left[shape]))
        changes[shape] = too_few if too_few > 0 else -max(0, too_many)
    return changes


def lanes_filled(shape: Shape, cells: int, max_lanes: int | None = None) -> int:
    """Return how many lanes a number of cells fills, the last perhaps in part; at most `max_lanes`."""
    lanes = -(-cells // shape.cells_at_once)
    return lanes if max_lanes is None else min(lanes, max_lanes)


def holds_a_lane(nodes: Iterable[tuple[float, int]], shape: Shape) -> bool:
    """Return whether nodes with these CPUs and GPUs hold a lane of a shape if nothing else runs there."""
    return place_lane(shape, rooms_of(nodes)) is not None


def most_lanes(nodes: Sequence[tuple[float, int]], shape: Shape) -> int:
    """Return how many lanes of a shape nodes hold if nothing else runs there, at least one."""
    rooms, lanes = rooms_of(nodes), 0
    while place_lane(shape, rooms) is not None:
        lanes += 1
    return max(1, lanes)


def _cards(shape: Shape) -> float:
    """Return how many cards a lane of a shape takes."""
    return shape.workers * shape.gpus
