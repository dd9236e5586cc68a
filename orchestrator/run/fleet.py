"""The lanes of a sweep: as many of each shape as there is work and room for, even while a cluster grows."""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayActorError, RayError

from orchestrator.record.places import Places
from orchestrator.run import mps, worker
from orchestrator.run.attempt import WorkFunction
from orchestrator.run.cluster import can_grow
from orchestrator.run.desk import open_desk
from orchestrator.run.lane import Lane
from orchestrator.run.packing import lane_changes, lanes_filled, most_lanes
from orchestrator.run.room import RoomWatch
from orchestrator.study.shape import Shape
from orchestrator.study.study import Study

log = logging.getLogger(__name__)
LOOK_AT_CLUSTER_EVERY_S = 2.0
BOOKKEEPING_CPUS = 0.1  # for the Tune trials that wait

# Returns for each shape how long each cell that has not ended is expected to take a lane, in any unit.
TimesLeft = Callable[[], Mapping[Shape, Sequence[float]]]


class DeskLost(Exception):
    """The desk's process is gone. What it knew of running cells is lost; what is recorded is not."""


@contextmanager
def open_fleet(
    study: Study, places: Places, times_left: TimesLeft, run_work: WorkFunction = worker.run
) -> Iterator[tuple[ray.actor.ActorHandle, "Fleet"]]:
    """Open a desk and start the lanes that `times_left` calls for; send them home at the end of the block.

    They may take a while to leave; `stop_lanes` waits for them.

    Args:
        study: The study, which sets the shapes, the limits and the handling of faults.
        places: Where Ray Train keeps its own files.
        times_left: Returns how long each cell that has not ended is expected to take, by shape.
        run_work: What lanes do with their work.

    Raises:
        DeskLost: The desk was lost, and the block failed because of it.
        StudyError: The cluster holds no lane of a shape, and it cannot grow.
    """
    shapes = list(times_left())
    desk = open_desk(study.faults, shapes)
    room = RoomWatch(study.faults.room_timeout_s if can_grow() else None)
    with mps.sharing(shape.gpus for shape in shapes) as environment:
        fleet = Fleet(desk, times_left, study.resources.lanes, room, places.ray, run_work, environment)
        fleet.start()
        hurried = False
        try:
            yield desk, fleet
        except KeyboardInterrupt:
            hurried = True  # whoever asked may kill this process in seconds
            raise
        except Exception as error:
            if _is_alive(desk):
                raise
            raise DeskLost("the sweep's desk was lost") from error
        finally:
            fleet.disband(set() if hurried or not _is_alive(desk) else ray.get(desk.close.remote()))


