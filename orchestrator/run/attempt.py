"""One attempt of a lane's worker at some work: do it, and report to the desk how it ended."""

import json
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
from orchestrator.run.job import Job, Work
from orchestrator.run.messages import Failure
from orchestrator.study.shape import Shape
from training.errors import OutOfMemory, Preempted, StudyError

# `run_work(work, listener)` does a `Job` or other `Work` and returns its result. Where cells train side by
# side, a third argument is the access to the model that they share (`training.bundle_access.SharedModel`).
WorkFunction = Callable[..., Any]
PROGRESS_EVERY_S = 0.5
NOT_RETRIABLE = (StudyError, FloatingPointError)  # another attempt would end the same way


@dataclass(frozen=True)
class LaneConfig:
    """What the workers of a lane need to serve. `life` numbers the worker groups of the lane."""

    number: int
    life: int
    shape: Shape
    desk: ray.actor.ActorHandle
    run_work: WorkFunction


def attempt(lane: LaneConfig, visit: int, work: Work, *access: Any, is_first: bool = True) -> None:
    """Do some work that a lane took from the desk; its first worker tells the desk how that ended.

    Args:
        lane: The lane.
        visit: The number of its visit.
        work: The work.
        access: What `lane.run_work` is given besides the work and its listener.
        is_first: Whether this is the first worker of the lane.

    Raises:
        Exception: What the work raised, unless another attempt would end the same way.
    """
    desk, where = lane.desk, (lane.number, visit, work.key)
    listener = FirstWorkerListener(lane, visit, work.key) if is_first else WorkerListener()
    try:
        with preemption.at_work():
            result = lane.run_work(work, listener, *access)
    except NOT_RETRIABLE as error:
        if is_first:
            ray.get(desk.failed.remote(*where, Failure(str(error), retriable=False, kind=_kind(error))))
    except Exception as error:
        if is_first:
            ray.get(desk.failed.remote(*where, _failure(error, work)))
        # What a crash leaves behind in a process is unknown: the next cell gets a fresh one.
        raise
    else:
        if is_first:
            ray.get(desk.done.remote(*where, result))


def _failure(error: Exception, work: Work) -> Failure:
    """Describe an error to the desk, with its place in the code and the log of the work."""
    log = f"; log: {work.log}" if isinstance(work, Job) else ""
    return Failure(
        f"{type(error).__name__}: {error} ({_place(error)}{log})",
        retriable=True,
        traceback="".join(traceback.format_exception(error)),
        halve_micro_batch=isinstance(error, OutOfMemory),
        preempted=isinstance(error, Preempted),
        # The next attempt uses less memory, so too little of it says nothing about other work yet.
        kind="" if isinstance(error, OutOfMemory | Preempted) else _kind(error),
    )


def _kind(error: Exception) -> str:
    """Return what an error has in common with others that are alike: its type and its place in the code."""
    return f"{type(error).__name__} ({_place(error)})"


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


class WorkerListener:
    """The listener of a worker, which passes on requests to stop and tells Ray Train about checkpoints."""

    def __call__(self, arm: str, step: int, total: int) -> bool:
        return preemption.is_requested()

    def alive(self) -> bool:
        return False

    def told(self, text: str) -> None:
        """Leave it to the first worker."""

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

    def __init__(self, lane: LaneConfig, visit: int, key: str) -> None:
        self._lane, self._visit, self._key = lane, visit, key
        self._reported_at = 0.0
        self._unanswered: list[ray.ObjectRef] = []

    def __call__(self, arm: str, step: int, total: int) -> bool:
        if self._is_due() or step == total:
            self._tell_desk(Progress(arm, step, total))
        return super().__call__(arm, step, total)

    def alive(self) -> bool:
        if self._is_due():
            self._tell_desk(None)
        return preemption.is_requested()

    def told(self, text: str) -> None:
        ray.get(self._lane.desk.tell.remote(text))

    def _is_due(self) -> bool:
        return time.monotonic() - self._reported_at >= PROGRESS_EVERY_S

    def _tell_desk(self, progress: Progress | None) -> None:
        """Call the desk without waiting. If it is lost, the answer to the previous call raises here."""
        self._reported_at = time.monotonic()
        ray.get(ray.wait(self._unanswered, timeout=0)[0] if self._unanswered else [])
        call = self._lane.desk.step.remote(self._lane.number, self._visit, self._key, progress)
        self._unanswered = [call]
