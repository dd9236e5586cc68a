"""Explore schedules of the lease: drivers start, work, are stopped, die, and cannot reach the record.

The real `lease` runs in processes with a time of their own (`virtual_processes`), in front of a record whose
answers are late, lost and repeated, and which drivers cannot reach for a while.
"""

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from virtual_processes import Process, World

from orchestrator.record import lease as module
from orchestrator.record.claims import Claim
from training.errors import StudyError

LONGEST_S = 20_000.0
PATIENCE_S = 300.0  # how long a driver waits for the record
GRACE_S = 30.0  # beyond the time after which a claim lapses
MACHINE = "m{}/boot/pid"


@dataclass
class Weather:
    """How the record behaves: how late its messages are, and which share of them is lost or comes twice."""

    delays_s: tuple[float, ...]
    is_lost: float
    is_repeated: float


class Record:
    """The claims as all drivers see them, and what happened to them.

    Attributes:
        writes: The drivers that wrote under their lease, in order.
        unreachable_until: For each driver, when it reaches the record again.
        unwritable_until: For each driver, when it can write again, as behind a lock or a full queue.
    """

    def __init__(self, world: World, draw: random.Random, weather: Weather) -> None:
        self.world, self.draw, self.weather = world, draw, weather
        self.claims: dict[str, Claim] = {}
        self.writes: list[str] = []
        self.unreachable_until: dict[str, float] = {}
        self.unwritable_until: dict[str, float] = {}

    def all(self) -> dict[str, Claim]:
        self._request(is_write=False)
        claims = dict(self.claims)
        self._answer()
        return claims

    def put(self, driver: str, claim: Claim) -> None:
        self._request()
        self.claims[driver] = claim
        while self.draw.random() < self.weather.is_lost:  # the caller writes once more
            self._answer()
            self._request()
            self.claims[driver] = claim
        if self.draw.random() < self.weather.is_repeated:
            again_at = self.world.now + self.draw.choice((0.1, 3.0, 40.0))
            self.world.at(again_at, lambda: self.claims.update({driver: claim}))
        self._answer()

    def withdraw(self, driver: str) -> None:
        self._request()
        self.claims.pop(driver, None)
        self._answer()

    def _request(self, is_write: bool = True) -> None:
        world, name = self.world, self.world.running.process.name
        world.sleep(self.draw.choice(self.weather.delays_s))
        gives_up_at = world.now + PATIENCE_S
        while (back_at := self.back_at(name, is_write)) > world.now:
            if back_at > gives_up_at:
                world.sleep(gives_up_at - world.now)
                raise ConnectionError("the record cannot be reached")
            world.sleep(back_at - world.now)

    def back_at(self, name: str, is_write: bool) -> float:
        """Return when a driver reaches the record again."""
        read_at = self.unreachable_until.get(name, 0.0)
        return max(read_at, self.unwritable_until.get(name, 0.0)) if is_write else read_at

    def _answer(self) -> None:
        self.world.sleep(self.draw.choice(self.weather.delays_s))


