"""The desk: one asyncio actor that hands work to lanes and collects the outcomes.

It does not judge results. Work leaves it finished or with a `Failure`. Whoever requested the work decides
whether to try again; for cells, that is Ray Tune.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import ray

from orchestrator.plan.progress import Progress
from orchestrator.run.desk_records import Attempt, LaneState, WorkHistory, smaller_micro_batch
from orchestrator.run.job import Job, Work
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.study.shape import Shape

SWEEP_HAS_ENDED = "the sweep has ended"


class Desk:
    """Hands a job to a lane of its shape and other work to any lane.

    A lane's *visit* is one life of its worker group. A visit that is over can neither take nor finish work.

    Args:
        backoff_s: Seconds between the first failed attempt and the second; each later wait is twice as long.
        shapes: The shapes of all lanes that there will be.
        stall_timeout_s: Seconds without a step after which a worker is killed; None never kills one.
        kill: A function that kills an actor.
        free: A function that frees a placement group.
    """

    def __init__(
        self,
        backoff_s: float,
        shapes: Collection[Shape],
        stall_timeout_s: float | None = None,
        kill: Callable[[Any], None] = ray.kill,
        free: Callable[[Any], None] = ray.util.remove_placement_group,
    ) -> None:
        self._backoff_s = backoff_s
        self._shapes = set(shapes)
        self._stall_timeout_s = stall_timeout_s
        self._kill = kill
        self._free = free
        self._lanes: defaultdict[int, LaneState] = defaultdict(LaneState)
        self._refused: dict[Shape, str] = {}  # why no lane of a shape is left
        self._line: list[Attempt] = []  # waiting for a lane, the oldest first
        self._attempts: dict[str, Attempt] = {}  # the attempts that have not ended, by the key of their work
        self._histories: defaultdict[str, WorkHistory] = defaultdict(WorkHistory)
        self._results: dict[str, Any] = {}
        self._is_open = True
        self._changed = asyncio.Condition()
        self._stall_watch: asyncio.Task[None] | None = None
        self._queueing: set[asyncio.Task[None]] = set()  # keeps the tasks from being garbage-collected

    # --- for those who request work -----------------------------------------------------------------

    async def run(self, work: Work) -> Failure | None:
        """Make one attempt at some work, and return why it failed, if it did.

        A caller that asks again for the same work joins the attempt under way.
        """
        if work.key not in self._attempts:
            attempt = Attempt(work, asyncio.get_running_loop().create_future())
            self._attempts[work.key] = attempt
            task = asyncio.create_task(self._enqueue(attempt))
            self._queueing.add(task)
            task.add_done_callback(self._queueing.discard)
        return await asyncio.shield(self._attempts[work.key].outcome)

    async def _enqueue(self, attempt: Attempt) -> None:
        history = self._histories[attempt.work.key]
        if isinstance(attempt.work, Job) and history.micro_batch:
            attempt.work = replace(attempt.work, micro_batch=history.micro_batch)
        if history.failures:
            await asyncio.sleep(self._backoff_s * 2 ** (len(history.failures) - 1))
        async with self._changed:
            reason = self._why_no_lane_can_do(attempt.work) if self._is_open else SWEEP_HAS_ENDED
            if reason:
                self._settle(attempt, Failure(reason, retriable=False))
            else:
                self._line.append(attempt)
                self._changed.notify_all()

    def _why_no_lane_can_do(self, work: Work) -> str:
        """Return why no lane will ever take some work; an empty text if one may."""
        shapes = {work.shape} if isinstance(work, Job) else self._shapes
        if not shapes <= self._shapes:
            return f"no lane has what it needs: {shapes}"
        reasons = [self._refused[shape] for shape in shapes if shape in self._refused]
        return reasons[0] if len(reasons) == len(shapes) else ""

    async def take(self, key: str) -> Any:
        """Return the result of finished work (a `TrialResult` for a job) and forget it.

        Raises:
            KeyError: There is no result, or it was taken before.
        """
        return self._results.pop(key)

    async def failures(self, key: str) -> list[Failure]:
        """Return why attempts at some work failed, oldest first."""
        return self._histories[key].failures if key in self._histories else []

    async def progress(self) -> dict[str, Progress]:
        """Return the progress of the work that lanes are doing, by key (a cell's key is its trial_id)."""
        return {key: attempt.progress for key, attempt in self._held().items() if attempt.progress}

    def _held(self) -> dict[str, Attempt]:
        """Return the attempts that lanes are making, by the key of their work."""
        return {lane.attempt.work.key: lane.attempt for lane in self._lanes.values() if lane.attempt}

    # --- for lanes ----------------------------------------------------------------------------------

    async def visit(self, number: int, worker: FirstWorker) -> int:
        """Register a lane's new worker group, and return the number of this visit."""
        await self.lose(number, "its lane was restarted")
        lane = self._lanes[number]
        lane.worker = worker
        if self._stall_timeout_s and not self._stall_watch:
            self._stall_watch = asyncio.create_task(self._end_stalled(self._stall_timeout_s))
        return lane.visit

    async def next(self, number: int, visit: int) -> str | None:
        """Wait for a lane's next piece of work, and return its key; None sends the lane home."""
        lane = self._lanes[number]

        def can_go_on() -> bool:
            if lane.visit != visit or not self._is_open or lane.dismissed:
                return True
            return self._first_for(lane) is not None

        async with self._changed:
            await self._changed.wait_for(can_go_on)
            if lane.visit != visit:
                return None
            attempt = self._first_for(lane)
            lane.dismissed = False
            if attempt is None:
                lane.worker = None  # Ray Train frees its resources
                lane.sent_home = True
                return None
            self._line.remove(attempt)
            lane.attempt = attempt
            lane.has_worked = True
            lane.heard_at = asyncio.get_running_loop().time()
            return attempt.work.key

    def _first_for(self, lane: LaneState) -> Attempt | None:
        """Return the first attempt in line that a lane may make; None if there is none."""
        assert lane.worker is not None
        for attempt in self._line:
            if not isinstance(attempt.work, Job) or attempt.work.shape == lane.worker.shape:
                return attempt
        return None

    async def work(self, key: str) -> Work:
        """Return the work with this key. Every worker of the lane that took it calls this."""
        return self._held()[key].work

    async def step(self, number: int, visit: int, progress: Progress) -> None:
        """Note the progress of a lane's work."""
        lane = self._lanes[number]
        if lane.visit == visit and lane.attempt:
            lane.attempt.progress = progress
            lane.heard_at = asyncio.get_running_loop().time()

    async def done(self, number: int, visit: int, result: Any) -> None:
        """End an attempt with its result."""
        attempt = self._lanes[number].release(visit)
        if attempt:
            self._results[attempt.work.key] = result
            self._settle(attempt, None)

    async def failed(self, number: int, visit: int, failure: Failure) -> None:
        """End an attempt without a result."""
        lane = self._lanes[number]
        attempt = lane.release(visit)
        if not attempt:
            return
        assert lane.worker is not None
        if failure.halve_micro_batch and isinstance(attempt.work, Job):
            smaller = smaller_micro_batch(attempt.work)
            self._histories[attempt.work.key].micro_batch = smaller
            failure = replace(failure, error=f"{failure.error}; the next attempt's micro-batch is {smaller}")
        self._settle(attempt, replace(failure, logs=lane.worker.logs))

    async def lose(self, number: int, reason: str) -> bool:
        """Note that a lane's worker group has ended, and return whether it had taken any work."""
        lane = self._lanes[number]
        await self._end_visit(lane, reason)
        if lane.worker:
            # Ray Train frees it, unless its controller and its cleaner were both killed for lack of memory.
            self._free(lane.worker.placement)
        has_worked = lane.has_worked
        lane.worker, lane.has_worked, lane.dismissed = None, False, False
        return has_worked

    async def _end_visit(self, lane: LaneState, reason: str) -> None:
        attempt, worker = lane.release(lane.visit), lane.worker
        async with self._changed:
            lane.visit += 1
            self._changed.notify_all()
        if attempt:
            assert worker is not None
            self._settle(attempt, Failure(reason, retriable=True, logs=worker.logs))

    async def _end_stalled(self, timeout_s: float) -> None:
        """End the attempts, and then the workers, of lanes that make no step for `timeout_s`."""
        while True:
            await asyncio.sleep(timeout_s / 10)
            oldest = asyncio.get_running_loop().time() - timeout_s
            for lane in list(self._lanes.values()):
                if lane.attempt and lane.heard_at < oldest:
                    worker = lane.worker
                    assert worker is not None
                    await self._end_visit(lane, f"stalled: no step for {timeout_s:g} s")
                    self._kill(worker.actor)

    # --- for the fleet ------------------------------------------------------------------------------

    async def dismiss(self, shape: Shape, count: int) -> None:
        """Send up to `count` idle lanes of a shape home."""
        async with self._changed:
            idle = [
                lane
                for lane in self._lanes.values()
                if lane.worker and lane.worker.shape == shape and not lane.attempt and not lane.dismissed
            ]
            for lane in idle[:count]:
                lane.dismissed = True
            self._changed.notify_all()

    async def refuse(self, shape: Shape, reason: str) -> None:
        """Fail all work, now and later, that only a lane of this shape could do, since there will be none."""
        self._refused[shape] = f"no lane is left to run it: {reason}"
        async with self._changed:
            for attempt in list(self._line):
                if refusal := self._why_no_lane_can_do(attempt.work):
                    self._line.remove(attempt)
                    self._settle(attempt, Failure(refusal, retriable=False))

    async def close(self) -> set[int]:
        """Send all lanes home and fail what is still in line.

        Returns:
            The numbers of the lanes that were sent home, now or before.
        """
        async with self._changed:
            self._is_open = False
            while self._line:
                self._settle(self._line.pop(), Failure(SWEEP_HAS_ENDED, retriable=False))
            self._changed.notify_all()
        return {number for number, lane in self._lanes.items() if lane.sent_home or lane.worker}

    def _settle(self, attempt: Attempt, failure: Failure | None) -> None:
        """End an attempt, and let whoever requested it go on."""
        del self._attempts[attempt.work.key]
        attempt.outcome.set_result(failure)
        if failure:
            self._histories[attempt.work.key].failures.append(failure)


def open_desk(
    backoff_s: float, shapes: Collection[Shape], stall_timeout_s: float | None
) -> ray.actor.ActorHandle:
    """Start the desk on the driver's own node, which is the safest one."""
    this_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(Desk)
        .options(num_cpus=0, scheduling_strategy=this_node, max_concurrency=10_000)
        .remote(backoff_s, shapes, stall_timeout_s)
    )
