"""What the desk remembers: a record per lane, per attempt and per piece of work."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from orchestrator.plan.progress import Progress
from orchestrator.run.job import Job, Work
from orchestrator.run.messages import Failure, FirstWorker


@dataclass(slots=True)
class Attempt:
    """One attempt at some work, from the request until its outcome is known.

    Attributes:
        avoid: The nodes and lanes that gave the same work back before.
        seconds: The time of the lane that makes it, so far; a lane divides its time among its attempts.
    """

    work: Work
    outcome: asyncio.Future[Failure | None]
    avoid: set[str]
    progress: Progress | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class WorkHistory:
    """What is known from earlier attempts at some work.

    Attributes:
        failures: Why the failed attempts failed, oldest first.
        preemptions: How many times an attempt was interrupted and went on in another lane.
        seconds: The time of lanes that the work took, over all attempts that have ended.
        avoid: The nodes and lanes that failed it or were preempted.
        micro_batch: The micro-batch of the next attempt at a job; None keeps the job's own.
    """

    failures: list[Failure] = field(default_factory=list)
    preemptions: int = 0
    seconds: float = 0.0
    avoid: set[str] = field(default_factory=set)
    micro_batch: int | None = None


@dataclass
class LaneState:
    """A lane as the desk knows it.

    Attributes:
        visit: The number of the worker group's current life, counted from 1.
        life: The newest life that registered, and `life_visit` the visit that it was given.
        worker: The first worker of the group; None while no group is running, and once the lane is sent home.
        places: Where the group runs, the widest place first: its first worker's node, and the lane.
        placement: The placement group that holds the resources of its newest group, and the group's life.
        asking: Receives the key of the lane's next work while the lane has room for it; None sends it home.
        attempts: The attempts that the lane is making, by the key of their work.
        charged_at: Until when its time is divided among its attempts, in seconds of the event loop's clock.
        heard_at: When the lane last took work or reported a step, in seconds of the event loop's clock.
        has_worked: Whether the lane took any work in this visit.
        has_failed: Whether a failure of this visit was held against its places. What fails with it or after
            it may be its consequence.
        is_ending: Whether work of this visit crashed: its process ends once its other attempts have.
        dismissed: Whether the lane should go home unless there is work for it.
        sent_home: Whether the lane was ever sent home.
    """

    visit: int = 0
    life: int = -1
    life_visit: int = 0
    worker: FirstWorker | None = None
    places: tuple[str, ...] = ()
    placement: tuple[int, Any] | None = None
    asking: asyncio.Future[str | None] | None = None
    attempts: dict[str, Attempt] = field(default_factory=dict)
    charged_at: float = 0.0
    heard_at: float = 0.0
    has_worked: bool = False
    has_failed: bool = False
    is_ending: bool = False
    dismissed: bool = False
    sent_home: bool = False

    def take(self, attempt: Attempt, now: float) -> None:
        """Give the lane, which asked for work, an attempt to make."""
        self.charge(now)
        self.attempts[attempt.work.key] = attempt
        self.has_worked, self.dismissed, self.heard_at = True, False, now
        self.answer(attempt.work.key)

    def send_home(self) -> None:
        """Send the lane, which asked for work, home; Ray Train frees its resources."""
        self.worker, self.sent_home, self.dismissed = None, True, False
        self.answer(None)

    def answer(self, key: str | None) -> None:
        """Answer the lane's question for work, if it asked: with the work's key, or None to send it home."""
        asking, self.asking = self.asking, None
        if asking and not asking.done():
            asking.set_result(key)

    def attempt_at(self, key: str, visit: int) -> Attempt | None:
        """Return the attempt that the lane makes at some work; None if it makes none or `visit` is over."""
        return self.attempts.get(key) if self.visit == visit else None

    def release(self, attempt: Attempt, now: float) -> None:
        """Take an attempt away from the lane."""
        self.charge(now)
        del self.attempts[attempt.work.key]

    def charge(self, now: float) -> None:
        """Divide the time since the last charge among the attempts that the lane is making."""
        for attempt in self.attempts.values():
            attempt.seconds += (now - self.charged_at) / len(self.attempts)
        self.charged_at = now


def smaller_micro_batch(job: Job) -> int:
    """Return the largest divisor of a job's micro-batch that is at most half of it; 1 stays 1."""
    micro_batch = job.micro_batch
    divisors = (size for size in range(1, micro_batch // 2 + 1) if micro_batch % size == 0)
    return max(divisors, default=micro_batch)
