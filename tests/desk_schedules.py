"""Explore schedules of the desk: a made-up sweep per seed, with deaths, delays, lost and repeated messages.

The real desk and breaker run in an event loop with its own time. Around them, coroutines stand in for lanes,
Ray Tune's trials and the fleet. Every draw comes from the seed, so a schedule that breaks a rule replays:

    PYTHONPATH=.:tests python tests/schedules.py desk --first 4711 --count 1
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from virtual_time import play

from orchestrator.plan.agenda import longest_first
from orchestrator.plan.progress import Progress
from orchestrator.run.breaker import ENOUGH_FAILURES, Breaker
from orchestrator.run.desk import Desk
from orchestrator.run.job import Job
from orchestrator.run.messages import Failure, FirstWorker
from orchestrator.run.packing import lanes_filled
from orchestrator.run.suspects import BAD_AFTER, OUT_S
from orchestrator.study.faults import Faults
from orchestrator.study.shape import Shape
from orchestrator.study.trial import Trial
from training.model import ModelFiles
from training.spec import MethodSpec, TrainingSpec

SHAPES = (Shape(), Shape(workers=2), Shape(cells_together=3))
LONGEST_S = 200_000.0  # of a schedule's own time; whatever takes longer hangs
STEPS = 3
Reply = TypeVar("Reply")


class Died(Exception):
    """A lane's workers are gone."""


class Crashed(Died):
    """An attempt has raised, and the desk knows; the process goes on only for its other attempts."""


@cache
def job_of(number: int, method: str, shape: Shape) -> Job:
    trial = Trial("s", method, "S", number, "m", "d", {}, None, MethodSpec(), TrainingSpec())
    nowhere = Path("/nowhere")
    return Job(trial, ModelFiles("m"), nowhere, nowhere, "/nowhere", nowhere, 8, {}, shape)


@dataclass
class Weather:
    """How likely each misfortune is, per step or per message."""

    dies: float = 0.0
    raises: float = 0.0
    hangs: float = 0.0
    is_preempted: float = 0.0
    is_lost: float = 0.0  # the caller dies before or after its message arrives
    is_repeated: float = 0.0
    delays_s: tuple[float, ...] = (0.0,)
    stops: float = 0.0  # for a while, nothing runs at all


