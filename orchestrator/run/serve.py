"""What each worker of a lane does: take work from the desk, do it, and report the outcome."""

import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import train

from orchestrator.plan.progress import Progress
from orchestrator.run import preemption
from orchestrator.run.job import Job, Listener, Work
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.study.shape import Shape
from training.errors import OutOfMemory, StudyError

WorkFunction = Callable[[Any, Listener], Any]  # does a `Job` or other `Work` and returns its result
PROGRESS_EVERY_S = 0.5
NOT_RETRIABLE = (StudyError, FloatingPointError)  # another attempt would end the same way


@dataclass(frozen=True)
class LaneConfig:
    """What the workers of a lane need to serve."""

    number: int
    shape: Shape
    desk: ray.actor.ActorHandle
    run_work: WorkFunction


def serve(config: dict[str, Any]) -> None:
    """Do one piece of work after another until the desk sends the lane home. Ray Train runs this function.

    All workers of the lane do the same work, and the first of them reports to the desk.

    Args:
        config: `{"lane": LaneConfig}`.
    """
    from ray.train.collective import broadcast_from_rank_zero

    lane: LaneConfig = config["lane"]
    is_first = train.get_context().get_world_rank() == 0
    visit = ray.get(lane.desk.visit.remote(lane.number, _first_worker(lane.shape))) if is_first else 0
    while True:
        next_key = ray.get(lane.desk.next.remote(lane.number, visit)) if is_first else None
        key = broadcast_from_rank_zero(next_key)
        if key is None:
            return
        work: Work = ray.get(lane.desk.work.remote(key))
        listener = FirstWorkerListener(lane, visit) if is_first else WorkerListener()
        try:
            with preemption.at_work():
                result = lane.run_work(work, listener)
        except NOT_RETRIABLE as error:
            if is_first:
                ray.get(lane.desk.failed.remote(lane.number, visit, Failure(str(error), retriable=False)))
        except Exception as error:
            if is_first:
                ray.get(lane.desk.failed.remote(lane.number, visit, _failure(error, work)))
            # What a crash leaves behind in a process is unknown: the next cell gets a fresh one.
            raise
        else:
            if is_first:
                ray.get(lane.desk.done.remote(lane.number, visit, result))


def _first_worker(shape: Shape) -> FirstWorker:
    """Describe this worker to the desk."""
    log_file = os.path.realpath("/proc/self/fd/2")  # Ray does not tell a worker which file it prints to
    return FirstWorker(
        actor=ray.get_runtime_context().current_actor,
        logs=f"{ray.util.get_node_ip_address()}:{log_file}",
        placement=ray.util.get_current_placement_group(),
        shape=shape,
    )


def _failure(error: Exception, work: Work) -> Failure:
    """Describe an error to the desk, with its place in the code and the log of the work."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    log = f"; log: {work.log}" if isinstance(work, Job) else ""
    return Failure(
        f"{type(error).__name__}: {error} ({place}{log})",
        retriable=True,
        traceback="".join(traceback.format_exception(error)),
        halve_micro_batch=isinstance(error, OutOfMemory),
    )


class WorkerListener:
    """The listener of a worker, which passes on requests to stop and tells Ray Train about checkpoints."""

    def __call__(self, arm: str, step: int, total: int) -> bool:
        return preemption.is_requested()

    def kept(self, uri: str, step: int) -> None:
        """Tell Ray Train about a checkpoint.

        The checkpoint lies in the cell's store, where a lane on another node or of another driver finds it.
        Ray Train therefore keeps a pointer to it.
        """
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pointer.json").write_text(json.dumps({"uri": uri, "step": step}))
            is_first = train.get_context().get_world_rank() == 0
            train.report({"step": step}, train.Checkpoint.from_directory(folder) if is_first else None)


class FirstWorkerListener(WorkerListener):
    """The listener of a lane's first worker, which also reports progress to the desk."""

    def __init__(self, lane: LaneConfig, visit: int) -> None:
        self._lane, self._visit = lane, visit
        self._reported_at = 0.0
        self._unanswered: list[ray.ObjectRef] = []

    def __call__(self, arm: str, step: int, total: int) -> bool:
        if time.monotonic() - self._reported_at >= PROGRESS_EVERY_S or step == total:
            self._reported_at = time.monotonic()
            # This does not wait for the desk. If the desk is lost, the answer to the last report raises here.
            ray.get(ray.wait(self._unanswered, timeout=0)[0] if self._unanswered else [])
            progress = Progress(arm, step, total)
            self._unanswered = [self._lane.desk.step.remote(self._lane.number, self._visit, progress)]
        return super().__call__(arm, step, total)
