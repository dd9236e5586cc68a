"""The uploads of tuned models, in a thread of their own: the driver's loop waits for no artifact store."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from orchestrator.record.result import TrialResult
from orchestrator.study.trial import Trial


@dataclass(frozen=True)
class Upload:
    """A finished cell whose models are on their way to the record.

    Attributes:
        trial: The cell.
        result: Its result, which is recorded once the models are.
        tags: Tags of its run.
        logged: The tags that say which models were logged, or what went wrong.
    """

    trial: Trial
    result: TrialResult
    tags: Mapping[str, str]
    logged: Future[dict[str, str]]


@dataclass
class Uploads:
    """Uploads the models of one cell after another. All methods are called by the driver's own thread."""

    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="uploads")
    )
    _pending: list[Upload] = field(default_factory=list)

    def start(
        self,
        trial: Trial,
        result: TrialResult,
        tags: Mapping[str, str],
        upload: Callable[[], dict[str, str]],
    ) -> None:
        """Have `upload` called once the uploads before it have ended."""
        self._pending.append(Upload(trial, result, tags, self._thread.submit(upload)))

    def ended(self) -> list[Upload]:
        """Return the uploads that have ended, each of them once."""
        ended = [upload for upload in self._pending if upload.logged.done()]
        self._pending = [upload for upload in self._pending if not upload.logged.done()]
        return [upload for upload in ended if not upload.logged.cancelled()]

    def wait(self) -> None:
        """Return once all uploads have ended."""
        wait([upload.logged for upload in self._pending])

    def drop_waiting(self) -> None:
        """Give up the uploads that have not begun, and return once the one that has begun ended.

        The models stay in the stores of their cells, where the next sweep finds them.
        """
        for upload in self._pending:
            upload.logged.cancel()
        self.wait()

    def __len__(self) -> int:
        return len(self._pending)
