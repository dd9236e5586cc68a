"""The desk loses no cell, whatever lanes do: each run() ends, finished or with a reason."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestrator.desk import Desk, Failure
from orchestrator.trial import Order, Trial, TrialResult
from training.model import ModelFiles
from training.spec import MethodSpec, TrainingSpec


def order(seed: int) -> Order:
    trial = Trial("s", "dpo", "baseline", seed, "m", "d", {}, None, MethodSpec(), TrainingSpec())
    here = Path("/nowhere")
    return Order(trial, ModelFiles("m"), here, here, here, here, 8, {})


def result(cell: Order) -> TrialResult:
    return TrialResult(cell.trial.trial_id, {"x": 1.0}, pd.DataFrame(), pd.DataFrame(), {})


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, timeout=5))


def test_a_finished_cell_is_handed_over_once() -> None:
    async def story() -> None:
        desk, cell = Desk(backoff_s=0, lanes=1), order(1)
        waiting = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0)
        assert await desk.next_cell(0, visit) == cell.trial.trial_id
        await desk.done(0, visit, result(cell))
        assert await waiting is None
        assert (await desk.take(cell.trial.trial_id)).metrics == {"x": 1.0}
        with pytest.raises(KeyError):
            await desk.take(cell.trial.trial_id)

    run(story())


def test_a_lost_lane_gives_its_cell_back_and_the_next_attempt_can_finish() -> None:
    async def story() -> None:
        desk, cell = Desk(backoff_s=0, lanes=1), order(1)
        attempt = asyncio.create_task(desk.run(cell))
        await desk.next_cell(0, await desk.visit(0))
        assert await desk.lose(0, "node died")
        assert await attempt == Failure("node died", retriable=True)
        again = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0)
        await desk.next_cell(0, visit)
        await desk.done(0, visit, result(cell))
        assert await again is None
        assert await desk.failures(cell.trial.trial_id) == ["node died"]

    run(story())


def test_a_dead_visit_can_neither_take_nor_finish_a_cell() -> None:
    async def story() -> None:
        desk, cell = Desk(backoff_s=0, lanes=1), order(1)
        old = await desk.visit(0)
        hanging = asyncio.create_task(desk.next_cell(0, old))  # asked by a worker that dies now
        await asyncio.sleep(0)
        await desk.lose(0, "killed")
        attempt = asyncio.create_task(desk.run(cell))
        assert await hanging is None
        visit = await desk.visit(0)
        assert await desk.next_cell(0, visit) == cell.trial.trial_id
        await desk.done(0, old, result(cell))  # a late word of the dead
        assert not attempt.done()
        await desk.done(0, visit, result(cell))
        assert await attempt is None

    run(story())


def test_a_tune_trial_that_comes_back_joins_the_attempt_under_way() -> None:
    async def story() -> None:
        desk, cell = Desk(backoff_s=0, lanes=1), order(1)
        first = asyncio.create_task(desk.run(cell))
        visit = await desk.visit(0)
        await desk.next_cell(0, visit)
        second = asyncio.create_task(desk.run(cell))
        await asyncio.sleep(0)
        await desk.done(0, visit, result(cell))
        assert await first is None
        assert await second is None

    run(story())


def test_when_no_lane_is_left_every_waiting_cell_is_told_why() -> None:
    async def story() -> None:
        desk = Desk(backoff_s=0, lanes=2)
        waiting = [asyncio.create_task(desk.run(order(seed))) for seed in (1, 2)]
        await asyncio.sleep(0.01)
        await desk.retire("no GPU")
        assert not any(task.done() for task in waiting)
        await desk.retire("no GPU")
        late = await desk.run(order(3))
        for failure in [*(await asyncio.gather(*waiting)), late]:
            assert failure is not None
            assert not failure.retriable
            assert "no GPU" in failure.error

    run(story())


def test_a_second_attempt_waits_longer_each_time() -> None:
    async def story() -> None:
        desk, cell = Desk(backoff_s=0.05, lanes=1), order(1)
        loop, waits = asyncio.get_running_loop(), []
        for _ in range(3):
            asked = loop.time()
            attempt = asyncio.create_task(desk.run(cell))
            visit = await desk.visit(0)
            await desk.next_cell(0, visit)
            waits.append(loop.time() - asked)
            await desk.failed(0, visit, Failure("x", retriable=True))
            await attempt
        assert waits[0] < 0.05 <= waits[1] < 0.1 <= waits[2]

    run(story())
