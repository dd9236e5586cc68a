"""Messages to a webhook: short JSON at the end of a sweep, and when a cell fails or stalls."""

import json
import logging
import os
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from orchestrator.plan.events import Event, Watcher
from orchestrator.plan.progress import Progress
from orchestrator.record.places import without_passwords
from orchestrator.study.study import Study
from stats.status import CellStatus
from training.errors import StudyError

TIMEOUT_S = 10.0
STALLED = "stalled: "  # how the desk's reason begins
log = logging.getLogger(__name__)


class Notifier:
    """Posts messages about a study, in a thread of its own. A message that cannot be posted ends nothing.

    Args:
        study: The name of the study.
        url: The webhook; with None, nothing is posted.
    """

    def __init__(self, study: str, url: str | None) -> None:
        self._study, self._url = study, url
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="notifier")

    def post(self, event: str, text: str, cell: str = "") -> None:
        """Post `{"study", "event", "text"}`, and the cell's name as `cell` if the message is about one."""
        if self._url:
            message = {"study": self._study, "event": event, "text": without_passwords(text)}
            self._thread.submit(self._send, message | ({"cell": cell} if cell else {}))

    def watch(self, watcher: Watcher) -> Watcher:
        """Return a watcher that also posts the failures and stalls of cells."""
        return _PostingWatcher(self, watcher)

    def close(self) -> None:
        """Wait until everything is posted."""
        self._thread.shutdown()

    def _send(self, message: Mapping[str, str]) -> None:
        assert self._url is not None
        request = urllib.request.Request(
            self._url, json.dumps(message).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                pass
        except (OSError, ValueError) as error:  # the address may be a secret, and is not shown
            log.warning("notify: a message could not be posted (%s)", type(error).__name__)


@contextmanager
def notifying(study: Study) -> Iterator[Notifier]:
    """Yield the notifier of a study; an error that ends the block is posted as `stopped`.

    Raises:
        StudyError: The environment variable that should hold the webhook is not set.
    """
    notifier = Notifier(study.study, _url(study))
    try:
        yield notifier
    except BaseException as error:
        notifier.post("stopped", f"{type(error).__name__}: {error}")
        raise
    finally:
        notifier.close()


def _url(study: Study) -> str | None:
    if study.notify is None or not study.notify.url.startswith("$"):
        return study.notify.url if study.notify else None
    name = study.notify.url.removeprefix("$")
    url = os.environ.get(name, "")
    if not url.startswith(("http://", "https://")):
        raise StudyError(
            f"notify.url: the environment variable {name} holds no http or https address; set it"
        )
    return url


class _PostingWatcher:
    def __init__(self, notifier: Notifier, watcher: Watcher) -> None:
        self._notifier, self._watcher = notifier, watcher

    def tell(self, event: Event) -> None:
        self._watcher.tell(event)
        if event.status == CellStatus.FAILED:
            self._notifier.post("failed", event.text, event.trial.name)
        elif event.status == CellStatus.RETRIED and STALLED in event.text:
            self._notifier.post("stalled", event.text, event.trial.name)

    def note(self, text: str) -> None:
        self._watcher.note(text)

    def phase(self, text: str, done: int = 0, total: int = 0) -> None:
        self._watcher.phase(text, done, total)

    def running(self, progress: Mapping[str, Progress]) -> None:
        self._watcher.running(progress)
