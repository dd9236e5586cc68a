"""Which lane gets which attempt."""

from collections import defaultdict
from collections.abc import Collection

from orchestrator.run.desk_records import Attempt, LaneState
from orchestrator.run.job import Job, Work
from orchestrator.run.suspects import Suspects
from orchestrator.study.shape import Shape


class Matching:
    """The attempts that wait, the lanes that ask for work, and the rule that brings them together.

    An attempt is left to the lane that suits it best, even if that one is busy now. Of the lanes that are up,
    one always suits it best, so no attempt waits for ever.

    Attributes:
        lanes: All lanes, by their numbers.
        line: The attempts that wait for a lane, the oldest first.
        suspects: The nodes and lanes that fail one piece of work after another.
        is_open: Whether a lane without work may wait for some; otherwise it is sent home.
    """

    def __init__(self) -> None:
        self.lanes: defaultdict[int, LaneState] = defaultdict(LaneState)
        self.line: list[Attempt] = []
        self.suspects = Suspects()
        self.is_open = True

    def hand_out(self, now: float) -> None:
        """Answer the lanes that ask for work: with work that suits them, or by sending them home.

        The lanes with the least to do come first. One pass is enough: no attempt is ever left to a lane that
        is about to go home, and a lane has asked once.
        """
        for lane in sorted(self.lanes.values(), key=lambda lane: len(lane.attempts)):
            if lane.asking is None or lane.asking.done():
                continue
            if attempt := self._first_for(lane, now):
                self.line.remove(attempt)
                lane.take(attempt, now)
            elif not lane.attempts and (lane.dismissed or not self.is_open):
                lane.send_home()

    def dismiss(self, shape: Shape, count: int, waiting: Collection[Attempt], now: float) -> None:
        """Send up to `count` idle lanes of a shape home, but keep one for each attempt that no lane makes.

        The lanes that suit these attempts least go first. A lane that is not idle may be the one that failed
        an attempt, so it does not count.

        Args:
            shape: The shape of the lanes.
            count: The largest number of lanes to send home.
            waiting: The attempts that no lane makes, including those that are not in line yet.
            now: The time, in seconds of the event loop's clock.
        """
        idle = [
            lane
            for lane in self.lanes.values()
            if lane.worker and lane.worker.shape == shape and not lane.attempts and not lane.dismissed
        ]
        kept = sum(any(_can_do(lane, attempt.work) for lane in idle) for attempt in waiting)

        def unsuited(lane: LaneState) -> tuple[bool, int]:
            avoided_by = sum(not attempt.avoid.isdisjoint(lane.places) for attempt in waiting)
            return self.suspects.is_out(lane.places, now), avoided_by

        idle.sort(key=unsuited, reverse=True)
        for lane in idle[: max(0, min(count, len(idle) - kept))]:
            lane.dismissed = True
        self.hand_out(now)

    def _first_for(self, lane: LaneState, now: float) -> Attempt | None:
        """Return the first attempt in line that a lane may make; None if there is none."""
        for attempt in self.line:
            if not _can_do(lane, attempt.work) or (lane.attempts and not isinstance(attempt.work, Job)):
                continue  # only jobs are done beside others
            own = self._reluctance(lane, attempt, now)
            others = (
                other for other in self.lanes.values() if not other.dismissed and _can_do(other, attempt.work)
            )
            if not any(own) or all(own <= self._reluctance(other, attempt, now) for other in others):
                return attempt
        return None

    def _reluctance(self, lane: LaneState, attempt: Attempt, now: float) -> tuple[bool, ...]:
        """Return how badly a lane suits an attempt; the smaller, the better.

        Worst is a lane that was taken out, then one on a node that failed the same work before, then the very
        lane that failed it.
        """
        return self.suspects.is_out(lane.places, now), *(place in attempt.avoid for place in lane.places)


def _can_do(lane: LaneState, work: Work) -> bool:
    """Return whether a lane is up and has the shape that some work needs."""
    if lane.worker is None or lane.is_ending:
        return False
    return not isinstance(work, Job) or work.shape == lane.worker.shape
