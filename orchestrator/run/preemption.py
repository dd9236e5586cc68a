"""SIGTERM as a request to stop: a cell saves itself before the grace period of its worker ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_requested = threading.Event()
_at_work: set[object] = set()  # one per block that runs


def is_requested() -> bool:
    """Return whether this process was asked to stop."""
    return _requested.is_set()


@contextmanager
def at_work() -> Iterator[None]:
    """While the block runs, SIGTERM is only a request: the cell saves itself at its next step and stops."""
    block = object()
    _at_work.add(block)
    try:
        yield
    finally:
        _at_work.remove(block)


def listen() -> None:
    """Take over SIGTERM. If no cell is at work, Ray's own handler runs as well and exits."""
    exit_at_once: Any = signal.getsignal(signal.SIGTERM)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        _requested.set()
        if not _at_work:
            exit_at_once(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
