"""What a sweep prints if its output is a log rather than a terminal."""

from collections.abc import Mapping

from orchestrator.plan.events import Event
from orchestrator.plan.progress import Progress


class LogLines:
    """A watcher that prints one line per event, and none per step."""

    def tell(self, event: Event) -> None:
        print(event, flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def running(self, progress: Mapping[str, Progress]) -> None:
        pass
