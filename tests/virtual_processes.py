"""Processes with blocking code and threads, in a time of their own: one runs at a time, seconds are exact.

What a module calls of `time` and `threading` is replaced by `World.time` and `World.threading`. A process can
be stopped, go on, and be killed between any two of its calls.
"""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any


class Killed(BaseException):
    """This process was killed: nothing that it does from here on has an effect."""


@dataclass
class Process:
    """A process of the world.

    Attributes:
        is_dead: Whether it ended or was killed.
        stopped_until: When it goes on, if it is stopped.
    """

    name: str
    is_dead: bool = False
    stopped_until: float = 0.0
    threads: "list[Thread]" = field(default_factory=list)


class Thread:
    """A thread of a process, which runs only when the world gives it a turn."""

    def __init__(self, world: "World", process: Process, story: Callable[[], object]) -> None:
        self.process, self.is_done = process, False
        self._world, self._story = world, story
        self._turn = threading.Lock()
        self._turn.acquire()
        process.threads.append(self)
        threading.Thread(target=self._run, daemon=True).start()

    def take_turn(self) -> None:
        """Run until the thread pauses or ends."""
        if self.is_done:
            return
        if self._world.now < self.process.stopped_until and not self.process.is_dead:
            self._world.at(self.process.stopped_until, self.take_turn)
            return
        self._world.running = self
        self._turn.release()
        self._world.turn.acquire()

    def pause(self) -> None:
        self._world.turn.release()
        self._turn.acquire()
        self.check_alive()

    def check_alive(self) -> None:
        if self.process.is_dead:
            raise Killed

    def _run(self) -> None:
        self._turn.acquire()
        try:
            self.check_alive()
            self._story()
        except Killed:
            pass
        except BaseException as error:
            self._world.errors.append(error)
        finally:
            self.is_done = True
            self._world.turn.release()


class World:
    """The processes, and the time that passes while all of them pause."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turn = threading.Lock()
        self.turn.acquire()
        self.errors: list[BaseException] = []
        self.running: Thread
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        world = self

        class OwnThread:
            def __init__(self, target: Callable[[], object], **_: Any) -> None:
                self._target = target

            def start(self) -> None:
                self._thread = Thread(world, world.running.process, self._target)
                world.at(world.now, self._thread.take_turn)

            def join(self) -> None:
                while not self._thread.is_done:
                    world.sleep(0.05)

        class Event:
            is_set = False

            def set(self) -> None:
                self.is_set = True

            def wait(self, timeout: float) -> bool:
                until = world.now + timeout
                while not self.is_set and world.now < until:
                    world.sleep(until - world.now)
                return self.is_set

        class Lock:
            is_held = False

            def __enter__(self) -> None:
                while self.is_held:
                    world.sleep(0.05)
                self.is_held = True

            def __exit__(self, *_: object) -> None:
                self.is_held = False

        self.threading = SimpleNamespace(Thread=OwnThread, Event=Event, Lock=Lock)
        self.time = SimpleNamespace(
            sleep=self.sleep, monotonic=lambda: self.now, clock_gettime=lambda _: self.now, CLOCK_BOOTTIME=7
        )

    def at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def start(self, process: Process, story: Callable[[], object], when: float) -> None:
        self.at(when, Thread(self, process, story).take_turn)

    def sleep(self, seconds: float) -> None:
        """Let the running thread pause."""
        thread = self.running
        thread.check_alive()
        self.at(self.now + seconds, thread.take_turn)
        thread.pause()
        self.running = thread

    def kill(self, process: Process) -> None:
        process.is_dead = True
        for thread in process.threads:
            while not thread.is_done:
                thread.take_turn()

    def run(self, until_s: float) -> None:
        """Run until nothing is left to happen; raise what a process raised, or TimeoutError."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            if self.now > until_s:
                raise TimeoutError(f"something still happens after {until_s:g} s")
            event()
            if self.errors:
                raise self.errors[0]
