"""What each worker of a lane does: take work from the desk, and make an attempt at it."""

import os
from typing import Any

import ray
from ray import train

from orchestrator.run.attempt import LaneConfig, attempt
from orchestrator.run.job import Work
from orchestrator.run.messages import FirstWorker
from orchestrator.run.serve_together import serve_together


def serve(config: dict[str, Any]) -> None:
    """Do one piece of work after another until the desk sends the lane home. Ray Train runs this function.

    All workers of the lane do the same work, and the first of them reports to the desk. A lane whose shape
    has `cells_together` has one worker, which does several jobs at once.

    Args:
        config: `{"lane": LaneConfig}`.
    """
    from ray.train.collective import broadcast_from_rank_zero

    lane: LaneConfig = config["lane"]
    is_first = train.get_context().get_world_rank() == 0
    visit = ray.get(lane.desk.visit.remote(lane.number, _first_worker(lane))) if is_first else 0
    if lane.shape.cells_together:
        serve_together(lane, visit)
        return
    while True:
        next_key = ray.get(lane.desk.next.remote(lane.number, visit)) if is_first else None
        key = broadcast_from_rank_zero(next_key)
        if key is None:
            return
        work: Work = ray.get(lane.desk.work.remote(key))
        attempt(lane, visit, work, is_first=is_first)


def _first_worker(lane: LaneConfig) -> FirstWorker:
    """Describe this worker to the desk."""
    log_file = os.path.realpath("/proc/self/fd/2")  # Ray does not tell a worker which file it prints to
    context, address = ray.get_runtime_context(), ray.util.get_node_ip_address()
    return FirstWorker(
        actor=context.current_actor,
        logs=f"{address}:{log_file}",
        shape=lane.shape,
        node=f"{address} ({context.get_node_id()[:8]})",
        life=lane.life,
    )
