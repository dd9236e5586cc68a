"""The uploads of tuned models, in a thread of their own: the driver's loop waits for no artifact store."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from orchestrator.record.kept_models import ALL_KEPT_TAG, model_tag
from orchestrator.record.ledger import Ledger
from orchestrator.record.result import TrialResult
from orchestrator.run.arm_store import MODEL_FOLDER
from orchestrator.run.job import Job
from orchestrator.study.trial import Trial
from training.checkpoint_store import CheckpointStore, DamagedFolder
from training.scratch import scratch


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


def log_models(ledger: Ledger, run_id: str, job: Job, result: TrialResult, register: bool) -> dict[str, str]:
    """Log the tuned models of a finished cell, and return the tags that say so.

    A model whose files are damaged is left out and named in a tag: the cell counts, and the next sweep trains
    it again for its model.
    """
    trial, last_step = job.trial, int(result.curves["step"].max())
    models: dict[str, str] = {}
    damaged: dict[str, str] = {}
    for arm in trial.arms:
        with scratch() as scratch_folder:
            folder = scratch_folder / MODEL_FOLDER
            try:
                CheckpointStore(f"{job.store}/{arm}").fetch(MODEL_FOLDER, folder)
            except DamagedFolder as damage:
                damaged[f"not_kept_{arm}"] = str(damage)
                continue
            models[model_tag(arm)] = ledger.models.log(run_id, trial, arm, folder, last_step, register)
    return models | damaged | ({} if damaged else {ALL_KEPT_TAG: "final"})
