"""The end of a sweep that was asked to stop, by Ctrl-C, `ray job stop`, `scancel` or another SIGTERM."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """The sweep was asked to stop. As it is no `Exception`, no library mistakes it for a failure.

    Attributes:
        signal: The signal that asked.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)

    @property
    def exit_code(self) -> int:
        """The exit code by which a shell knows a process that a signal ended."""
        return 128 + self.signal


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted where the block is when SIGINT or SIGTERM arrives.

    The first signal counts; the next one ends the process in its ordinary way. This replaces the handlers
    that Ray installs, which print stacks of C++. Only a process's main thread can do this; others do without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_DFL)
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Interrupted:
        raise
    except BaseException as error:
        # Ray raises a KeyboardInterrupt of its own where a signal meets it waiting in C++.
        if received and isinstance(error, KeyboardInterrupt):
            raise Interrupted(received[0]) from None
        _restore(before)
        raise
    else:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
