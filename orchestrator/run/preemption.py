"""A worker that is asked to go: SIGTERM lets its cell save itself before the grace period ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ray.train.torch import TorchConfig

_asked, _busy = threading.Event(), threading.Event()


def asked() -> bool:
    """Whether this process has been asked to go."""
    return _asked.is_set()


@contextmanager
def at_work() -> Iterator[None]:
    """While a cell runs here, SIGTERM only asks: the cell saves itself at its next step and stops."""
    _busy.set()
    try:
        yield
    finally:
        _busy.clear()


def listen() -> None:
    """Take over SIGTERM; without a cell Ray's own answer to it, which is to exit, stands."""
    exits: Any = signal.getsignal(signal.SIGTERM)

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        _asked.set()
        if not _busy.is_set():
            exits(number, frame)

    signal.signal(signal.SIGTERM, on_sigterm)


class ListeningBackend(TorchConfig().backend_cls):  # type: ignore[misc]
    """Ray Train's torch backend. A train function runs beside a worker's main thread, which alone may set a
    signal's handler; a backend's start runs in it."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        super().on_start(worker_group, backend_config)
        worker_group.execute(listen)


@dataclass
class ListeningTorch(TorchConfig):  # type: ignore[misc]
    """Ray Train's torch set-up for workers that save their cell when they are asked to go."""

    @property
    def backend_cls(self) -> type[ListeningBackend]:
        return ListeningBackend
