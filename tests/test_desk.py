"""The desk loses no cell, whatever lanes do: each run() ends, finished or with a reason."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator.plan.progress import Progress
from orchestrator.record.result import TrialResult
from orchestrator.run.desk import Desk, Failure, Worker
from orchestrator.run.job import Job
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.model import ModelFiles
from training.scoring import Shard
from training.spec import MethodSpec, TrainingSpec

SMALL, LARGE = Shape(), Shape(workers=2, gpus_per_worker=1)
WORKER = Worker(actor="its actor", logs="here", placement="its CPUs", shape=SMALL)


def at_desk(backoff_s: float, free: Callable[[Any], None] = print, **options: Any) -> Desk:
    return Desk(backoff_s, **{"shapes": [SMALL], "free": free, **options})


def job(seed: int) -> Job:
    trial = Trial("s", "dpo", "baseline", seed, "m", "d", {}, None, MethodSpec(), TrainingSpec())
    here = Path("/nowhere")
    return Job(trial, ModelFiles("m"), here, here, "/nowhere", here, 8, {}, SMALL)


def result(cell: Job) -> TrialResult:
    return TrialResult(cell.trial.trial_id, {"x": 1.0}, pd.DataFrame(), pd.DataFrame(), {})


class Moments(selectors.DefaultSelector):
    """Time that passes only where everybody waits, and then at once: a story's seconds are exact."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            self.now += timeout or 0
        return ready


def run(story: Coroutine[Any, Any, None]) -> None:
    def new_loop() -> asyncio.AbstractEventLoop:
        moments = Moments()
        loop = asyncio.SelectorEventLoop(moments)
        loop.time = lambda: moments.now  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(story, timeout=60))


def test_a_finished_cell_is_handed_over_once() -> None:
    async def story() -> None:
        desk, cell = at_desk(backoff_s=0), job(1)
        waiting = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0, WORKER)
        assert await desk.next(0, visit) == cell.trial.trial_id
        await desk.done(0, visit, result(cell))
        assert await waiting is None
        assert (await desk.take(cell.trial.trial_id)).metrics == {"x": 1.0}
        with pytest.raises(KeyError):
            await desk.take(cell.trial.trial_id)

    run(story())


def test_a_lost_lane_gives_its_cell_back_and_the_next_attempt_can_finish() -> None:
    async def story() -> None:
        freed: list[str] = []
        desk, cell = at_desk(backoff_s=0, free=freed.append), job(1)
        attempt = asyncio.create_task(desk.run(cell))
        await desk.next(0, await desk.visit(0, WORKER))
        assert await desk.lose(0, "node died")
        assert freed == ["its CPUs"]
        assert await attempt == Failure("node died", retriable=True, logs="here")
        again = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0, WORKER)
        await desk.next(0, visit)
        await desk.done(0, visit, result(cell))
        assert await again is None
        assert [failure.error for failure in await desk.failures(cell.trial.trial_id)] == ["node died"]

    run(story())


def test_a_dead_visit_can_neither_take_nor_finish_a_cell() -> None:
    async def story() -> None:
        desk, cell = at_desk(backoff_s=0), job(1)
        old = await desk.visit(0, WORKER)
        hanging = asyncio.create_task(desk.next(0, old))  # asked by a worker that dies now
        await asyncio.sleep(0)
        await desk.lose(0, "killed")
        attempt = asyncio.create_task(desk.run(cell))
        assert await hanging is None
        assert await desk.next(0, old) is None  # asked after its end was known
        visit = await desk.visit(0, WORKER)
        assert await desk.next(0, visit) == cell.trial.trial_id
        await desk.done(0, old, result(cell))  # a late word of the dead
        assert not attempt.done()
        await desk.done(0, visit, result(cell))
        assert await attempt is None

    run(story())


def test_a_tune_trial_that_comes_back_joins_the_attempt_under_way() -> None:
    async def story() -> None:
        desk, cell = at_desk(backoff_s=0), job(1)
        first = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0, WORKER)
        await desk.next(0, visit)
        second = asyncio.create_task(desk.run(cell))
        await asyncio.sleep(0)
        await desk.done(0, visit, result(cell))
        assert await first is None
        assert await second is None

    run(story())


def test_when_no_lane_of_a_shape_is_left_its_cells_are_told_why_and_the_others_go_on() -> None:
    async def story() -> None:
        desk = at_desk(backoff_s=0, shapes=[SMALL, LARGE])
        small, large = job(1), replace(job(2), shape=LARGE)
        waiting = [asyncio.create_task(desk.run(cell)) for cell in (small, large)]
        await asyncio.sleep(0.01)
        await desk.refuse(LARGE, "no GPU")
        late = await desk.run(replace(job(3), shape=LARGE))
        strange = await desk.run(replace(job(4), shape=Shape(workers=7)))
        assert strange is not None
        assert "workers=7" in strange.error
        for failure in (await waiting[1], late):
            assert failure is not None
            assert not failure.retriable
            assert "no GPU" in failure.error
        visit = await desk.visit(0, WORKER)
        assert await desk.next(0, visit) == small.key
        await desk.done(0, visit, result(small))
        assert await waiting[0] is None

    run(story())


