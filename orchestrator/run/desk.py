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
from orchestrator.run.desk_records import Attempt, WorkHistory, smaller_micro_batch
from orchestrator.run.job import Job, Work
from orchestrator.run.matching import Matching
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.study.faults import Faults
from orchestrator.study.shape import Shape

SWEEP_HAS_ENDED = "the sweep has ended"
CLOCK_S = 0.1  # more than a timer may be early
# The kind of a loss or a stall that the work itself may have caused.
ENDED_EARLY = "ended before its first step"


class Desk:
    """Hands a job to a lane of its shape and other work to any lane. A lane may do several jobs at once.

    A lane's *visit* is one life of its worker group. A visit that is over can neither take nor finish work.
    Every message about work names its key, so that a late or repeated one does no harm.
    Every change calls `_hand_out`, which answers the lanes that ask for work.

    Args:
        faults: The study's handling of faults.
        shapes: The shapes of all lanes that there will be.
        kill: A function that kills an actor.
        free: A function that frees a placement group.
    """

    def __init__(
        self,
        faults: Faults,
        shapes: Collection[Shape],
        kill: Callable[[Any], None] = ray.kill,
        free: Callable[[Any], None] = ray.util.remove_placement_group,
    ) -> None:
        self._faults = faults
        self._shapes = set(shapes)
        self._kill = kill
        self._free = free
        self._matching = Matching()
        self._lanes, self._line = self._matching.lanes, self._matching.line
        self._refused: dict[Shape, str] = {}  # why no lane of a shape is left
        self._stopped = ""  # why nothing more is handed out
        self._attempts: dict[str, Attempt] = {}  # the attempts that have not ended, by the key of their work
        self._histories: defaultdict[str, WorkHistory] = defaultdict(WorkHistory)
        self._results: dict[str, Any] = {}
        self._news: list[str] = []
        self._told: set[str] = set()  # what lanes have told, of which a user is told once
        self._stall_watch: asyncio.Task[None] | None = None
        self._queueing: set[asyncio.Task[None]] = set()  # keeps the tasks from being garbage-collected

    # --- for those who request work -----------------------------------------------------------------

    async def run(self, work: Work) -> Failure | None:
        """Make one attempt at some work, and return why it failed, if it did.

        A caller that asks again for the same work joins the attempt under way.
        """
        if work.key not in self._attempts:
            avoid = self._histories[work.key].avoid
            attempt = Attempt(work, asyncio.get_running_loop().create_future(), avoid)
            self._attempts[work.key] = attempt
            task = asyncio.create_task(self._enqueue(attempt))
            self._queueing.add(task)
            task.add_done_callback(self._queueing.discard)
        return await asyncio.shield(self._attempts[work.key].outcome)

    async def _enqueue(self, attempt: Attempt) -> None:
        history = self._histories[attempt.work.key]
        if isinstance(attempt.work, Job) and history.micro_batch:
            attempt.work = replace(attempt.work, micro_batch=history.micro_batch)
        if history.failures and not self._stopped:
            await asyncio.sleep(self._faults.backoff_s * 2 ** (len(history.failures) - 1))
        self._line.append(attempt)
        self._turn_away()
        self._hand_out()

    async def take(self, key: str) -> Any:
        """Return the result of finished work (a `TrialResult` for a job) and forget it.

        Raises:
            KeyError: There is no result, or it was taken before.
        """
        return self._results.pop(key)

    async def history(self, key: str) -> WorkHistory:
        """Return what is known from the attempts at some work."""
        return self._histories[key] if key in self._histories else WorkHistory()

    async def progress(self) -> dict[str, Progress]:
        """Return the progress of the work that lanes are doing, by key (a cell's key is its trial_id)."""
        return {key: attempt.progress for key, attempt in self._held().items() if attempt.progress}

    async def seconds(self) -> dict[str, float]:
        """Return the time of lanes that the work they are doing has taken, over all attempts, by key."""
        for lane in self._lanes.values():
            lane.charge(_now())
        return {key: self._histories[key].seconds + attempt.seconds for key, attempt in self._held().items()}

    async def news(self) -> list[str]:
        """Return what a user should know and has not been told yet, one line each."""
        news, self._news = self._news, []
        return news

    async def stop(self, reason: str) -> None:
        """Hand out nothing more. Work in line is turned away, now and later; lanes end what they do now."""
        self._stopped = self._stopped or reason
        self._turn_away()

    def _held(self) -> dict[str, Attempt]:
        """Return the attempts that lanes are making, by the key of their work."""
        return {key: attempt for lane in self._lanes.values() for key, attempt in lane.attempts.items()}

    # --- for lanes ----------------------------------------------------------------------------------

    async def hold(self, number: int, life: int, placement: Any) -> None:
        """Note which placement group holds the resources of a lane's new worker group.

        Of two lives of a lane, the older one is over, and its placement group is freed.
        """
        lane = self._lanes[number]
        held = lane.placement
        if held is None or held[0] < life:
            lane.placement = (life, placement)
        if held is not None and held[0] != life:
            self._free(min(held, (life, placement), key=lambda group: group[0])[1])

    async def visit(self, number: int, worker: FirstWorker) -> int:
        """Register a lane's new worker group, once, and return the number of this visit.

        A group whose message comes after that of a newer one gets 0, which is no visit.
        """
        lane = self._lanes[number]
        if worker.life <= lane.life:
            return lane.life_visit if worker.life == lane.life else 0
        self._end_group(number, "its lane was restarted")
        lane.life, lane.life_visit = worker.life, lane.visit
        lane.worker, lane.places = worker, (f"node {worker.node}", f"lane {number}")
        if self._faults.stall_timeout_s and not self._stall_watch:
            self._stall_watch = asyncio.create_task(self._end_stalled(self._faults.stall_timeout_s))
        return lane.visit

    async def next(self, number: int, visit: int) -> str | None:
        """Wait for a lane's next piece of work, and return its key; None sends the lane home."""
        lane = self._lanes[number]
        if lane.visit != visit or lane.is_ending:
            return None
        asking: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        lane.asking = asking
        self._hand_out()
        return await asking

    async def work(self, key: str) -> Work:
        """Return the work with this key. Every worker of the lane that took it calls this."""
        return self._held()[key].work

    async def step(self, number: int, visit: int, key: str, progress: Progress | None) -> None:
        """Note that a lane's work goes on, and how far it has got; None if it makes no step meanwhile."""
        lane = self._lanes[number]
        if attempt := lane.attempt_at(key, visit):
            attempt.progress = progress or attempt.progress
            lane.heard_at = _now()

    async def tell(self, text: str) -> None:
        """Note what a lane wants a user to know; what several lanes tell alike is news once."""
        if text not in self._told:
            self._told.add(text)
            self._news.append(text)

    async def done(self, number: int, visit: int, key: str, result: Any) -> None:
        """End an attempt with its result."""
        lane = self._lanes[number]
        if attempt := lane.attempt_at(key, visit):
            lane.release(attempt, _now())
            self._histories[key].seconds += attempt.seconds
            self._results[key] = result
            self._matching.suspects.finished(lane.places)
            self._settle(attempt, None)
            self._hand_out()

    async def failed(self, number: int, visit: int, key: str, failure: Failure) -> None:
        """End an attempt without a result; one that was preempted goes on in another lane instead.

        Unless another attempt would fail alike, the lane gets no more work until its process is a new one.
        """
        lane = self._lanes[number]
        if attempt := lane.attempt_at(key, visit):
            lane.release(attempt, _now())
            if failure.retriable:
                lane.is_ending = True
                lane.answer(None)
            self._give_back(number, attempt, failure)
            self._hand_out()

    async def lose(self, number: int, reason: str) -> bool:
        """Note that a lane's worker group has ended, and return whether it had taken any work."""
        lane = self._lanes[number]
        if lane.placement:
            self._free(lane.placement[1])  # Ray Train does so, unless its controller was killed
            lane.placement = None
        return self._end_group(number, reason)

    def _end_group(self, number: int, reason: str) -> bool:
        lane = self._lanes[number]
        self._end_visit(number, reason)
        has_worked = lane.has_worked
        lane.worker, lane.has_worked, lane.dismissed = None, False, False
        self._hand_out()
        return has_worked

    def _end_visit(self, number: int, reason: str) -> None:
        lane = self._lanes[number]
        attempts = list(lane.attempts.values())
        kind = "" if any(attempt.progress for attempt in attempts) else ENDED_EARLY
        for attempt in attempts:
            lane.release(attempt, _now())
        lane.visit += 1
        lane.answer(None)
        for attempt in attempts:
            self._give_back(number, attempt, Failure(reason, retriable=True, kind=kind))
        lane.has_failed = lane.is_ending = False

    async def _end_stalled(self, timeout_s: float) -> None:
        """End the attempts, and then the workers, of lanes that report nothing for `timeout_s`.

        Time in which this process could hear nothing, such as after SIGSTOP, does not count.
        """
        looked_at = _now()
        while True:
            await asyncio.sleep(timeout_s / 10)
            deaf_s = max(0.0, _now() - looked_at - timeout_s / 5)
            looked_at = _now()
            oldest = looked_at - timeout_s
            for number, lane in list(self._lanes.items()):
                lane.heard_at += deaf_s
                if lane.attempts and lane.heard_at < oldest:
                    worker = lane.worker
                    assert worker is not None
                    self._end_visit(number, f"stalled: no step for {timeout_s:g} s")
                    self._kill(worker.actor)
                    self._hand_out()

    # --- for the fleet ------------------------------------------------------------------------------

    async def dismiss(self, shape: Shape, count: int) -> None:
        """Send up to `count` idle lanes of a shape home, unless work waits for them."""
        held = self._held()
        waiting = [attempt for key, attempt in self._attempts.items() if key not in held]
        self._matching.dismiss(shape, count, waiting, _now())

    async def refuse(self, shape: Shape, reason: str) -> None:
        """Fail all work, now and later, that only a lane of this shape could do, since there will be none."""
        self._refused[shape] = f"no lane is left to run it: {reason}"
        self._turn_away()

    async def close(self) -> set[int]:
        """Send all lanes home and turn away what is still in line.

        Returns:
            The numbers of the lanes that were sent home, now or before.
        """
        self._matching.is_open = False
        await self.stop(SWEEP_HAS_ENDED)
        sent_home = {number for number, lane in self._lanes.items() if lane.sent_home or lane.worker}
        self._hand_out()
        return sent_home

    # --- what follows from a change -----------------------------------------------------------------

    def _hand_out(self) -> None:
        self._matching.hand_out(_now())

    def _give_back(self, number: int, attempt: Attempt, failure: Failure) -> None:
        """Take an attempt back from a lane: into the line again if it was preempted, otherwise failed."""
        lane, work = self._lanes[number], attempt.work
        assert lane.worker is not None
        history = self._histories[work.key]
        history.seconds += attempt.seconds
        attempt.seconds = 0.0
        history.avoid.update(lane.places)
        failure = replace(failure, logs=lane.worker.logs, node=lane.worker.node, lane=number)
        if failure.preempted and history.preemptions < self._faults.max_preemptions:
            history.preemptions += 1
            attempt.progress = None
            self._line.insert(0, attempt)
            self._turn_away()
            return
        if failure.halve_micro_batch and isinstance(work, Job):
            history.micro_batch = smaller_micro_batch(work)
            error = f"{failure.error}; the next attempt's micro-batch is {history.micro_batch}"
            failure = replace(failure, error=error)
        elif failure.retriable and not failure.preempted:
            if lane.has_failed:  # one process that dies with several cells is one sign of trouble
                failure = replace(failure, kind="")
            else:
                self._suspect(work.key, lane.places, failure)
            lane.has_failed = True
        self._settle(attempt, failure)

    def _suspect(self, key: str, places: tuple[str, ...], failure: Failure) -> None:
        """Hold a failure against its node and lane, and let them try again after a while."""
        for place, seconds in self._matching.suspects.failed(key, places, _now()).items():
            self._news.append(
                f"{place} failed one cell after another and gets no work for {seconds:g} s, while others can "
                f"do it; the last failure: {failure.error}"
            )
            asyncio.get_running_loop().call_later(seconds + CLOCK_S, self._hand_out)

    def _turn_away(self) -> None:
        """End the attempts in line that no lane will ever make."""
        for attempt in list(self._line):
            if self._stopped:
                self._line.remove(attempt)
                del self._attempts[attempt.work.key]
                attempt.outcome.set_result(Failure(self._stopped, retriable=False))
            elif reason := self._why_no_lane_can_do(attempt.work):
                self._line.remove(attempt)
                self._settle(attempt, Failure(reason, retriable=False))

    def _why_no_lane_can_do(self, work: Work) -> str:
        """Return why no lane will ever take some work; an empty text if one may."""
        shapes = {work.shape} if isinstance(work, Job) else self._shapes
        if not shapes <= self._shapes:
            return f"no lane has what it needs: {shapes}"
        reasons = [self._refused[shape] for shape in shapes if shape in self._refused]
        return reasons[0] if len(reasons) == len(shapes) else ""

    def _settle(self, attempt: Attempt, failure: Failure | None) -> None:
        """End an attempt, and let whoever requested it go on."""
        del self._attempts[attempt.work.key]
        attempt.outcome.set_result(failure)
        if failure:
            self._histories[attempt.work.key].failures.append(failure)


def _now() -> float:
    """Return the seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


def open_desk(faults: Faults, shapes: Collection[Shape]) -> ray.actor.ActorHandle:
    """Start the desk on the driver's own node, which is the safest one."""
    this_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return (
        ray.remote(Desk)
        .options(num_cpus=0, scheduling_strategy=this_node, max_concurrency=10_000)
        .remote(faults, shapes)
    )
