"""How many lanes of each shape fit on the nodes of a cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.study.shape import Shape

ROUNDING = 1e-6  # tolerance for the rounding of sums of GPU shares


@dataclass
class NodeRoom:
    """What is free on a node: CPUs, and the free share of each card."""

    cpus: float
    cards: list[float] = field(default_factory=list)

    def place(self, shape: Shape) -> bool:
        """Place one worker if it fits, and return whether it did. A share of a card is on a single card."""
        if self.cpus < shape.cpus_per_worker:
            return False
        card_count, share = -int(-shape.gpus // 1), min(shape.gpus, 1.0)
        cards = [card for card, free in enumerate(self.cards) if free > share - ROUNDING][:card_count]
        if len(cards) < card_count:
            return False
        self.cpus -= shape.cpus_per_worker
        for card in cards:
            self.cards[card] -= share
        return True


def allocate_lanes(
    nodes: Iterable[tuple[float, int]], cells_left: Mapping[Shape, int], max_lanes: int | None = None
) -> dict[Shape, int]:
    """Return how many lanes of each shape a cluster should hold.

    While one more lane fits, it goes to the shape whose lanes have the most to do, given how many cells each
    of them trains at once. A shape never gets more lanes than its cells fill. A shape with cells gets one
    lane even if it does not fit: the cluster may be growing.

    Args:
        nodes: CPUs and GPUs of each node.
        cells_left: Cells of each shape that have not ended.
        max_lanes: The largest number of lanes of one shape; None sets no limit.
    """
    rooms = [NodeRoom(cpus, [1.0] * gpus) for cpus, gpus in nodes]
    lanes = {shape: 0 for shape, cells in cells_left.items() if cells}
    full: set[Shape] = set()
    while True:
        growing = [
            shape
            for shape, count in lanes.items()
            if shape not in full and count < lanes_filled(shape, cells_left[shape], max_lanes)
        ]
        if not growing:
            return {shape: max(1, count) for shape, count in lanes.items()}
        shape = max(growing, key=lambda shape: cells_left[shape] / ((lanes[shape] + 1) * shape.cells_at_once))
        if _place_lane(shape, rooms):
            lanes[shape] += 1
        else:
            full.add(shape)


def lanes_filled(shape: Shape, cells: int, max_lanes: int | None = None) -> int:
    """Return how many lanes a number of cells fills, the last perhaps in part; at most `max_lanes`."""
    lanes = -(-cells // shape.cells_at_once)
    return lanes if max_lanes is None else min(lanes, max_lanes)


def holds_a_lane(nodes: Iterable[tuple[float, int]], shape: Shape) -> bool:
    """Return whether nodes with these CPUs and GPUs hold a lane of a shape if nothing else runs there."""
    return _place_lane(shape, [NodeRoom(cpus, [1.0] * gpus) for cpus, gpus in nodes])


def _place_lane(shape: Shape, rooms: list[NodeRoom]) -> bool:
    """Place all workers of a lane, or none, and return whether they were placed."""
    before = [(room.cpus, list(room.cards)) for room in rooms]
    if all(any(room.place(shape) for room in rooms) for _ in range(shape.workers)):
        return True
    for room, (cpus, cards) in zip(rooms, before, strict=True):
        room.cpus, room.cards = cpus, cards
    return False
