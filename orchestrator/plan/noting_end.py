"""The end of a sweep, noted in the record, where `orchestrator.watch` reads it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.plan.interrupted import Interrupted
from orchestrator.record.endings import Ending
from orchestrator.record.lease import LeaseLost
from orchestrator.record.ledger import Ledger
from orchestrator.record.places import without_passwords
from training.errors import StudyError

MOST_CHARACTERS = 500  # of the line that says why a sweep ended
log = logging.getLogger(__name__)


@contextmanager
def noting_end(ledger: Ledger) -> Iterator[Callable[[Ending], None]]:
    """Note in the record how the block ends, and yield the function that does this for an ordinary end.

    A driver that has lost its study to another one notes nothing: the record belongs to the other.
    """
    ledger.endings.forget()
    try:
        yield ledger.endings.note
    except LeaseLost:
        raise
    except BaseException as error:
        try:
            ledger.endings.note(_ending(error))
        except Exception as fault:  # the record may be what ended the sweep; its own error is raised below
            log.warning("the end of this sweep could not be noted in the record (%s)", type(fault).__name__)
        raise


def _ending(error: BaseException) -> Ending:
    """Return the exit code that `orchestrator.cli` gives an error, and its text in one line."""
    if isinstance(error, Interrupted):
        return Ending(error.exit_code, f"interrupted by {error}; the same command goes on from there")
    line = without_passwords(" ".join(str(error).split()))
    if isinstance(error, StudyError):
        return Ending(2, line[:MOST_CHARACTERS])
    return Ending(1, f"{type(error).__name__}: {line}"[:MOST_CHARACTERS])
