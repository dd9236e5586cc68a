"""What the worker of a lane does that trains several cells side by side: they come and go in one process."""

from functools import partial
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.run import preemption
from orchestrator.run.attempt import LaneConfig, attempt
from orchestrator.run.job import Job
from orchestrator.run.output import output_to
from training.hardware import deterministic_kernels

if TYPE_CHECKING:
    from training.bundle_access import Member


def serve_together(lane: LaneConfig, visit: int) -> None:
    """Do several jobs at once, and other work alone, until the desk sends the lane home.

    Raises:
        Exception: What a job has raised, if it was not a mistake in the study. The jobs beside it end first,
            and no other is taken: what a crash leaves behind in a process is unknown.
    """
    question = _ask(lane, visit)
    while (key := ray.get(question)) is not None:
        work = ray.get(lane.desk.work.remote(key))
        if isinstance(work, Job):
            question = _side_by_side(lane, visit, work)
        else:
            attempt(lane, visit, work)
            question = _ask(lane, visit)


def _side_by_side(lane: LaneConfig, visit: int, first: Job) -> ray.ObjectRef:
    """Do a job, and those that the desk hands out meanwhile, until none is left; return the open question."""
    from orchestrator.run.side_by_side import bundle_of

    cells: list[Member[Any]] = []
    errors: list[BaseException] = []
    question: ray.ObjectRef | None = None
    with deterministic_kernels(lane.shape.deterministic), bundle_of(first) as bundle:

        def start(job: Job) -> None:
            cells.append(bundle.add(partial(attempt, lane, visit, job), partial(output_to, job.log)))

        start(first)
        while cells:
            bundle.serve()
            errors += [cell.turns.error for cell in cells if cell.turns.error]
            cells[:] = [cell for cell in cells if not cell.turns.ended]
            may_ask = not errors and not preemption.is_requested() and len(cells) < lane.shape.cells_at_once
            question = question or (_ask(lane, visit) if may_ask else None)
            # The desk takes back the question of a lane whose work has crashed: the answer is then None.
            if cells and question and ray.wait([question], timeout=0)[0] and (key := ray.get(question)):
                start(ray.get(lane.desk.work.remote(key)))
                question = None
    if errors:
        raise errors[0]
    return question or _ask(lane, visit)


def _ask(lane: LaneConfig, visit: int) -> ray.ObjectRef:
    """Ask the desk for the lane's next work; the answer may take any time."""
    return lane.desk.next.remote(lane.number, visit)
