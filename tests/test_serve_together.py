"""Cells side by side in a lane's worker, with the real desk and bundle; only Ray's calls are stood in for."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_desk import new_job, worker

from orchestrator.run import attempt, serve_together
from orchestrator.run.attempt import LaneConfig
from orchestrator.run.desk import Desk
from orchestrator.run.job import Job
from orchestrator.study.faults import Faults
from orchestrator.study.shape import Shape

TWO = Shape(cells_together=2)


class Handle:
    """A desk in an event loop of its own, called as an actor is."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.desk = Desk(Faults(backoff_s=0), [TWO], kill=print, free=print)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.desk, name)
        return SimpleNamespace(
            remote=lambda *arguments: asyncio.run_coroutine_threadsafe(method(*arguments), self.loop)
        )


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Handle]:
    def wait(calls: list["Future[Any]"], timeout: float) -> tuple[list["Future[Any]"], None]:
        return [call for call in calls if call.done()], None

    stand_in = SimpleNamespace(get=lambda call: call.result(30), wait=wait, ObjectRef=Future)
    monkeypatch.setattr(serve_together, "ray", stand_in)
    monkeypatch.setattr(attempt, "ray", stand_in)
    handle = Handle()
    yield handle
    handle.loop.call_soon_threadsafe(handle.loop.stop)


def jobs_in(tmp_path: Path, *seeds: int) -> list[Job]:
    return [replace(new_job(seed), shape=TWO, log=tmp_path / f"{seed}.log") for seed in seeds]


def test_cells_come_and_go_and_print_into_their_own_logs(desk: Handle, tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, 1, 2, 3)
    at_work: list[set[str]] = []
    now: set[str] = set()
    seen: set[int] = set()

    def run_work(job: Job, report: Any, access: Any) -> str:
        now.add(job.key)
        seen.add(job.trial.seed)
        while True:
            os.write(1, f"seed {job.trial.seed}\n".encode())  # pytest has a stdout of its own
            at_work.append(set(now))
            access.train_together([lambda _: None])
            if job.trial.seed == 3 or job.trial.seed + 1 in seen:  # each ends once the next has joined it
                break
        now.remove(job.key)
        if not remaining.pop() and not remaining:
            desk.close.remote()
        return job.key

    remaining = [0, 0, 0]
    attempts = [desk.run.remote(job) for job in jobs]
    visit = desk.visit.remote(0, worker(shape=TWO)).result(5)
    serve_together.serve_together(LaneConfig(0, 0, TWO, desk, run_work), visit)  # type: ignore[arg-type]
    assert [call.result(5) for call in attempts] == [None] * 3
    assert [desk.take.remote(job.key).result(5) for job in jobs] == [job.key for job in jobs]
    assert max(map(len, at_work)) == 2
    pairs = {frozenset(keys) for keys in at_work if len(keys) == 2}
    assert pairs == {frozenset(job.key for job in both) for both in (jobs[:2], jobs[1:])}
    for job in jobs:
        lines = {line for line in job.log.read_text().splitlines() if line.startswith("seed")}
        assert lines == {f"seed {job.trial.seed}"}


def test_a_crash_lets_the_other_cell_end_and_then_ends_the_process(desk: Handle, tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, 1, 2, 3)
    started: list[int] = []

    def run_work(job: Job, report: Any, access: Any) -> str:
        started.append(job.trial.seed)
        while 2 not in started:
            access.train_together([lambda _: None])
        if job.trial.seed == 1:
            raise RuntimeError("boom")
        access.train_together([lambda _: None])
        return job.key

    attempts = [desk.run.remote(job) for job in jobs[:2]]
    visit = desk.visit.remote(0, worker(shape=TWO)).result(5)
    with pytest.raises(RuntimeError, match="boom"):
        serve_together.serve_together(LaneConfig(0, 0, TWO, desk, run_work), visit)  # type: ignore[arg-type]
    assert "boom" in attempts[0].result(5).error
    assert attempts[1].result(5) is None
    assert started == [1, 2]
    third = desk.run.remote(jobs[2])
    assert desk.next.remote(0, visit).result(5) is None  # nothing more for a process that a crash has left
    assert not third.done()
