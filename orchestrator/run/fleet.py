"""The lanes of a sweep: of each shape as many as there is work and room for, also while a cluster grows."""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayActorError, RayError

from orchestrator.run.lane import Lane, RunWork
from orchestrator.study.shape import Shape

log = logging.getLogger(__name__)
LOOK_EVERY_S = 2.0
GOODBYE_S = 60.0
BOOKKEEPING = 0.1  # CPUs: of the Tune trials that wait
ROUNDING = 1e-6
Left = Callable[[], Mapping[Shape, int]]  # cells of each shape that may still have to run, those that run too


@dataclass
class Node:
    """What is free on a node, in CPUs and in shares of its cards."""

    cpus: float
    cards: list[float] = field(default_factory=list)

    def take(self, shape: Shape) -> bool:
        """Place one worker, if it fits. A share lies on one card."""
        if self.cpus < shape.cpus_per_worker:
            return False
        share = shape.gpus
        cards, each = -int(-share // 1), min(share, 1.0)
        found = [card for card, free in enumerate(self.cards) if free > each - ROUNDING][:cards]
        if len(found) < cards:
            return False
        self.cpus -= shape.cpus_per_worker
        for card in found:
            self.cards[card] -= each
        return True


def share_out(
    nodes: Iterable[tuple[float, int]], left: Mapping[Shape, int], most: int | None = None
) -> dict[Shape, int]:
    """How many lanes of each shape a cluster of nodes (CPUs, GPUs) should hold.

    Lane by lane to the shape with the most cells a lane, while one fits; never more lanes than cells, nor
    than `most`. A shape with cells gets one even where it does not fit: the cluster may be growing.
    """
    free = [Node(cpus, [1.0] * gpus) for cpus, gpus in nodes]
    lanes = {shape: 0 for shape, cells in left.items() if cells}
    full: set[Shape] = set()
    while True:
        able = [shape for shape, held in lanes.items() if shape not in full and held < left[shape]]
        able = [shape for shape in able if most is None or lanes[shape] < most]
        if not able:
            return {shape: max(1, held) for shape, held in lanes.items()}
        shape = max(able, key=lambda shape: left[shape] / (lanes[shape] + 1))
        if _place(shape, free):
            lanes[shape] += 1
        else:
            full.add(shape)


def _place(shape: Shape, free: list[Node]) -> bool:
    """Place all workers of a lane, or none."""
    before = [(node.cpus, list(node.cards)) for node in free]
    if all(any(node.take(shape) for node in free) for _ in range(shape.workers)):
        return True
    for node, (cpus, cards) in zip(free, before, strict=True):
        node.cpus, node.cards = cpus, cards
    return False


def fitting(shape: Shape) -> int:
    """How many lanes of a shape the connected cluster holds, at least one."""
    nodes = _nodes()
    return share_out(nodes, {shape: 1 + int(sum(cpus for cpus, _ in nodes) / shape.cpus_per_worker)})[shape]


class Fleet(threading.Thread):
    """Starts lanes and sends idle ones home, looking at the cluster and at what is left every few seconds.

    Room that is not there is asked of the cluster's autoscaler. A shape all of whose lanes gave up is refused
    at the desk, with what the last of them said. `environment`: of the lanes' workers, beside their node's.
    """

    def __init__(
        self,
        desk: ray.actor.ActorHandle,
        left: Left,
        most: int | None,
        storage: Path,
        run_work: RunWork,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(name="fleet", daemon=True)
        self._desk, self._left, self._most = desk, left, most
        self._ended = threading.Event()
        self._lane = partial(
            Lane, desk=desk, storage=storage, run_work=run_work, environment=environment, ended=self._ended
        )
        self._lanes: list[Lane] = []
        self._numbers = count()
        self._asked: list[dict[str, float]] = []

    def start(self) -> None:
        self._look()
        super().start()

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                self._look()
            except RayActorError:  # without its desk a fleet has nothing to do
                return
            except RayError:
                log.warning("the cluster could not be looked at; the lanes stay as they are", exc_info=True)

    def lanes(self, shape: Shape) -> int:
        """Lanes of a shape that live or wait for room."""
        return sum(lane.is_alive() for lane in self._lanes if lane.shape == shape)

    def disband(self, home: Collection[int]) -> None:
        """Wait until the lanes of these numbers, which the desk sent home, are gone; those that wait for
        room end with this process."""
        self._ended.set()
        self.join()
        self._ask([])
        until = time.monotonic() + GOODBYE_S
        for lane in self._lanes:
            if lane.number in home:
                lane.join(max(0.0, until - time.monotonic()))

    def _look(self) -> None:
        left = self._left()
        wanted = share_out(_nodes(), left, self._most)
        for shape, cells in left.items():
            here, more = self.lanes(shape), wanted.get(shape, 0)
            given_up = [lane.gave_up for lane in self._lanes if lane.shape == shape and lane.gave_up]
            if given_up:
                if not here:
                    ray.get(self._desk.refuse.remote(shape, given_up[-1]))
                continue
            for _ in range(more - here):
                self._lanes.append(self._lane(next(self._numbers), shape=shape))
                self._lanes[-1].start()
            if here > cells:
                ray.get(self._desk.dismiss.remote(shape, here - cells))
        self._ask([bundle for shape, cells in left.items() for bundle in self._bundles(shape, cells)])

    def _bundles(self, shape: Shape, cells: int) -> list[dict[str, float]]:
        one = {"CPU": shape.cpus_per_worker, "GPU": shape.gpus}
        lanes = min(cells, self._most or cells)
        return [{name: value for name, value in one.items() if value}] * (lanes * shape.workers)

    def _ask(self, bundles: list[dict[str, float]]) -> None:
        """Have the autoscaler, if there is one, keep room for these."""
        if bundles != self._asked:
            self._asked = bundles
            request_resources(bundles=bundles)


def _nodes() -> list[tuple[float, int]]:
    """CPUs and GPUs of each living node, less what the sweep's own bookkeeping takes on the driver's."""
    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    mine = ray.get_runtime_context().get_node_id()
    return [
        (
            node["Resources"].get("CPU", 0.0) - (BOOKKEEPING if node["NodeID"] == mine else 0.0),
            int(node["Resources"].get("GPU", 0)),
        )
        for node in nodes
    ]
