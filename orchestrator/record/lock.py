"""One sweep at a time per study and home."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from orchestrator.record.places import Places
from training.errors import StudyError


@contextmanager
def sole_driver(places: Places) -> Iterator[None]:
    """Hold a study's lock file while the block runs. The lock ends with its process, however that ends.

    Raises:
        StudyError: Another sweep of the study holds the lock, or the study's folder cannot be written.
    """
    places.create()
    try:
        with FileLock(places.out / "sweep.lock", timeout=0):
            yield
    except Timeout as error:
        raise StudyError(
            f"study {places.study}: another sweep of it is running in {places.out}; "
            "wait for it, or watch it with python -m orchestrator.watch"
        ) from error
