"""The desk loses no cell, whatever lanes do: each `run()` ends, with a result or with a reason."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest
from virtual_time import play

from orchestrator.plan.progress import Progress
from orchestrator.record.result import TrialResult
from orchestrator.run.desk import ENDED_EARLY, Desk
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.study.faults import Faults
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.model import ModelFiles
from training.shards import Shard
from training.spec import MethodSpec, TrainingSpec

SMALL_SHAPE, LARGE_SHAPE = Shape(), Shape(workers=2, gpus_per_worker=1)


def worker(**changes: Any) -> FirstWorker:
    """Return the first worker of a new worker group."""
    new = FirstWorker("its actor", "here", "its CPUs", SMALL_SHAPE, "n1", life=uuid4().hex)
    return replace(new, **changes)


def new_desk(
    backoff_s: float = 0,
    shapes: Sequence[Shape] = (SMALL_SHAPE,),
    free: Callable[[Any], None] = print,
    kill: Callable[[Any], None] = print,
    **faults: Any,
) -> Desk:
    return Desk(Faults(backoff_s=backoff_s, **faults), shapes, kill, free)


def new_job(seed: int) -> Job:
    trial = Trial("s", "dpo", "baseline", seed, "m", "d", {}, None, MethodSpec(), TrainingSpec())
    nowhere = Path("/nowhere")
    return Job(trial, ModelFiles("m"), nowhere, nowhere, "/nowhere", nowhere, 8, {}, SMALL_SHAPE)


def result_of(job: Job) -> TrialResult:
    return TrialResult(job.trial.trial_id, {"x": 1.0}, pd.DataFrame(), pd.DataFrame(), {})


def test_a_finished_cell_is_handed_over_once() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=0), new_job(1)
        attempt = asyncio.create_task(desk.run(job))
        visit = await desk.visit(0, worker())
        assert await desk.next(0, visit) == job.trial.trial_id
        await desk.done(0, visit, job.key, result_of(job))
        assert await attempt is None
        assert (await desk.take(job.trial.trial_id)).metrics == {"x": 1.0}
        with pytest.raises(KeyError):
            await desk.take(job.trial.trial_id)

    play(story())


def test_a_lost_lane_gives_its_cell_back_and_the_next_attempt_can_finish() -> None:
    async def story() -> None:
        freed: list[str] = []
        desk, job = new_desk(backoff_s=0, free=freed.append), new_job(1)
        attempt = asyncio.create_task(desk.run(job))
        await desk.next(0, await desk.visit(0, worker()))
        assert await desk.lose(0, "node died")
        assert freed == ["its CPUs"]
        assert await attempt == Failure(
            "node died", retriable=True, logs="here", kind=ENDED_EARLY, node="n1", lane=0
        )
        second_attempt = asyncio.create_task(desk.run(job))
        visit = await desk.visit(0, worker())
        await desk.next(0, visit)
        await desk.done(0, visit, job.key, result_of(job))
        assert await second_attempt is None
        assert [failure.error for failure in (await desk.history(job.key)).failures] == ["node died"]

    play(story())


def test_a_visit_that_is_over_can_neither_take_nor_finish_a_cell() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=0), new_job(1)
        dead_visit = await desk.visit(0, worker())
        hanging = asyncio.create_task(desk.next(0, dead_visit))  # requested by a worker that dies now
        await asyncio.sleep(0)
        await desk.lose(0, "killed")
        attempt = asyncio.create_task(desk.run(job))
        assert await hanging is None
        assert await desk.next(0, dead_visit) is None  # requested after its end was known
        visit = await desk.visit(0, worker())
        assert await desk.next(0, visit) == job.trial.trial_id
        await desk.done(0, dead_visit, job.key, result_of(job))  # arrives late
        assert not attempt.done()
        await desk.done(0, visit, job.key, result_of(job))
        assert await attempt is None

    play(story())


def test_a_tune_trial_that_comes_back_joins_the_attempt_under_way() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=0), new_job(1)
        first = asyncio.create_task(desk.run(job))
        visit = await desk.visit(0, worker())
        await desk.next(0, visit)
        second = asyncio.create_task(desk.run(job))
        await asyncio.sleep(0)
        await desk.done(0, visit, job.key, result_of(job))
        assert await first is None
        assert await second is None

    play(story())


def test_when_no_lane_of_a_shape_is_left_its_cells_fail_with_the_reason_and_the_others_go_on() -> None:
    async def story() -> None:
        desk = new_desk(backoff_s=0, shapes=[SMALL_SHAPE, LARGE_SHAPE])
        small, large = new_job(1), replace(new_job(2), shape=LARGE_SHAPE)
        attempts = [asyncio.create_task(desk.run(job)) for job in (small, large)]
        await asyncio.sleep(0.01)
        await desk.refuse(LARGE_SHAPE, "no GPU")
        late = await desk.run(replace(new_job(3), shape=LARGE_SHAPE))
        unknown_shape = await desk.run(replace(new_job(4), shape=Shape(workers=7)))
        assert unknown_shape is not None
        assert "workers=7" in unknown_shape.error
        for failure in (await attempts[1], late):
            assert failure is not None
            assert not failure.retriable
            assert "no GPU" in failure.error
        visit = await desk.visit(0, worker())
        assert await desk.next(0, visit) == small.key
        await desk.done(0, visit, small.key, result_of(small))
        assert await attempts[0] is None

    play(story())


def test_a_cell_goes_to_a_lane_of_its_shape_and_other_work_to_any() -> None:
    async def story() -> None:
        desk = new_desk(backoff_s=0, shapes=[SMALL_SHAPE, LARGE_SHAPE])
        shard = Shard(Path("t"), ModelFiles("m"), "float32", 8, 0, 1, Path("out"))
        small, large = new_job(1), replace(new_job(2), shape=LARGE_SHAPE)
        attempts = [asyncio.create_task(desk.run(work)) for work in (small, large, shard)]
        await asyncio.sleep(0.01)
        visit = await desk.visit(7, worker(shape=LARGE_SHAPE))
        for expected in (large, shard):
            assert await desk.next(7, visit) == expected.key
            await desk.done(7, visit, expected.key, None)
        waiting = asyncio.create_task(desk.next(7, visit))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await desk.next(0, await desk.visit(0, worker())) == small.key
        waiting.cancel()
        del attempts

    play(story())


def test_only_idle_lanes_are_sent_home() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=0), new_job(1)
        visits = [await desk.visit(lane, worker()) for lane in range(3)]
        attempt = asyncio.create_task(desk.run(job))
        assert await desk.next(0, visits[0]) == job.key
        idle = [asyncio.create_task(desk.next(lane, visits[lane])) for lane in (1, 2)]
        await asyncio.sleep(0.01)
        await desk.dismiss(SMALL_SHAPE, 1)
        await asyncio.sleep(0.01)
        assert [task.done() for task in idle] == [True, False]
        assert await idle[0] is None
        await desk.dismiss(SMALL_SHAPE, 5)
        assert await idle[1] is None
        await desk.done(0, visits[0], job.key, result_of(job))  # the lane at work is not disturbed
        assert await attempt is None
        assert await desk.close() == {0, 1, 2}  # the lanes to wait for, since Ray must not end before them

    play(story())


def test_each_further_attempt_waits_longer() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=0.05), new_job(1)
        loop, waits = asyncio.get_running_loop(), []
        for _ in range(3):
            requested = loop.time()
            attempt = asyncio.create_task(desk.run(job))
            visit = await desk.visit(0, worker())
            await desk.next(0, visit)
            waits.append(loop.time() - requested)
            await desk.failed(0, visit, job.key, Failure("x", retriable=True))
            await attempt
        assert waits == pytest.approx([0, 0.05, 0.1])

    play(story())


def test_a_worker_that_makes_no_step_is_killed_and_its_cell_tried_again() -> None:
    async def story() -> None:
        killed: list[Any] = []
        desk = new_desk(0, stall_timeout_s=0.2, kill=killed.append)
        slow, hung = new_job(1), new_job(2)
        attempts = [asyncio.create_task(desk.run(job)) for job in (slow, hung)]
        visits = [
            await desk.visit(0, worker()),
            await desk.visit(1, worker(actor="hung actor", logs="there")),
        ]
        for lane, visit in enumerate(visits):
            await desk.next(lane, visit)
        for step in range(6):  # longer than the timeout in all, but it moves
            await asyncio.sleep(0.1)
            await desk.step(0, visits[0], slow.key, Progress("A", step, 9))
        assert killed == ["hung actor"]
        stalled = await attempts[1]
        assert stalled is not None
        assert stalled.retriable
        assert (stalled.error, stalled.logs) == ("stalled: no step for 0.2 s", "there")
        assert not attempts[0].done()
        assert await desk.lose(1, "its worker was killed")  # the lane's own report, later: it did work
        await desk.done(0, visits[0], slow.key, result_of(slow))
        assert await attempts[0] is None

    play(story())


@pytest.mark.parametrize(("micro_batch", "smaller"), [(8, [4, 2, 1, 1]), (6, [3, 1, 1])])
def test_each_time_memory_is_too_small_half_the_micro_batch_is_tried(
    micro_batch: int, smaller: list[int]
) -> None:
    async def story() -> None:
        desk, job = new_desk(0), replace(new_job(1), micro_batch=micro_batch)
        visit = await desk.visit(0, worker())
        tried = []
        for _ in [micro_batch, *smaller]:
            attempt = asyncio.create_task(desk.run(job))
            trial_id = await desk.next(0, visit)
            assert trial_id
            tried.append((await desk.work(trial_id)).micro_batch)
            too_large = Failure("does not fit", retriable=True, halve_micro_batch=True)
            await desk.failed(0, visit, job.key, too_large)
            await attempt
        assert tried == [micro_batch, *smaller]
        errors = [failure.error for failure in (await desk.history(job.key)).failures]
        assert errors[0] == f"does not fit; the next attempt's micro-batch is {smaller[0]}"

    play(story())
