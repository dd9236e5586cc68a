"""What the desk remembers: a record per lane, per attempt and per piece of work."""

import asyncio
from dataclasses import dataclass, field

from orchestrator.plan.progress import Progress
from orchestrator.run.job import Job, Work
from orchestrator.run.messages import Failure, FirstWorker


@dataclass(slots=True)
class Attempt:
    """One attempt at some work, from the request until its outcome is known."""

    work: Work
    outcome: asyncio.Future[Failure | None]
    progress: Progress | None = None


@dataclass(slots=True)
class WorkHistory:
    """What is known from earlier attempts at some work.

    Attributes:
        failures: Why the failed attempts failed, oldest first.
        micro_batch: The micro-batch of the next attempt at a job; None keeps the job's own.
    """

    failures: list[Failure] = field(default_factory=list)
    micro_batch: int | None = None


@dataclass
class LaneState:
    """A lane as the desk knows it.

    Attributes:
        visit: The number of the worker group's current life, counted from 1.
        worker: The first worker of the group; None while no group is running, and once the lane is sent home.
        attempt: The attempt that the lane is making.
        heard_at: When the lane last took work or reported a step, in seconds of the event loop's clock.
        has_worked: Whether the lane took any work in this visit.
        dismissed: Whether the lane should go home unless there is work for it.
        sent_home: Whether the lane was ever sent home.
    """

    visit: int = 0
    worker: FirstWorker | None = None
    attempt: Attempt | None = None
    heard_at: float = 0.0
    has_worked: bool = False
    dismissed: bool = False
    sent_home: bool = False

    def release(self, visit: int) -> Attempt | None:
        """Take the attempt away from the lane; None if it has none or if `visit` is over."""
        if visit != self.visit:
            return None
        attempt, self.attempt = self.attempt, None
        return attempt


def smaller_micro_batch(job: Job) -> int:
    """Return the largest divisor of a job's micro-batch that is at most half of it; 1 stays 1."""
    micro_batch = job.micro_batch
    divisors = (size for size in range(1, micro_batch // 2 + 1) if micro_batch % size == 0)
    return max(divisors, default=micro_batch)
