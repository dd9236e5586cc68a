"""The desk where Tune's trials hand cells to lanes' workers: who waits, who holds what, what came back.

One asyncio actor. It decides nothing about results: a cell leaves it finished or with a `Failure`,
and whether a failure is tried again is Tune's business.
"""

import asyncio
from collections import deque
from dataclasses import dataclass

import ray

from orchestrator.trial import Order, TrialResult


@dataclass(frozen=True)
class Failure:
    """Why an attempt ended without a result. `retriable` is False for the user's own mistakes."""

    error: str
    retriable: bool


@dataclass(frozen=True)
class Progress:
    """Where a running cell is: the arm it trains and its optimiser step."""

    arm: str
    step: int
    total: int


class Desk:
    """See the module. A lane's *visit* is one life of its worker group: a dead visit can take no cell."""

    def __init__(self, backoff_s: float, lanes: int) -> None:
        self._backoff_s = backoff_s
        self._lanes = lanes
        self._line: deque[Order] = deque()
        self._changed = asyncio.Condition()
        self._open, self._closed_for = True, ""
        self._failures: dict[str, list[str]] = {}
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
        failures = len(await self.failures(order.trial.trial_id))
        if failures:
            await asyncio.sleep(self._backoff_s * 2 ** (failures - 1))
        async with self._changed:
            if self._open:
                self._line.append(order)
                self._changed.notify()
            else:
                self._settle(order.trial.trial_id, Failure(self._closed_for, retriable=False))

    async def take(self, trial_id: str) -> TrialResult:
        """A finished cell's result, once."""
        return self._results.pop(trial_id)

    async def failures(self, trial_id: str) -> list[str]:
        """Why each failed attempt at a cell failed, oldest first."""
        return self._failures.get(trial_id, [])

    async def progress(self) -> dict[str, Progress]:
        """trial_id -> progress of the cells that run now."""
        return {
            trial_id: self._progress[trial_id]
            for trial_id in self._held.values()
            if trial_id in self._progress
        }

    # --- the lanes' side ----------------------------------------------------------------------------

    async def visit(self, lane: int) -> int:
        """A lane's worker group has started; its number for this life."""
        await self.lose(lane, "its lane was started anew")
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
            self._orders[order.trial.trial_id] = order
            return order.trial.trial_id

    async def order(self, trial_id: str) -> Order:
        """The order of a cell that a lane holds, for each of its workers."""
        return self._orders[trial_id]

    async def step(self, trial_id: str, progress: Progress) -> None:
        self._progress[trial_id] = progress

    async def done(self, lane: int, visit: int, result: TrialResult) -> None:
        if self._release(lane, visit) == result.trial_id:
            self._results[result.trial_id] = result
            self._settle(result.trial_id, None)

    async def failed(self, lane: int, visit: int, failure: Failure) -> None:
        trial_id = self._release(lane, visit)
        if trial_id:
            self._settle(trial_id, failure)

    async def lose(self, lane: int, reason: str) -> bool:
        """A lane's worker group has ended. True if it ever got as far as taking a cell."""
        held = self._release(lane, self._visits.get(lane, 0))
        worked = lane in self._worked
        self._worked.discard(lane)
        async with self._changed:
            self._visits[lane] = self._visits.get(lane, 0) + 1
            self._changed.notify_all()
        if held:
            self._settle(held, Failure(reason, retriable=True))
        return worked

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
            self._failures.setdefault(trial_id, []).append(failure.error)
        self._progress.pop(trial_id, None)
        self._orders.pop(trial_id, None)


def open_desk(backoff_s: float, lanes: int) -> ray.actor.ActorHandle:
    """The desk, on the driver's own node, which is the safe one."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(Desk)
        .options(num_cpus=0, scheduling_strategy=here, max_concurrency=10_000)
        .remote(backoff_s, lanes)
    )