class Fleet(threading.Thread):
    """Starts lanes and sends idle ones home, as the cluster and the number of cells change.

    It requests missing room from the cluster's autoscaler. If all lanes of a shape have given up, it has the
    desk refuse the shape, with the reason of the last of them.

    Args:
        max_lanes: The largest number of lanes of one shape; None allows as many as fit.
        room: Says which shapes the cluster will never hold.
        storage: Where Ray Train keeps its own files.
        environment: Variables for the lanes' workers, in addition to those of their node.
    """

    def __init__(
        self,
        desk: ray.actor.ActorHandle,
        times_left: TimesLeft,
        max_lanes: int | None,
        room: RoomWatch,
        storage: Path,
        run_work: WorkFunction,
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(name="fleet", daemon=True)
        self._desk, self._times_left, self._max_lanes = desk, times_left, max_lanes
        self._room = room
        self._ended = threading.Event()
        self._new_lane = partial(
            Lane, desk=desk, storage=storage, run_work=run_work, environment=environment, ended=self._ended
        )
        self._lanes: list[Lane] = []
        self._numbers = count()
        self._requested: list[dict[str, float]] = []

    def start(self) -> None:
        """Start the first lanes, and then the thread that adjusts their number.

        Raises:
            StudyError: The cluster holds no lane that the cells need, and it cannot grow. A shape that gets
                cells later is refused by the desk.
        """
        needed = [shape for shape, times in self._times_left().items() if times]
        self._room.check(needed, _cpus_and_gpus_by_node())
        self._adjust()
        super().start()

    def run(self) -> None:
        while not self._ended.wait(LOOK_AT_CLUSTER_EVERY_S):
            try:
                self._adjust()
            except RayActorError:  # without its desk a fleet has nothing to do
                return
            except RayError:
                log.warning(
                    "the cluster's state could not be read; the lanes stay as they are", exc_info=True
                )

    def lanes(self, shape: Shape) -> int:
        """Return how many lanes of a shape are alive or wait for room."""
        return sum(lane.is_alive() for lane in self._lanes if lane.shape == shape)

    def numbers(self) -> set[int]:
        """The numbers of the lanes that are alive or wait for room."""
        return {lane.number for lane in self._lanes if lane.is_alive()}

    def disband(self, sent_home: Collection[int]) -> None:
        """Stop, and tell the lanes that the desk sent home that they leave by themselves.

        The others, such as lanes that wait for room, are ended with the cluster (`stop_lanes`).

        Args:
            sent_home: The numbers of the lanes that the desk sent home.
        """
        self._ended.set()
        self.join()
        self._request([])
        for lane in self._lanes:
            lane.is_leaving = lane.number in sent_home

    def _adjust(self) -> None:
        """Start lanes, send idle ones home, refuse shapes and request room, as the cells left call for."""
        times_left = self._times_left()
        nodes = _cpus_and_gpus_by_node()
        alive = {shape: self.lanes(shape) for shape in times_left}
        changes = lane_changes(nodes, times_left, alive, self._max_lanes)
        for shape, change in changes.items():
            if times_left[shape] and (reason := self._room.why_never(shape, nodes)):
                ray.get(self._desk.refuse.remote(shape, reason))
                continue
            reasons = [lane.gave_up for lane in self._lanes if lane.shape == shape and lane.gave_up]
            if reasons:
                if not alive[shape]:
                    ray.get(self._desk.refuse.remote(shape, reasons[-1]))
                continue
            for _ in range(change):
                self._lanes.append(self._new_lane(next(self._numbers), shape=shape))
                self._lanes[-1].start()
            if change < 0:
                ray.get(self._desk.dismiss.remote(shape, -change))
        bundles = [self._bundles(shape, len(times)) for shape, times in times_left.items()]
        self._request(list(chain.from_iterable(bundles)))

    def _bundles(self, shape: Shape, cells: int) -> list[dict[str, float]]:
        """Return the resources of each worker that the remaining cells of a shape could use."""
        worker_needs = {"CPU": shape.cpus_per_worker, "GPU": shape.gpus}
        lanes = lanes_filled(shape, cells, self._max_lanes)
        return [{name: amount for name, amount in worker_needs.items() if amount}] * (lanes * shape.workers)

    def _request(self, bundles: list[dict[str, float]]) -> None:
        """Ask the autoscaler, if there is one, to keep room for these bundles."""
        if bundles != self._requested:
            self._requested = bundles
            request_resources(bundles=bundles)


def count_lanes_that_fit(shape: Shape) -> int:
    """Return how many lanes of a shape the connected cluster holds, at least one."""
    return most_lanes(_cpus_and_gpus_by_node(), shape)


def _cpus_and_gpus_by_node() -> list[tuple[float, int]]:
    """Return CPUs and GPUs of each live node, less the CPUs that bookkeeping takes on the driver's node."""
    nodes: list[dict[str, Any]] = [node for node in ray.nodes() if node["Alive"]]
    driver_node = ray.get_runtime_context().get_node_id()
    return [
        (
            node["Resources"].get("CPU", 0.0) - (BOOKKEEPING_CPUS if node["NodeID"] == driver_node else 0.0),
            int(node["Resources"].get("GPU", 0)),
        )
        for node in nodes
    ]


def _is_alive(desk: ray.actor.ActorHandle) -> bool:
    try:
        ray.get(desk.progress.remote())
    except RayActorError:
        return False
    return True
