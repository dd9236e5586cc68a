"""An event loop whose time passes only while every task waits, and then at once: seconds are exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class Moments(selectors.DefaultSelector):
    """A selector that lets the time pass, rather than waiting, where nothing can go on."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            self.now += timeout or 0
        return ready


def play(story: Coroutine[Any, Any, None], timeout_s: float = 60) -> None:
    """Run a story to its end, which must come within `timeout_s` seconds of its own time."""

    def new_loop() -> asyncio.AbstractEventLoop:
        moments = Moments()
        loop = asyncio.SelectorEventLoop(moments)
        loop.time = lambda: moments.now  # type: ignore[method-assign]
        return loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(story, timeout_s))
