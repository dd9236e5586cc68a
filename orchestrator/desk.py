"""The desk where Tune's trials hand cells to lanes' workers: who waits, who holds what, what came back.

One asyncio actor. It decides nothing about results: a cell leaves it finished or with a `Failure`,
and whether a failure is tried again is Tune's business.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ray

from orchestrator.trial import Order, Progress, TrialResult


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
    """The first worker of a lane: its actor, where Ray keeps what it prints, and the group's resources."""

    actor: Any
    logs: str
    placement: Any


class Desk:
    """See the module. A lane's *visit* is one life of its worker group: a dead visit can take no cell."""

    def __init__(
        self,
        backoff_s: float,
        lanes: int,
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
        self._lanes = lanes
        self._line: deque[Order] = deque()
        self._changed = asyncio.Condition()
        self._open, self._closed_for = True, ""
        self._failures: dict[str, list[Failure]] = {}
        self._outcomes: dict[str, asyncio.Future[Failure | None]] = {}
        self._results: dict[str, TrialResult] = {}
        self._progress: dict[str, Progress] = {}
        self._visits: dict[int, int] = {}
        self._held: dict[int, str] = {}
        self._worked: set[int] = set()
        self._orders: dict[str, Order] = {}
        self._waits: set[asyncio.Task[None]] = set()

    # --- Tune's side --------------------------------------------------------------------------------

    async def run(self, order: Order) -> Failure | None:
        """Have one attempt made at a cell. A caller that comes back joins the attempt under way."""
        trial_id = order.trial.trial_id
        if trial_id not in self._outcomes:
            self._outcomes[trial_id] = asyncio.get_running_loop().create_future()
            wait = asyncio.create_task(self._enqueue(order))
            self._waits.add(wait)
            wait.add_done_callback(self._waits.discard)
        return await asyncio.shield(self._outcomes[trial_id])

    async def _enqueue(self, order: Order) -> None:
        trial_id = order.trial.trial_id
        order = replace(order, micro_batch=self._micro_batches.get(trial_id, order.micro_batch))
        failures = len(await self.failures(trial_id))
        if failures:
            await asyncio.sleep(self._backoff_s * 2 ** (failures - 1))
        async with self._changed:
            if self._open:
                self._line.append(order)
                self._changed.notify()
            else:
                self._settle(trial_id, Failure(self._closed_for, retriable=False))

    async def take(self, trial_id: str) -> TrialResult:
        """A finished cell's result, once."""
        return self._results.pop(trial_id)

    async def failures(self, trial_id: str) -> list[Failure]:
        """The failed attempts at a cell, oldest first."""
        return self._failures.get(trial_id, [])

    async def progress(self) -> dict[str, Progress]:
        """trial_id -> progress of the cells that run now."""
        return {
            trial_id: self._progress[trial_id]
            for trial_id in self._held.values()
            if trial_id in self._progress
        }

    # --- the lanes' side ----------------------------------------------------------------------------

    async def visit(self, lane: int, worker: Worker) -> int:
        """A lane's worker group has started; its number for this life."""
        await self.lose(lane, "its lane was started anew")
        self._workers[lane] = worker
        if self._stall_timeout_s and not self._watch:
            self._watch = asyncio.create_task(self._end_stalled(self._stall_timeout_s))
        return self._visits[lane]

    async def next_cell(self, lane: int, visit: int) -> str | None:
        """The trial_id of a lane's next cell; None sends the lane home."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._line or not self._open or self._visits[lane] != visit)
            if not self._line or self._visits[lane] != visit:
                return None
            order = self._line.popleft()
            self._held[lane] = order.trial.trial_id
            self._worked.add(lane)
            self._heard[lane] = asyncio.get_running_loop().time()
            self._orders[order.trial.trial_id] = order
            return order.trial.trial_id

    async def order(self, trial_id: str) -> Order:
        """The order of a cell that a lane holds, for each of its workers."""
        return self._orders[trial_id]

    async def step(self, lane: int, visit: int, progress: Progress) -> None:
        if self._visits[lane] == visit and lane in self._held:
            self._progress[self._held[lane]] = progress
            self._heard[lane] = asyncio.get_running_loop().time()

    async def done(self, lane: int, visit: int, result: TrialResult) -> None:
        if self._release(lane, visit) == result.trial_id:
            self._results[result.trial_id] = result
            self._settle(result.trial_id, None)

    async def failed(self, lane: int, visit: int, failure: Failure) -> None:
        trial_id = self._release(lane, visit)
        if not trial_id:
            return
        if failure.halve:
            now = self._orders[trial_id].micro_batch
            then = max((part for part in range(1, now // 2 + 1) if now % part == 0), default=now)
            self._micro_batches[trial_id] = then
            failure = replace(failure, error=f"{failure.error}; the next attempt's micro-batch is {then}")
        self._settle(trial_id, replace(failure, logs=self._workers[lane].logs))

    async def lose(self, lane: int, reason: str) -> bool:
        """A lane's worker group has ended. True if it ever got as far as taking a cell."""
        await self._end_visit(lane, reason)
        if lane in self._workers:
            # Ray Train does it, but not if its controller and cleaner were killed at once, for memory.
            self._free(self._workers.pop(lane).placement)
        worked = lane in self._worked
        self._worked.discard(lane)
        return worked

    async def _end_visit(self, lane: int, reason: str) -> None:
        held = self._release(lane, self._visits.get(lane, 0))
        async with self._changed:
            self._visits[lane] = self._visits.get(lane, 0) + 1
            self._changed.notify_all()
        if held:
            self._settle(held, Failure(reason, retriable=True, logs=self._workers[lane].logs))

    async def _end_stalled(self, timeout_s: float) -> None:
        """Give back the cells of workers that make no step, and end those workers."""
        while True:
            await asyncio.sleep(timeout_s / 10)
            oldest = asyncio.get_running_loop().time() - timeout_s
            for lane in [lane for lane in self._held if self._heard[lane] < oldest]:
                await self._end_visit(lane, f"stalled: no step for {timeout_s:g} s")
                self._kill(self._workers[lane].actor)

    async def retire(self, reason: str) -> None:
        """A lane gives up for good; with the last one, the cells in line have nobody to run them."""
        self._lanes -= 1
        if not self._lanes:
            await self.close(f"no lane is left to run it: {reason}")

    async def close(self, reason: str = "the sweep has ended") -> None:
        """Send the lanes home; cells still in line fail with the reason."""
        async with self._changed:
            self._open, self._closed_for = False, reason
            while self._line:
                self._settle(self._line.popleft().trial.trial_id, Failure(reason, retriable=False))
            self._changed.notify_all()

    def _release(self, lane: int, visit: int) -> str | None:
        return self._held.pop(lane, None) if self._visits.get(lane) == visit else None

    def _settle(self, trial_id: str, failure: Failure | None) -> None:
        self._outcomes.pop(trial_id).set_result(failure)
        if failure:
            self._failures.setdefault(trial_id, []).append(failure)
        self._progress.pop(trial_id, None)
        self._orders.pop(trial_id, None)


def open_desk(backoff_s: float, lanes: int, stall_timeout_s: float | None) -> ray.actor.ActorHandle:
    """The desk, on the driver's own node, which is the safe one."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(Desk)
        .options(num_cpus=0, scheduling_strategy=here, max_concurrency=10_000)
        .remote(backoff_s, lanes, stall_timeout_s)
    )
