"""Shapes that no node holds: refused at once where the cluster cannot grow, otherwise after a while."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from orchestrator.run.packing import holds_a_lane
from orchestrator.study.shape import Shape
from training.errors import StudyError

log = logging.getLogger(__name__)


class RoomWatch:
    """Says which shapes a cluster will never hold.

    Args:
        timeout_s: Seconds for which the cluster may grow until it holds a shape; None if it cannot grow.
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(self, timeout_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s, self._clock = timeout_s, clock
        self._missing_since: dict[Shape, float] = {}

    def check(self, shapes: Iterable[Shape], nodes: Sequence[tuple[float, int]]) -> None:
        """Refuse a study that asks for what a cluster that cannot grow does not hold.

        Raises:
            StudyError: It holds no lane of one of the shapes.
        """
        if self._timeout_s is not None:
            return
        for shape in shapes:
            if reason := self.why_never(shape, nodes):
                raise StudyError(reason)

    def why_never(self, shape: Shape, nodes: Sequence[tuple[float, int]]) -> str:
        """Return why the cluster will never hold a lane of a shape; an empty text if it does or may.

        Args:
            shape: The shape of the lane.
            nodes: CPUs and GPUs of each node, whether or not they are in use.
        """
        if holds_a_lane(nodes, shape):
            self._missing_since.pop(shape, None)
            return ""
        sizes = ", ".join(sorted({f"{cpus:g} CPU and {gpus} GPU" for cpus, gpus in nodes}))
        reason = (
            f"resources: {shape.workers} worker(s) x ({shape.cpus_per_worker:g} CPU, {shape.gpus:g} GPU) do "
            f"not fit on this cluster, whose nodes have {sizes}; ask for less, or add nodes"
        )
        if self._timeout_s is None:
            return reason
        if shape not in self._missing_since:
            self._missing_since[shape] = self._clock()
            log.warning("%s; waiting %g s for the cluster to grow", reason, self._timeout_s)
        waited_s = self._clock() - self._missing_since[shape]
        return reason if waited_s >= self._timeout_s else ""
