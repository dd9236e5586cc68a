"""What the desk remembers: a record per lane, per attempt and per piece of work."""

import asyncio
from dataclasses import dataclass, field

from orchestrator.plan.progress import Progress
from orchestrator.run.job import Job, Work
from orchestrator.run.messages import Failure, FirstWorker


@dataclass(slots=True)
class Attempt:
    """One attempt at some work, from the request until its outcome is known.

    Attributes:
        avoid: The nodes and lanes that gave the same work back before.
        taken_at: When a lane took it, in seconds of the event loop's clock.
    """

    work: Work
    outcome: asyncio.Future[Failure | None]
    avoid: set[str]
    progress: Progress | None = None
    taken_at: float = 0.0


@dataclass(slots=True)
class WorkHistory:
    """What is known from earlier attempts at some work.

    Attributes:
        failures: Why the failed attempts failed, oldest first.
        preemptions: How many times an attempt was interrupted and went on in another lane.
        seconds: How long lanes held the work, over all attempts that have ended.
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
        asking: Receives the key of the lane's next work while the lane waits for it; None sends it home.
        attempt: The attempt that the lane is making.
        heard_at: When the lane last took work or reported a step, in seconds of the event loop's clock.
        has_worked: Whether the lane took any work in this visit.
        dismissed: Whether the lane should go home unless there is work for it.
        sent_home: Whether the lane was ever sent home.
    """

    visit: int = 0
    life: int = -1
    life_visit: int = 0
    worker: FirstWorker | None = None
    places: tuple[str, ...] = ()
    asking: asyncio.Future[str | None] | None = None
    attempt: Attempt | None = None
    heard_at: float = 0.0
    has_worked: bool = False
    dismissed: bool = False
    sent_home: bool = False

    def take(self, attempt: Attempt, now: float) -> None:
        """Give the lane, which asked for work, an attempt to make."""
        self.attempt, self.has_worked, self.dismissed, self.heard_at = attempt, True, False, now
        attempt.taken_at = now
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
        is_current = self.attempt is not None and self.attempt.work.key == key and self.visit == visit
        return self.attempt if is_current else None

    def release(self) -> Attempt | None:
        """Take the attempt away from the lane, and return it if there is one."""
        attempt, self.attempt = self.attempt, None
        return attempt


def smaller_micro_batch(job: Job) -> int:
    """Return the largest divisor of a job's micro-batch that is at most half of it; 1 stays 1."""
    micro_batch = job.micro_batch
    divisors = (size for size in range(1, micro_batch // 2 + 1) if micro_batch % size == 0)
    return max(divisors, default=micro_batch)