@dataclass
class Sweep:
    """A made-up sweep around a real desk, and what is noted of it.

    Attributes:
        lanes: The node and the shape of each lane, by its number.
        bad_nodes: Nodes on which every attempt fails.
        handed: For each cell, when an attempt was handed out, to which lane, and at which visit.
        ended: For each cell, None if it finished, otherwise its last failure.
    """

    draw: random.Random
    weather: Weather
    faults: Faults
    jobs: list[Job]
    lanes: list[tuple[str, Shape]]
    bad_nodes: set[str] = field(default_factory=set)
    restart_s: float = 5.0
    step_s: tuple[float, ...] = (0.1, 1.0, 10.0)
    handed: defaultdict[str, list[tuple[float, int, int]]] = field(default_factory=lambda: defaultdict(list))
    failed_at: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    results: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Failure | None] = field(default_factory=dict)
    failures: list[tuple[Job, Failure]] = field(default_factory=list)
    stopped_at: float | None = None
    first_finished_at: float | None = None

    def __post_init__(self) -> None:
        self.killed: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.alive: set[int] = set()
        self.lives = count()
        self.fleet_s = self.draw.choice((0.5, 2.0, 7.0))
        # How many cells of each shape have not ended.
        self.left = [sum(job.shape is shape for job in self.jobs) for shape in SHAPES]
        self.background: set[asyncio.Task[Any]] = set()
        self.living: set[int] = set()  # the lives that have not ended
        self.desk = Desk(self.faults, SHAPES, kill=lambda actor: actor.set(), free=self.free)
        self.breaker = Breaker(
            lambda: self.alive, lambda: [job.trial for job in self.jobs if job.key not in self.ended]
        )

    async def play(self) -> None:
        fleet = asyncio.create_task(self.fleet())
        under_way = asyncio.Semaphore(sum(shape.cells_at_once for _, shape in self.lanes) + 1)
        await asyncio.gather(*(self.cell(job, under_way) for job in self.jobs_in_order()))
        await self.desk.close()
        await fleet
        await asyncio.gather(*self.background)

    def jobs_in_order(self) -> list[Job]:
        by_trial = {job.key: job for job in self.jobs}
        return [by_trial[trial.trial_id] for trial in longest_first(job.trial for job in self.jobs)]

    # --- the messages ---------------------------------------------------------------------------------

    async def send(self, method: Callable[..., Awaitable[Reply]], *arguments: Any) -> Reply:
        """Call the desk as a lane does: late, perhaps twice, and perhaps the caller dies meanwhile."""
        weather, draw = self.weather, self.draw
        await asyncio.sleep(draw.choice(weather.delays_s))
        if draw.random() < weather.is_lost:  # before the message arrives, which it may never do
            if draw.random() < 0.5:
                self.later(method, *arguments)
            raise Died
        reply = await method(*arguments)
        if draw.random() < weather.is_repeated:
            self.later(method, *arguments)
        if draw.random() < weather.is_lost:
            raise Died
        return reply

    def later(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        async def repeat(wait_s: float) -> None:
            await asyncio.sleep(wait_s)
            await method(*arguments)

        self.in_background(repeat(self.draw.choice((0.0, *self.weather.delays_s, 20.0))))

    def in_background(self, story: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(story)
        self.background.add(task)
        return task

    def free(self, life: int) -> None:
        assert life not in self.living, "the resources of a living lane were freed"

    # --- lanes ----------------------------------------------------------------------------------------

    async def fleet(self) -> None:
        """Keep as many lanes as there are cells, as `Fleet` does."""
        tasks: dict[int, asyncio.Task[None]] = {}
        of_shape = [
            [number for number, lane in enumerate(self.lanes) if lane[1] is shape] for shape in SHAPES
        ]
        while len(self.ended) < len(self.jobs):
            for shape, numbers, left in zip(SHAPES, of_shape, self.left, strict=True):
                down = [number for number in numbers if number not in self.alive]
                missing = lanes_filled(shape, left) - len(numbers) + len(down)
                for number in down[: max(0, missing)]:
                    self.alive.add(number)
                    tasks[number] = asyncio.create_task(self.lane(number))
                if missing < 0:
                    await self.desk.dismiss(shape, -missing)
            await asyncio.sleep(self.fleet_s)
        await asyncio.gather(*tasks.values())

    async def lane(self, number: int) -> None:
        """Live one life after another, until the desk sends the lane home."""
        while len(self.ended) < len(self.jobs):
            await asyncio.sleep(self.draw.uniform(0, self.restart_s))
            life = next(self.lives)
            self.living.add(life)
            try:
                await self.life(number, life)
                break
            except Died:
                self.living.discard(life)
                await asyncio.sleep(self.draw.choice(self.weather.delays_s))
                await self.desk.lose(number, "lost with its worker")
                if self.draw.random() < self.weather.is_repeated:
                    await self.desk.lose(number, "lost with its worker")
                await asyncio.sleep(self.restart_s)
        self.alive.discard(number)

    async def life(self, number: int, life: int) -> None:
        node, shape = self.lanes[number]
        killed = asyncio.Event()
        await self.send(self.desk.hold, number, life, life)
        worker = FirstWorker(killed, "its log", shape, node, life)
        visit = await self.send(self.desk.visit, number, worker)
        if shape.cells_together:
            await self.side_by_side(number, visit, killed, shape.cells_at_once)
            return
        while True:
            key = await self.wait_for_work(number, visit)
            if key is None:
                return
            await self.work_on(key, number, visit, killed, asyncio.Lock())

    async def side_by_side(self, number: int, visit: int, killed: asyncio.Event, places: int) -> None:
        """Do several jobs in turns, as `serve_together` does; once one has crashed, the others end."""
        jobs: set[asyncio.Task[None]] = set()
        question: asyncio.Task[str | None] | None = None
        turn, crashed, is_over = asyncio.Lock(), False, False
        try:
            while jobs or not (crashed or is_over):
                if question is None and not crashed and not is_over and len(jobs) < places:
                    question = self.in_background(self.ask(number, visit))
                await asyncio.wait(
                    {*jobs, *([question] if question else [])}, return_when=asyncio.FIRST_COMPLETED
                )
                if self.draw.random() < self.weather.dies / 10:
                    raise Died
                for job in [job for job in jobs if job.done()]:
                    jobs.remove(job)
                    error = job.exception()
                    crashed = crashed or isinstance(error, Crashed)
                    if error and not isinstance(error, Crashed):
                        raise error
                if question and question.done():
                    key, question = question.result(), None
                    is_over = key is None
                    if key is not None:
                        jobs.add(asyncio.create_task(self.work_on(key, number, visit, killed, turn)))
        finally:
            for job in jobs:
                job.cancel()
        if crashed:
            raise Died

    async def wait_for_work(self, number: int, visit: int) -> str | None:
        """Ask for work; a lane that dies meanwhile leaves its question open."""
        question = self.in_background(self.ask(number, visit))
        if self.draw.random() < self.weather.dies:
            await asyncio.wait({question}, timeout=self.draw.uniform(0, 30))
            raise Died
        key: str | None = await question
        return key

    async def ask(self, number: int, visit: int) -> str | None:
        key = await self.desk.next(number, visit)
        if key:
            is_late = self.stopped_at is not None and self.now() > self.stopped_at
            assert not is_late, "work was handed out after the sweep had stopped"
            self.handed[key].append((self.now(), number, visit))
        return key

    async def work_on(
        self, key: str, number: int, visit: int, killed: asyncio.Event, turn: asyncio.Lock
    ) -> None:
        desk = self.desk
        try:
            await desk.work(key)
        except KeyError:  # the desk has given this lane up meanwhile
            raise Died from None
        if self.lanes[number][0] in self.bad_nodes:
            await self.send(desk.failed, number, visit, key, Failure("bad node", retriable=True, kind="bad"))
            raise Crashed
        for step in range(STEPS):
            async with turn:
                await self.step(key, number, visit, killed, step)
        await self.send(desk.done, number, visit, key, (key, number, visit))

    async def step(self, key: str, number: int, visit: int, killed: asyncio.Event, step: int) -> None:
        weather, draw, desk = self.weather, self.draw, self.desk
        await asyncio.sleep(draw.choice(self.step_s))
        if killed.is_set() or draw.random() < weather.dies:
            raise Died
        if draw.random() < weather.stops:
            asyncio.get_running_loop().stop_for(draw.choice((1.0, 75.0)))  # type: ignore[attr-defined]
        if draw.random() < weather.hangs:
            await killed.wait()
            raise Died
        if draw.random() < weather.raises:
            kind = draw.choice(("one error", "another"))
            await self.send(desk.failed, number, visit, key, Failure(kind, retriable=True, kind=kind))
            raise Crashed
        if draw.random() < weather.is_preempted:
            await self.send(
                desk.failed, number, visit, key, Failure("SIGTERM", retriable=True, preempted=True)
            )
            raise Crashed
        await self.send(desk.step, number, visit, key, Progress("A", step, STEPS))

    # --- cells ----------------------------------------------------------------------------------------

    async def cell(self, job: Job, under_way: asyncio.Semaphore) -> None:
        """Try a cell as Ray Tune does, with one budget of attempts."""
        async with under_way:
            if self.stopped_at is not None:
                self.end(job, Failure(self.breaker.reason, retriable=False))
                return
            for _ in range(self.faults.max_attempts):
                if self.draw.random() < self.weather.is_repeated:
                    self.in_background(self.desk.run(job))
                failure = await self.desk.run(job)
                if failure is None:
                    self.results[job.key] = await self.desk.take(job.key)
                    self.first_finished_at = self.first_finished_at or self.now()
                    self.breaker.finished()
                    break
                if failure.retriable:
                    self.failed_at[job.key].append(self.now())
                    self.failures.append((job, failure))
                    self.breaker.failed(job.trial, failure)
                    if self.stopped_at is None:
                        assert bool(self.breaker.reason) == self.should_stop(), "the breaker is wrong"
                    if self.breaker.reason and self.stopped_at is None:
                        await self.desk.stop(self.breaker.reason)
                        self.stopped_at = self.now()
                else:
                    break
            self.end(job, failure)

    def end(self, job: Job, failure: Failure | None) -> None:
        self.ended[job.key] = failure
        self.left[SHAPES.index(job.shape)] -= 1

    def should_stop(self) -> bool:
        """Say whether the newest failure is the last that a sweep needs to know that all cells fail alike."""
        kind = self.failures[-1][1].kind
        alike = [(job, failure) for job, failure in self.failures if failure.kind == kind]
        tried = {job.trial.method for job, _ in alike}
        untried = {job.trial.method for job in self.jobs if job.key not in self.ended} - tried
        return (
            bool(kind)
            and self.first_finished_at is None
            and len(alike) >= ENOUGH_FAILURES
            and len({job.key for job, _ in alike}) > 1
            and self.alive <= {failure.lane for _, failure in alike}
            and (len(tried) > 1 or not untried)
        )

    @staticmethod
    def now() -> float:
        return asyncio.get_running_loop().time()

    # --- the rules ------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Assert what must hold of every schedule."""
        assert self.ended.keys() == {job.key for job in self.jobs}, "a cell is lost"
        for job in self.jobs:
            key, last, history = job.key, self.ended[job.key], await self.desk.history(job.key)
            if last is None:
                _, lane, visit = self.handed[key][-1]
                assert self.results[key] == (key, lane, visit), "a result is not of the cell's last attempt"
            else:
                assert key not in self.results
                spent = len(history.failures) == self.faults.max_attempts
                assert spent or self.stopped_at is not None, "a cell failed with attempts left"
            outcomes = len(history.failures) + history.preemptions + (last is None)
            assert len(self.handed[key]) == outcomes, "an attempt has no outcome, or two"
            assert len(history.failures) <= self.faults.max_attempts
            assert history.preemptions <= self.faults.max_preemptions
            for number, failed_at in enumerate(self.failed_at[key]):
                wait_s = self.faults.backoff_s * 2**number
                too_early = [at for at, *_ in self.handed[key] if failed_at < at < failed_at + wait_s - 1e-6]
                assert not too_early, "an attempt did not wait"
        if self.stopped_at is not None:
            assert self.first_finished_at is None or self.first_finished_at >= self.stopped_at
            assert sum(map(len, self.failed_at.values())) >= ENOUGH_FAILURES


def drawn_sweep(draw: random.Random) -> Sweep:
    """Draw a sweep in which anything may go wrong."""
    nodes = [f"n{number}" for number in range(draw.randint(1, 3))]
    shapes = draw.sample(SHAPES, draw.randint(1, 2))
    lanes = [(draw.choice(nodes), shape) for shape in shapes for _ in range(draw.randint(1, 3))]
    jobs = [
        job_of(number, draw.choice(("dpo", "wpo")), draw.choice(shapes))
        for number in range(draw.randint(1, 8))
    ]

    def chance(*values: float) -> float:
        return draw.choice((0.0, *values))

    weather = Weather(
        chance(0.02, 0.1),
        chance(0.05, 0.3, 1.0),
        chance(0.02, 0.1),
        chance(0.05, 0.2),
        chance(0.02),
        chance(0.1),
        draw.choice(((0.0,), (0.0, 0.01), (0.0, 0.5, 40.0))),
        chance(0.0, 0.05),
    )
    faults = Faults(
        max_attempts=draw.randint(1, 3),
        max_preemptions=draw.choice((0, 2, 100)),
        backoff_s=draw.choice((0.0, 2.0)),
        stall_timeout_s=60.0,
    )
    bad_nodes = set(draw.sample(nodes, draw.choice((0, 0, 1, len(nodes)))))
    return Sweep(draw, weather, faults, jobs, lanes, bad_nodes)


def one_bad_node(draw: random.Random) -> Sweep:
    """Draw a sweep on sound nodes and a bad one, whose lanes are the first to be free."""
    shape = SHAPES[0]
    lanes = [(node, shape) for node in ("bad", "n1", "n2", "n3")[: draw.randint(2, 4)]]
    lanes += draw.choice(([], [("bad", shape)], [("n1", shape)]))
    draw.shuffle(lanes)
    jobs = [job_of(number, "dpo", shape) for number in range(draw.randint(len(lanes), 16))]
    faults = Faults(backoff_s=2.0, stall_timeout_s=600.0)
    weather = Weather(delays_s=draw.choice(((0.0,), (0.0, 0.01))))
    restart_s, step_s = draw.choice((0.1, 1.0)), draw.choice(((0.1, 1.0, 10.0), (30.0, 100.0)))
    return Sweep(draw, weather, faults, jobs, lanes, {"bad"}, restart_s, step_s)


def all_alike(draw: random.Random) -> Sweep:
    """Draw a sweep in which every attempt fails alike."""
    lanes = [(f"n{number}", SHAPES[0]) for number in range(draw.randint(1, 3))]
    jobs = [job_of(number, draw.choice(("dpo", "wpo")), SHAPES[0]) for number in range(40)]
    faults = Faults(max_attempts=3, backoff_s=2.0)
    return Sweep(draw, Weather(), faults, jobs, lanes, {node for node, _ in lanes})


def explore(seed: int) -> str:
    """Play the schedule of a seed, and return its kind.

    Raises:
        AssertionError: The schedule broke a rule.
    """
    draw = random.Random(seed)
    kind = (drawn_sweep, drawn_sweep, one_bad_node, all_alike)[seed % 4]

    async def story() -> None:
        sweep = kind(draw)
        await sweep.play()
        await sweep.check()
        if kind is one_bad_node:
            assert not any(sweep.ended.values()), "a bad node cost a cell all its attempts"
            assert sweep.stopped_at is None, "a bad node stopped the sweep"
            bad = {number for number, (node, _) in enumerate(sweep.lanes) if node in sweep.bad_nodes}
            taken = sum(lane in bad for handed in sweep.handed.values() for _, lane, _ in handed)
            times_out = 1 + math.log2(1 + sweep.now() / OUT_S)  # each is twice as long as the one before
            assert taken <= BAD_AFTER - 1 + len(bad) * (1 + times_out), "a bad node was given too much"
        if kind is all_alike:
            assert sweep.stopped_at is not None, "nothing stopped a sweep in which every cell fails"
            most = (len(sweep.lanes) + 1) * sweep.faults.max_attempts + len(sweep.lanes)
            assert sum(map(len, sweep.handed.values())) <= most + ENOUGH_FAILURES

    try:
        play(story(), LONGEST_S)
    except BaseException as error:
        error.add_note(
            f"desk schedule {seed}; replay it with tests/schedules.py desk --first {seed} --count 1"
        )
        raise
    return kind.__name__
