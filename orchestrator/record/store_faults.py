"""Faults of an MLflow store that do not pass: what is wrong, and the way out, in one line."""

import errno
import re
from collections.abc import Iterator

from training.errors import StudyError

SAME_COMMAND = "then give the same command again, which goes on from there"
FULL = f"free some space, {SAME_COMMAND}"
READ_ONLY = f"make it writable, {SAME_COMMAND}"
CREDENTIALS = (
    "set the user and the token that it wants (MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    f"MLFLOW_TRACKING_TOKEN), {SAME_COMMAND}"
)

# Causes and ways out: by the error number of the operating system, by HTTP's status, by the text of an error.
OF_SYSTEM = {
    errno.ENOSPC: ("the disk is full", FULL),
    errno.EDQUOT: ("the disk quota is used up", FULL),
    errno.EROFS: ("the disk is read-only", READ_ONLY),
    errno.EACCES: ("its files may not be written", READ_ONLY),
    errno.EPERM: ("its files may not be written", READ_ONLY),
}
OF_HTTP = {
    401: ("it wants a login (HTTP 401)", CREDENTIALS),
    403: ("this login may not write (HTTP 403)", CREDENTIALS),
    413: (
        "a proxy or server before it refuses large files (HTTP 413)",
        f"raise its limit for a request's size, {SAME_COMMAND}",
    ),
}
OF_TEXT = {
    r"disk is full|No space left on device": OF_SYSTEM[errno.ENOSPC],
    r"readonly database|Read-only file system|read-only transaction": (
        "its database is read-only or was deleted",
        f"restore the file or make it writable, {SAME_COMMAND}",
    ),
    r"file is not a database|database disk image is malformed": (
        "its database is damaged, or no database",
        f"restore it from a copy, or remove it if nothing is recorded in it, {SAME_COMMAND}",
    ),
    r"no such table|relation \S+ does not exist|database \S+ does not exist": (
        "its database was deleted or emptied",
        f"restore the database, or name another one in MLFLOW_TRACKING_URI, {SAME_COMMAND}",
    ),
    r"table \S+ already exists": (
        "its database is half made, because the disk was full or the process ended while MLflow created it",
        f"remove the database if nothing is recorded in it yet, {SAME_COMMAND}",
    ),
    r"out-of-date database schema": (
        "another version of MLflow wrote its database",
        "copy the database, then run `mlflow db upgrade <its URI>`, or install that version of MLflow",
    ),
    r"UNAUTHENTICATED|CUSTOMER_UNAUTHORIZED|error code 401": OF_HTTP[401],
    r"PERMISSION_DENIED|error code 403": OF_HTTP[403],
    r"error code 413": OF_HTTP[413],
}


def permanent_fault(error: BaseException, store: str) -> StudyError | None:
    """Return an error that says what is wrong with a store; None if the store may answer later.

    Args:
        error: What a call to the store raised.
        store: The store's URI, without user and password.
    """
    for cause in _causes(error):
        known = OF_SYSTEM.get(cause.errno) if isinstance(cause, OSError) and cause.errno else None
        status = getattr(getattr(cause, "response", None), "status_code", None)
        known = known or OF_HTTP.get(status or 0)
        for pattern, explanation in OF_TEXT.items():
            known = known or (explanation if re.search(pattern, str(cause)) else None)
        if known:
            return StudyError(f"the record at {store}: {known[0]}; {known[1]}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that it came from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
