"""A watcher that cannot end the sweep which it watches."""

import logging
from collections.abc import Callable, Mapping

from orchestrator.plan.events import Event, Watcher
from orchestrator.plan.progress import Progress

log = logging.getLogger(__name__)


class SteadyWatcher:
    """Passes on to a watcher what happens, and raises nothing: the watcher's first error is logged.

    A terminal that has gone or a log on a full disk costs what is shown, and no cell: the record has it all.

    Args:
        watcher: Shows the user what happens in a sweep.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._has_failed = False

    def tell(self, event: Event) -> None:
        self._try(self._watcher.tell, event)

    def note(self, text: str) -> None:
        self._try(self._watcher.note, text)

    def phase(self, text: str, done: int = 0, total: int = 0) -> None:
        self._try(self._watcher.phase, text, done, total)

    def running(self, progress: Mapping[str, Progress]) -> None:
        self._try(self._watcher.running, progress)

    def _try(self, show: Callable[..., None], *what: object) -> None:
        try:
            show(*what)
        except Exception:
            if not self._has_failed:
                log.warning("what happens may not be shown here any more; the sweep goes on", exc_info=True)
            self._has_failed = True
