"""One sweep per study and home at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from orchestrator.record.places import Places
from training.errors import StudyError


@contextmanager
def sole_driver(here: Places) -> Iterator[None]:
    """One sweep a study and home at a time: the lock goes with its process, however that ends.

    Raises:
        StudyError: another sweep of the study is at work.
    """
    here.out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(here.out / "sweep.lock", timeout=0):
            yield
    except Timeout as error:
        raise StudyError(
            f"study {here.study}: another sweep of it is at work in {here.out}; "
            "wait for it, or see what it does with python -m orchestrator.status"
        ) from error
