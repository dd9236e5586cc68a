"""An event loop whose time passes only while every task waits, and then at once: seconds are exact."""

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any


class Timer:
    """A call at a later time, which may be cancelled until then."""

    __slots__ = ("arguments", "call", "is_cancelled")

    def __init__(self, call: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.call, self.arguments, self.is_cancelled = call, arguments, False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that tasks, futures and sleeps need. It waits for nothing outside.

    Callbacks run in the order in which they were requested, and timers in the order of their times.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()  # timers of the same time go off in their order

    def run(self, task: "asyncio.Task[Any]", until_s: float) -> None:
        """Run until a task is done; raise TimeoutError where that would be later than `until_s`."""
        ready, timers = self._ready, self._timers
        while not task.done():
            while ready and not task.done():
                call, arguments = ready.popleft()
                call(*arguments)
            if task.done():
                return
            if not timers or timers[0][0] > until_s:
                raise TimeoutError(f"the story did not end within {until_s:g} s")
            self._now = max(self._now, timers[0][0])
            while timers and timers[0][0] <= self._now:
                timer = heapq.heappop(timers)[2]
                if not timer.is_cancelled:
                    ready.append((timer.call, timer.arguments))

    def stop_for(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as in a process that is stopped."""
        self._now += seconds

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self._ready.append((callback, args))

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        timer = Timer(callback, args)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self._now + delay, callback, *args)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self, **options)

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        print(context, file=sys.stderr)


def play(story: Coroutine[Any, Any, None], timeout_s: float = 60) -> None:
    """Run a story to its end, which must come within `timeout_s` seconds of its own time."""
    loop = VirtualLoop()
    asyncio.events._set_running_loop(loop)  # what an event loop is to call
    try:
        task = loop.create_task(story)
        try:
            loop.run(task, timeout_s)
        finally:
            left = [other for other in asyncio.all_tasks(loop) if not other.done()]
            for other in left:
                other.cancel()
            for other in left:
                loop.run(other, loop.time())
        task.result()
    finally:
        asyncio.events._set_running_loop(None)
