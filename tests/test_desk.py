"""The desk loses no cell, whatever lanes do: each `run()` ends, with a result or with a reason."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from virtual_time import play

from orchestrator.plan.progress import Progress
from orchestrator.record.result import TrialResult
from orchestrator.run.desk import ENDED_EARLY, Desk
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.run.suspects import OUT_S
from orchestrator.study.faults import Faults
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.model import ModelFiles
from training.shards import Shard
from training.spec import MethodSpec, TrainingSpec

SMALL_SHAPE, LARGE_SHAPE = Shape(), Shape(workers=2, gpus_per_worker=1)

LIVES = count()


def worker(**changes: Any) -> FirstWorker:
    """Return the first worker of a new worker group."""
    new = FirstWorker("its actor", "here", SMALL_SHAPE, "n1", life=next(LIVES))
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
        await desk.hold(0, 1, "its CPUs")
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


def test_the_resources_of_a_dead_group_are_freed_once_and_those_of_a_living_one_never() -> None:
    async def story() -> None:
        freed: list[str] = []
        desk = new_desk(free=freed.append)
        await desk.hold(0, 0, "first")
        await desk.lose(0, "its controller was killed before its worker came")
        assert freed == ["first"]
        await desk.lose(0, "said again")
        await desk.hold(0, 2, "third")
        await desk.visit(0, worker(life=2))
        await desk.hold(0, 2, "third")  # said again
        assert freed == ["first"]
        await desk.hold(0, 1, "second")  # too late: this life is over
        assert freed == ["first", "second"]
        await desk.hold(0, 3, "fourth")  # nobody told the desk that the third is over
        await desk.visit(0, worker(life=3))
        assert freed == ["first", "second", "third"]
        await desk.lose(0, "node died")
        assert freed == ["first", "second", "third", "fourth"]

    play(story())


def test_the_time_of_all_attempts_counts_and_waiting_does_not() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=7), new_job(1)
        attempt = asyncio.create_task(desk.run(job))
        await asyncio.sleep(5)
        await desk.next(0, await desk.visit(0, worker()))
        await asyncio.sleep(3)
        await desk.lose(0, "node died")
        await attempt
        second_attempt = asyncio.create_task(desk.run(job))
        visit = await desk.visit(0, worker())
        await desk.next(0, visit)
        await asyncio.sleep(2)
        assert await desk.seconds() == {job.key: pytest.approx(5)}
        await asyncio.sleep(2)
        await desk.done(0, visit, job.key, result_of(job))
        await second_attempt
        assert (await desk.history(job.key)).seconds == pytest.approx(7)
        assert await desk.seconds() == {}

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
        shard = Shard(Path("t"), ModelFiles("m"), "float32", 8, tuple(range(7)), Path("out"))
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


def test_time_in_which_the_desk_was_stopped_is_not_the_silence_of_its_lanes() -> None:
    async def story() -> None:
        killed: list[Any] = []
        desk = new_desk(0, stall_timeout_s=20, kill=killed.append)
        moving, hung = new_job(1), new_job(2)
        attempts = [asyncio.create_task(desk.run(job)) for job in (moving, hung)]
        visits = [await desk.visit(0, worker()), await desk.visit(1, worker(actor="hung actor"))]
        for lane, visit in enumerate(visits):
            await desk.next(lane, visit)
        for second in range(30):
            await asyncio.sleep(1)
            await desk.step(0, visits[0], moving.key, Progress("A", second, 99))
            if second == 10:
                asyncio.get_running_loop().stop_for(75)  # type: ignore[attr-defined]
            if second == 15:
                assert not killed, "85 s have passed, but the desk listened for 15 s only"
        assert killed == ["hung actor"]
        assert not attempts[0].done()

    play(story(), 200)


@pytest.mark.parametrize(("micro_batch", "smaller"), [(8, [4, 2, 1, 1]), (6, [3, 1, 1])])
def test_each_time_memory_is_too_small_half_the_micro_batch_is_tried(
    micro_batch: int, smaller: list[int]
) -> None:
    async def story() -> None:
        desk, job = new_desk(0), replace(new_job(1), micro_batch=micro_batch)
        tried = []
        for _ in [micro_batch, *smaller]:
            visit = await desk.visit(0, worker())
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


async def fail(desk: Desk, lane: int, visit: int, job: Job, error: str = "x") -> None:
    """Fail a lane's work, and end the lane's life, as a crash does."""
    await desk.failed(lane, visit, job.key, Failure(error, retriable=True, kind=error))
    await desk.lose(lane, "its worker crashed")


def test_a_retry_avoids_the_node_that_failed_it_while_another_lane_is_up() -> None:
    async def story() -> None:
        desk, job = new_desk(), new_job(1)
        visits = {lane: await desk.visit(lane, worker(node=f"n{lane}")) for lane in (0, 1)}
        attempt = asyncio.create_task(desk.run(job))
        assert await desk.next(0, visits[0]) == job.key
        await fail(desk, 0, visits[0], job)
        failure = await attempt
        assert failure is not None
        assert str(failure) == "x [node n0]"
        second_attempt = asyncio.create_task(desk.run(job))
        waiting = asyncio.create_task(desk.next(0, await desk.visit(0, worker(node="n0"))))
        await asyncio.sleep(100)
        assert not waiting.done()
        assert await desk.next(1, visits[1]) == job.key
        await desk.done(1, visits[1], job.key, result_of(job))
        assert await second_attempt is None
        waiting.cancel()

    play(story(), 1000)


def test_a_retry_goes_back_to_the_node_that_failed_it_when_no_other_lane_is_up() -> None:
    async def story() -> None:
        desk, job = new_desk(), new_job(1)
        visits = {lane: await desk.visit(lane, worker(node=f"n{lane}")) for lane in (0, 1)}
        attempt = asyncio.create_task(desk.run(job))
        await desk.next(0, visits[0])
        await fail(desk, 0, visits[0], job)
        await attempt
        second_attempt = asyncio.create_task(desk.run(job))
        waiting = asyncio.create_task(desk.next(0, await desk.visit(0, worker(node="n0"))))
        await asyncio.sleep(1)
        await desk.lose(1, "its node is gone")
        assert await waiting == job.key
        second_attempt.cancel()

    play(story())


def test_the_lane_that_suits_a_waiting_retry_is_not_sent_home() -> None:
    async def story() -> None:
        desk, job = new_desk(backoff_s=5), new_job(1)
        visits = {lane: await desk.visit(lane, worker(node=f"n{lane}")) for lane in (0, 1)}
        attempt = asyncio.create_task(desk.run(job))
        await desk.next(0, visits[0])
        idle = asyncio.create_task(desk.next(1, visits[1]))
        await fail(desk, 0, visits[0], job)
        await attempt
        second_attempt = asyncio.create_task(desk.run(job))
        await asyncio.sleep(1)
        await desk.dismiss(SMALL_SHAPE, 1)  # one cell is left, two lanes are alive, and one of them restarts
        await asyncio.sleep(1)
        failed_it = asyncio.create_task(desk.next(0, await desk.visit(0, worker(node="n0"))))
        await desk.dismiss(SMALL_SHAPE, 1)
        assert await failed_it is None
        assert await idle == job.key
        second_attempt.cancel()

    play(story())


def test_a_node_that_fails_one_cell_after_another_gets_no_work_for_a_while() -> None:
    async def story() -> None:
        desk, loop = new_desk(), asyncio.get_running_loop()
        jobs = [new_job(number) for number in range(5)]
        attempts = [asyncio.create_task(desk.run(job)) for job in jobs]
        await asyncio.sleep(0)
        sound = await desk.visit(1, worker(node="sound"))
        assert await desk.next(1, sound) == jobs[0].key  # and this takes long
        for job in jobs[1:4]:
            visit = await desk.visit(0, worker(node="bad"))
            assert await desk.next(0, visit) == job.key
            await fail(desk, 0, visit, job)
        assert any("node bad failed one cell after another" in line for line in await desk.news())
        taken_out_at = loop.time()
        visit = await desk.visit(0, worker(node="bad"))
        assert await desk.next(0, visit) == jobs[4].key  # tried again
        assert loop.time() - taken_out_at >= OUT_S
        await fail(desk, 0, visit, jobs[4])
        late = asyncio.create_task(desk.run(new_job(9)))
        taken_out_at = loop.time()
        await desk.next(0, await desk.visit(0, worker(node="bad")))
        assert loop.time() - taken_out_at >= 2 * OUT_S
        for attempt in (*attempts, late):
            attempt.cancel()

    play(story(), 10_000)


def test_what_several_lanes_tell_alike_is_news_once() -> None:
    async def story() -> None:
        desk = new_desk()
        for text in ("batches are padded", "batches are padded", "another card"):
            await desk.tell(text)
        assert await desk.news() == ["batches are padded", "another card"]
        await desk.tell("batches are padded")
        assert await desk.news() == []

    play(story(), 1)


def test_cells_that_fail_everywhere_take_no_node_out() -> None:
    async def story() -> None:
        desk, loop = new_desk(max_attempts=9), asyncio.get_running_loop()
        for number in range(8):
            job = new_job(number)
            for lane in (0, 1):
                attempt = asyncio.create_task(desk.run(job))
                visit = await desk.visit(lane, worker(node=f"n{lane}"))
                await desk.visit(1 - lane, worker(node=f"n{1 - lane}"))
                assert await desk.next(lane, visit) == job.key
                await fail(desk, lane, visit, job)
                await attempt
        assert await desk.news() == []
        assert loop.time() < OUT_S * 8

    play(story(), 10_000)


def test_the_only_node_is_never_without_work() -> None:
    async def story() -> None:
        desk = new_desk()
        for number in range(6):
            attempt = asyncio.create_task(desk.run(job := new_job(number)))
            visit = await desk.visit(0, worker())
            assert await desk.next(0, visit) == job.key
            await fail(desk, 0, visit, job)
            await attempt
        assert asyncio.get_running_loop().time() == 0

    play(story())


def test_preemption_spends_no_attempt_until_its_own_budget_is_spent() -> None:
    async def story() -> None:
        desk, job = new_desk(max_preemptions=4), new_job(1)
        attempt = asyncio.create_task(desk.run(job))
        for preemptions in range(5):
            assert not attempt.done()
            assert (await desk.history(job.key)).preemptions == preemptions
            visit = await desk.visit(0, worker())
            assert await desk.next(0, visit) == job.key
            stopped = Failure("saved at step 3", retriable=True, preempted=True)
            await desk.failed(0, visit, job.key, stopped)
            await desk.lose(0, "its worker ended")
        failure = await attempt
        assert failure is not None
        assert failure.error == "saved at step 3"

    play(story())


def test_work_without_steps_is_no_stall_while_it_reports() -> None:
    async def story() -> None:
        killed: list[Any] = []
        desk, job = new_desk(stall_timeout_s=10, kill=killed.append), new_job(1)
        attempt = asyncio.create_task(desk.run(job))
        visit = await desk.visit(0, worker())
        await desk.next(0, visit)
        await desk.step(0, visit, job.key, Progress("A", 5, 5))
        for _ in range(20):
            await asyncio.sleep(5)
            await desk.step(0, visit, job.key, None)
        assert await desk.progress() == {job.key: Progress("A", 5, 5)}
        assert not killed
        await asyncio.sleep(20)
        assert killed
        await attempt

    play(story(), 1000)


def test_a_stopped_desk_turns_work_away_but_ends_what_it_began() -> None:
    async def story() -> None:
        desk, jobs = new_desk(), [new_job(number) for number in range(2)]
        attempts = [asyncio.create_task(desk.run(job)) for job in jobs]
        await asyncio.sleep(0)
        visit = await desk.visit(0, worker())
        assert await desk.next(0, visit) == jobs[0].key
        await desk.stop("all fail alike")
        for failure in (await attempts[1], await desk.run(new_job(7))):
            assert failure == Failure("all fail alike", retriable=False)
        assert (await desk.history(jobs[1].key)).failures == []
        await desk.done(0, visit, jobs[0].key, result_of(jobs[0]))
        assert await attempts[0] is None

    play(story())


TOGETHER = Shape(cells_together=3)


async def lane_of_three(desk: Desk) -> tuple[int, list[Job], list["asyncio.Task[Failure | None]"]]:
    """Let a lane take three jobs at once; return its visit, the jobs, and their attempts."""
    jobs = [replace(new_job(seed), shape=TOGETHER) for seed in (1, 2, 3)]
    attempts = [asyncio.create_task(desk.run(job)) for job in jobs]
    visit = await desk.visit(0, worker(shape=TOGETHER))
    assert [await desk.next(0, visit) for _ in jobs] == [job.key for job in jobs]
    return visit, jobs, attempts


def test_jobs_side_by_side_divide_the_time_of_their_lane() -> None:
    async def story() -> None:
        desk = new_desk(shapes=[TOGETHER])
        visit, jobs, _ = await lane_of_three(desk)
        for job in jobs:
            await asyncio.sleep(6)
            await desk.done(0, visit, job.key, result_of(job))
        seconds = [(await desk.history(job.key)).seconds for job in jobs]
        assert seconds == [pytest.approx(2), pytest.approx(2 + 3), pytest.approx(2 + 3 + 6)]

    play(story())


def test_a_process_that_dies_with_three_jobs_speaks_once_against_its_node() -> None:
    async def story() -> None:
        desk = new_desk(shapes=[TOGETHER])
        visit, jobs, attempts = await lane_of_three(desk)
        await desk.lose(0, "killed")
        failures = [await attempt for attempt in attempts]
        assert [failure.kind for failure in failures if failure] == [ENDED_EARLY, "", ""]
        assert await desk.news() == []
        again = [asyncio.create_task(desk.run(job)) for job in jobs]
        visit = await desk.visit(0, worker(shape=TOGETHER))
        assert {await desk.next(0, visit) for _ in jobs} == {job.key for job in jobs}
        for job in jobs:
            await desk.done(0, visit, job.key, result_of(job))
        assert not any([await attempt for attempt in again])

    play(story())


def test_a_lane_in_which_a_job_crashed_gets_no_other_and_ends_the_jobs_beside_it() -> None:
    async def story() -> None:
        desk = new_desk(shapes=[TOGETHER])
        visit, jobs, attempts = await lane_of_three(desk)
        open_question = asyncio.create_task(desk.next(0, visit))
        await asyncio.sleep(0)
        await desk.failed(0, visit, jobs[0].key, Failure("boom", retriable=True, kind="boom"))
        assert await open_question is None
        again = asyncio.create_task(desk.run(jobs[0]))
        assert await desk.next(0, visit) is None
        await desk.done(0, visit, jobs[1].key, result_of(jobs[1]))
        assert await attempts[1] is None
        await desk.lose(0, "restarted after boom")
        assert [failure and failure.kind for failure in (await attempts[0], await attempts[2])] == [
            "boom",
            "",
        ]
        assert not again.done()
        assert await desk.next(0, await desk.visit(0, worker(shape=TOGETHER))) == jobs[0].key

    play(story())


def test_the_lane_with_the_least_to_do_comes_first_and_other_work_waits_for_an_idle_one() -> None:
    async def story() -> None:
        desk = new_desk(shapes=[TOGETHER])
        visits = [await desk.visit(number, worker(shape=TOGETHER)) for number in (0, 1)]
        jobs = [replace(new_job(seed), shape=TOGETHER) for seed in (1, 2)]
        first = asyncio.create_task(desk.run(jobs[0]))
        assert await desk.next(0, visits[0]) == jobs[0].key
        questions = [asyncio.create_task(desk.next(number, visits[number])) for number in (0, 1)]
        asyncio.create_task(desk.run(jobs[1]))  # noqa: RUF006
        assert await questions[1] == jobs[1].key
        shard = Shard(Path("t"), ModelFiles("m"), "float32", 8, tuple(range(7)), Path("out"))
        scored = asyncio.create_task(desk.run(shard))
        await asyncio.sleep(1)
        assert not questions[0].done()
        await desk.done(0, visits[0], jobs[0].key, result_of(jobs[0]))
        assert await questions[0] == shard.key
        assert await first is None
        scored.cancel()

    play(story())