def test_a_cell_goes_to_a_lane_of_its_shape_and_other_work_to_any() -> None:
    async def story() -> None:
        desk = at_desk(backoff_s=0, shapes=[SMALL, LARGE])
        part = Shard(Path("t"), ModelFiles("m"), "float32", 8, 0, 1, Path("out"))
        small, large = job(1), replace(job(2), shape=LARGE)
        attempts = [asyncio.create_task(desk.run(work)) for work in (small, large, part)]
        await asyncio.sleep(0.01)
        visit = await desk.visit(7, replace(WORKER, shape=LARGE))
        for expected in (large, part):
            assert await desk.next(7, visit) == expected.key
            await desk.done(7, visit, None)
        waiting = asyncio.create_task(desk.next(7, visit))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await desk.next(0, await desk.visit(0, WORKER)) == small.key
        waiting.cancel()
        del attempts

    run(story())


def test_only_idle_lanes_are_sent_home() -> None:
    async def story() -> None:
        desk, cell = at_desk(backoff_s=0), job(1)
        visits = [await desk.visit(lane, WORKER) for lane in range(3)]
        attempt = asyncio.create_task(desk.run(cell))
        assert await desk.next(0, visits[0]) == cell.key
        idle = [asyncio.create_task(desk.next(lane, visits[lane])) for lane in (1, 2)]
        await asyncio.sleep(0.01)
        await desk.dismiss(SMALL, 1)
        await asyncio.sleep(0.01)
        assert [task.done() for task in idle] == [True, False]
        assert await idle[0] is None
        await desk.dismiss(SMALL, 5)
        assert await idle[1] is None
        await desk.done(0, visits[0], result(cell))  # the one at work is not disturbed
        assert await attempt is None
        assert await desk.close() == {0, 1, 2}  # those to wait for, since Ray may not end before them

    run(story())


def test_a_second_attempt_waits_longer_each_time() -> None:
    async def story() -> None:
        desk, cell = at_desk(backoff_s=0.05), job(1)
        loop, waits = asyncio.get_running_loop(), []
        for _ in range(3):
            asked = loop.time()
            attempt = asyncio.create_task(desk.run(cell))
            visit = await desk.visit(0, WORKER)
            await desk.next(0, visit)
            waits.append(loop.time() - asked)
            await desk.failed(0, visit, Failure("x", retriable=True))
            await attempt
        assert waits == pytest.approx([0, 0.05, 0.1])

    run(story())


def test_a_worker_that_makes_no_step_is_ended_and_its_cell_tried_again() -> None:
    async def story() -> None:
        ended: list[Any] = []
        desk, slow, hung = at_desk(0, stall_timeout_s=0.2, kill=ended.append), job(1), job(2)
        attempts = [asyncio.create_task(desk.run(cell)) for cell in (slow, hung)]
        visits = [
            await desk.visit(0, WORKER),
            await desk.visit(1, Worker("hung actor", "there", "its CPUs", SMALL)),
        ]
        for lane, visit in enumerate(visits):
            await desk.next(lane, visit)
        for step in range(6):  # slower than the timeout in all, but it moves
            await asyncio.sleep(0.1)
            await desk.step(0, visits[0], Progress("A", step, 9))
        assert ended == ["hung actor"]
        assert await attempts[1] == Failure("stalled: no step for 0.2 s", retriable=True, logs="there")
        assert not attempts[0].done()
        assert await desk.lose(1, "its worker was ended")  # the lane's own word, later: it did work
        await desk.done(0, visits[0], result(slow))
        assert await attempts[0] is None

    run(story())


@pytest.mark.parametrize(("micro_batch", "then"), [(8, [4, 2, 1, 1]), (6, [3, 1, 1])])
def test_after_each_lack_of_memory_half_the_micro_batch_is_tried(micro_batch: int, then: list[int]) -> None:
    async def story() -> None:
        desk, cell = at_desk(0), replace(job(1), micro_batch=micro_batch)
        visit = await desk.visit(0, WORKER)
        seen = []
        for _ in [micro_batch, *then]:
            attempt = asyncio.create_task(desk.run(cell))
            trial_id = await desk.next(0, visit)
            assert trial_id
            seen.append((await desk.work(trial_id)).micro_batch)
            await desk.failed(0, visit, Failure("does not fit", retriable=True, halve=True))
            await attempt
        assert seen == [micro_batch, *then]
        said = [failure.error for failure in await desk.failures(cell.trial.trial_id)]
        assert said[0] == f"does not fit; the next attempt's micro-batch is {then[0]}"

    run(story())
