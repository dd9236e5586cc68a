"""The desk where work is handed to lanes' workers: who waits, who holds what, what came back.

One asyncio actor. It decides nothing about results: work leaves it finished or with a `Failure`, and whether
a failure is tried again is for those who asked to say, which for cells is Ray Tune.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import ray

from orchestrator.plan.progress import Progress
from orchestrator.run.job import Job, Work
from orchestrator.study.shape import Shape

CLOSED = "the sweep has ended"


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without a result. `retriable` is False for the user's own mistakes; `halve` asks
    for half the micro-batch in the next attempt. `logs`: where Ray keeps what the worker printed."""

    error: str
    retriable: bool
    traceback: str = ""
    logs: str = ""
    halve: bool = False


@dataclass(frozen=True)
class Worker:
    """The first worker of a lane: its actor, where Ray keeps what it prints, the group's resources, and what
    those are."""

    actor: Any
    logs: str
    placement: Any
    shape: Shape


class Desk:
    """See the module. A lane's *visit* is one life of its worker group: a dead visit can take no work.

    A cell goes to lanes of its shape, other work to any. `shapes`: of all the lanes there will be.
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
        self._stall_timeout_s = stall_timeout_s
        self._kill = kill
        self._free = free
        self._watch: asyncio.Task[None] | None = None
        self._workers: dict[int, Worker] = {}
        self._heard: dict[int, float] = {}
        self._micro_batches: dict[str, int] = {}
        self._shapes = set(shapes)
        self._refused: dict[Shape, str] = {}
        self._dismissed: set[int] = set()
        self._home: set[int] = set()
        self._line: list[Work] = []
        self._changed = asyncio.Condition()
        self._open = True
        self._failures: dict[str, list[Failure]] = {}
        self._outcomes: dict[str, asyncio.Future[Failure | None]] = {}
        self._results: dict[str, Any] = {}
        self._progress: dict[str, Progress] = {}
        self._visits: dict[int, int] = {}
        self._held: dict[int, str] = {}
        self._worked: set[int] = set()
        self._work: dict[str, Work] = {}
        self._waits: set[asyncio.Task[None]] = set()

    # --- the side of those who ask ------------------------------------------------------------------

    async def run(self, work: Work) -> Failure | None:
        """Have one attempt made. A caller that comes back joins the attempt under way."""
        if work.key not in self._outcomes:
            self._outcomes[work.key] = asyncio.get_running_loop().create_future()
            wait = asyncio.create_task(self._enqueue(work))
            self._waits.add(wait)
            wait.add_done_callback(self._waits.discard)
        return await asyncio.shield(self._outcomes[work.key])

    async def _enqueue(self, work: Work) -> None:
        if isinstance(work, Job):
            work = replace(work, micro_batch=self._micro_batches.get(work.key, work.micro_batch))
        failures = len(await self.failures(work.key))
        if failures:
            await asyncio.sleep(self._backoff_s * 2 ** (failures - 1))
        async with self._changed:
            refused = self._nobody_for(work) if self._open else CLOSED
            if refused:
                self._settle(work.key, Failure(refused, retriable=False))
            else:
                self._line.append(work)
                self._changed.notify_all()

    def _nobody_for(self, work: Work) -> str:
        """Why no lane will ever take some work, if none will."""
        able = {work.shape} if isinstance(work, Job) else self._shapes
        if not able <= self._shapes:
            return f"no lane has what it needs: {able}"
        reasons = [self._refused[shape] for shape in able if shape in self._refused]
        return reasons[0] if len(reasons) == len(able) else ""

    async def take(self, key: str) -> Any:
        """What finished work came to, once: a `TrialResult` of a cell."""
        return self._results.pop(key)

    async def failures(self, key: str) -> list[Failure]:
        """The failed attempts at some work, oldest first."""
        return self._failures.get(key, [])

    async def progress(self) -> dict[str, Progress]:
        """key -> progress of what runs now: of a cell by its trial_id."""
        return {key: self._progress[key] for key in self._held.values() if key in self._progress}

    # --- the lanes' side ----------------------------------------------------------------------------

    async def visit(self, lane: int, worker: Worker) -> int:
        """A lane's worker group has started; its number for this life."""
        await self.lose(lane, "its lane was started anew")
        self._workers[lane] = worker
        if self._stall_timeout_s and not self._watch:
            self._watch = asyncio.create_task(self._end_stalled(self._stall_timeout_s))
        return self._visits[lane]

    async def next(self, lane: int, visit: int) -> str | None:
        """The key of a lane's next work; None sends the lane home."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: (
                    self._visits[lane] != visit
                    or self._first(self._workers[lane].shape)
                    or not self._open
                    or lane in self._dismissed
                )
            )
            if self._visits[lane] != visit:
                return None
            work = self._first(self._workers[lane].shape)
            self._dismissed.discard(lane)
            if work is None:
                del self._workers[lane]  # it goes home, and Ray Train frees what it had
                self._home.add(lane)
                return None
            self._line.remove(work)
            self._held[lane] = work.key
            self._worked.add(lane)
            self._heard[lane] = asyncio.get_running_loop().time()
            self._work[work.key] = work
            return work.key

    def _first(self, shape: Shape) -> Work | None:
        """The first in line that a lane of that shape may take."""
        fits = (work for work in self._line if not isinstance(work, Job) or work.shape == shape)
        return next(fits, None)

    async def work(self, key: str) -> Work:
        """The work of that key, which a lane holds, for each of its workers."""
        return self._work[key]

    async def step(self, lane: int, visit: int, progress: Progress) -> None:
        if self._visits[lane] == visit and lane in self._held:
            self._progress[self._held[lane]] = progress
            self._heard[lane] = asyncio.get_running_loop().time()

    async def done(self, lane: int, visit: int, result: Any) -> None:
        key = self._release(lane, visit)
        if key:
            self._results[key] = result
            self._settle(key, None)

    async def failed(self, lane: int, visit: int, failure: Failure) -> None:
        key = self._release(lane, visit)
        if not key:
            return
        work = self._work[key]
        if failure.halve and isinstance(work, Job):
            now = work.micro_batch
            then = max((part for part in range(1, now // 2 + 1) if now % part == 0), default=now)
            self._micro_batches[key] = then
            failure = replace(failure, error=f"{failure.error}; the next attempt's micro-batch is {then}")
        self._settle(key, replace(failure, logs=self._workers[lane].logs))

    async def lose(self, lane: int, reason: str) -> bool:
        """A lane's worker group has ended. True if it ever got as far as taking work."""
        await self._end_visit(lane, reason)
        if lane in self._workers:
            # Ray Train does it, but not if its controller and cleaner were killed at once, for memory.
            self._free(self._workers.pop(lane).placement)
        worked = lane in self._worked
        self._worked.discard(lane)
        self._dismissed.discard(lane)
        return worked

    async def _end_visit(self, lane: int, reason: str) -> None:
        held = self._release(lane, self._visits.get(lane, 0))
        async with self._changed:
            self._visits[lane] = self._visits.get(lane, 0) + 1
            self._changed.notify_all()
        if held:
            self._settle(held, Failure(reason, retriable=True, logs=self._workers[lane].logs))

    async def _end_stalled(self, timeout_s: float) -> None:
        """Give back the work of workers that make no step, and end those workers."""
        while True:
            await asyncio.sleep(timeout_s / 10)
            oldest = asyncio.get_running_loop().time() - timeout_s
            for lane in [lane for lane in self._held if self._heard[lane] < oldest]:
                await self._end_visit(lane, f"stalled: no step for {timeout_s:g} s")
                self._kill(self._workers[lane].actor)

    async def dismiss(self, shape: Shape, count: int) -> None:
        """Send so many lanes of a shape home that have nothing to do."""
        async with self._changed:
            idle = [
                lane
                for lane, worker in self._workers.items()
                if worker.shape == shape and lane not in self._held and lane not in self._dismissed
            ]
            self._dismissed.update(idle[:count])
            self._changed.notify_all()

    async def refuse(self, shape: Shape, reason: str) -> None:
        """No lane of a shape is left, nor will be: what only such a lane could do fails with the reason."""
        self._refused[shape] = f"no lane is left to run it: {reason}"
        async with self._changed:
            for work in [work for work in self._line if self._nobody_for(work)]:
                self._line.remove(work)
                self._settle(work.key, Failure(self._nobody_for(work), retriable=False))

    async def close(self) -> set[int]:
        """Send the lanes home, and say which were sent, now or before; what is still in line fails."""
        async with self._changed:
            self._open = False
            while self._line:
                self._settle(self._line.pop().key, Failure(CLOSED, retriable=False))
            self._changed.notify_all()
        return self._home | set(self._workers)

    def _release(self, lane: int, visit: int) -> str | None:
        return self._held.pop(lane, None) if self._visits.get(lane) == visit else None

    def _settle(self, key: str, failure: Failure | None) -> None:
        self._outcomes.pop(key).set_result(failure)
        if failure:
            self._failures.setdefault(key, []).append(failure)
        self._progress.pop(key, None)
        self._work.pop(key, None)


def open_desk(
    backoff_s: float, shapes: Collection[Shape], stall_timeout_s: float | None
) -> ray.actor.ActorHandle:
    """The desk, on the driver's own node, which is the safe one."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(Desk)
        .options(num_cpus=0, scheduling_strategy=here, max_concurrency=10_000)
        .remote(backoff_s, shapes, stall_timeout_s)
    )
