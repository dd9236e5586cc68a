"""A connection to an MLflow store that waits while the store cannot be reached."""

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store

from orchestrator.record.store_faults import permanent_fault
from training.errors import StudyError

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # this module decides how long to wait
logging.getLogger("mlflow").setLevel(logging.WARNING)  # the migrations of a new store are of no interest
# What these loggers print about an unreachable store is also raised, and handled here.
for noisy in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)

# MLflow's error codes for an unreachable store; a server with an unreachable database sends them as well.
UNREACHABLE_CODES = ("TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR")
READS = ("get_", "search_", "list_", "download_")  # how the names of methods begin that write nothing
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0


class PatientClient:
    """An MLflow client whose every call is repeated while the store cannot be reached.

    Args:
        uri: Tracking URI of the store.
        printable_uri: The same URI without user and password, for log lines.
        patience_s: Seconds for which a call is repeated, with growing waits, before its error is raised.
    """

    def __init__(self, uri: str, printable_uri: str, patience_s: float) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._uri, self._printable_uri, self._patience_s = uri, printable_uri, patience_s
        # Called before each write, and before each repetition of it; it raises if this process may not write.
        self.guard: Callable[[], None] = lambda: None

    def unguarded(self) -> "PatientClient":
        """Return a client of the same store that calls no guard."""
        return PatientClient(self._uri, self._printable_uri, self._patience_s)

    def impatient(self) -> "PatientClient":
        """Return a client of the same store, with the same guard, whose calls are not repeated."""
        client = PatientClient(self._uri, self._printable_uri, 0.0)
        client.guard = self.guard
        return client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the client's method with this name, made patient, and guarded if it writes."""
        method = getattr(self._client, name)
        if name.startswith(READS):
            return partial(self.patiently, method)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.guard()
            return method(*args, **kwargs)

        return partial(self.patiently, guarded)

    def patiently(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Repeat a call until the store answers or patience runs out, and return the answer.

        Raises:
            StudyError: The store has a fault that does not pass, such as a full disk.
        """
        deadline, wait = time.monotonic() + self._patience_s, FIRST_WAIT_S
        while True:
            try:
                return call(*args, **kwargs)
            except StudyError:
                raise
            except Exception as error:
                if fault := permanent_fault(error, self._printable_uri):
                    raise fault from error
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not _may_answer_later(error):
                    raise
                log.warning(
                    "MLflow at %s cannot be reached; trying for %.0f s more", self._printable_uri, remaining
                )
                time.sleep(min(wait, remaining))
                wait = min(2 * wait, LONGEST_WAIT_S)

    def database(self) -> SqlAlchemyStore | None:
        """Return the store's database; None if the store is behind a server."""
        store = _get_store(self._uri)
        return store if isinstance(store, SqlAlchemyStore) else None


def _may_answer_later(error: Exception) -> bool:
    """Return whether a store (its server, database or artifacts) may answer if it is asked again."""
    if isinstance(error, MlflowException):
        return error.error_code in UNREACHABLE_CODES
    # The errors of requests are OSErrors; those of S3 come from a library that may not be installed.
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in ("boto3", "botocore")
