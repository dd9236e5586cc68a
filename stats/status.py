"""The statuses of a cell. Imports no pandas, so that a plan can use them."""

from enum import StrEnum


class CellStatus(StrEnum):
    """What has become of a cell (method, split, seed)."""

    FINISHED = "finished"  # Its result is in the record.
    PUBLISHED = "published"  # Its number is taken from a published table; nothing was run here.
    FAILED = "failed"  # It ran out of attempts.
    RETRIED = "retried"  # An attempt failed; another one is under way.
    STARTED = "started"  # It is being trained.
    MISSING = "missing"  # The study plans it; it has not been trained yet.
    LATER = "later"  # An adaptive study may still plan it.

    @property
    def has_numbers(self) -> bool:
        """Whether the cell can be counted in a comparison."""
        return self in (CellStatus.FINISHED, CellStatus.PUBLISHED)

    @property
    def has_ended(self) -> bool:
        """Whether a sweep is done with the cell."""
        return self in (CellStatus.FINISHED, CellStatus.FAILED)


STATUSES_WITH_NUMBERS = tuple(status for status in CellStatus if status.has_numbers)