class Story:
    """One schedule: drivers on one study, and what befalls them."""

    def __init__(self, draw: random.Random) -> None:
        self.draw, self.world = draw, World()
        delays_s = draw.choice(((0.0, 0.01), (0.0, 0.3, 2.0), (0.1, 5.0)))
        self.weather = Weather(delays_s, draw.choice((0.0, 0.05)), draw.choice((0.0, 0.0, 0.02)))
        self.record = Record(self.world, draw, self.weather)
        self.processes: list[Process] = []
        self.machines: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}
        self.disturbed: set[str] = set()
        self.ended: dict[str, float] = {}  # driver -> when it ended by itself

    def play(self) -> None:
        draw, world = self.draw, self.world
        for number in range(draw.randint(2, 4)):
            start_s = draw.choice((0.0, 0.0, draw.uniform(0, 30), draw.uniform(0, 200)))
            self.add_driver(f"d{number}", start_s, works_s=draw.choice((5.0, 60.0, 250.0)))
        for process in self.processes:
            if draw.random() < 0.6:
                self.disturb(process)
        world.run(LONGEST_S)
        for process in self.processes:
            world.kill(process)
        # The others are gone. A last driver gets through as soon as what they left has lapsed.
        self.add_driver("last", world.now, works_s=1.0, machine=MACHINE.format("last"))
        start_s = world.now
        world.run(LONGEST_S + 1000)
        assert self.outcomes["last"] == "ended", f"the last driver {self.outcomes['last']}"
        # Each look at the other claims takes a second and two messages, and counts as at most two seconds.
        slowest_s = max(self.weather.delays_s)
        longest_s = module.LAPSE_S * max(1.0, (1 + 2 * slowest_s) / 2) + GRACE_S + 12 * slowest_s
        assert self.ended["last"] - start_s < longest_s, "dead drivers held the study"
        assert self.weather.is_repeated or not self.record.claims, "a claim outlived all drivers"

    def add_driver(self, name: str, start_s: float, works_s: float, machine: str = "") -> None:
        process = Process(name)
        self.processes.append(process)
        self.machines[name] = machine or MACHINE.format(self.draw.randrange(2))
        self.world.start(process, lambda: self.drive(name, works_s), start_s)

    def disturb(self, process: Process) -> None:
        draw, world = self.draw, self.world
        self.disturbed.add(process.name)
        for _ in range(draw.randint(1, 3)):
            at, seconds = draw.uniform(0, 250), draw.choice((3.0, 20.0, 70.0, 130.0, 400.0))
            kind = draw.randrange(4)

            def strike(kind: int = kind, seconds: float = seconds) -> None:
                if kind == 0:
                    world.kill(process)
                elif kind == 1:
                    process.stopped_until = max(process.stopped_until, world.now + seconds)
                elif kind == 2:
                    self.record.unreachable_until[process.name] = world.now + seconds
                else:
                    self.record.unwritable_until[process.name] = world.now + seconds

            world.at(at, strike)

    def drive(self, name: str, works_s: float) -> None:
        """Hold the study and write now and then, as a sweep does."""
        ledger: Any = SimpleNamespace(study="s", claims=self.record, guard=lambda: None)
        holds = False
        try:
            with module.lease(ledger):
                holds = True
                until = self.world.now + works_s
                while self.world.now < until:
                    self.world.sleep(self.draw.choice((0.5, 4.0, 15.0)))
                    ledger.guard()
                    self.write(name)
            self.outcomes[name] = "ended"
        except StudyError as error:
            self.outcomes[name] = f"was refused: {error}"
            if holds and name not in self.disturbed:
                raise AssertionError("an undisturbed driver lost its lease") from error
        except ConnectionError:
            self.outcomes[name] = "could not reach the record"
        self.ended[name] = self.world.now

    def lives_here(self, claim: Claim) -> bool | None:
        """Answer as `liveness.lives_here` does, for the process that asks."""
        asking = self.world.running.process.name
        if claim.machine != self.machines[asking]:
            return None
        return (
            not self.processes[claim.process].is_dead and self.processes[claim.process].name not in self.ended
        )

    def write(self, name: str) -> None:
        """Note a write; assert that no driver writes again while one that wrote after it still works."""
        writes = self.record.writes
        if name in writes and writes[-1] != name:
            newer = next(process for process in self.processes if process.name == writes[-1])
            assert newer.is_dead or newer.name in self.ended, f"two drivers wrote in turn: {[*writes, name]}"
        writes.append(name)


def explore(seed: int) -> str:
    """Play the schedule of a seed; raise AssertionError if it broke a rule."""
    draw = random.Random(seed)
    story = Story(draw)

    def number_of_running() -> int:
        return story.processes.index(story.world.running.process)

    replaced: dict[str, Any] = {
        "threading": story.world.threading,
        "time": story.world.time,
        "lives_here": story.lives_here,
        "this_machine": lambda: story.machines[story.world.running.process.name],
        "started": lambda process: 0,
        "os": SimpleNamespace(getpid=number_of_running),
        "uuid4": lambda: UUID(int=draw.getrandbits(128)),
    }
    real = {name: getattr(module, name) for name in replaced}
    module.__dict__.update(replaced)
    module.log.disabled = True
    try:
        story.play()
    except BaseException as error:
        error.add_note(
            f"lease schedule {seed}; replay it with tests/schedules.py lease --first {seed} --count 1"
        )
        raise
    finally:
        for process in story.processes:
            story.world.kill(process)
        module.__dict__.update(real)
        module.log.disabled = False
    return "lease"
